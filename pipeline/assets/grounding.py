"""Stage `grounding`: a snapshot against public microdata. The measures are `pipeline.grounding`."""

import json

import dagster as dg
from threadpoolctl import threadpool_limits

from pipeline.grounding.goals import INSTALL, installed
from pipeline.partitions import by_population
from pipeline.progress import advance
from pipeline.resources import Build
from serving.snapshot import Snapshot


@dg.asset(
    group_name="personas",
    kinds={"json"},
    partitions_def=by_population,
    pool="warehouse",
    deps=["snapshot"],
    description="Personas of the edition's snapshot against respondents of public surveys: told apart, pairs, maps, "
    "leanings, variety.\n\n**Owner's note**: takes minutes and the extra `grounding`, so that no build makes it; "
    "without the extra nothing is measured, and the report says so. Re-materialise `report` after it.",
)
def grounding(context: dg.AssetExecutionContext, build: Build) -> dg.MaterializeResult[None]:
    """Measure every data set about a population."""
    from pipeline.grounding.crosswalk import load_crosswalks  # noqa: PLC0415  # pandas takes a second or two to import
    from pipeline.grounding.findings import ground, plain  # noqa: PLC0415

    metadata: dict[str, str | float | dg.MetadataValue] = {"edition": build.edition}
    for population in context.partition_keys:
        catalogue = build.catalogue(population)
        walks = load_crosswalks(catalogue)
        if not walks:
            metadata[f"not_measured_{population}"] = "no data set is about it"
            continue
        packages = installed()
        if not packages:
            metadata[f"not_measured_{population}"] = f"run `{INSTALL}`"
            continue
        snapshot = Snapshot.load(build.snapshot_folder(population))
        found = []
        # Threads of several libraries would wait for each other, and sums depend on their number.
        with threadpool_limits(1):
            for walk in walks:
                found.append(plain(ground(walk, snapshot, catalogue, {})))
                advance()
        measured = {"snapshot_id": snapshot.id, "packages": packages, "data_sets": found}
        place = build.grounding_file(population)
        place.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        metadata |= {one["data"]: one["above_floor"]["personas"]["value"] for one in found}
        metadata |= {"snapshot_id": snapshot.id, "file": dg.MetadataValue.path(str(place))}
    return dg.MaterializeResult(metadata=metadata)
