"""The stage of name files: from weights and estimates to what the snapshot carries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.build import STAGES, Scope, run_work, stale_work
from pipeline.heritage_shares import CHAIN, RELIGION
from pipeline.resources import Build
from tests.support.name_facts import load, people_weights, told
from warehouse.database import query, replace_cells
from warehouse.errors import WarehouseError
from warehouse.names.export import COHORTS
from warehouse.names.files import EVERYONE, HERITAGE_UNIT, LAST, PEOPLE

US = Scope(populations=frozenset({"us"}))  # whose weights are in the warehouse, without an answer behind them
STAGE = next(stage for stage in STAGES if stage.name == "name_files")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # put back afterwards
    edition = tmp_path / "corpus" / "made-up"
    edition.mkdir(parents=True)
    (edition / "PROVENANCE.md").write_text("made up for a test\n", encoding="utf-8")
    return Build(home=str(tmp_path / "home"), corpus=str(tmp_path / "corpus"), edition="made-up")


def store(build: Build) -> None:
    """Put made-up weights and estimates into the warehouse, and others of another edition."""
    weights = people_weights((*CHAIN, RELIGION)).with_columns(population=pl.lit("us"), edition=pl.lit("made-up"))
    facts = told().facts.join(
        told().heritage.group_by("kind", "key").agg(heritage=pl.struct("heritage", "share")), on=["kind", "key"]
    )
    estimates = facts.with_columns(
        population=pl.lit("us"), edition=pl.lit("made-up"), model=pl.lit("m"), custom_id=pl.lit("c"), attempt=1
    )
    estimates = estimates.with_columns(variant=pl.lit("plain"), name=pl.col("key"), female=pl.lit(None, pl.Float64))
    with build.connect() as connection:
        for table, rows in (("weights", weights), ("name_estimates", estimates)):
            others = rows.head(3).with_columns(edition=pl.lit("another"))
            for part in (rows, others):
                columns = query(connection, f"select * from {table} limit 0").columns
                replace_cells(connection, table, part.select("population", "edition").unique(), part.select(columns))


def test_weights_and_estimates_become_files_that_can_be_drawn_from(build: Build) -> None:
    store(build)
    run_work(build, stale_work(build, STAGE, US), lambda steps: None)
    folder = build.name_folder("us")
    names = load(folder)
    assert {"Nguyen", "Patel"} <= set(names.last)
    assert "Nguyễn" in names.spelt(1, np.arange(2 * len(names.last))).to_pylist()
    people = pl.read_parquet(folder / PEOPLE)
    assert people.filter(cohort=EVERYONE)["share"].sum() == pytest.approx(1, abs=1e-4)
    assert people["cohort"].n_unique() == 1 + len(COHORTS)
    last = pl.read_parquet(folder / LAST)
    assert last["heritage"].list.len().sum() == told().heritage.filter(kind="last").height
    assert last.filter(name="Patel")["faith_share"].list.sum().item() == pytest.approx(HERITAGE_UNIT, abs=2)


def test_files_that_are_gone_are_made_again(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    store(build)
    run_work(build, stale_work(build, STAGE, US), lambda steps: None)
    monkeypatch.setattr(Build, "fresh", lambda self: set(self.plan.partitions))
    assert stale_work(build, STAGE, US).runs == ()
    (build.name_folder("us") / LAST).unlink()
    assert stale_work(build, STAGE, US).runs == (("us", "us"),)


def test_missing_weights_are_named(build: Build) -> None:
    with pytest.raises(WarehouseError, match="lacks weights of 'age': run `personagen build`"):
        run_work(build, stale_work(build, STAGE, US), lambda steps: None)
