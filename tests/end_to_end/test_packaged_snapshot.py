"""The packaged snapshots: what they promise, and that the recorded edition rebuilds them byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy._core._multiarray_umath import __cpu_features__

from pipeline.assets.distances import distances
from pipeline.build import STAGES, run_work, stale_work
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Catalogue
from pipeline.checks import MARGINAL_LIMIT, ONE_WAY_LIMIT
from pipeline.corpus import all_requests, judged
from pipeline.resources import Build
from serving.reference import ReferenceSampler
from serving.sampler import Sampler
from serving.snapshot import Snapshot, packaged_populations
from warehouse.snapshot_format import MAPS

GOLDEN = Path(__file__).parents[1] / "golden"
PACKAGED = ("us", "gb")
MILLION = 1_000_000


@pytest.fixture(scope="module", params=PACKAGED)
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    return Snapshot.load(request.param)


@pytest.fixture(scope="module")
def catalogue(snapshot: Snapshot) -> Catalogue:
    return load_catalogue(snapshot.manifest.population.id)


def test_these_are_packaged_and_the_default_one_comes_first() -> None:
    assert packaged_populations() == list(PACKAGED)


def test_the_golden_people_are_unchanged(snapshot: Snapshot) -> None:
    """Made by `personagen generate --population us -n 20 --seed golden -f jsonl`, and so for the others; a change here
    changes everybody's personas.
    """
    golden = GOLDEN / f"{snapshot.manifest.population.id}_personas.jsonl"
    drawn = [json.loads(line) for line in Sampler(snapshot).sample(20, "golden").to_jsonl()]
    assert drawn == [json.loads(line) for line in golden.read_text(encoding="utf-8").splitlines()]


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


def test_both_engines_agree_on_the_packaged_snapshot(snapshot: Snapshot) -> None:
    batch, reference = Sampler(snapshot).sample(300, 11), ReferenceSampler(snapshot)
    for index in range(300):
        assert reference.draw(index, 11) == {d.id: int(batch.codes(d.id)[index]) for d in snapshot.dimensions}


def test_no_structural_zero_in_a_million(snapshot: Snapshot, catalogue: Catalogue) -> None:
    codes = Sampler(snapshot).sample(MILLION, "zeros").codes
    for dimension in catalogue.dimensions:
        for zero in dimension.zeros:
            broken = np.isin(codes(dimension.id), [snapshot.dimension(dimension.id).code(c) for c in zero.never])
            for parent, values in zero.given.items():
                broken &= np.isin(codes(parent), [snapshot.dimension(parent).code(v) for v in values])
            assert not broken.any(), (dimension.id, zero.reason)


def test_a_batch_fits_the_pooled_maps(snapshot: Snapshot, catalogue: Catalogue) -> None:
    people = Sampler(snapshot).sample(100_000, "fit", fields=[d.id for d in snapshot.dimensions]).to_polars()
    maps = pl.DataFrame(snapshot.maps()).with_columns(support=pl.lit(1.0))
    # Six digits of rounding leave rows of a snapshot a little off 1.
    total = pl.col("probability").sum().over("dimension", "given", "condition")
    found = distances(catalogue, people, maps.with_columns(pl.col("probability") / total), snapshot.id)
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


def test_the_recorded_edition_rebuilds_the_snapshots_identically(tmp_path: Path) -> None:
    """The maps only on a CPU without AVX-512, where numpy's exponentials end in other digits, and weights with them."""
    build = Build(home=str(tmp_path), personas=1_000)
    for stage in STAGES:
        run_work(build, stale_work(build, stage), lambda steps: None)
    for population in PACKAGED:
        again, packaged = hashed(build.snapshot_folder(population)), hashed(Snapshot.load(population).folder)
        if __cpu_features__["AVX512_SKX"]:
            assert again == packaged
        else:
            assert again[MAPS] == packaged[MAPS]


def hashed(folder: Path) -> dict[str, object]:
    """What the id is made of; the report and its headlines say what was measured, where it was built."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in ("manifest.json", "report.html")}
    return {**files, "manifest.json": {key: value for key, value in manifest.items() if key != "headlines"}}
