"""Between tables and the judgement of the panel: estimates to panel maps, standings and influences to rows.

Belongs here: reshaping only, and the mass of a map's conditions. Does not belong here: any judgement, which is
`pipeline.combination.scorecards`, and anything about where tables are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipeline.catalogue.models import Catalogue
from pipeline.combination.agreement import PanelMap
from pipeline.combination.influence import Influence
from pipeline.combination.pooling import pooled_probabilities
from pipeline.combination.problem import Floats
from pipeline.combination.scorecards import Standing
from pipeline.frames import estimate_arrays
from pipeline.prompts.validation import allowed_mask

SCORECARD_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "model": pl.String,
    "requests": pl.Int32,
    "answered": pl.Int32,
    "first": pl.Int32,
    "accepted": pl.Int32,
    "rejected": pl.List(pl.Struct({"reason": pl.String, "answers": pl.Int32})),
    "hedging": pl.Float64,
    "distance": pl.Float64,
    "tv": pl.Float64,
    "information": pl.Float64,
    "nearest": pl.String,
    "similarity": pl.Float64,
    "usd_per_cell": pl.Float64,
    "tokens_per_cell": pl.Float64,
    "median_seconds": pl.Float64,
    "p95_seconds": pl.Float64,
    "weight": pl.Float64,
}
INFLUENCE_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "dimension": pl.String,
    "given": pl.List(pl.String),
    "model": pl.String,
    "tv": pl.Float64,
    "worst_tv": pl.Float64,
    "worst_condition": pl.List(pl.String),
}


def panel_maps(catalogue: Catalogue, estimates: pl.DataFrame) -> list[PanelMap]:
    """Every map of one population that somebody answered, in catalogue order.

    The mass of a condition is the product of its parents' base rates, pooled with equal weights: that parents go
    together is left out, as it hardly matters to a mean over rows and would need the fit that comes after.
    """
    by_dimension = estimates.partition_by("dimension", as_dict=True)
    base: dict[str, Floats] = {}
    found = []
    for dimension in catalogue.dimensions:
        arrays = estimate_arrays(by_dimension.get((dimension.id,), estimates.clear()), catalogue, dimension)
        allowed = {g: allowed_mask(dimension, [catalogue.dimension(p) for p in g]) for g in arrays}
        width = len(dimension.categories)
        known = list(arrays[()].values())
        base[dimension.id] = pooled_probabilities((), known, None, allowed[()]) if known else np.full(width, 1 / width)
        for given, answers in arrays.items():
            if answers:
                mass = np.ones(1)
                for parent in given:
                    mass = np.multiply.outer(mass, base[parent]).ravel()
                found.append(PanelMap(dimension.id, given, answers, mass, allowed[given]))
    return found


def scorecard_frame(
    population: str, edition: str, counts: pl.DataFrame, rejected: pl.DataFrame, standings: Iterable[Standing]
) -> pl.DataFrame:
    """A row per member, in the order of its standing.

    Args:
        population: Its id.
        edition: Its name.
        counts: A row per member with the columns from `requests` to `accepted` and from `usd_per_cell` on.
        rejected: Columns model, reason, answers.
        standings: What the members' maps showed.
    """
    by_model = {row["model"]: row for row in counts.iter_rows(named=True)}
    reasons: dict[str, list[dict[str, object]]] = {}
    for model, reason, answers in rejected.select("model", "reason", "answers").iter_rows():
        reasons.setdefault(model, []).append({"reason": reason, "answers": answers})
    rows = [
        {
            **by_model[s.model],
            **{name: getattr(s, name) for name in Standing.__dataclass_fields__},
            "population": population,
            "edition": edition,
            "rejected": reasons.get(s.model, []),
        }
        for s in standings
    ]
    return pl.DataFrame(rows, schema=SCORECARD_COLUMNS).fill_nan(None)


def influence_frame(
    edition: str, catalogue: Catalogue, found: Sequence[tuple[PanelMap, Sequence[Influence]]]
) -> pl.DataFrame:
    """A row per map and member that answered it."""
    rows = [
        {
            "population": catalogue.population.id,
            "edition": edition,
            "dimension": one.dimension,
            "given": list(one.given),
            "model": effect.model,
            "tv": effect.tv,
            "worst_tv": effect.worst_tv,
            "worst_condition": [
                catalogue.dimension(g).category_ids[c] for g, c in zip(one.given, effect.worst_condition, strict=True)
            ],
        }
        for one, effects in found
        for effect in effects
    ]
    return pl.DataFrame(rows, schema=INFLUENCE_COLUMNS).fill_nan(None)


def shares_accepted(counts: pl.DataFrame, members: Sequence[str]) -> list[float]:
    """Of the requests that each member answered the share accepted in the end; 0 where it answered none."""
    found: Mapping[str, float] = {
        m: a / n if n else 0.0 for m, n, a in counts.select("model", "answered", "accepted").iter_rows()
    }
    return [found.get(m, 0.0) for m in members]
