"""Stage `completions`: the raw answers and the calls that brought them. Getting them is `pipeline.elicitation`."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import dagster as dg
import polars as pl

from pipeline.answer_frames import calls_frame, completions_frame
from pipeline.elicitation.costs import parse_money
from pipeline.elicitation.sources import Asker, gather
from pipeline.partitions import by_dimension_and_model, cell_of, cells_frame
from pipeline.plan import Cell
from pipeline.progress import advance
from pipeline.resources import Build
from warehouse.database import replace_cells, transaction
from warehouse.errors import BudgetSpent
from warehouse.io_manager import record_fingerprints


@dg.multi_asset(
    name="ask",
    group_name="completions",
    partitions_def=by_dimension_and_model,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="llm",
    specs=[
        dg.AssetSpec(
            "completions",
            deps=["requests"],
            kinds={"openai", "duckdb"},
            description="Raw answers of the panel, verbatim, before any reading of them. Every attempt is kept.\n\n"
            "**Owner's note**: the source of a member is set in `panel.toml`. `recorded` members answer from the "
            "edition in `warehouse/corpus`; others are asked for every request without an accepted answer, rejected "
            "ones again with the reason quoted, and each call is written down as it ends, so that nobody pays twice.",
        ),
        dg.AssetSpec(
            "calls",
            deps=["requests"],
            kinds={"openai", "duckdb"},
            description="Every call that was made for these answers: outcome, seconds, tokens, US dollars.\n\n"
            "**Owner's note**: the view `spend` sums them up by edition and panel member. Answers of a Batch endpoint "
            "are booked at the panel's prices, without its discount.",
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "answered_in_full",
            asset="completions",
            description="Nothing is left to be asked: every request is accepted, or was asked as often as it may be.",
        )
    ],
)
def ask(
    context: dg.AssetExecutionContext, build: Build, asker: dg.ResourceParam[Asker]
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Collect the answers to the requests of these cells, asking for what is missing; keep whatever arrived."""
    plan, keys = build.plan, {cell_of(key): key for key in context.partition_keys}
    requests = {r.custom_id: r for cell in keys for r in plan.requests_of(cell)}
    cells = {r.custom_id: Cell(r.population, r.dimension, r.model) for r in requests.values()}
    unsettled = Counter(cells.values())

    def settled(custom_id: str) -> None:
        unsettled[cells[custom_id]] -= 1
        if not unsettled[cells[custom_id]]:
            advance()

    budget = parse_money(build.budget) if build.budget else None
    got = gather(
        list(requests.values()),
        plan.record,
        member_of=plan.member_of,
        catalogues=plan.catalogues,
        asker=asker,
        budget=budget,
        asking=build.asking,
        settled=settled,
    )
    completions = completions_frame(got.attempts, requests)
    calls = calls_frame(got.attempts, requests, plan.member_of)
    left = Counter(cells[custom_id] for custom_id in got.left)
    _store(build, list(keys.values()), completions, calls, left)
    if isinstance(got.error, BudgetSpent):
        _note_stop(build, budget, len(got.left))
    answers = Counter(completions.select("population", "dimension", "model").iter_rows())
    booked = Counter(calls.select("population", "dimension", "model").iter_rows())
    spent: dict[tuple[str, ...], float] = defaultdict(float)
    for *place, usd in calls.select("population", "dimension", "model", "usd").iter_rows():
        spent[tuple(place)] += usd
    for cell, key in keys.items():
        at = (cell.population, cell.dimension, cell.model)
        told = {"answers": answers[at], "calls": booked[at], "usd": spent[at], "left": left[cell]}
        context.add_asset_metadata(told, asset_key="completions", partition_key=key)
        if got.fatal and not left[cell]:
            # The step is about to fail; what is finished is finished all the same.
            for asset in ("completions", "calls"):
                context.log_event(dg.AssetMaterialization(asset, partition=key, metadata=told))
    yield dg.AssetCheckResult(
        check_name="answered_in_full",
        asset_key="completions",
        passed=got.error is None,
        severity=dg.AssetCheckSeverity.ERROR if got.fatal else dg.AssetCheckSeverity.WARN,
        metadata={"reason": str(got.error or "nothing is left")},
    )
    if got.error is not None and got.fatal:
        raise got.error
    yield dg.MaterializeResult("completions")
    yield dg.MaterializeResult("calls")


def _store(build: Build, keys: list[str], completions: pl.DataFrame, calls: pl.DataFrame, left: Counter[Cell]) -> None:
    """Replace both tables' rows of these cells; cells with something left to ask earn no fingerprint."""
    cells = cells_frame(keys)
    earned = {
        table: [
            "" if left[cell_of(key)] else earned
            for key, earned in zip(keys, build.earned_fingerprints(table, keys), strict=True)
        ]
        for table in ("completions", "calls")
    }
    with build.connect() as connection, transaction(connection):
        for table, rows in (("completions", completions), ("calls", calls)):
            replace_cells(connection, table, cells.with_columns(edition=pl.lit(build.edition)), rows)
            record_fingerprints(connection, table, build.edition, cells, earned[table])


def _note_stop(build: Build, budget: Decimal | None, left: int) -> None:
    """Note that the budget ended the asking, for the check that alerts to it."""
    spent = build.plan.record.spent(build.plan.member_of)
    with build.connect() as connection:
        connection.execute(
            "insert into budget_stops values (?, ?, ?, ?, ?)",
            [build.edition, datetime.now(UTC).replace(tzinfo=None), float(spent), float(budget or 0), left],
        )
