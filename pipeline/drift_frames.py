"""A drift as rows of the table `drifts`. Reshaping only; measuring is `pipeline.drift`."""

from __future__ import annotations

from typing import Any

import polars as pl

from pipeline.drift import Drift

DRIFT_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition_a": pl.String,
    "snapshot_a": pl.String,
    "edition_b": pl.String,
    "snapshot_b": pl.String,
    "kind": pl.String,
    "dimension": pl.String,
    "given": pl.List(pl.String),
    "tv": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "noise": pl.Float64,
    "changed": pl.Float64,
    "v_before": pl.Float64,
    "v_after": pl.Float64,
    "before": pl.String,
    "after": pl.String,
}


def drift_frame(drift: Drift) -> pl.DataFrame:
    """A row per map, changed strategy, marginal and pair; see the table for what each column means."""
    a, b = drift.before.manifest, drift.after.manifest
    key = {
        "population": drift.population,
        "edition_a": a.edition,
        "snapshot_a": a.snapshot_id,
        "edition_b": b.edition,
        "snapshot_b": b.snapshot_id,
    }
    rows: list[dict[str, object]] = []
    for m in drift.maps:
        tv = {"tv": m.tv.value, "low": m.tv.low, "high": m.tv.high}
        rows.append({"kind": "map", "dimension": m.dimension, "given": list(m.given), **tv, "noise": m.noise})
    for kind, maps in (("gone", drift.gone), ("new", drift.new)):
        rows += [{"kind": kind, "dimension": dimension, "given": list(given)} for dimension, given in maps]
    for dimension, before, after in drift.strategies:
        rows.append({"kind": "strategy", "dimension": dimension, "before": before, "after": after})
    for n in drift.marginals:
        tv = {"tv": n.tv.value, "low": n.tv.low, "high": n.tv.high}
        rows.append({"kind": "marginal", "dimension": n.dimension, **tv, "changed": n.changed})
    for p in drift.pairs:
        values = {"v_before": p.before, "v_after": p.after}
        rows.append({"kind": "pair", "dimension": p.first, "given": [p.second], **values})
    return pl.DataFrame([{**key, **row} for row in rows], schema=DRIFT_COLUMNS)
