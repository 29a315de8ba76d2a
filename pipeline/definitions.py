"""The one place where assets, checks, jobs and resources are put together, for Dagster, the command line and tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pipeline.assets.catalogue import dimensions
from pipeline.assets.completions import ask
from pipeline.assets.distances import map_distances
from pipeline.assets.drift import drift_report
from pipeline.assets.estimates import validate
from pipeline.assets.grounding import grounding
from pipeline.assets.maps import maps
from pipeline.assets.name_files import write_name_files
from pipeline.assets.names import name_completions, name_requests, validate_names
from pipeline.assets.particular_files import write_particular_files
from pipeline.assets.personas import personas
from pipeline.assets.promotion import promotion
from pipeline.assets.report import report
from pipeline.assets.requests import requests
from pipeline.assets.scorecards import judge
from pipeline.assets.snapshot import snapshot
from pipeline.assets.trial_report import trial_report
from pipeline.assets.weights import combine
from pipeline.checks import ALL_CHECKS
from pipeline.elicitation.asker import ask_endpoints
from pipeline.jobs import ALL_JOBS
from pipeline.partitions import cells_frame
from pipeline.resources import Build
from pipeline.schedules import ALL_SCHEDULES
from pipeline.sensors import ALL_SENSORS
from warehouse.io_manager import WarehouseIOManager

ALL_ASSETS = (
    dimensions,
    name_requests,
    name_completions,
    validate_names,
    requests,
    ask,
    validate,
    judge,
    maps,
    combine,
    trial_report,
    write_name_files,
    write_particular_files,
    snapshot,
    personas,
    map_distances,
    grounding,
    report,
    drift_report,
    promotion,
)


@dg.io_manager(required_resource_keys={"build"})
def warehouse(context: dg.InitResourceContext) -> WarehouseIOManager:
    """The IO manager of a run's own build, so that a run configured for another edition stores into that one."""
    build: Build = context.resources.build
    return WarehouseIOManager(build.database, build.edition, cells_frame, build.earned_fingerprints)


def resources_for(build: Build) -> dict[str, Any]:
    """The resources that all assets of one build share."""
    return {"build": build, "warehouse": warehouse, "asker": ask_endpoints}


def build_defs(build: Build | None = None, *, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Assemble the definitions; tests pass a build in a folder of their own, or override single resources."""
    return dg.Definitions(
        assets=ALL_ASSETS,
        asset_checks=ALL_CHECKS,
        jobs=ALL_JOBS,
        schedules=ALL_SCHEDULES,
        sensors=ALL_SENSORS,
        resources={**resources_for(build or Build()), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


defs = build_defs()
