"""Sensors: what is started by what has happened. Only that decision belongs here; the work is the jobs'.

Maps follow estimates by a sensor and not by a declarative condition: such a condition starts runs of the default
configuration, and so would rebuild the maps of one edition because those of another have news.
"""

from collections.abc import Iterable, Iterator

import dagster as dg

from pipeline.jobs import mapping
from pipeline.lock import is_held
from pipeline.partitions import DIMENSION_KEYS, cell_of, neighbours, range_tags
from pipeline.resources import Build
from warehouse.database import query

AT_ONCE = 1_000  # materialisations read at a time


@dg.sensor(
    job=mapping,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Estimates of a panel member have landed: pool the maps of these dimensions anew, for the edition that "
    "they belong to. Asks nobody; waits while a build is running, which makes its maps itself.",
)
def maps_follow_estimates(context: dg.SensorEvaluationContext, build: Build) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run of `maps` per unbroken range of dimensions whose estimates are news, by edition."""
    if is_held(build.folder):
        yield dg.SkipReason("a build is running in this folder: it makes its maps itself")
        return
    wanted = dg.AssetRecordsFilter(dg.AssetKey("estimates"), after_storage_id=int(context.cursor or 0))
    records = context.instance.fetch_materializations(wanted, limit=AT_ONCE, ascending=True).records
    if not records:
        yield dg.SkipReason("no estimates have landed")
        return
    newest = str(records[-1].storage_id)
    for edition, landed in _landed(r.asset_materialization for r in records).items():
        for first, last in neighbours(_poolable(build.of_edition(edition), landed), len(DIMENSION_KEYS)):
            start, end = DIMENSION_KEYS[first], DIMENSION_KEYS[last]
            yield dg.RunRequest(
                run_key=f"{edition}:{start}:{end}:{newest}",
                run_config={"resources": {"build": {"config": {"edition": edition}}}},
                tags={"personagen/edition": edition, **range_tags(start, end)},
                partition_key=start if start == end else None,
                asset_selection=[dg.AssetKey("maps")],
            )
    context.update_cursor(newest)


def _landed(events: Iterable[dg.AssetMaterialization | None]) -> dict[str, set[str]]:
    """Dimension keys of new estimates, by edition."""
    found: dict[str, set[str]] = {}
    for event in events:
        if event is not None and event.partition is not None and "edition" in event.metadata:
            key = next(part for part in event.partition.split("|") if part in DIMENSION_KEYS)
            found.setdefault(str(event.metadata["edition"].value), set()).add(key)
    return found


def _poolable(build: Build, keys: Iterable[str]) -> list[int]:
    """Places of the dimensions that are not pooled yet from what is there, and have an estimate of every map."""
    fresh = build.fresh()
    with build.connect() as connection:
        counts = query(
            connection,
            "select population || '/' || dimension, count(distinct given) from estimates "
            "where edition = ? group by all",
            [build.edition],
        )
    maps = dict(counts.iter_rows())
    return [
        place
        for place, key in enumerate(DIMENSION_KEYS)
        for cell in [cell_of(key)]
        if key in keys
        and ("maps", cell) not in fresh
        and maps.get(key) == len(build.catalogue(cell.population).dimension(cell.dimension).asked)
    ]


ALL_SENSORS = (maps_follow_estimates,)
