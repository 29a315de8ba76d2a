"""Figures of incomes: inside their band, below the end of the household's, and in it where that is the person's own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from serving.incomes import STREAM, bounded_incomes, income_bands, incomes_of, read_low_incomes
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.particulars import file
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot
from warehouse.errors import SnapshotError
from warehouse.parquet import parquet_bytes
from warehouse.particulars import INCOMES, TITLES

PERSONAL = ("under_10k", "10k_20k", "20k_35k", "150k_plus")
HOUSEHOLD = ("under_15k", "15k_30k", "30k_200k", "200k_plus")


def figures(personal: int, household: int, *, own: bool, n: int = 2_000) -> np.ndarray:
    bands = bounded_incomes(PERSONAL, HOUSEHOLD)
    cell = np.full(n, (personal * len(HOUSEHOLD) + household) * 2 + own)
    return bands.draw(3, STREAM, np.arange(n, dtype=np.uint64), cell)


@pytest.mark.parametrize(
    ("personal", "household", "own", "least", "most"),
    [
        (1, 0, False, 10_000, 14_500),
        (1, 1, False, 10_000, 19_500),
        (1, 1, True, 15_000, 19_500),
        (2, 1, True, 20_000, 29_500),
        (2, 2, True, 30_000, 34_500),
        (3, 2, False, 150_000, 199_000),
        (3, 3, False, 150_000, 1_499_000),
        (3, 3, True, 200_000, 1_499_000),
        (0, 0, True, 100, 9_900),
        # What cannot be is in its band all the same.
        (2, 0, True, 20_000, 34_500),
        (0, 2, True, 100, 9_900),
    ],
)
def test_figures_are_within_what_both_bands_leave(
    personal: int, household: int, own: bool, least: int, most: int
) -> None:
    seen = figures(personal, household, own=own)
    assert least <= seen.min() and seen.max() <= most
    if most < 200_000:
        assert seen.min() < least + (most - least) * 0.05 and seen.max() > most - (most - least) * 0.05


def test_what_the_household_does_not_bound_is_as_without_it() -> None:
    n = 1_000
    plain = income_bands(PERSONAL).draw(3, STREAM, np.arange(n, dtype=np.uint64), np.full(n, 1))
    assert (figures(1, 3, own=False, n=n) == plain).all()


SPREAD = (100, 200, 0, 300, 400)


def test_the_lowest_band_is_filled_as_it_was_told() -> None:
    n = 50_000
    seen = income_bands(PERSONAL, SPREAD).draw(3, STREAM, np.arange(n, dtype=np.uint64), np.zeros(n, dtype=int))
    shares = np.histogram(seen, [0, 1, 2_500, 5_000, 7_500, 10_000])[0] / n
    assert shares == pytest.approx(np.array(SPREAD) / 1_000, abs=0.01)
    assert shares[2] == 0
    assert set(seen[seen > 0].tolist()) <= set(range(100, 10_000, 100))


def test_a_spread_moves_the_lowest_band_only() -> None:
    n = 1_000
    index = np.arange(n, dtype=np.uint64)
    for spread in (None, SPREAD):
        bands = incomes_of(PERSONAL, HOUSEHOLD, (None, spread))
        half = len(bands.base) // 2
        for cell in range(2 * len(HOUSEHOLD), half):
            first, second = (bands.draw(3, STREAM, index, np.full(n, one)) for one in (cell, half + cell))
            assert (first == second).all()


def test_a_household_that_bounds_the_lowest_band_bounds_its_spread() -> None:
    households = ("under_5k", "5k_15k")
    cell = np.zeros(2_000, dtype=int)
    bands = bounded_incomes(PERSONAL, households, SPREAD)
    index = np.arange(2_000, dtype=np.uint64)
    assert bands.draw(3, STREAM, index, cell).max() < 5_000
    own = bands.draw(3, STREAM, index, cell + 3)
    assert own.min() >= 5_000
    # Nobody was told to be between 2,500 and 5,000: the whole band stands in where a household leaves nothing else.
    empty = bounded_incomes(PERSONAL, ("under_2k", "2k_5k", "5k_15k"), (0, 0, 0, 500, 500))
    assert empty.draw(3, STREAM, index, cell).min() >= 5_000


@pytest.mark.parametrize(
    ("employments", "shares", "error"),
    [
        (["full_time"], [[0, 250, 250, 250, 250]], "not of the snapshot's 'employment'"),
        (["full_time", "none"], [[0, 250, 250, 250, 250], [1, 250, 250, 250, 250]], "not of the snapshot's"),
        (["full_time", "none"], [[0, 500, 500], [0, 500, 500]], "not of the snapshot's"),
        (["full_time", "none"], [["x"] * 5, ["y"] * 5], "not of the snapshot's"),
        (["full_time", "none"], [[0.5, 249.5, 250.0, 250.0, 250.0]] * 2, "not of the snapshot's"),
        (["full_time", "none"], [1, 2], "cannot be read"),
    ],
)
def test_a_file_of_low_incomes_that_does_not_fit_is_refused(
    employments: list[str], shares: list[list[int]], error: str
) -> None:
    content = parquet_bytes(pa.table({"employment": employments, "shares": shares}))
    with pytest.raises(SnapshotError, match=error):
        read_low_incomes(content, ("full_time", "none"))


def test_batches_and_lines_fill_the_lowest_band_by_employment(tmp_path_factory: pytest.TempPathFactory) -> None:
    dimensions = (
        *TOY,
        ToyDimension("occupation", ("sales", "none")),
        ToyDimension("personal_income", PERSONAL, ordinal=True),
        ToyDimension("living_arrangement", ("partner", "alone")),
        ToyDimension("household_income", HOUSEHOLD, ordinal=True),
    )
    path = tmp_path_factory.mktemp("snapshots") / "toy"
    titles = file(dimensions, "occupation", [("sales", "clerk", 1.0, [1.0] * 3)], ("education",))
    employments = ["full_time", "part_time", "unemployed", "retired"]
    shares = [[0, 0, 0, 0, 1_000], [250] * 4 + [0], [1_000, 0, 0, 0, 0], [0, 0, 0, 1_000, 0]]
    incomes = parquet_bytes(pa.table({"employment": employments, "shares": shares}))
    build_snapshot(path, dimensions, extra_files={TITLES: titles, INCOMES: incomes})
    sampler = Sampler(Snapshot.load(path))
    fields = ["employment", "personal_income_figure", "personal_income", "household_income", "living_arrangement"]
    batch = sampler.sample(600, 1, fields=fields)
    assert list(batch.to_jsonl()) == [sampler.lines(fields=fields).line(1, i).decode() for i in range(600)]
    lowest = [p for p in batch if p["personal_income"] == "under_10k"]
    assert {p["personal_income_figure"] for p in lowest if p["employment"] == "unemployed"} == {0}
    assert min(int(str(p["personal_income_figure"])) for p in lowest if p["employment"] == "full_time") >= 7_500


def test_batches_and_lines_say_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    dimensions = (
        *TOY,
        ToyDimension("occupation", ("sales", "none")),
        ToyDimension("personal_income", ("under_10k", "10k_20k", "20k_35k", "150k_plus"), ordinal=True),
        ToyDimension("living_arrangement", ("partner", "alone")),
        ToyDimension("household_income", HOUSEHOLD, ordinal=True),
    )
    path = tmp_path_factory.mktemp("snapshots") / "toy"
    titles = file(dimensions, "occupation", [("sales", "clerk", 1.0, [1.0] * 3)], ("education",))
    build_snapshot(path, dimensions, extra_files={TITLES: titles})
    sampler = Sampler(Snapshot.load(path))
    fields = ["personal_income_figure", "personal_income", "household_income", "living_arrangement"]
    batch = sampler.sample(400, 1, fields=fields)
    assert list(batch.to_jsonl()) == [sampler.lines(fields=fields).line(1, i).decode() for i in range(400)]
    alone = sampler.sample(
        200, do={"living_arrangement": "alone", "personal_income": "10k_20k", "household_income": "15k_30k"}
    )
    assert min(alone.values("personal_income_figure")) >= 15_000  # type: ignore[type-var]
