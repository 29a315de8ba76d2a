"""Stage `completions`: the raw answers, stored as they arrived. Getting them is `pipeline.elicitation`."""

import json
from collections import Counter
from typing import Any

import dagster as dg
import polars as pl

from pipeline.elicitation.sources import source_for
from pipeline.partitions import by_dimension_and_model, cell_of
from pipeline.progress import advance
from pipeline.resources import Build

COMPLETION_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "dimension": pl.String,
    "model": pl.String,
    "custom_id": pl.String,
    "attempt": pl.Int32,
    "answered_by": pl.String,
    "text": pl.String,
    "finish_reason": pl.String,
    "received": pl.String,
}


@dg.asset(
    group_name="completions",
    kinds={"openai", "duckdb"},
    partitions_def=by_dimension_and_model,
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="warehouse",
    deps=["requests"],
    pool="llm",
    description="Raw answers of the panel, verbatim, before any reading of them. Every attempt is kept.\n\n"
    "**Owner's note**: the source of a member is set in `panel.toml`. `recorded` members answer from the edition in "
    "`warehouse/corpus`; `live` members are asked only for what no kept answer exists for, and each answer is written "
    "down the moment it arrives, so that nobody pays twice.",
)
def completions(context: dg.AssetExecutionContext, build: Build) -> pl.DataFrame:
    """Collect the answers to the requests of these cells."""
    known = {r.custom_id for rs in build.plan.requests.values() for r in rs}
    keys = {cell_of(key): key for key in context.partition_keys}
    rows = []
    for model in dict.fromkeys(cell.model for cell in keys):
        for population in dict.fromkeys(cell.population for cell in keys if cell.model == model):
            cells = [c for c in keys if c.model == model and c.population == population]
            requests = {r.custom_id: r for c in cells for r in build.plan.requests_of(c)}
            source = source_for(
                build.member(model),
                corpus=build.edition_folder,
                live=build.live_folder,
                known=known,
                dimension_of=build.catalogue(population).dimension,
            )
            for completion in source.complete(list(requests.values())):
                request = requests[completion.custom_id]
                rows.append(
                    {
                        "population": population,
                        "edition": build.edition,
                        "dimension": request.dimension,
                        "model": model,
                        "custom_id": completion.custom_id,
                        "attempt": completion.attempt,
                        "answered_by": completion.model,
                        "text": completion.text,
                        "finish_reason": completion.finish_reason,
                        "received": json.dumps(completion.received),
                    }
                )
            advance(len(cells))
    frame = pl.DataFrame(rows, schema=COMPLETION_COLUMNS)
    counts = Counter((row["population"], row["dimension"], row["model"]) for row in rows)
    for cell, key in keys.items():
        context.add_asset_metadata({"answers": counts[cell.population, cell.dimension, cell.model]}, partition_key=key)
    return frame
