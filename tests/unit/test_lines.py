"""Single lines: byte for byte those of a batch."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot
from warehouse.errors import SamplingError

SEEDS = st.one_of(st.integers(-(2**65), 2**65), st.text(max_size=10), st.booleans())
DERIVED = ["age_years", "birth_date", "generation", "star_sign", "height_cm", "last_name", "first_name"]


@pytest.fixture(scope="module", params=["numpy", "numba"])
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return Sampler(Snapshot.load("us"), request.param)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path)
    return Sampler(Snapshot.load(path), "numpy")


@pytest.mark.parametrize("accents", [False, True])
def test_lines_are_those_of_a_batch(sampler: Sampler, accents: bool) -> None:
    lines = sampler.lines(accents=accents)
    expected = sampler.sample(400, "text", 2**40, accents=accents).to_jsonl()
    assert [lines.line("text", 2**40 + place) for place in range(400)] == [line.encode() for line in expected]


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    index=st.integers(0, 2**63 - 2),
    fields=st.none() | st.lists(st.sampled_from([*DERIVED, "sex", "region", "heritage", "index"]), max_size=6),
    as_of=st.none() | st.dates(date(1000, 1, 1)),
    do=st.sampled_from([{}, {"gender_identity": "transgender"}, {"age": "75_plus", "heritage": "vietnamese"}]),
)
def test_any_fields_at_any_date(
    sampler: Sampler, *, seed: int | str, index: int, fields: list[str] | None, as_of: date | None, do: dict[str, str]
) -> None:
    line = sampler.lines(do, fields=fields, as_of=as_of).line(seed, index)
    batch = sampler.sample(1, seed, index, do=do, fields=fields, as_of=as_of)
    assert [line.decode()] == list(batch.to_jsonl())


def test_born_on_each_day_of_a_leap_year_and_the_next(sampler: Sampler) -> None:
    for as_of in (date(2028, 2, 29), date(2027, 2, 28), date(2028, 3, 1), date(2026, 12, 31)):
        lines = sampler.lines({"birth_month": "february"}, fields=["birth_date", "star_sign"], as_of=as_of)
        batch = sampler.sample(200, do={"birth_month": "february"}, fields=["birth_date", "star_sign"], as_of=as_of)
        assert [lines.line(0, index).decode() for index in range(200)] == list(batch.to_jsonl())


def test_a_snapshot_without_names_and_only_what_it_has(small: Sampler) -> None:
    lines, batch = small.lines(exclude=["sensitive"]), small.sample(50, exclude=["sensitive"])
    assert [lines.line(0, index).decode() for index in range(50)] == list(batch.to_jsonl())


def test_what_lines_cannot_hold_is_refused(small: Sampler) -> None:
    with pytest.raises(SamplingError, match="lines have no summary"):
        small.lines(fields=["summary"])
    with pytest.raises(SamplingError, match="unknown dimension 'job'"):
        small.lines({"job": "nurse"})
    with pytest.raises(SamplingError, match="index must be from 0"):
        small.lines().line(0, -1)
    for index in ("3", None, 2.0):
        with pytest.raises(SamplingError, match="index must be an integer"):
            small.lines().line(0, index)  # type: ignore[arg-type]
    with pytest.raises(SamplingError, match="is no seed"):
        small.lines().line(1.5, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.int32])
def test_an_index_may_be_an_integer_of_numpy(small: Sampler, kind: type) -> None:
    assert small.lines().line(0, kind(3)) == small.lines().line(0, 3)
