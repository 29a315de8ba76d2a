"""Stage `personas`: a batch of people in the warehouse, drawn by the sampler that serves."""

import dagster as dg

from pipeline.partitions import by_population
from pipeline.progress import advance
from pipeline.resources import Build
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.database import transaction
from warehouse.personas import keep_snapshot, table_name, write_personas

CHUNK = 25_000


@dg.asset(
    group_name="personas",
    kinds={"duckdb"},
    partitions_def=by_population,
    pool="warehouse",
    deps=["snapshot"],
    description="The edition's batch table: one row per persona, one ENUM column per dimension, derived fields, seed, "
    "index and snapshot id.\n\n**Owner's note**: idempotent per (snapshot, seed, index range): drawing again replaces "
    "the same people by the same people. People of earlier snapshots go when the batch is complete.",
)
def personas(context: dg.AssetExecutionContext, build: Build) -> dg.MaterializeResult[None]:
    """Draw and store the batch of a population."""
    metadata: dict[str, dg.MetadataValue | int | str] = {}
    for population in context.partition_keys:
        loaded = Snapshot.load(build.snapshot_folder(population))
        sampler, table = Sampler(loaded), table_name(population, build.edition)
        rows = 0
        for start in range(0, build.personas, CHUNK):
            batch = sampler.sample(min(CHUNK, build.personas - start), build.seed, start)
            with build.connect() as connection, transaction(connection):
                rows = write_personas(connection, table, batch.to_arrow())
                if start + len(batch) == build.personas:
                    keep_snapshot(connection, table, loaded.id)
            advance(len(batch))
        build.mark("personas", population)
        head = sampler.sample(3, build.seed)
        metadata = {
            "drawn": build.personas,
            "rows_before_clean_up": rows,
            "table": table,
            "edition": build.edition,
            "snapshot_id": loaded.id,
            "first_three": dg.MetadataValue.md("\n\n".join(head.to_prompts())),
        }
    return dg.MaterializeResult(metadata=metadata)
