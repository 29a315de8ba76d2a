"""The trial report: one self-contained HTML page per population, dimensions in order of trouble, worst first.

Belongs here: arranging the rows of `trials` and `trial_maps` for the template beside this module. Does not belong
here: scores, the rule of choice, reading the warehouse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.catalogue.models import Catalogue
from pipeline.combination.choice import MARGINAL_ROOM, ONE_WAY_LIMIT, TWO_WAY_LIMIT, choose
from pipeline.combination.strategies import STRATEGIES
from pipeline.templates import templates_of


@dataclass(frozen=True, slots=True)
class Section:
    """One dimension on the page: its trials best first, the chosen one, and the chosen one's maps worst first."""

    id: str
    label: str
    parents: tuple[str, ...]
    categories: int
    ordinal: bool
    chosen: dict[str, Any]
    runner_up: str | None
    trials: tuple[dict[str, Any], ...]
    declined: tuple[dict[str, Any], ...]
    maps: tuple[dict[str, Any], ...]
    scale: float


def render_trials(catalogue: Catalogue, edition: str, trials: pl.DataFrame, trial_maps: pl.DataFrame) -> str:
    """The page as text: needs no network, runs no script, and escapes whatever it shows."""
    templates = templates_of("pipeline.pages", escape=True)
    sections = sections_of(catalogue, trials, trial_maps)
    return templates.get_template("trials.html.j2").render(
        population=catalogue.population,
        edition=edition,
        sections=sections,
        overview=_overview(trials),
        rule=[line.strip() for line in (choose.__doc__ or "").split("Args:")[0].strip().splitlines()],
        limits=(MARGINAL_ROOM, ONE_WAY_LIMIT, TWO_WAY_LIMIT),
        held_out=trial_maps.filter(pl.col("role") == "held_out").select("dimension", "given").n_unique(),
    )


def sections_of(catalogue: Catalogue, trials: pl.DataFrame, trial_maps: pl.DataFrame) -> list[Section]:
    """A section per dimension that was tried, by the chosen strategy's held-out divergence, worst first.

    Dimensions without held-out maps follow, by the distance of their one-way maps.
    """
    sections = []
    maps_of = trial_maps.partition_by("dimension", as_dict=True)
    for (name,), rows in trials.group_by("dimension", maintain_order=True):
        dimension = catalogue.dimension(str(name))
        tried = rows.filter(pl.col("marginal_tv").is_not_null()).sort(
            "held_out_js", "one_way_tv", "strategy", nulls_last=True
        )
        chosen = rows.filter("chosen").row(0, named=True)
        runner_up = rows.filter("runner_up")["strategy"].to_list()
        mine = maps_of[(str(name),)].filter(pl.col("strategy") == chosen["strategy"]).sort("tv", descending=True)
        high = tried["held_out_js_high"].drop_nulls()
        sections.append(
            Section(
                id=dimension.id,
                label=dimension.label,
                parents=dimension.parents,
                categories=len(dimension.categories),
                ordinal=dimension.ordinal,
                chosen=chosen,
                runner_up=runner_up[0] if runner_up else None,
                trials=tuple(tried.to_dicts()),
                declined=tuple(rows.filter(pl.col("marginal_tv").is_null()).to_dicts()),
                maps=tuple(mine.to_dicts()),
                # Bars end where a bad strategy's would: controls may run off the edge.
                scale=float(high.quantile(0.75) or 0.0) or 1.0 if high.len() else 1.0,
            )
        )
    return sorted(sections, key=_trouble)


def _trouble(section: Section) -> tuple[bool, float]:
    held = section.chosen["held_out_js"]
    return held is None, -(held if held is not None else section.chosen["one_way_tv"])


def _overview(trials: pl.DataFrame) -> list[dict[str, Any]]:
    """A row per strategy: for how many dimensions it was chosen, and its mean scores."""
    order = list(STRATEGIES)
    return (
        trials.group_by("strategy")
        .agg(
            chosen=pl.col("chosen").sum(),
            overridden=pl.col("override").is_not_null().sum(),
            tried=pl.col("marginal_tv").is_not_null().sum(),
            **{c: pl.col(c).mean() for c in ("held_out_js", "held_out_tv", "marginal_tv", "one_way_tv", "two_way_tv")},
        )
        .sort(pl.col("strategy").replace_strict({s: i for i, s in enumerate(order)}, default=len(order)))
        .to_dicts()
    )
