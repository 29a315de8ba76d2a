"""Alias tables: that they hold exactly the units that they were made from, and that a draw reads them right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.alias import ROW_BITS, UNIT, AliasTables, columns, parts, whole_units

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WEIGHTS = st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.sampled_from([1.0, 2.0, 0.5]))
LISTS = st.lists(st.lists(WEIGHTS, min_size=1, max_size=30).filter(any), min_size=1, max_size=6)


def held(packed: Ints, size: int) -> Ints:
    """Units of each row that the columns hold."""
    own, alias, threshold = parts(packed)
    found = np.zeros(size, dtype=np.int64)
    np.add.at(found, own, threshold)
    np.add.at(found, alias, UNIT - threshold)
    return found


@given(lists=LISTS)
@settings(deadline=None)
def test_units_are_the_weights_rounded(lists: list[list[float]]) -> None:
    counts = np.array([len(one) for one in lists])
    units = whole_units(np.concatenate([np.array(one) for one in lists]), counts)
    assert (units >= 0).all()
    for one, part in zip(lists, np.split(units, np.cumsum(counts)[:-1]), strict=True):
        assert part.sum() == len(one) * UNIT
        # What the lists before it weigh costs a light list bits: 2**-53 of all of them.
        slack = 1 + len(one) * UNIT * 2.0**-50 * sum(map(sum, lists)) / sum(one)
        expected = np.cumsum(one) / sum(one) * len(one) * UNIT
        assert np.abs(np.cumsum(part) - expected).max() <= slack


@given(lists=LISTS)
@settings(deadline=None)
def test_tables_hold_exactly_their_units_and_no_row_of_another_list(lists: list[list[float]]) -> None:
    counts = np.array([len(one) for one in lists])
    units = whole_units(np.concatenate([np.array(one) for one in lists]), counts)
    packed = columns(np.arange(len(units)), units)
    np.testing.assert_array_equal(held(packed, len(units)), units)
    owner = np.repeat(np.arange(len(lists)), counts)
    own, alias, _ = parts(packed)
    np.testing.assert_array_equal(own, np.arange(len(units)))
    np.testing.assert_array_equal(owner[alias], owner)


def test_equal_weights_need_no_alias() -> None:
    units = whole_units(np.ones(5), np.array([5]))
    np.testing.assert_array_equal(units, np.full(5, UNIT))
    np.testing.assert_array_equal(parts(columns(np.arange(5), units))[1], np.arange(5))


def test_rows_and_thresholds_do_not_run_into_each_other() -> None:
    rows = np.array([0, (1 << ROW_BITS) - 1])
    own, alias, threshold = parts(columns(rows, np.array([UNIT - 1, UNIT + 1])))
    np.testing.assert_array_equal(own, rows)
    assert alias.tolist() == [rows[1], rows[1]]
    assert threshold.tolist() == [UNIT - 1, 0]


@pytest.fixture
def tables() -> AliasTables:
    made = AliasTables(groups=3, lists=3)
    # Group 2 first; its list 1 is empty.
    made.add(2, np.array([7, 8, 9]), np.array([1.0, 3.0, 2.0]), np.array([2, 0, 1]))
    made.add(0, np.array([1, 2, 3, 4]), np.array([5.0, 1.0, 1.0, 2.0]), np.array([1, 2, 1]))
    return made


def test_draws_have_the_shares_of_their_list(tables: AliasTables) -> None:
    grid = (np.arange(8_000) + 0.5) / 8_000
    group, number = np.full(8_000, 2), np.zeros(8_000, dtype=np.int64)
    drawn = tables.draw(group, number, grid)
    assert (drawn == 7).mean() == 0.25
    assert (drawn == 8).mean() == 0.75
    drawn = tables.draw(np.zeros(8_000, dtype=np.int64), number + 1, grid)
    assert dict(zip(*np.unique(drawn, return_counts=True), strict=True)) == {2: 4_000, 3: 4_000}


def test_each_draw_is_from_its_own_list(tables: AliasTables) -> None:
    group, number = np.array([2, 0, 2, 0]), np.array([2, 0, 0, 2])
    for uniform in (0.0, 0.5, 1 - 2.0**-52):
        drawn = tables.draw(group, number, np.full(4, uniform))
        assert drawn[[0, 1, 3]].tolist() == [9, 1, 4]
        assert drawn[2] in {7, 8}


def test_the_store_knows_its_size(tables: AliasTables) -> None:
    assert tables.nbytes == 7 * 8


def test_one_draw_at_a_time_is_the_same(tables: AliasTables) -> None:
    grid = (np.arange(500) + 0.5) / 500
    drawn = tables.draw(np.full(500, 2), np.zeros(500, dtype=np.int64), grid)
    assert [tables.draw_one(2, 0, uniform) for uniform in grid.tolist()] == drawn.tolist()
