"""The figure of a personal income: inside its band, and bounded by what the household has.

Here belong the bands in money, how the lowest is filled, and what bounds them. Drawing from bands is `serving.derived`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from serving.derived import Bands, joined, laid_out
from warehouse.errors import SnapshotError
from warehouse.particulars import INCOME_PARTS, INCOME_UNIT, INCOMES

if TYPE_CHECKING:
    from serving.snapshot import Snapshot

Spread = tuple[int, ...]
"""Of INCOME_UNIT people in the lowest band, how many have nothing, and how many are in each of its INCOME_PARTS."""

INCOME = "personal_income_figure"
"""The field."""

STREAM = f"derived:{INCOME}"
PERSONAL, HOUSEHOLD, LIVING = "personal_income", "household_income", "living_arrangement"
EMPLOYMENT = "employment"

OWN_HOUSEHOLD = ("alone", "housemates")
"""Living arrangements in which the income of the household is the person's own."""


def banded_by(snapshot: Snapshot) -> tuple[str, ...]:
    """The dimensions whose combinations have `bands_of`, in the order of `np.ravel_multi_index`."""
    employment = (EMPLOYMENT,) if snapshot.low_incomes else ()
    household = (HOUSEHOLD,) if HOUSEHOLD in snapshot and LIVING in snapshot else ()
    return (*employment, PERSONAL, *household)


def needs(snapshot: Snapshot) -> tuple[str, ...]:
    """The dimensions that the figure depends on."""
    dimensions = banded_by(snapshot)
    return (*dimensions, LIVING) if HOUSEHOLD in dimensions else dimensions


def bands_of(snapshot: Snapshot) -> Bands:
    """The figures of each combination of `banded_by`; where there are households, of each of these twice, the second
    time for those whose own the household's income is.
    """
    personal = snapshot.dimension(PERSONAL).categories
    household = snapshot.dimension(HOUSEHOLD).categories if HOUSEHOLD in banded_by(snapshot) else ()
    return incomes_of(personal, household, snapshot.low_incomes or (None,))


def own_household(snapshot: Snapshot) -> list[int]:
    """The codes of `living_arrangement` in which the income of the household is the person's own."""
    known = snapshot.dimension(LIVING).code_of
    return [known[one] for one in OWN_HOUSEHOLD if one in known]


@lru_cache(maxsize=16)
def incomes_of(personal: tuple[str, ...], household: tuple[str, ...], spreads: tuple[Spread | None, ...]) -> Bands:
    """The bands for each of these spreads of the lowest one, one after the other."""
    return joined(
        [bounded_incomes(personal, household, one) if household else income_bands(personal, one) for one in spreads]
    )


def bounded_incomes(personal: tuple[str, ...], household: tuple[str, ...], spread: Spread | None = None) -> Bands:
    """Bands of `personal_income` for each band of `household_income`, and for each of these twice, in the order of
    `np.ravel_multi_index`: what is below the end of the household's, and what is in it, as it must be where that is the
    person's own. Whole where nothing is.
    """
    bands, running = income_bands(personal, spread), income_bands(household)
    starts = running.values[np.searchsorted(running.edges, running.base, side="right")]
    ends = [*starts[1:].tolist(), None]
    edges = np.concatenate([[0], bands.edges])
    base = np.empty((len(personal), len(household), 2), dtype=np.int64)
    total = np.empty_like(base)
    for p in range(len(personal)):
        low, high = np.searchsorted(edges, [bands.base[p], bands.base[p] + bands.total[p]]).tolist()
        values = bands.values[low:high]
        for h, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
            below = high if end is None else low + int(np.searchsorted(values, end))
            above = low + int(np.searchsorted(values, start)) if h else low
            shared = (low, below) if edges[below] > edges[low] else (low, high)
            own = (above, below) if below > above and edges[below] > edges[above] else shared
            for place, (first, last) in enumerate((shared, own)):
                base[p, h, place], total[p, h, place] = edges[first], edges[last] - edges[first]
    return Bands(bands.values, bands.edges, base.ravel(), total.ravel())


def income_bands(categories: Sequence[str], spread: Spread | None = None) -> Bands:
    """Bands of the dimension `personal_income`, as `under_10k`, `10k_20k`, `150k_plus` tell them, in the population's
    currency: figures as people say them, in steps of 100, 500 or 1,000.

    All figures of a band are equally likely; those of the lowest are so within each of the parts that `spread` fills.
    The open band thins out as a Pareto distribution of exponent 2 does, up to ten times where it begins. Raises
    SnapshotError for an id that is no such band.
    """
    values: list[int] = []
    weights: list[list[int]] = []
    for category in categories:
        match = _INCOME.fullmatch(category)
        if match is None:
            raise SnapshotError(f"{category!r} of 'personal_income' is no band: name it like 20k_35k or 150k_plus")
        ends = [int(text) * 1000 for text in (match["low"], match["high"], match["under"], match["over"]) if text]
        if match["over"]:
            low = ends[0]
            span = range(low, 10 * low, 1000)
            weights.append([_beyond(low, value) - _beyond(low, value + 1000) for value in span])
        else:
            low, high = (ends[0], ends[1]) if match["low"] else (100, ends[0])
            step = 100 if high <= 10_000 else 500 if high <= 100_000 else 1000
            span = range(low, high, step)
            if match["under"] and spread:
                values.append(0)
                weights.append(_filled(span, high, spread))
            else:
                weights.append([1] * len(span))
        values.extend(span)
    return laid_out(values, weights)


def _filled(span: Sequence[int], end: int, spread: Spread) -> list[int]:
    """Weights of nothing and of each figure of the lowest band, which ends at `end`; whole numbers."""
    part_of = [figure * INCOME_PARTS // end for figure in span]
    counts = [part_of.count(part) for part in range(INCOME_PARTS)]
    unit = math.lcm(*counts)
    return [spread[0] * unit, *(spread[1 + part] * unit // counts[part] for part in part_of)]


def lowest_end(categories: Sequence[str]) -> int:
    """Where the lowest band of `personal_income` ends; SnapshotError if its first category is no such band."""
    match = _INCOME.fullmatch(categories[0])
    if match is None or not match["under"]:
        raise SnapshotError(f"{categories[0]!r} is no lowest band of 'personal_income': name it like under_10k")
    return int(match["under"]) * 1000


def read_low_incomes(content: bytes, employments: Sequence[str]) -> tuple[Spread, ...]:
    """How the lowest band is filled, for each category of `employment`, from the bytes of a snapshot's file.

    Raises SnapshotError if it cannot be read or is of other categories.
    """
    import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
            table = file.read(use_threads=False).to_pydict()
        named, spreads = table["employment"], tuple(tuple(one) for one in table["shares"])
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SnapshotError(f"{INCOMES} cannot be read ({reason}); export the snapshot again") from None
    if named != list(employments) or any(
        len(one) != 1 + INCOME_PARTS
        or not all(isinstance(count, int) and count >= 0 for count in one)
        or sum(one) != INCOME_UNIT
        for one in spreads
    ):
        raise SnapshotError(f"{INCOMES} is not of the snapshot's 'employment'; export the snapshot again")
    return spreads


def _beyond(low: int, value: int) -> int:
    """How many of a billion have more than `value`, of those above `low`; whole numbers, the same everywhere."""
    return 10**9 * low * low // (value * value)


_INCOME = re.compile(r"under_(?P<under>\d+)k|(?P<low>\d+)k_(?P<high>\d+)k|(?P<over>\d+)k_plus")
