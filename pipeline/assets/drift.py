"""Stage `drift_report`: what an edition would change. Measuring it is `pipeline.drift`, the page `pages.drift`."""

import dagster as dg

from pipeline.drift import drift
from pipeline.drift_frames import drift_frame
from pipeline.pages.drift import TOP, map_name, render_drift
from pipeline.partitions import by_population
from pipeline.promotion import serving
from pipeline.resources import Build
from serving.snapshot import Snapshot
from warehouse.database import replace_cells


class Against(dg.Config):
    """What an edition is compared with, by default what serves, and how many rows each table of the page shows."""

    against: str = ""
    top: int = TOP


@dg.asset(
    group_name="editions",
    kinds={"markdown", "duckdb"},
    partitions_def=by_population,
    pool="warehouse",
    deps=["snapshot"],
    description="What the edition would change: maps, strategies and personas, against the snapshot that serves.\n\n"
    "**Owner's note**: to be read before promotion. Re-materialise it when the edition or what serves has changed.",
)
def drift_report(context: dg.AssetExecutionContext, build: Build, config: Against) -> dg.MaterializeResult[None]:
    """Compare, store and write the page of each population."""
    metadata: dict[str, dg.MetadataValue | str | int | float] = {"edition": build.edition}
    for population in context.partition_keys:
        now = serving(build, population)
        if not config.against and now is None:
            return dg.MaterializeResult(metadata={**metadata, "against": "nothing serves, there is nothing to compare"})
        before = (
            build.of_edition(config.against).snapshot_folder(population)
            if config.against and (now is None or config.against != now.edition)
            else build.serving_folder(population)
        )
        found = drift(Snapshot.load(before), Snapshot.load(build.snapshot_folder(population)), seed=build.seed)
        frame = drift_frame(found)
        with build.connect() as connection:
            replace_cells(connection, "drifts", frame.select("population", "edition_a", "edition_b").unique(), frame)
        page = build.drift_page(population)
        page.parent.mkdir(parents=True, exist_ok=True)
        text = render_drift(found, config.top)
        page.write_text(text, encoding="utf-8")
        metadata |= {
            "against": f"{found.before.manifest.edition}, snapshot {found.before.id}",
            "snapshot_id": found.after.id,
            "maps_moved": sum(m.beyond_noise for m in found.maps),
            "page": dg.MetadataValue.path(str(page)),
            "report": dg.MetadataValue.md(text),
        }
        if found.maps:
            worst = found.maps[0]
            metadata |= {"most": map_name(worst.dimension, worst.given), "most_tv": worst.tv.value}
    return dg.MaterializeResult(metadata=metadata)
