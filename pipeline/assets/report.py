"""Stage `report`: the page about a snapshot, beside its files. What it shows is `pipeline.pages.report`."""

import json
from typing import Any

import dagster as dg

from pipeline.pages.report import Facts, Rows, headlines, render_report
from pipeline.partitions import by_population
from pipeline.progress import advance
from pipeline.promotion import serving
from pipeline.report import report as collect
from pipeline.resources import Build
from serving.snapshot import Snapshot
from warehouse.errors import WarehouseError
from warehouse.snapshot_format import REPORT, write_report


@dg.asset(
    group_name="personas",
    kinds={"html"},
    partitions_def=by_population,
    pool="warehouse",
    deps=["map_distances", "grounding"],
    description="One self-contained page beside the snapshot, and its headline numbers in the manifest: scores per "
    "data set, worst maps and pairs, leanings, variety, trials, scorecards, provenance.\n\n**Owner's note**: no part "
    "of the snapshot's id. The copy that serves gets it too, if it is the same snapshot.",
)
def report(context: dg.AssetExecutionContext, build: Build) -> dg.MaterializeResult[None]:
    """Write the page of a population."""
    metadata: dict[str, Any] = {}
    for population in context.partition_keys:
        told, loaded = collect(build, population), Snapshot.load(build.snapshot_folder(population))
        facts = Facts(
            manifest=loaded.manifest,
            scorecards=told.scorecards,
            trials=told.trials,
            distances=told.distances,
            labels={d.id: d.label for d in loaded.dimensions},
            grounding=_measured(build, population, loaded.id),
        )
        head, page = headlines(facts), render_report(facts)
        now = serving(build, population)
        served = [build.serving_folder(population)] if now and now.snapshot_id == loaded.id else []
        for folder in (loaded.folder, *served):
            write_report(folder.resolve(), head, page)
        build.mark("report", population)
        place = loaded.folder / REPORT
        metadata = {
            "page": dg.MetadataValue.path(str(place)),
            "open": dg.MetadataValue.url(place.as_uri()),
            "headlines": dg.MetadataValue.json(head),
        }
        advance()
    return dg.MaterializeResult(metadata=metadata)


def _measured(build: Build, population: str, snapshot_id: str) -> Rows | None:
    """What was measured of this very snapshot, a data set each; None if nothing was."""
    place = build.grounding_file(population)
    if not place.is_file():
        return None
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        data_sets: Rows = found["data_sets"]
        return data_sets if found["snapshot_id"] == snapshot_id else None
    except (OSError, ValueError, KeyError, TypeError):
        raise WarehouseError(
            f"{place} is damaged: remove it, and measure again with `personagen report --measure`"
        ) from None
