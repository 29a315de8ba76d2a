"""Sensors: what is started by what has happened. Only that decision belongs here; the work is the jobs'.

Estimates that land have the panel judged anew, and a judgement has the maps made anew that rest on it or on them. It is
done by sensors and not by declarative conditions: these start runs of the default configuration, and so would rebuild
the maps of one edition because those of another have news.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pipeline.jobs import judging, mapping
from pipeline.lock import is_held
from pipeline.partitions import DIMENSION_KEYS, EDITION_TAG, cell_of, neighbours, range_tags
from pipeline.plan import Cell
from pipeline.resources import Build
from warehouse.database import query

AT_ONCE = 1_000  # materialisations read at a time
EVERY = 30  # seconds between two looks


@dg.sensor(
    job=judging,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Estimates of a panel member have landed: judge the panel anew, for the edition that they belong to. "
    "Asks nobody; waits while a build is running, which does that itself.",
)
def judgement_follows_estimates(
    context: dg.SensorEvaluationContext, build: Build
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run of `scorecards` per edition and population with news."""
    landed, newest = _landed(context, build, "estimates")
    if isinstance(landed, dg.SkipReason):
        yield landed
        return
    for edition, populations in landed.items():
        fresh = build.of_edition(edition).fresh()
        for population in sorted(populations):
            if ("scorecards", Cell(population, "")) not in fresh:
                yield dg.RunRequest(
                    run_key=f"{edition}:{population}:{newest}",
                    partition_key=population,
                    run_config=_of_edition(edition),
                    tags={EDITION_TAG: edition},
                )
    context.update_cursor(newest)


@dg.sensor(
    job=mapping,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The panel has been judged: pool the maps anew whose estimates or weights have changed, for that "
    "edition. Asks nobody; waits while a build is running, which makes its maps itself.",
)
def maps_follow_judgement(context: dg.SensorEvaluationContext, build: Build) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run of `maps` per unbroken range of dimensions that can be pooled and are out of date, by edition."""
    landed, newest = _landed(context, build, "scorecards")
    if isinstance(landed, dg.SkipReason):
        yield landed
        return
    for edition, populations in landed.items():
        for first, last in neighbours(_poolable(build.of_edition(edition), populations), len(DIMENSION_KEYS)):
            start, end = DIMENSION_KEYS[first], DIMENSION_KEYS[last]
            yield dg.RunRequest(
                run_key=f"{edition}:{start}:{end}:{newest}",
                partition_key=start if start == end else None,
                asset_selection=[dg.AssetKey("maps")],
                run_config=_of_edition(edition),
                tags={EDITION_TAG: edition, **range_tags(start, end)},
            )
    context.update_cursor(newest)


def _landed(
    context: dg.SensorEvaluationContext, build: Build, asset: str
) -> tuple[dict[str, set[str]] | dg.SkipReason, str]:
    """Populations of new partitions of an asset, by edition, and the cursor after them; or why nothing is to do."""
    if is_held(build.folder):
        return dg.SkipReason("a build is running in this folder: it goes on by itself"), ""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), after_storage_id=int(context.cursor or 0))
    records = context.instance.fetch_materializations(wanted, limit=AT_ONCE, ascending=True).records
    if not records:
        return dg.SkipReason(f"no {asset} have landed"), ""
    found: dict[str, set[str]] = {}
    for event in (r.asset_materialization for r in records):
        if event is not None and event.partition is not None and "edition" in event.metadata:
            key = next(part for part in event.partition.split("|") if part.split("/")[0] in build.plan.catalogues)
            found.setdefault(str(event.metadata["edition"].value), set()).add(key.split("/")[0])
    return found, str(records[-1].storage_id)


def _of_edition(edition: str) -> dict[str, Any]:
    """The configuration that makes a run one of this edition."""
    return {"resources": {"build": {"config": {"edition": edition}}}}


def _poolable(build: Build, populations: set[str]) -> list[int]:
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
        if cell.population in populations
        and ("maps", cell) not in fresh
        and maps.get(key) == len(build.catalogue(cell.population).dimension(cell.dimension).asked)
    ]


ALL_SENSORS = (judgement_follows_estimates, maps_follow_judgement)
