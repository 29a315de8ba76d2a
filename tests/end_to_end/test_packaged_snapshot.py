"""The packaged snapshot of `us`: what it promises, and that the recorded edition rebuilds it byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.assets.distances import distances
from pipeline.build import STAGES, run_work, stale_work
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Catalogue
from pipeline.checks import MARGINAL_LIMIT, ONE_WAY_LIMIT
from pipeline.corpus import all_requests, judged
from pipeline.resources import Build
from serving.reference import ReferenceSampler
from serving.sampler import Sampler
from serving.snapshot import Snapshot

GOLDEN = Path(__file__).parents[1] / "golden" / "us_personas.jsonl"
MILLION = 1_000_000


@pytest.fixture(scope="module")
def us() -> Snapshot:
    return Snapshot.load("us")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue("us")


def test_the_golden_people_are_unchanged(us: Snapshot) -> None:
    """Made by `personagen generate -n 20 --seed golden -f jsonl`; a change here changes everybody's personas."""
    drawn = [json.loads(line) for line in Sampler(us).sample(20, "golden").to_jsonl()]
    assert drawn == [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads where Linux lists them")
def test_loading_starts_no_thread_that_could_outlive_a_short_process() -> None:
    script = """
        import os
        import numpy, pyarrow.parquet
        before = len(os.listdir("/proc/self/task"))
        from serving import Sampler, Snapshot
        list(Sampler(Snapshot.load("us")).sample(3).to_jsonl())
        print(len(os.listdir("/proc/self/task")) - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_both_engines_agree_on_the_packaged_snapshot(us: Snapshot) -> None:
    batch, reference = Sampler(us).sample(300, 11), ReferenceSampler(us)
    for index in range(300):
        assert reference.draw(index, 11) == {d.id: int(batch.codes(d.id)[index]) for d in us.dimensions}


def test_no_structural_zero_in_a_million(us: Snapshot, catalogue: Catalogue) -> None:
    codes = Sampler(us).sample(MILLION, "zeros").codes
    for dimension in catalogue.dimensions:
        for zero in dimension.zeros:
            broken = np.isin(codes(dimension.id), [us.dimension(dimension.id).code(c) for c in zero.never])
            for parent, values in zero.given.items():
                broken &= np.isin(codes(parent), [us.dimension(parent).code(v) for v in values])
            assert not broken.any(), (dimension.id, zero.reason)


def test_a_batch_fits_the_pooled_maps(us: Snapshot, catalogue: Catalogue) -> None:
    people = Sampler(us).sample(100_000, "fit", fields=[d.id for d in us.dimensions]).to_polars()
    maps = pl.DataFrame(us.maps()).with_columns(support=pl.lit(1.0))
    # Six digits of rounding leave rows of a snapshot a little off 1.
    total = pl.col("probability").sum().over("dimension", "given", "condition")
    found = distances(catalogue, people, maps.with_columns(pl.col("probability") / total), us.id)
    base = found.filter(pl.col("given").list.len() == 0)
    one_way = found.filter(pl.col("given").list.len() == 1)
    worst = base.sort("tv", descending=True).row(0, named=True)
    assert worst["tv"] <= MARGINAL_LIMIT, f"worst marginal: {worst['dimension']} {worst['tv']:.4f}"
    mean = one_way["tv"].mean()
    assert isinstance(mean, float) and mean <= ONE_WAY_LIMIT


def test_every_request_of_the_recorded_edition_has_an_accepted_answer() -> None:
    plan = Build().plan
    for population in plan.populations:
        outcomes = judged(plan, population=population)
        asked = [len(all_requests(plan, m, population)) for m in outcomes]
        assert [len(o.estimates) for o in outcomes.values()] == asked
        assert not any(o.unanswered for o in outcomes.values())


def test_the_recorded_edition_rebuilds_the_snapshot_identically(us: Snapshot, tmp_path: Path) -> None:
    build = Build(home=str(tmp_path), personas=1_000)
    for stage in STAGES:
        run_work(build, stale_work(build, stage), lambda steps: None)
    again = build.snapshot_folder("us")
    assert hashed(again) == hashed(us.folder)


def hashed(folder: Path) -> dict[str, object]:
    """What the id is made of; the report and its headlines say what was measured, where it was built."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in ("manifest.json", "report.html")}
    return {**files, "manifest.json": {key: value for key, value in manifest.items() if key != "headlines"}}
