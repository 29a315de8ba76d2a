"""Alias tables: draw from many weighted lists in constant time.

Here belong the tables (Walker 1977, "An efficient method for generating discrete random variables with general
distributions"; Vose 1991 for building them in one pass) and the draw. What the lists hold is their owner's.

A list of n rows is cut into n columns of UNIT units each. A column holds units of its own row, up to a threshold, and
of one other row, its alias. Weights are first made whole numbers of units, and all that follows is whole numbers, so
the tables give exactly these units back, and the same ones on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UNIT = 1 << 27
ROW_BITS = 18  # a column is one word of 63 bits: own row, alias, threshold
_ALIAS, _OWN = UNIT.bit_length() - 1, UNIT.bit_length() - 1 + ROW_BITS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.uint32]


def whole_units(weights: Floats, counts: Ints) -> Ints:
    """Weights of lists that lie one after the other, `counts` rows each, as units that sum to UNIT times its count.

    Weights are not negative, and each list has one above 0. Sums run from left to right, and a list's rounding errors
    do not add up: every running sum of units is within one of its share.
    """
    ends = np.cumsum(counts)
    running = np.cumsum(weights)
    before = np.concatenate([[0.0], running[ends[:-1] - 1]])
    share = (running - np.repeat(before, counts)) / np.repeat(running[ends - 1] - before, counts)
    units: Ints = np.rint(share * np.repeat(counts * UNIT, counts)).astype(np.int64)
    units[ends - 1] = counts * UNIT
    units[1:] -= units[:-1]
    units[ends[:-1]] += counts[:-1] * UNIT  # the first of a list follows no other
    return units


def columns(rows: Ints, units: Ints) -> Ints:
    """Alias tables of lists that lie one after the other, int64 (n,): own row, alias and threshold, see `parts`.

    Rows are below 2**ROW_BITS, and the units of a list sum to UNIT times the number of its rows. A row with fewer
    than UNIT is light, and its deficit is filled from the heavy one whose turn it is; that passes on when its surplus
    is used up, and what was taken too much is filled from the next. So light i goes to the first heavy whose running
    surplus exceeds the deficits before i. As deficits and surpluses are equal within each list, one sweep over all
    lists crosses no border.
    """
    light, heavy = np.flatnonzero(units < UNIT), np.flatnonzero(units >= UNIT)
    deficit = np.concatenate([[0], np.cumsum(UNIT - units[light])])
    surplus = np.cumsum(units[heavy] - UNIT)
    alias = np.arange(len(units))
    alias[light] = heavy[np.searchsorted(surplus, deficit[:-1], side="right")]
    taken = deficit[np.searchsorted(deficit, surplus, side="left")] - surplus
    short = np.flatnonzero(taken)
    alias[heavy[short]] = heavy[short + 1]
    threshold = units.copy()
    threshold[heavy] = np.where(taken > 0, UNIT - taken, 0)  # 0: all alias, and that is the row itself
    packed: Ints = (rows << _OWN) | (rows[alias] << _ALIAS) | threshold
    return packed


def parts(packed: Ints) -> tuple[Ints, Ints, Ints]:
    """Own row, alias and threshold of columns."""
    return packed >> _OWN, (packed >> _ALIAS) & ((1 << ROW_BITS) - 1), packed & (UNIT - 1)


class AliasTables:
    """Store of alias tables, a group of `lists` numbered lists at a time; safe to share between threads.

    Attributes:
        made: which groups have their tables, bool (groups,).
    """

    def __init__(self, groups: int, lists: int) -> None:
        self.made = np.zeros(groups, dtype=np.bool_)
        self._start = np.zeros((groups, lists), dtype=np.int64)
        self._size = np.zeros((groups, lists), dtype=np.int64)
        self._columns = [np.empty(0, dtype=np.int64)] * groups

    @property
    def nbytes(self) -> int:
        """Bytes of the tables made so far."""
        return sum(columns.nbytes for columns in self._columns)

    def add(self, group: int, rows: Ints, weights: Floats, counts: Ints) -> None:
        """Make the tables of a group: rows and weights above 0 of its lists, one after the other; some may be empty."""
        self._columns[group] = columns(rows, whole_units(weights, counts[counts > 0]))
        self._start[group] = np.cumsum(counts) - counts
        self._size[group] = counts
        self.made[group] = True  # at last: other threads draw as soon as they see it

    def draw(self, group: Ints, number: Ints, uniform: Floats) -> Rows:
        """A row of the list `number` of `group` for each uniform in [0, 1 - 2**-52]; the lists must not be empty."""
        place = group * self._start.shape[1] + number
        position = uniform * np.take(self._size, place)
        column = position.astype(np.int64)
        units = (position - column) * UNIT  # what is behind the point is left over: another uniform
        column += np.take(self._start, place)
        own, alias, threshold = parts(self._looked_up(group, column))
        return np.where(units < threshold, own, alias).astype(np.uint32)

    def _looked_up(self, group: Ints, column: Ints) -> Ints:
        """These columns of their groups; one group after the other, as each is an array that the cache has room for."""
        order = np.argsort(group.astype(np.uint16), kind="stable")  # of 16 bits: sorted in one go
        ordered, column = group[order], column[order]
        ends = [*np.flatnonzero(np.diff(ordered)).tolist(), len(order) - 1]
        found = np.empty(len(order), dtype=np.int64)
        low = 0
        for end in ends if len(order) else ():
            np.take(self._columns[ordered[end]], column[low : end + 1], out=found[low : end + 1], mode="clip")
            low = end + 1
        packed = np.empty_like(found)
        packed[order] = found
        return packed

    def draw_one(self, group: int, number: int, uniform: float) -> int:
        """`draw` for one uniform, at the cost of a few numbers instead of arrays."""
        position = uniform * self._size.item(group, number)
        column = int(position)
        units = (position - column) * UNIT
        packed = self._columns[group].item(column + self._start.item(group, number))
        if units < packed & (UNIT - 1):
            return packed >> _OWN
        return (packed >> _ALIAS) & ((1 << ROW_BITS) - 1)
