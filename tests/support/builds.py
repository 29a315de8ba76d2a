"""Small builds in a folder of their own, for tests of the pipeline as a whole."""

from __future__ import annotations

from pathlib import Path

import duckdb

from pipeline.build import STAGES, run_work, stale_work
from pipeline.resources import Build
from tests.support.corpora import EDITION

PERSONAS = 2_000


def build_all(build: Build) -> dict[str, int]:
    """Run every stale stage; returns how many units each did."""
    done = {}
    for stage in STAGES:
        work = stale_work(build, stage)
        units: list[int] = []
        run_work(build, work, units.append)
        done[stage.name] = sum(units) if work.runs else 0
    return done


def fresh(tmp_path: Path, corpus: Path) -> Build:
    return Build(
        home=str(tmp_path / "home"),
        edition=EDITION,
        corpus=str(corpus),
        personas=PERSONAS,
        seed=3,
        reference_size=2_000,
        trial_size=500,
    )


def table(build: Build, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(build.database), read_only=True) as connection:
        return connection.execute(sql).fetchall()
