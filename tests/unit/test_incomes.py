"""Figures of incomes: inside their band, below the end of the household's, and in it where that is the person's own."""

from __future__ import annotations

import numpy as np
import pytest

from serving.incomes import STREAM, bounded_incomes, income_bands
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.particulars import file
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot
from warehouse.particulars import TITLES

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
