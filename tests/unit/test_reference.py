"""The definition itself, against arithmetic done by hand and against probabilities."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from serving.counter import stream_start, uniform
from serving.reference import ReferenceSampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import ToyDimension, build_snapshot
from warehouse.errors import SamplingError


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(folder)
    return Snapshot.load(folder)


def test_a_draw_is_the_product_of_factors_and_a_count_of_running_sums(toy: Snapshot) -> None:
    index, seed = 3, "by hand"
    codes = ReferenceSampler(toy).draw(index, seed)
    age, sex, ethnicity = codes["age"], codes["sex"], codes["ethnicity"]
    base, by_age, by_ethnicity, by_age_sex = (f.table for f in toy.dimension("education").factors)
    weights = [
        float(base[0, k])
        * float(by_age[age, k])
        * float(by_ethnicity[ethnicity, k])
        * float(by_age_sex[age * 2 + sex, k])
        for k in range(3)
    ]
    running = [weights[0], weights[0] + weights[1], weights[0] + weights[1] + weights[2]]
    threshold = uniform(stream_start(seed, "education"), index) * running[-1]
    assert codes["education"] == sum(value <= threshold for value in running)


def test_shares_are_those_of_the_weights(toy: Snapshot) -> None:
    sampler, n = ReferenceSampler(toy), 4000
    drawn = [sampler.draw(index)["sex"] for index in range(n)]
    weights = toy.dimension("sex").factors[0].table[0]
    expected = weights[1] / weights.sum()
    assert abs(sum(drawn) / n - expected) < 4 * (expected * (1 - expected) / n) ** 0.5


def test_do_sets_a_value_and_its_consequences_follow(toy: Snapshot) -> None:
    sampler = ReferenceSampler(toy)
    for index in range(50):
        codes = sampler.draw(index, do={"employment": "retired"})
        assert toy.dimension("employment").categories[codes["employment"]] == "retired"
        assert toy.dimension("commute_mode").categories[codes["commute_mode"]] == "not_applicable"


def test_do_refuses_what_does_not_exist(toy: Snapshot) -> None:
    with pytest.raises(SamplingError, match="unknown dimension 'job'"):
        ReferenceSampler(toy).draw(0, do={"job": "nurse"})
    with pytest.raises(SamplingError, match="has no category 'nurse'"):
        ReferenceSampler(toy).draw(0, do={"employment": "nurse"})


def test_an_impossible_combination_is_an_error_and_not_a_category(tmp_path: Path) -> None:
    blocked = ToyDimension("b", ("x", "y"), (("a",),), zeros=((("a",), (1,), 0), (("a",), (1,), 1)))
    build_snapshot(tmp_path / "s", (ToyDimension("a", ("p", "q")), blocked))
    with pytest.raises(SamplingError, match="no category of 'b' is possible"):
        ReferenceSampler(Snapshot.load(tmp_path / "s")).draw(0, do={"a": "q"})


def test_every_category_with_weight_is_drawn_and_none_without(tmp_path: Path) -> None:
    holes = ToyDimension("d", ("a", "b", "c", "d", "e"), zeros=(((), (), 0), ((), (), 2), ((), (), 4)))
    build_snapshot(tmp_path / "s", (holes,))
    sampler = ReferenceSampler(Snapshot.load(tmp_path / "s"))
    assert {sampler.draw(index)["d"] for index in range(200)} == {1, 3}


def test_the_definition_does_not_mention_numpy() -> None:
    import serving.reference as module

    source = Path(str(module.__file__)).read_text()
    assert "import numpy" not in source
    assert "np." not in source


def test_importing_serving_loads_no_build_tool_and_no_frame_library() -> None:
    forbidden = [
        "dagster",
        "great_expectations",
        "openai",
        "pandas",
        "scipy",
        "pydantic",
        "polars",
        "pyarrow",
        "duckdb",
    ]
    code = f"import sys, serving, serving.cli; print([m for m in {forbidden} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
