"""Running a build: which part of an edition, places in pools after a kill, and the configuration of Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from pipeline.build import BUILD_TAG, STAGES, Scope, alone, dagster_instance, stale_work
from pipeline.lock import held, is_held
from pipeline.partitions import DIMENSION_KEYS, TIERS
from pipeline.resources import Build
from warehouse.errors import WarehouseError


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # put back afterwards
    yield Build(home=str(tmp_path / "home"))


def keys(build: Build, stage: str, scope: Scope) -> tuple[tuple[str, str], ...]:
    return stale_work(build, next(s for s in STAGES if s.name == stage), scope).runs


def test_a_dimension_is_a_row_of_all_members(build: Build) -> None:
    scope = Scope(dimensions=frozenset({"us/diet"}))
    assert keys(build, "requests", scope) == (("us/diet|recorded-pass-1", "us/diet|recorded-pass-3"),)
    assert keys(build, "weights", scope) == (("us/diet", "us/diet"),)
    assert [s.name for s in scope.stages if s.partitioned_by == "population"] == ["scorecards"]
    assert [s.name for s in scope.stages][-1] == "weights"


def test_a_member_is_a_column_of_all_dimensions(build: Build) -> None:
    scope = Scope(models=frozenset({"recorded-pass-2"}))
    ours = [key for key in DIMENSION_KEYS if key.startswith("us/")]
    first, last = ours[0], ours[-1]
    assert keys(build, "requests", replace(scope, populations=frozenset({"us"}))) == (
        (f"{first}|recorded-pass-2", f"{last}|recorded-pass-2"),
    )
    assert [s.name for s in scope.stages] == ["requests", "completions", "estimates"]


def test_a_tier_is_an_unbroken_range(build: Build) -> None:
    everybody = frozenset(build.plan.panels)
    ranges = [keys(build, "maps", Scope(dimensions=tier, populations=everybody)) for tier in TIERS.values()]
    assert all(len(r) == 1 for r in ranges)
    assert set().union(*TIERS.values()) == set(DIMENSION_KEYS)


def test_the_whole_is_every_stage() -> None:
    assert Scope().stages == STAGES


def test_one_step_of_a_pool_at_a_time(build: Build) -> None:
    with dagster_instance(build) as instance:
        assert instance.global_op_concurrency_default_limit == 1
        assert instance.get_concurrency_config().pool_config.pool_granularity is not None
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default("llm")  # as each step does first
        assert storage.claim_concurrency_slot("llm", "one", "step").is_claimed
        assert not storage.claim_concurrency_slot("llm", "two", "step").is_claimed


def test_the_configuration_of_an_earlier_release_is_replaced_and_an_own_one_kept(build: Build) -> None:
    config = build.dagster_folder / "dagster.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    with dagster_instance(build):
        assert "pools:" in config.read_text()
    config.write_text("telemetry:\n  enabled: false\n")
    with dagster_instance(build):
        assert "pools:" not in config.read_text()


def test_a_killed_build_gives_its_place_back_and_others_keep_theirs(build: Build) -> None:
    with dagster_instance(build) as instance:
        storage = instance.event_log_storage

        @dg.job
        def nothing() -> None: ...

        killed = instance.create_run_for_job(nothing, tags={BUILD_TAG: "completions"})
        other = instance.create_run_for_job(nothing)
        for pool in ("llm", "warehouse"):
            storage.initialize_concurrency_limit_to_default(pool)
        storage.claim_concurrency_slot("llm", killed.run_id, "completions")
        storage.claim_concurrency_slot("warehouse", other.run_id, "maps")
        with alone(build):
            assert storage.claim_concurrency_slot("llm", "next", "completions").is_claimed
            assert storage.check_concurrency_claim("warehouse", other.run_id, "maps").is_claimed


def test_the_lock_is_seen_from_outside(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(WarehouseError, match="another build is running"), held(tmp_path):
            pass
    assert not is_held(tmp_path)
