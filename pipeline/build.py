"""Building an edition: find what is out of date, materialise it stage by stage, and read the result back.

Belongs here: the order of stages, which partitions are stale, and running Dagster in this process. Does not belong
here: what a stage does (`assets`), what makes it stale (`plan`), or anything that prints (`cli`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import dagster as dg
import polars as pl
from sqlalchemy.exc import SQLAlchemyError

from pipeline.checks import ALL_CHECKS
from pipeline.definitions import ALL_ASSETS, resources_for
from pipeline.elicitation.protocol import one_line
from pipeline.lock import held
from pipeline.names.ways import lender
from pipeline.particulars.files import files_told
from pipeline.partitions import (
    DIMENSION_KEYS,
    EDITION_TAG,
    MODEL_KEYS,
    NAME_KEYS,
    cell_of,
    neighbours,
    range_tags,
)
from pipeline.plan import NAMED, Cell
from pipeline.progress import listening
from pipeline.promotion import readable, reported, serving
from pipeline.resources import Build
from serving.snapshot import Snapshot
from warehouse.database import query, replace_cells, transaction
from warehouse.errors import CheckError, PersonaGenError, PromotionError, SnapshotError, WarehouseError
from warehouse.names.files import FILES
from warehouse.particulars import FILES as PARTICULARS
from warehouse.snapshot_format import REPORT

# Pools count steps. One step that asks at a time, because the bound on calls in flight is that of the engine inside the
# step: two steps at once would be two such bounds on one endpoint. One that writes, because DuckDB has one writer.
# Steps take their places one by one (`op`), as the runs of a build in this process never pass through Dagster's queue.
_DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
    granularity: op
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 10
"""
_EARLIER_YAML = {"telemetry:\n  enabled: false\nnux:\n  enabled: false\n"}
BUILD_TAG = "personagen/build"  # on runs that hold the build lock


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
    Stage("completions", ("completions", "calls"), "model", "dimensions", at_once=26),
    Stage("estimates", ("estimates", "rejections"), "model", "dimensions"),
    Stage("scorecards", ("scorecards", "influences"), "population", "populations"),
    Stage("maps", ("maps",), "dimension", "dimensions"),
    Stage("weights", ("weights", "trials", "trial_maps"), "dimension", "dimensions", at_once=20),
    Stage("trial_report", ("trial_report",), "population", "pages"),
    Stage(
        "name_requests",
        ("name_requests", "name_completions", "name_estimates", "name_rejections"),
        "kind",
        "kinds of names",
    ),
    Stage("name_files", ("name_files",), "population", "populations"),
    Stage("particular_files", ("particular_files",), "population", "populations"),
    Stage("snapshot", ("snapshot",), "population", "populations"),
    Stage("personas", ("personas",), "population", "personas"),
    Stage("map_distances", ("map_distances",), "population", "dimensions"),
    Stage("report", ("report",), "population", "pages"),
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of an edition is worked on: partition keys of dimensions, panel members, and populations; None for all
    of them, as far as there are answers or somebody can be asked.
    """

    dimensions: frozenset[str] | None = None
    models: frozenset[str] | None = None
    populations: frozenset[str] | None = None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that a part of an edition can go through on its own."""
        if self.models is not None:
            return tuple(s for s in STAGES if s.partitioned_by == "model")
        if self.dimensions is not None:
            # Maps need the panel's weights, although these come from all dimensions there are.
            return tuple(s for s in STAGES if s.partitioned_by in {"model", "dimension"} or s.name == "scorecards")
        return STAGES


WHOLE = Scope()


@dataclass(frozen=True, slots=True)
class Work:
    """What one stage has to do: runs of partition keys, and how many units that makes."""

    stage: Stage
    runs: tuple[tuple[str, str], ...]
    total: int


def stale_work(build: Build, stage: Stage, scope: Scope = WHOLE) -> Work:
    """The partitions of a stage that are not as they would be made today, as ranges of neighbouring keys.

    A range holds one population, as others may have other members.
    """
    fresh = build.fresh()
    named = set(scope.populations or build.plan.populations)
    if scope.dimensions is not None:  # a part of one population is no business of the others
        named &= {cell_of(key).population for key in scope.dimensions}
    populations = [p for p in build.plan.panels if p in named]
    if stage.partitioned_by == "population":
        stale = [
            population
            for population in populations
            if (stage.name, Cell(population, "")) not in fresh
            or (stage.name == "snapshot" and not _snapshot_stands(build, population))
            or (stage.name == "name_files" and not _names_stand(build, population))
            or (stage.name == "particular_files" and not _particulars_stand(build, population))
            or (stage.name == "trial_report" and not build.trial_page(population).is_file())
            or (stage.name == "report" and not (build.snapshot_folder(population) / REPORT).is_file())
        ]
        sizes = (
            {"personas": build.personas, "map_distances": len(build.plan.catalogues[stale[0]].dimensions)}
            if stale
            else {}
        )
        return Work(stage, tuple((p, p) for p in stale), len(stale) * sizes.get(stage.name, 1))
    runs: list[tuple[str, str]] = []
    total = 0
    if by_kind := stage.partitioned_by == "kind":  # whose names they borrow, if not their own
        populations = list(dict.fromkeys(lender(population) for population in populations if population in NAMED))
    keys = NAME_KEYS if by_kind else DIMENSION_KEYS
    for population in populations:
        models = [""]
        if stage.partitioned_by == "model":
            models = [m.id for m in build.plan.panels[population] if scope.models is None or m.id in scope.models]
        places = [
            place
            for place, key in enumerate(keys)
            for cell in [cell_of(key)]
            if cell.population == population
            if scope.dimensions is None or key in scope.dimensions
            if any((asset, replace(cell, model=m)) not in fresh for asset in stage.assets for m in models)
        ]
        total += len(places) * len(models)
        # A range is a box: members that stand together in the panel share one, others get their own.
        boxes = list(neighbours(sorted(map(MODEL_KEYS.index, models)), len(MODEL_KEYS))) if models != [""] else []
        for first, last in neighbours(places, stage.at_once):
            start, end = keys[first], keys[last]
            runs += [(f"{start}|{MODEL_KEYS[a]}", f"{end}|{MODEL_KEYS[b]}") for a, b in boxes] or [(start, end)]
    return Work(stage, tuple(runs), total)


def run_work(build: Build, work: Work, listener: Callable[[int], None]) -> list[str]:
    """Materialise what a stage has to do; each run is kept when it ends, so an interrupted build resumes.

    Returns a line for each check that failed without stopping the build. Raises the stage's own `PersonaGenError`, or
    `CheckError` naming the blocking check that failed; what it refused counts as stale, so that it is not built on.
    """
    warnings = []
    with dagster_instance(build) as instance, listening(listener):
        for start, end in work.runs:
            try:
                result = dg.materialize(
                    [*ALL_ASSETS, *ALL_CHECKS],
                    selection=dg.AssetSelection.assets(*work.stage.assets),
                    instance=instance,
                    resources=resources_for(build),
                    tags={EDITION_TAG: build.edition, BUILD_TAG: work.stage.name, **range_tags(start, end)},
                    partition_key=start if start == end else None,
                    run_config=_QUIET,
                    raise_on_error=False,
                )
            except (OSError, SQLAlchemyError) as error:
                raise _no_room(build, error) from error
            failed = [e for e in result.get_asset_check_evaluations() if not e.passed]
            if any(e.blocking for e in failed):
                _forget(build, work.stage)
                raise CheckError(next(_verdict(e) for e in failed if e.blocking))
            warnings += [_verdict(e) for e in failed]
            if not result.success:
                raise _cause(build, result, work.stage.name)
    return warnings


def bring_up(build: Build, scope: Scope = WHOLE) -> Iterator[str]:
    """Build what is out of date in a part of the edition, or all of it with its drift report; yields what was done.

    Raises what `run_work` raises, and `WarehouseError` if another build is running in the folder.
    """
    with alone(build):
        for population in build.plan.populations_of():
            part = replace(scope, populations=frozenset({population}))
            for stage in scope.stages:
                work = stale_work(build, stage, part)
                if work.runs:
                    yield from run_work(build, work, lambda steps: None)
                    yield f"{stage.name}: {work.total} {stage.units} of '{population}'"
            if scope == WHOLE:
                yield compared(build, population)


def first_promoted(build: Build, population: str) -> str:
    """Promote the first edition ever built in the folder, else compare with what serves; returns what to tell."""
    if serving(build, population) is not None:
        return compared(build, population)
    try:
        promote(build, population)
    except PromotionError as error:
        return f"nothing serves '{population}' yet, and this edition may not: {error}"
    return f"edition {build.edition} is the first one built here: it serves '{population}' from now on"


def compared(build: Build, population: str) -> str:
    """Make the drift report if another snapshot serves and there is none yet; returns what to tell."""
    now, built = serving(build, population), Snapshot.load(build.snapshot_folder(population)).id
    if now is None:
        return f"nothing serves '{population}': `personagen edition promote {build.edition} --population {population}`"
    if now.snapshot_id == built:
        return f"edition {build.edition} serves '{population}'"
    if not readable(build, population):
        return (
            f"what serves '{population}', of edition {now.edition}, cannot be read by this release, nor compared: "
            f"`personagen edition promote {build.edition} --population {population}` puts this one in its place"
        )
    if not reported(build, population, now.snapshot_id, built):
        compare(build, population)
    return (
        f"edition {now.edition} goes on serving '{population}'; what this one would change: "
        f"{build.drift_page(population)}; read it, then `personagen edition promote {build.edition} "
        f"--population {population} --accept-drift {built}`"
    )


def promote(build: Build, population: str, accept_drift: str = "") -> None:
    """Materialise the population's promotion; raises the gate's own `PromotionError`."""
    _materialise(build, "promotion", population, {"accept_drift": accept_drift})


def measure(build: Build, population: str) -> None:
    """Hold the population's snapshot against microdata, and write its report anew."""
    _materialise(build, "grounding", population)
    _materialise(build, "report", population)


def compare(build: Build, population: str, against: str = "", **shown: int) -> None:
    """Materialise the drift report against another edition, by default against what serves."""
    _materialise(build, "drift_report", population, {"against": against, **shown})


def _materialise(build: Build, asset: str, population: str, config: Mapping[str, object] | None = None) -> None:
    with dagster_instance(build) as instance:
        result = dg.materialize(
            [*ALL_ASSETS, *ALL_CHECKS],
            selection=dg.AssetSelection.assets(asset),
            instance=instance,
            resources=resources_for(build),
            tags={EDITION_TAG: build.edition, BUILD_TAG: asset},
            partition_key=population,
            run_config={**({} if config is None else {"ops": {asset: {"config": config}}}), **_QUIET},
            raise_on_error=False,
        )
    if not result.success:
        raise _cause(build, result, asset)


@contextmanager
def alone(build: Build) -> Iterator[None]:
    """Keep a second build out of the same folder. Raises `WarehouseError` if one is running there."""
    try:
        with held(build.folder):
            _free_places(build)
            yield
    except OSError as error:
        raise _no_room(build, error) from error


def prune(build: Build) -> None:
    """Drop this edition's rows of dimensions and members that its catalogue and panel of today do not have."""
    cells = set(build.plan.requests)
    with build.connect() as connection, transaction(connection):
        for table in (
            "requests",
            "completions",
            "calls",
            "estimates",
            "rejections",
            "maps",
            "weights",
            "trials",
            "trial_maps",
        ):
            columns = ["population", "dimension", *(["model"] if table[0] in "rce" else [])]
            stored = query(
                connection, f"select distinct {', '.join(columns)} from {table} where edition = ?", [build.edition]
            )
            known = {cell[: len(columns)] for cell in cells}
            gone = stored.filter([row not in known for row in stored.iter_rows()])
            if gone.height:
                gone = gone.with_columns(edition=pl.lit(build.edition))
                replace_cells(connection, table, gone, gone.clear())


def _names_stand(build: Build, population: str) -> bool:
    """Whether the population's name files are there, if it has any."""
    return population not in NAMED or all((build.name_folder(population) / name).is_file() for name in FILES)


def _particulars_stand(build: Build, population: str) -> bool:
    """Whether the population's files of particulars are there, as far as anything was told, and no others."""
    if population not in build.plan.particulars:
        return True
    folder, told = build.particulars_folder(population), files_told(build.plan.particulars[population])
    return all((folder / file).is_file() == (file in told) for file in PARTICULARS)


def _snapshot_stands(build: Build, population: str) -> bool:
    """Whether the exported snapshot is there, whole, and the one that was last made."""
    with build.connect() as connection:
        made = connection.execute(
            "select snapshot_id from snapshots where population = ? and edition = ?", [population, build.edition]
        ).fetchall()
    try:
        return [(Snapshot.load(build.snapshot_folder(population)).id,)] == made
    except SnapshotError:
        return False


def _forget(build: Build, stage: Stage) -> None:
    """Make a whole stage count as stale."""
    with build.connect() as connection:
        connection.execute(
            "delete from fingerprints where edition = ? and list_contains(?, stage)",
            [build.edition, list(stage.assets)],
        )


def _verdict(evaluation: dg.AssetCheckEvaluation) -> str:
    facts = "; ".join(f"{name}: {value.value}" for name, value in evaluation.metadata.items() if name not in _PICTURES)
    return one_line(f"check '{evaluation.check_name}' of '{evaluation.asset_key.path[-1]}' failed: {facts}", 600)


def _free_places(build: Build) -> None:
    """Give back the places in pools that a killed build still holds; whoever holds the lock knows that it is dead."""
    if not (build.dagster_folder / "dagster.yaml").is_file():
        return
    with dagster_instance(build) as instance:
        storage = instance.event_log_storage
        for run_id in storage.get_concurrency_run_ids():
            run = instance.get_run_by_id(run_id)
            if run is None or BUILD_TAG in run.tags:
                storage.free_concurrency_slots_for_run(run_id)


def _no_room(build: Build, error: Exception) -> WarehouseError:
    text = one_line(getattr(error, "strerror", None) or error)
    return WarehouseError(
        f"{build.folder}: {text}: free some space or choose another folder with --home, and run again"
    )


@contextmanager
def dagster_instance(build: Build) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of this build's folder, the one that `dagster dev` shows."""
    folder = build.dagster_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "dagster.yaml"
        if not config.exists() or config.read_text(encoding="utf-8") in _EARLIER_YAML:
            config.write_text(_DAGSTER_YAML, encoding="utf-8")
    except OSError as error:
        raise WarehouseError(f"{folder}: {error.strerror}: choose another folder with PERSONAGEN_HOME") from error
    os.environ["DAGSTER_HOME"] = str(folder)
    with dg.DagsterInstance.get() as instance:
        yield instance


def _cause(build: Build, result: dg.ExecuteInProcessResult, stage: str) -> BaseException:
    """The error a user can mend behind a failed run, their ctrl-C, or else one that names the failed stage."""
    deepest = "no step failed"
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        while error is not None:
            if error.cls_name == "DagsterExecutionInterruptedError":
                return KeyboardInterrupt()
            if error.cls_name in _NO_ROOM or (error.cls_name or "").endswith("OSError"):
                return _no_room(build, RuntimeError(error.message))
            if error.cls_name in _MENDABLE:
                return _MENDABLE[error.cls_name](error.message.split(": ", 1)[1].strip())
            deepest = error.to_string()
            error = error.cause
    return RuntimeError(f"stage '{stage}' failed, its log is in the Dagster UI: {deepest}")


def _subclasses(cls: type[PersonaGenError]) -> Iterator[type[PersonaGenError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _subclasses(sub)


_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_PICTURES = {"weakest"}  # tables in Markdown, for the UI only
_NO_ROOM = {"OSError", "PermissionError", "FileNotFoundError", "OperationalError", "DatabaseError"}
_MENDABLE = {cls.__name__: cls for cls in _subclasses(PersonaGenError)}
