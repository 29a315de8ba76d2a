"""The figure of a personal income: inside its band, and bounded by what the household has.

Here belong the bands in money and what bounds them. Drawing from bands is `serving.derived`.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from serving.derived import Bands, laid_out
from serving.snapshot import Snapshot
from warehouse.errors import SnapshotError

INCOME = "personal_income_figure"
"""The field."""

STREAM = f"derived:{INCOME}"
PERSONAL, HOUSEHOLD, LIVING = "personal_income", "household_income", "living_arrangement"

OWN_HOUSEHOLD = ("alone", "housemates")
"""Living arrangements in which the income of the household is the person's own."""


def needs(snapshot: Snapshot) -> tuple[str, ...]:
    """The dimensions that the figure depends on."""
    bounds = (HOUSEHOLD, LIVING)
    return (PERSONAL, *bounds) if all(name in snapshot for name in bounds) else (PERSONAL,)


def bands_of(snapshot: Snapshot) -> Bands:
    """The figures of each band of `personal_income`; where there are households, of each combination of it, band of
    `household_income` and whether that is the person's own, in the order of `np.ravel_multi_index`.
    """
    personal, *household = (snapshot.dimension(name).categories for name in needs(snapshot))
    return bounded_incomes(personal, household[0]) if household else income_bands(personal)


def own_household(snapshot: Snapshot) -> list[int]:
    """The codes of `living_arrangement` in which the income of the household is the person's own."""
    known = snapshot.dimension(LIVING).code_of
    return [known[one] for one in OWN_HOUSEHOLD if one in known]


@lru_cache(maxsize=16)
def bounded_incomes(personal: tuple[str, ...], household: tuple[str, ...]) -> Bands:
    """Bands of `personal_income` for each band of `household_income`, and for each of these twice, in the order of
    `np.ravel_multi_index`: what is below the end of the household's, and what is in it, as it must be where that is the
    person's own. Whole where nothing is.
    """
    bands, running = income_bands(personal), income_bands(household)
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
            shared = (low, below) if below > low else (low, high)
            own = (above, below) if below > above else shared
            for place, (first, last) in enumerate((shared, own)):
                base[p, h, place], total[p, h, place] = edges[first], edges[last] - edges[first]
    return Bands(bands.values, bands.edges, base.ravel(), total.ravel())


@lru_cache(maxsize=16)
def income_bands(categories: tuple[str, ...]) -> Bands:
    """Bands of the dimension `personal_income`, as `under_10k`, `10k_20k`, `150k_plus` tell them, in the population's
    currency: figures as people say them, in steps of 100, 500 or 1,000.

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
            weights.append([1] * len(span))
        values.extend(span)
    return laid_out(values, weights)


def _beyond(low: int, value: int) -> int:
    """How many of a billion have more than `value`, of those above `low`; whole numbers, the same everywhere."""
    return 10**9 * low * low // (value * value)


_INCOME = re.compile(r"under_(?P<under>\d+)k|(?P<low>\d+)k_(?P<high>\d+)k|(?P<over>\d+)k_plus")
