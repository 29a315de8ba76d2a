"""The report of a snapshot: one self-contained HTML page, and the headline numbers that its manifest carries.

Belongs here: choosing and arranging what was measured for the template beside this module. Does not belong here: any
measure, reading the warehouse, or a number that comes from neither.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import median
from typing import Any

import polars as pl

from pipeline.grounding.goals import INSTALL, MOST_ABOVE_FLOOR, MOST_V_APART
from pipeline.templates import templates_of
from warehouse.snapshot_format import Manifest

Rows = Sequence[Mapping[str, Any]]

WORST = 20
"""Rows of a table of the worst."""

DIGITS = 4
THEMES = ("politics", "income", "education", "health", "sexuality", "religion")
"""Themes of leanings in the order of the page; others follow."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to tell of one snapshot.

    Attributes:
        manifest: Of the snapshot.
        scorecards: Rows of the table `scorecards` about its population and edition.
        trials: Rows of `trials`.
        distances: Rows of `map_distances`.
        labels: Label of every dimension, by id.
        grounding: What `pipeline.grounding.findings.plain` gives, a data set each; None if nobody measured.
    """

    manifest: Manifest
    scorecards: pl.DataFrame
    trials: pl.DataFrame
    distances: pl.DataFrame
    labels: Mapping[str, str]
    grounding: Rows | None


def headlines(facts: Facts) -> dict[str, Any]:
    """The numbers that sum a snapshot up, rounded, for the manifest: `grounding` is None where nobody measured."""
    tried = facts.trials.filter("chosen")
    sizes = facts.distances.with_columns(parents=pl.col("given").list.len())
    seen, unseen = sizes.filter(~pl.col("held_out")), sizes.filter("held_out")
    return {
        "dimensions": tried.height,
        "maps": facts.distances.height,
        "personas": int(facts.distances["personas"].max() or 0),  # type: ignore[arg-type]
        "tv": {
            "marginal_worst": _rounded(seen.filter(pl.col("parents") == 0)["tv"].max()),
            "marginal": _rounded(seen.filter(pl.col("parents") == 0)["tv"].mean()),
            "one_way": _rounded(seen.filter(pl.col("parents") == 1)["tv"].mean()),
            "two_way": _rounded(seen.filter(pl.col("parents") == 2)["tv"].mean()),
            "held_out": _rounded(unseen["tv"].mean()),
        },
        "held_out_js": _rounded(tried["held_out_js"].mean()),
        "strategies": {row["strategy"]: row["chosen"] for row in _strategies(facts.trials) if row["chosen"]},
        "members": {
            row["model"]: {"requests": row["requests"], "accepted": row["accepted"], "weight": row["weight"]}
            for row in facts.scorecards.iter_rows(named=True)
        },
        "grounding": None if facts.grounding is None else _grounded(facts.grounding),
    }


def render_report(facts: Facts) -> str:
    """The page as text: needs no network, escapes whatever it shows; its one script sorts tables."""
    templates = templates_of("pipeline.pages", escape=True)
    templates.filters["spoken"] = _spoken
    found = facts.grounding or ()
    return templates.get_template("report.html.j2").render(
        manifest=facts.manifest,
        head=headlines(facts),
        fonts={name: _font(name) for name in ("newsreader", "public-sans")},
        found=found,
        install=INSTALL,
        goals=(MOST_ABOVE_FLOOR, MOST_V_APART),
        widest=max(
            (p[who]["value"] for f in found for p in f["pairs"] for who in ("respondents", "personas")), default=1
        ),
        joints=worst_joints(found),
        maps=worst_maps(found),
        leanings=leanings(found),
        drawn=facts.distances.sort("tv", descending=True).head(WORST).to_dicts(),
        strategies=_strategies(facts.trials),
        hardest=facts.trials.filter("chosen").sort("held_out_js", descending=True, nulls_last=True).head(12).to_dicts(),
        scorecards=facts.scorecards.to_dicts(),
        at=_at,
        sign=_sign,
        label=lambda name: facts.labels.get(name, name),
    )


def worst_joints(found: Rows) -> list[dict[str, Any]]:
    """The pairs that are furthest apart in Cramer's V, of all data sets."""
    rows = [{**pair, "data": one["data"]} for one in found for pair in one["pairs"]]
    return sorted(rows, key=lambda r: -abs(r["difference"]["value"]))[:WORST]


def worst_maps(found: Rows) -> list[dict[str, Any]]:
    """The maps that exceed by most what sampling error alone would give, of all data sets of all adults.

    Others have a frame of their own, so that their distance says little of the map.
    """
    rows = [{**one, "data": f["data"]} for f in found if f["source"]["adults"] for one in f["maps"]]
    return sorted(rows, key=lambda r: r["chance_high"] - r["personas"])[:WORST]


def leanings(found: Rows) -> dict[str, list[dict[str, Any]]]:
    """By theme a row for each share and data set, with its subgroups: those of everybody first, then group by group."""
    result: dict[str, list[dict[str, Any]]] = {theme: [] for theme in THEMES}
    for one in found:
        for row in one["leanings"]:
            shares = result.setdefault(row["theme"], [])
            if not row["group"]:
                shares.append({**row, "data": one["data"], "source": one["source"], "groups": {}})
            else:
                own = next(s for s in shares if s["data"] == one["data"] and s["label"] == row["label"])
                own["groups"].setdefault(row["group"], []).append(row)
    return {
        theme: sorted(rows, key=lambda r: (r["label"], not r["source"]["adults"], r["data"]))
        for theme, rows in result.items()
        if rows
    }


def _grounded(found: Rows) -> dict[str, Any]:
    """Headlines of the grounding; goals and leanings are those of the data sets whose frame is all adults."""
    adults = [one for one in found if one["source"]["adults"]]
    apart = [p for one in adults for p in one["pairs"] if abs(p["difference"]["value"]) > MOST_V_APART]
    leaning = [row for one in adults for row in one["leanings"] if not row["group"]]
    most = max(leaning, key=lambda row: abs(row["difference"]["value"]), default=None)
    ratios = [row["ratio"]["value"] for one in adults for row in one["diversity"]]
    return {
        "data_sets": {
            one["data"]: {
                "adults": one["source"]["adults"],
                "auc": _rounded(one["areas"]["personas"]["value"]),
                "floor": _rounded(one["areas"]["floor"]["value"]),
                "above_floor": _rounded(one["above_floor"]["personas"]["value"]),
                "pairs_apart": sum(abs(p["difference"]["value"]) > MOST_V_APART for p in one["pairs"]),
                "pairs": len(one["pairs"]),
            }
            for one in found
        },
        "above_floor": _rounded(median(one["above_floor"]["personas"]["value"] for one in adults)) if adults else None,
        "within_goal": sum(one["above_floor"]["personas"]["value"] <= MOST_ABOVE_FLOOR for one in adults),
        "adult_sets": len(adults),
        "pairs": sum(len(one["pairs"]) for one in adults),
        "pairs_apart": len(apart),
        "leaning": _rounded(median(abs(row["difference"]["value"]) for row in leaning), 2) if leaning else None,
        "leaning_most": None if most is None else [most["label"], _rounded(most["difference"]["value"], 2)],
        "diversity": [_rounded(min(ratios), 2), _rounded(max(ratios), 2)] if ratios else None,
    }


def _strategies(trials: pl.DataFrame) -> list[dict[str, Any]]:
    """A row per strategy: for how many dimensions it was chosen, and its mean distances; the chosen ones first."""
    measures = ("held_out_js", "held_out_tv", "marginal_tv", "one_way_tv", "two_way_tv")
    return (
        trials.group_by("strategy")
        .agg(
            pl.col("chosen").sum(), pl.col("marginal_tv").count().alias("tried"), *(pl.col(m).mean() for m in measures)
        )
        .sort("chosen", "held_out_js", "strategy", descending=[True, False, False], nulls_last=True)
        .to_dicts()
    )


def _rounded(value: Any, digits: int = DIGITS) -> float | None:
    return None if value is None else round(float(value), digits) + 0.0


def _at(value: float, low: float, high: float, width: float) -> float:
    """Where a value stands on an axis from `low` to `high`; what lies beyond stands at its end."""
    return round((min(max(value, low), high) - low) / (high - low) * width, 1)


def _sign(value: float, digits: int) -> str:
    """A difference as people write it: with a sign, and none on a zero."""
    text = f"{value:+.{digits}f}"
    return text[1:] if not float(text) else text.replace("-", "−")


def _spoken(category: str) -> str:
    """A category's id as people would write it: `25_34` is 25–34, `never_married` never married."""
    return re.sub(r"(?<=[\dk])_(?=\d)", "–", category).replace("_", " ")


def _font(name: str) -> str:
    """A typeface of the page of `personagen serve`, for a `data:` address."""
    content = (files("serving.page") / "static" / f"{name}.woff2").read_bytes()
    return base64.b64encode(content).decode()
