"""The gate and the switch, on toy snapshots: what is missing is said in one line, and what serves stays until then."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipeline.assets.promotion import promotion
from pipeline.build import compared
from pipeline.drift import drift
from pipeline.drift_frames import drift_frame
from pipeline.plan import Cell
from pipeline.promotion import promote, serving, serving_edition
from pipeline.resources import Build
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot
from warehouse.database import query, replace_cells
from warehouse.errors import PromotionError
from warehouse.personas import table_name, write_personas


@dg.asset_check(asset="snapshot")
def green(build: Build) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset="snapshot")
def red(build: Build) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, metadata={"broken": 7})


@dg.asset_check(asset="snapshot")
def amber(build: Build) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


CHECKS = (green, amber)


@pytest.fixture(autouse=True)
def nothing_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy editions have no answers behind them; what makes one stale is the plan's."""
    monkeypatch.setattr(Build, "stale", lambda self: [("personas", Cell("us", ""))])


def built(home: Path, edition: str, seed: int) -> Build:
    """An edition as the stages up to `map_distances` leave it."""
    build = Build(home=str(home), edition=edition)
    manifest = build_snapshot(build.snapshot_folder("us"), seed=seed, edition=edition)
    people = Sampler(Snapshot.load(build.snapshot_folder("us"))).sample(20, 0)
    row = {"population": "us", "edition": edition, "snapshot_id": manifest.snapshot_id}
    with build.connect() as connection:
        write_personas(connection, table_name("us", edition), people.to_arrow())
        for table in ("snapshots", "map_distances"):
            replace_cells(connection, table, pl.DataFrame([row]).drop("snapshot_id"), pl.DataFrame([row]))
    return build


def snapshot_of(build: Build) -> str:
    return Snapshot.load(build.snapshot_folder("us")).id


def compare(build: Build) -> None:
    before, after = Snapshot.load(build.serving_folder("us")), Snapshot.load(build.snapshot_folder("us"))
    with build.connect() as connection:
        replace_cells(connection, "drifts", pl.DataFrame(), drift_frame(drift(before, after, people=50)))


def test_the_first_one_needs_no_report_and_serves_all_it_has(tmp_path: Path) -> None:
    build = built(tmp_path, "2031.01", 1)
    assert serving(build, "us") is None and serving_edition(build) is None
    now, people = promote(build, "us", "", CHECKS)
    assert (now.edition, now.snapshot_id, people) == ("2031.01", snapshot_of(build), 20)
    assert serving(build, "us") == now and serving_edition(build) == "2031.01"
    assert Snapshot.load(build.serving_folder("us")).id == snapshot_of(build)
    with build.connect() as connection:
        assert query(connection, "select distinct snapshot_id from personas").item() == snapshot_of(build)


def test_a_second_one_waits_until_its_report_is_read(tmp_path: Path) -> None:
    one, two = built(tmp_path, "2031.01", 1), built(tmp_path, "2031.02", 2)
    promote(one, "us", "", CHECKS)
    with pytest.raises(
        PromotionError, match=r"no drift report of snapshot \w+ against .*edition diff 2031\.01 2031\.02"
    ):
        promote(two, "us", snapshot_of(two), CHECKS)
    compare(two)
    with pytest.raises(PromotionError, match="nobody says to have read it"):
        promote(two, "us", "", CHECKS)
    with pytest.raises(PromotionError, match=f"read of snapshot {snapshot_of(one)}, not {snapshot_of(two)}") as caught:
        promote(two, "us", snapshot_of(one), CHECKS)
    assert "\n" not in str(caught.value)
    assert Snapshot.load(two.serving_folder("us")).id == snapshot_of(one)
    promote(two, "us", snapshot_of(two), CHECKS)
    assert Snapshot.load(two.serving_folder("us")).id == snapshot_of(two)
    with two.connect() as connection:
        rows = query(connection, 'select edition, snapshot_id, previous from promotions order by "at"').rows()
    assert rows == [("2031.01", snapshot_of(one), None), ("2031.02", snapshot_of(two), snapshot_of(one))]


def test_what_this_release_cannot_read_is_no_obstacle(tmp_path: Path) -> None:
    first, second = built(tmp_path, "2031.01", 1), built(tmp_path, "2031.02", 2)
    promote(first, "us", "", CHECKS)
    manifest = first.serving_folder("us") / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"format_version": 2', '"format_version": 1'), encoding="utf-8")
    assert manifest.read_text(encoding="utf-8") != text
    assert "cannot be read by this release" in compared(second, "us")
    promote(second, "us", "", CHECKS)
    assert Snapshot.load(second.serving_folder("us")).id == snapshot_of(second)


def test_what_served_before_comes_back_without_ceremony(tmp_path: Path) -> None:
    one, two = built(tmp_path, "2031.01", 1), built(tmp_path, "2031.02", 2)
    promote(one, "us", "", CHECKS)
    compare(two)
    promote(two, "us", snapshot_of(two), CHECKS)
    promote(one, "us", "", (red,))
    assert Snapshot.load(one.serving_folder("us")).id == snapshot_of(one)
    with one.connect() as connection:
        assert query(connection, "select distinct snapshot_id from personas").item() == snapshot_of(one)


def test_a_red_check_refuses_and_an_amber_one_does_not(tmp_path: Path) -> None:
    build = built(tmp_path, "2031.01", 1)
    with pytest.raises(PromotionError, match=r"fails its checks: red \(broken: 7\)"):
        promote(build, "us", "", (*CHECKS, red))
    assert serving(build, "us") is None and not build.serving_folder("us").exists()


def test_what_is_out_of_date_does_not_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = built(tmp_path, "2031.01", 1)
    monkeypatch.setattr(Build, "stale", lambda self: [("weights", Cell("us", "age"))])
    with pytest.raises(PromotionError, match="out of date in 1 partitions, first of 'weights'"):
        promote(build, "us", "", CHECKS)


def test_a_snapshot_that_is_lost_or_another_one_is_refused(tmp_path: Path) -> None:
    build = built(tmp_path, "2031.01", 1)
    build_snapshot(build.snapshot_folder("us"), seed=9, edition="2031.01")
    with pytest.raises(PromotionError, match="not the one that was exported last"):
        promote(build, "us", "", CHECKS)
    with pytest.raises(PromotionError, match=r"has no snapshot of 'us'.*build --edition 2031\.05"):
        promote(Build(home=str(tmp_path), edition="2031.05"), "us", "", CHECKS)


def test_people_of_another_snapshot_do_not_come_to_serve(tmp_path: Path) -> None:
    build = built(tmp_path, "2031.01", 1)
    with build.connect() as connection:
        connection.execute("delete from map_distances")
    with pytest.raises(PromotionError, match="no batch of snapshot"):
        promote(build, "us", "", CHECKS)


def test_a_failed_gate_is_a_failed_check_with_the_reason(tmp_path: Path) -> None:
    build = Build(home=str(tmp_path), edition="2031.01")
    snapshot, report, distances = (dg.AssetSpec(n) for n in ("snapshot", "drift_report", "map_distances"))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [promotion, snapshot, report, distances],
            selection=["promotion"],
            instance=instance,
            resources={"build": build},
            partition_key="us",
            raise_on_error=False,
        )
        assert not result.success
        (check,) = result.get_asset_check_evaluations()
        assert (check.check_name, check.passed) == ("promotion_gate", False)
        assert "has no snapshot of 'us' to promote" in str(check.description)
        assert instance.get_latest_materialization_event(dg.AssetKey("promotion")) is None
