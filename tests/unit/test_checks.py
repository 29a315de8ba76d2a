"""Verdicts of the asset checks, on rows written for them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, cast

import dagster as dg
import polars as pl
import pytest

from pipeline.checks import batch_fits_maps, broken_records, budget_holds
from pipeline.resources import Build
from warehouse.database import replace_cells

EDITION = "2026.11"


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(home=str(tmp_path))


def stored(build: Build, table: str, **row: object) -> None:
    with build.connect() as connection:
        overrides: Any = {"given": pl.List(pl.String)} if "given" in row else None
        frame = pl.DataFrame([{"edition": EDITION, **row}], schema_overrides=overrides)
        replace_cells(connection, table, pl.DataFrame(), frame)


def verdict(check: dg.AssetChecksDefinition, build: Build) -> dg.AssetCheckResult:
    return cast(dg.AssetCheckResult, check(build))


def test_a_budget_stop_fails_with_the_reason_until_all_is_answered(build: Build) -> None:
    stored(build, "requests", model="m", custom_id="us-1")
    stored(build, "requests", model="m", custom_id="us-2")
    stored(build, "completions", model="m", custom_id="us-1")
    assert verdict(budget_holds, build).passed  # asking that simply goes on is no budget stop
    stored(build, "budget_stops", at=datetime(2031, 1, 1), spent=24.987, budget=25.0, left=1)
    stopped = verdict(budget_holds, build)
    assert not stopped.passed
    assert "stopped at 24.99 of 25.00 USD with 1 requests not put" in str(stopped.description)
    stored(build, "completions", edition="other", model="m", custom_id="us-2")
    assert not verdict(budget_holds, build).passed
    stored(build, "completions", model="m", custom_id="us-2")
    assert verdict(budget_holds, build).passed


def distance(build: Build, dimension: str, given: list[str], tv: float, personas: int) -> None:
    stored(build, "map_distances", population="us", dimension=dimension, given=given, tv=tv, personas=personas)


def test_a_marginal_that_is_off_fails_by_name(build: Build) -> None:
    distance(build, "sex", [], 0.001, 100_000)
    assert verdict(batch_fits_maps, build).passed
    distance(build, "diet", [], 0.021, 100_000)
    failed = verdict(batch_fits_maps, build)
    assert not failed.passed and failed.metadata["marginals_over_limit"].value == ["diet"]


def test_a_small_batch_is_not_blamed_for_chance(build: Build) -> None:
    distance(build, "region", [], 0.05, 2_000)
    distance(build, "region", ["heritage"], 0.2, 2_000)
    assert verdict(batch_fits_maps, build).passed
    distance(build, "region", [], 0.05, 100_000)
    assert not verdict(batch_fits_maps, build).passed


def test_distances_of_another_edition_do_not_count(build: Build) -> None:
    distance(build, "sex", [], 0.001, 100_000)
    stored(build, "map_distances", edition="x", population="us", dimension="diet", given=[], tv=0.9, personas=100_000)
    assert verdict(batch_fits_maps, build).passed


def cards(edition: str, **weights: tuple[float, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"population": "us", "edition": edition, "model": m, "weight": w, "accepted": a, "answered": 100}
            for m, (w, a) in weights.items()
        ]
    )


def test_a_panel_that_keeps_its_record_is_quiet() -> None:
    now, before = cards("2", a=(0.8, 95), b=(1.0, 100)), cards("1", a=(1.0, 100), b=(0.2, 50))
    assert broken_records(now, before) == []
    assert broken_records(now, before.clear()) == []


def test_who_is_shut_out_is_named_with_the_reason() -> None:
    assert broken_records(cards("2", a=(0.0, 3)), cards("1", b=(1.0, 100))) == [
        "us: 'a' has weight 0, 3 of 100 requests accepted"
    ]


def test_who_falls_is_named_with_both_figures() -> None:
    assert broken_records(cards("2", a=(0.7, 80), b=(1.0, 98)), cards("1", a=(1.0, 99), b=(1.0, 99))) == [
        "us: 'a' fell from weight 1.0 in 1 to 0.7",
        "us: 'a' fell from 99% accepted in 1 to 80%",
    ]
