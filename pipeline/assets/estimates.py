"""Stage `estimates`: answers read and judged. Parsing and validation are `pipeline.prompts`."""

import json
from collections import Counter
from typing import Any

import dagster as dg
import polars as pl

from pipeline.elicitation.protocol import Completion
from pipeline.partitions import by_dimension_and_model, cell_of
from pipeline.progress import advance
from pipeline.prompts.validation import ESTIMATE_COLUMNS, estimates_frame, validate_all
from pipeline.resources import Build

REJECTION_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "dimension": pl.String,
    "model": pl.String,
    "given": pl.List(pl.String),
    "custom_id": pl.String,
    "attempt": pl.Int32,
    "reason": pl.String,
    "detail": pl.String,
    "text": pl.String,
}


@dg.multi_asset(
    name="validate",
    group_name="estimates",
    partitions_def=by_dimension_and_model,
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.single_run(),
    ins={"completions": dg.AssetIn("completions", input_manager_key="warehouse")},
    outs={
        "estimates": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="One panel member's maps: parsed, validated, rows normalised, a row per cell.\n\n"
            "**Owner's note**: of several accepted attempts at one request the last one counts.",
        ),
        "rejections": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="Answers that were not used, each with one named reason and its text as received.",
        ),
    },
)
def validate(
    context: dg.AssetExecutionContext, build: Build, completions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Turn the answers of these cells into estimates and rejections."""
    by_cell = completions.partition_by("population", "dimension", "model", as_dict=True)
    estimates, rejections = [pl.DataFrame(schema=ESTIMATE_COLUMNS)], []
    for key in context.partition_keys:
        cell = cell_of(key)
        requests = build.plan.requests_of(cell)
        answers = by_cell.get((cell.population, cell.dimension, cell.model))
        look_up = build.catalogue(cell.population).dimension
        outcome = validate_all(
            requests, [] if answers is None else map(_completion, answers.iter_rows(named=True)), look_up
        )
        estimates.append(estimates_frame(outcome.estimates, look_up))
        given = {r.custom_id: r.given for r in requests}
        rejections += [
            {
                "population": cell.population,
                "edition": build.edition,
                "dimension": cell.dimension,
                "model": cell.model,
                "given": list(given[r.custom_id]),
                "custom_id": r.custom_id,
                "attempt": r.attempt,
                "reason": str(r.reason),
                "detail": r.detail,
                "text": r.text,
            }
            for r in outcome.rejections
        ]
        reasons = Counter(str(r.reason) for r in outcome.rejections)
        counts = {
            "requests": len(requests),
            "accepted": len(requests) - len(outcome.unanswered),
            "rejected_answers": len(outcome.rejections),
            "without_estimate": len(outcome.unanswered),
            "rejection_reasons": dict(reasons),
        }
        context.add_asset_metadata(counts, asset_key="estimates", partition_key=key)
        advance()
    return pl.concat(estimates), pl.DataFrame(rejections, schema=REJECTION_COLUMNS)


def _completion(row: dict[str, object]) -> Completion:
    """A stored row as the completion it was."""
    return Completion(
        custom_id=str(row["custom_id"]),
        model=str(row["answered_by"]),
        text=None if row["text"] is None else str(row["text"]),
        finish_reason=None if row["finish_reason"] is None else str(row["finish_reason"]),
        received=json.loads(str(row["received"])),
        attempt=int(str(row["attempt"])),
    )
