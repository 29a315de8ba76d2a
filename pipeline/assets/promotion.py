"""Stage `promotion`: which edition serves. The gate and the switch are `pipeline.promotion`."""

from collections.abc import Iterator

import dagster as dg

from pipeline.checks import ALL_CHECKS
from pipeline.partitions import by_population
from pipeline.promotion import promote
from pipeline.resources import Build
from warehouse.errors import PromotionError


class Accepted(dg.Config):
    """Id of the snapshot whose drift report was read; not wanted if nothing serves yet, or for rolling back."""

    accept_drift: str = ""


@dg.asset(
    group_name="editions",
    kinds={"parquet", "duckdb"},
    partitions_def=by_population,
    pool="warehouse",
    deps=["snapshot", "map_distances", "drift_report"],
    check_specs=[
        dg.AssetCheckSpec(
            "promotion_gate",
            asset="promotion",
            description="The edition may serve: whole, up to date, its checks green, its drift report read.",
        )
    ],
    description="The snapshot and batch of personas that serve: a copy of one edition's, switched at once.\n\n"
    "**Owner's note**: explicit, in no other job. Read the drift report, then materialise with `accept_drift` set to "
    "the candidate's snapshot id. Promoting an edition that served before rolls back.",
)
def promotion(
    context: dg.AssetExecutionContext, build: Build, config: Accepted
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Let the edition of this run serve one population, or fail the gate with the reason."""
    population = context.partition_key
    try:
        now, people = promote(build, population, config.accept_drift, ALL_CHECKS)
    except PromotionError as error:
        yield dg.AssetCheckResult(passed=False, check_name="promotion_gate", description=str(error))
        raise
    yield dg.MaterializeResult(
        metadata={
            "edition": now.edition,
            "snapshot_id": now.snapshot_id,
            "personas": people,
            "folder": dg.MetadataValue.path(str(build.serving_folder(population))),
        },
        check_results=[dg.AssetCheckResult(passed=True, check_name="promotion_gate", description="may serve")],
    )
