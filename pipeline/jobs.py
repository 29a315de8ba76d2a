"""Jobs: what is materialised together from the Dagster UI. One job holds assets of one kind of partition only."""

from __future__ import annotations

import dagster as dg

answers = dg.define_asset_job(
    "answers",
    selection=dg.AssetSelection.assets("requests", "completions", "calls", "estimates", "rejections"),
    description="Ask, store and judge: requests to estimates, by dimension and panel member.",
)
mapping = dg.define_asset_job(
    "mapping",
    selection=dg.AssetSelection.assets("maps", "weights", "trials", "trial_maps"),
    description="Pool and combine: maps to weights, by dimension; run dimensions in catalogue order.",
)
release = dg.define_asset_job(
    "release",
    selection=dg.AssetSelection.assets("dimensions", "trial_report", "snapshot", "personas", "map_distances"),
    description="Export and sample: catalogue table, snapshot, batch of personas, distances, by population.",
)

ALL_JOBS = (answers, mapping, release)
