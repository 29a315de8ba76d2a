"""Stage `snapshot`: the export that serving reads. Its format and writer are `warehouse.snapshot_format`."""

import dagster as dg
import polars as pl

from pipeline.frames import dimension_frame
from pipeline.partitions import by_population, dimension_to_population
from pipeline.plan import NAMED
from pipeline.progress import advance
from pipeline.resources import Build
from serving.snapshot import Snapshot
from warehouse.database import query, replace_cells
from warehouse.errors import WarehouseError
from warehouse.names.files import FILES
from warehouse.particulars import FILES as PARTICULARS
from warehouse.snapshot_format import Manifest, PopulationInfo, write_snapshot

LICENCE = "Apache-2.0; names derived from public data, see warehouse/names/README.md"


@dg.asset(
    group_name="snapshot",
    kinds={"parquet"},
    partitions_def=by_population,
    pool="warehouse",
    deps=[
        dg.AssetDep("weights", partition_mapping=dimension_to_population),
        "dimensions",
        "name_files",
        "particular_files",
    ],
    description="The exported, hashed, self-contained artifact that the sampler loads: manifest and Parquet tables.\n\n"
    "**Owner's note**: nothing in it depends on time or machine; equal weights give an equal snapshot id. It is the "
    "edition's own; what serves is a promoted copy.",
)
def snapshot(context: dg.AssetExecutionContext, build: Build) -> dg.MaterializeResult[None]:
    """Export the snapshot of a population and load it back, which verifies every hash."""
    manifest = None
    for population in context.partition_keys:
        manifest = _export(build, population)
        loaded = Snapshot.load(build.snapshot_folder(population))
        with build.connect() as connection:
            row = {
                "population": population,
                "snapshot_id": loaded.id,
                "edition": build.edition,
                "catalogue_hash": manifest.catalogue_hash,
                "folder": str(loaded.folder),
            }
            cell = pl.DataFrame({"population": [population], "edition": [build.edition]})
            replace_cells(connection, "snapshots", cell, pl.DataFrame([row]))
        build.mark("snapshot", population)
        advance()
    assert manifest is not None
    return dg.MaterializeResult(
        metadata={
            "snapshot_id": manifest.snapshot_id,
            "edition": build.edition,
            "folder": dg.MetadataValue.path(str(build.snapshot_folder(population))),
            "files": {name: digest[:12] for name, digest in manifest.files.items()},
        }
    )


def _export(build: Build, population: str) -> Manifest:
    catalogue = build.catalogue(population)
    key = [population, build.edition]
    with build.connect() as connection:
        where = "where population = ? and edition = ?"
        weights = query(connection, f"select * from weights {where}", key)
        maps = query(connection, f"select * from maps {where} and not held_out", key)
        trials = query(connection, f"select * from trials {where}", key)
    missing = [d.id for d in catalogue.dimensions if d.id not in set(weights["dimension"].to_list())]
    if missing:
        raise WarehouseError(
            f"the warehouse lacks weights of {len(missing)} dimensions ({missing[0]}, …): run `personagen build`"
        )
    people = catalogue.population
    return write_snapshot(
        build.snapshot_folder(population),
        population=PopulationInfo(people.id, people.label, people.year, people.currency),
        edition=build.edition,
        catalogue_hash=catalogue.hash,
        dimensions=dimension_frame(catalogue),
        weights=weights.filter(pl.col("dimension").is_in(list(catalogue.by_id))),
        maps=maps.filter(pl.col("dimension").is_in(list(catalogue.by_id))),
        strategies=_strategies(trials),
        licence=LICENCE,
        provenance=build.plan.provenance,
        panel=tuple(m.id for m in build.plan.panels[population]),
        extra_files=_name_files(build, population) | _particular_files(build, population),
    )


def _name_files(build: Build, population: str) -> dict[str, bytes]:
    """The name files of a population, if it has any."""
    folder = build.name_folder(population)
    try:
        return {name: (folder / name).read_bytes() for name in FILES} if population in NAMED else {}
    except OSError as error:
        raise WarehouseError(
            f"cannot read the name files in {folder} ({error.strerror}): materialise `name_files` first"
        ) from None


def _particular_files(build: Build, population: str) -> dict[str, bytes]:
    """The files of places and job titles of a population, as far as it has any."""
    folder = build.particulars_folder(population)
    return {name: (folder / name).read_bytes() for name in PARTICULARS if (folder / name).is_file()}


def _strategies(trials: pl.DataFrame) -> dict[str, dict[str, object]]:
    """Per dimension the chosen strategy, the runner-up, the margin in nats of held-out divergence, any override."""
    found: dict[str, dict[str, object]] = {}
    for (dimension,), rows in trials.group_by("dimension", maintain_order=True):
        winner = rows.filter("chosen").row(0, named=True)
        second = rows.filter("runner_up")["strategy"].to_list()
        found[str(dimension)] = {
            "winner": winner["strategy"],
            "runner_up": second[0] if second else None,
            "margin": None if winner["margin"] is None else round(winner["margin"], 5) + 0.0,
            "override_reason": winner["override"],
        }
    return found
