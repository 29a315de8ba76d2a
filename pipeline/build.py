"""Building an edition: find what is out of date, materialise it stage by stage, and read the result back.

Belongs here: the order of stages, which partitions are stale, and running Dagster in this process. Does not belong
here: what a stage does (`assets`), what makes it stale (`plan`), or anything that prints (`cli`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from pipeline.checks import ALL_CHECKS
from pipeline.definitions import ALL_ASSETS, resources_for
from pipeline.partitions import DIMENSION_KEYS, MODEL_KEYS, by_population
from pipeline.progress import listening
from pipeline.resources import Build
from warehouse.database import query
from warehouse.errors import PersonaGenError, WarehouseError

_DAGSTER_YAML = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the arrow: the assets that run together with their checks, and what its partitions are.

    `name` is also the first asset, under which the stage's fingerprints are kept. `at_once` is the most dimensions that
    one run takes: an interrupted build loses a run's work at most, and a run costs a second of its own.
    """

    name: str
    assets: tuple[str, ...]
    partitioned_by: str
    units: str
    at_once: int = 1000


STAGES = (
    Stage("dimensions", ("dimensions",), "population", "populations"),
    Stage("requests", ("requests",), "model", "dimensions"),
    Stage("completions", ("completions",), "model", "dimensions", at_once=26),
    Stage("estimates", ("estimates", "rejections"), "model", "dimensions"),
    Stage("maps", ("maps",), "dimension", "dimensions"),
    Stage("weights", ("weights", "trials"), "dimension", "dimensions", at_once=20),
    Stage("snapshot", ("snapshot",), "population", "populations"),
    Stage("personas", ("personas",), "population", "personas"),
    Stage("map_distances", ("map_distances",), "population", "dimensions"),
)


@dataclass(frozen=True, slots=True)
class Work:
    """What one stage has to do: runs of partition keys, and how many units that makes."""

    stage: Stage
    runs: tuple[tuple[str, str], ...]
    total: int


def stale_work(build: Build, stage: Stage) -> Work:
    """The partitions of a stage whose stored fingerprint is not today's, as ranges of neighbouring keys."""
    with build.connect() as connection:
        rows = query(connection, "select * from fingerprints where stage = ?", [stage.name])
    stored = {(r["population"], r["dimension"], r["model"]): r["fingerprint"] for r in rows.iter_rows(named=True)}
    if stage.partitioned_by == "population":
        stale = [
            p
            for p in by_population.get_partition_keys()
            if stored.get((p, "", "")) != build.plan.fingerprint(stage.name, p)
        ]
        per_population = {"personas": build.personas, "map_distances": 77}.get(stage.name, 1)
        return Work(stage, tuple((p, p) for p in stale), len(stale) * per_population)
    models = MODEL_KEYS if stage.partitioned_by == "model" else ("",)
    places = [
        place
        for place, key in enumerate(DIMENSION_KEYS)
        for population, dimension in [key.split("/", 1)]
        if any(
            stored.get((population, dimension, m)) != build.plan.fingerprint(stage.name, population, dimension, m)
            for m in models
        )
    ]
    runs = []
    for first, last in _neighbours(places, stage.at_once):
        start, end = DIMENSION_KEYS[first], DIMENSION_KEYS[last]
        if stage.partitioned_by == "model":
            start, end = f"{start}|{MODEL_KEYS[0]}", f"{end}|{MODEL_KEYS[-1]}"
        runs.append((start, end))
    return Work(stage, tuple(runs), len(places) * len(models))


def run_work(build: Build, work: Work, listener: Callable[[int], None]) -> None:
    """Materialise what a stage has to do; each run is kept when it ends, so an interrupted build resumes.

    Raises the stage's own `PersonaGenError`, or `WarehouseError` naming the asset check that failed.
    """
    with dagster_instance(build) as instance, listening(listener):
        for start, end in work.runs:
            result = dg.materialize(
                [*ALL_ASSETS, *ALL_CHECKS],
                selection=dg.AssetSelection.assets(*work.stage.assets),
                instance=instance,
                resources=resources_for(build),
                tags={"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end}
                if start != end
                else None,
                partition_key=start if start == end else None,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
            failed = [e for e in result.get_asset_check_evaluations() if not e.passed and e.blocking]
            if failed:
                facts = {k: v.value for k, v in failed[0].metadata.items()}
                raise WarehouseError(f"check '{failed[0].check_name}' of stage '{work.stage.name}' failed: {facts}")
            if not result.success:
                raise _cause(result, work.stage)


@contextmanager
def dagster_instance(build: Build) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of this build's folder, the one that `dagster dev` shows."""
    folder = dagster_home(build)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "dagster.yaml"
        if not config.exists():
            config.write_text(_DAGSTER_YAML, encoding="utf-8")
    except OSError as error:
        raise WarehouseError(f"{folder}: {error.strerror}: choose another folder with PERSONAGEN_HOME") from error
    os.environ["DAGSTER_HOME"] = str(folder)
    with dg.DagsterInstance.get() as instance:
        yield instance


def dagster_home(build: Build) -> Path:
    """Where Dagster keeps its record of runs."""
    return build.folder / "dagster"


def _neighbours(places: Sequence[int], at_once: int) -> Iterator[tuple[int, int]]:
    """Group ascending places into unbroken ranges of limited length."""
    first: int | None = None
    last = -2
    for place in places:
        if first is None or place != last + 1 or place - first >= at_once:
            if first is not None:
                yield first, last
            first = place
        last = place
    if first is not None:
        yield first, last


def _cause(result: dg.ExecuteInProcessResult, stage: Stage) -> BaseException:
    """The error a user can mend behind a failed run, their ctrl-C, or else one that names the failed stage."""
    deepest = "no step failed"
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        while error is not None:
            if error.cls_name == "DagsterExecutionInterruptedError":
                return KeyboardInterrupt()
            if error.cls_name in _MENDABLE:
                return _MENDABLE[error.cls_name](error.message.split(": ", 1)[1].strip())
            deepest = error.to_string()
            error = error.cause
    return RuntimeError(f"stage '{stage.name}' failed, its log is in the Dagster UI: {deepest}")


def _subclasses(cls: type[PersonaGenError]) -> Iterator[type[PersonaGenError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _subclasses(sub)


_MENDABLE = {cls.__name__: cls for cls in _subclasses(PersonaGenError)}
