"""Judgement follows estimates and maps follow judgement, of the right edition, and nothing while a build is running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipeline.definitions import build_defs
from pipeline.elicitation.edition import write_members
from pipeline.lock import held
from pipeline.partitions import DIMENSION_KEYS
from pipeline.resources import Build
from pipeline.sensors import judgement_follows_estimates, maps_follow_judgement
from warehouse.database import replace_cells

EDITION = "2031.02"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def tick(
    instance: dg.DagsterInstance,
    build: Build,
    cursor: str | None = None,
    sensor: dg.SensorDefinition = maps_follow_judgement,
) -> dg.SensorResult:
    """One evaluation; Dagster checks the runs that it asks for against the jobs that there are."""
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources={"build": build},
        repository_def=build_defs(Build(home=build.home)).get_repository_def(),
    )
    data = sensor.evaluate_tick(context)
    return dg.SensorResult(
        run_requests=list(data.run_requests or []), cursor=data.cursor, skip_reason=data.skip_message
    )


def landed(instance: dg.DagsterInstance, key: str, edition: str = EDITION) -> None:
    partition = dg.MultiPartitionKey({"dimension": key, "model": "recorded-pass-1"})
    instance.report_runless_asset_event(
        dg.AssetMaterialization("estimates", metadata={"edition": edition}, partition=partition)
    )


def judged(instance: dg.DagsterInstance, edition: str = EDITION) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization("scorecards", metadata={"edition": edition}, partition="us")
    )


def estimated(build: Build, *keys: str) -> None:
    """One estimate of every map of these dimensions, in the table."""
    catalogue = build.of_edition("2026.11").catalogue("us")
    rows = [
        {"population": "us", "edition": build.edition, "dimension": d, "given": list(given)}
        for d in (key.split("/")[1] for key in keys)
        for given in catalogue.dimension(d).asked
    ]
    with build.connect() as connection:
        frame = pl.DataFrame(rows, schema_overrides={"given": pl.List(pl.String)})
        replace_cells(connection, "estimates", pl.DataFrame(), frame)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    one = Build(home=str(tmp_path), edition=EDITION)
    write_members(one.live_folder, ["recorded-pass-1"])
    return one


def test_estimates_have_the_panel_judged_once_for_their_edition(instance: dg.DagsterInstance, build: Build) -> None:
    for key in DIMENSION_KEYS[:3]:
        landed(instance, key)
    found = tick(instance, Build(home=build.home), sensor=judgement_follows_estimates)
    (request,) = found.run_requests or ()
    assert (request.job_name, request.partition_key) == (None, "us")
    assert request.run_config == {"resources": {"build": {"config": {"edition": EDITION}}}}
    again = tick(instance, build, found.cursor, judgement_follows_estimates)
    assert not again.run_requests and "no estimates have landed" in str(again.skip_reason)


def test_neighbours_are_one_run_for_their_edition(instance: dg.DagsterInstance, build: Build) -> None:
    estimated(build, *DIMENSION_KEYS[:3], DIMENSION_KEYS[10])
    judged(instance)
    found = tick(instance, Build(home=build.home))
    assert found.run_requests is not None
    several, single = found.run_requests
    assert several.tags["dagster/asset_partition_range_start"] == DIMENSION_KEYS[0]
    assert several.tags["dagster/asset_partition_range_end"] == DIMENSION_KEYS[2]
    assert single.partition_key == DIMENSION_KEYS[10]
    for request in (several, single):
        assert request.asset_selection == [dg.AssetKey("maps")]
        assert request.run_config == {"resources": {"build": {"config": {"edition": EDITION}}}}
    again = tick(instance, build, found.cursor)
    assert not again.run_requests and "no scorecards have landed" in str(again.skip_reason)


def test_a_dimension_with_a_map_that_nobody_answered_waits(instance: dg.DagsterInstance, build: Build) -> None:
    estimated(build, DIMENSION_KEYS[5])
    with build.connect() as connection:
        connection.execute("delete from estimates where len(given) = 0")
    estimated(build, DIMENSION_KEYS[7])
    judged(instance)
    assert [r.partition_key for r in tick(instance, build).run_requests or ()] == [DIMENSION_KEYS[7]]


def test_editions_do_not_mix(instance: dg.DagsterInstance, build: Build) -> None:
    estimated(build, DIMENSION_KEYS[0])
    judged(instance)
    judged(instance, edition="2026.11")  # which has no estimates here
    found = tick(instance, build)
    assert [(r.partition_key, r.tags["personagen/edition"]) for r in found.run_requests or ()] == [
        (DIMENSION_KEYS[0], EDITION)
    ]


def test_it_waits_for_a_build_and_then_sees_the_news(instance: dg.DagsterInstance, build: Build) -> None:
    estimated(build, DIMENSION_KEYS[0])
    judged(instance)
    with held(build.folder):
        waiting = tick(instance, build)
    assert not waiting.run_requests and "build is running" in str(waiting.skip_reason) and not waiting.cursor
    assert tick(instance, build, waiting.cursor).run_requests
