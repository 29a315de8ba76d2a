"""Stages of the enrichment of names: what is asked, the answers, and the verdict. The work is `pipeline.names`."""

from collections import Counter

import dagster as dg
import polars as pl

from pipeline.names.candidates import KINDS, Kind, asked
from pipeline.names.enrichment import outcome_of
from pipeline.names.frames import (
    ESTIMATE_COLUMNS,
    REJECTION_COLUMNS,
    answers_of,
    completions_frame,
    estimates_frame,
    rejections_frame,
    requests_frame,
)
from pipeline.names.requests import NameRequest
from pipeline.partitions import by_name_kind, cell_of
from pipeline.plan import Cell
from pipeline.progress import advance
from pipeline.resources import Build


@dg.asset(
    group_name="names",
    kinds={"duckdb"},
    partitions_def=by_name_kind,
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="warehouse",
    deps=[dg.AssetDep("dimensions", partition_mapping=dg.AllPartitionMapping())],
    description="The rendered prompts about names, a hundred names each: the most frequent, and the most distinctive "
    "of each heritage; by kind, first names or surnames.",
)
def name_requests(context: dg.AssetExecutionContext, build: Build) -> pl.DataFrame:
    """Render the requests of these kinds."""
    frames = []
    for key in context.partition_keys:
        requests = _requests(build, cell_of(key))
        frames.append(requests_frame(build.edition, requests))
        context.add_asset_metadata(
            {
                "requests": len(requests),
                "names": sum(len(r.names) for r in requests),
                "example": dg.MetadataValue.md(f"```\n{requests[-1].messages[-1]['content']}\n```"),
            },
            partition_key=key,
        )
        advance()
    return pl.concat(frames)


@dg.asset(
    group_name="names",
    kinds={"duckdb"},
    partitions_def=by_name_kind,
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="warehouse",
    deps=["name_requests"],
    description="Raw answers about names, verbatim, before any reading of them. Every attempt is kept.\n\n"
    "**Owner's note**: they are those of `warehouse/corpus/names`, which `personagen names import` adds to; nobody is "
    "asked from here.",
)
def name_completions(context: dg.AssetExecutionContext, build: Build) -> pl.DataFrame:
    """Read the recorded answers about these kinds."""
    frames = []
    for key in context.partition_keys:
        cell = cell_of(key)
        enrichment = build.plan.enrichments[cell.population]
        answers = enrichment.answers(_kind(cell))
        frames.append(completions_frame(build.edition, answers, _requests(build, cell)))
        context.add_asset_metadata({"answers": len(answers)}, partition_key=key)
        advance()
    return pl.concat(frames)


@dg.multi_asset(
    name="validate_names",
    group_name="names",
    partitions_def=by_name_kind,
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.single_run(),
    ins={"name_completions": dg.AssetIn("name_completions", input_manager_key="warehouse")},
    outs={
        "name_estimates": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="What the answers tell of each name: shares over the heritages, share of women, cohort curve "
            "where no births are known, spelling.\n\n**Owner's note**: of several accepted entries the last one "
            "counts.",
        ),
        "name_rejections": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="Entries of names that were not used, each with one named reason and its figures.",
        ),
    },
)
def validate_names(
    context: dg.AssetExecutionContext, build: Build, name_completions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge the answers about these kinds, name by name."""
    estimates, rejections = [pl.DataFrame(schema=ESTIMATE_COLUMNS)], [pl.DataFrame(schema=REJECTION_COLUMNS)]
    for key in context.partition_keys:
        cell = cell_of(key)
        kind, enrichment = _kind(cell), build.plan.enrichments[cell.population]
        rows = name_completions.filter(population=cell.population, kind=kind)
        outcome = outcome_of(enrichment.requests[kind], answers_of(rows), enrichment.judge(kind))
        estimates.append(estimates_frame(cell.population, build.edition, outcome.estimates))
        rejections.append(rejections_frame(cell.population, build.edition, outcome.rejections))
        context.add_asset_metadata(
            {
                "asked": asked(kind).height,
                "accepted": len(outcome.estimates),
                "rejected_entries": len(outcome.rejections),
                "rejection_reasons": dict(Counter(str(r.reason) for r in outcome.rejections)),
                "requests_without_answer": len(outcome.unanswered),
            },
            asset_key="name_estimates",
            partition_key=key,
        )
        advance()
    return pl.concat(estimates), pl.concat(rejections)


def _kind(cell: Cell) -> Kind:
    return next(kind for kind in KINDS if kind == cell.dimension)


def _requests(build: Build, cell: Cell) -> tuple[NameRequest, ...]:
    return build.plan.enrichments[cell.population].requests[_kind(cell)]
