"""Stage `requests`: what is asked. Rendering is `pipeline.prompts.render`."""

import json
from typing import Any

import dagster as dg
import polars as pl

from pipeline.partitions import by_dimension_and_model, cell_of
from pipeline.progress import advance
from pipeline.resources import Build

REQUEST_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "dimension": pl.String,
    "model": pl.String,
    "given": pl.List(pl.String),
    "condition": pl.List(pl.String),
    "variant": pl.String,
    "custom_id": pl.String,
    "number_format": pl.String,
    "system": pl.String,
    "prompt": pl.String,
    "settings": pl.String,
}


@dg.asset(
    group_name="requests",
    kinds={"duckdb"},
    partitions_def=by_dimension_and_model,
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="warehouse",
    deps=[dg.AssetDep("dimensions", partition_mapping=dg.AllPartitionMapping())],
    description="The rendered prompts for each map and panel member: base, one-way and two-way maps of a dimension. "
    "One prompt a map, or one a row (`condition`) where the member's variant asks by row.",
)
def requests(context: dg.AssetExecutionContext, build: Build) -> pl.DataFrame:
    """Render the requests of these cells."""
    rows = []
    for key in context.partition_keys:
        cell = cell_of(key)
        rendered = build.plan.requests_of(cell)
        context.add_asset_metadata(
            {
                "requests": len(rendered),
                "example": dg.MetadataValue.md(f"```\n{rendered[-1].messages[-1]['content']}\n```"),
            },
            partition_key=key,
        )
        rows += [
            {
                "population": r.population,
                "edition": r.edition,
                "dimension": r.dimension,
                "model": r.model,
                "given": list(r.given),
                "condition": None if r.condition is None else list(r.condition),
                "variant": r.variant,
                "custom_id": r.custom_id,
                "number_format": r.number_format,
                "system": r.messages[0]["content"],
                "prompt": r.messages[1]["content"],
                "settings": json.dumps(r.settings, sort_keys=True),
            }
            for r in rendered
        ]
        advance()
    return pl.DataFrame(rows, schema=REQUEST_COLUMNS)
