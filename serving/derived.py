"""Fields that follow from a persona's dimensions: exact age, birth date, generation, star sign, height.

Here belong pure functions of (seed, index, codes, as_of), whole index arrays at a time. Each draws, if at
all, from a stream of its own (`derived:...`), so no field disturbs another. Ages by
education are `serving.ages`, incomes `serving.incomes`, names `serving.names`, places and job titles
`serving.particulars`, prose is `serving.rendering`.

Exactness inside a band is plausible detail, not evidence: within a closed band all values are equally likely, but for
ages and incomes, whose own modules say what is known of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.counter import Seed, uniforms
from warehouse.errors import SnapshotError

Indices = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.integer[Any]]
Integers = npt.NDArray[np.int64]
Dates = npt.NDArray[np.datetime64]

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)

# First birth year of each; the cut points are Pew Research Center's (Dimock 2019), "alpha" follows on.
GENERATIONS = {
    "greatest": 1901,
    "silent": 1928,
    "baby_boomer": 1946,
    "generation_x": 1965,
    "millennial": 1981,
    "generation_z": 1997,
    "generation_alpha": 2013,
}
GENERATION_LABELS = {
    "greatest": "Greatest Generation",
    "silent": "Silent Generation",
    "baby_boomer": "Baby Boomer",
    "generation_x": "Generation X",
    "millennial": "Millennial",
    "generation_z": "Generation Z",
    "generation_alpha": "Generation Alpha",
}

# First (month, day) of each sign of the western zodiac.
STAR_SIGNS = {
    "aquarius": (1, 20),
    "pisces": (2, 19),
    "aries": (3, 21),
    "taurus": (4, 20),
    "gemini": (5, 21),
    "cancer": (6, 21),
    "leo": (7, 23),
    "virgo": (8, 23),
    "libra": (9, 23),
    "scorpio": (10, 23),
    "sagittarius": (11, 22),
    "capricorn": (12, 22),
}

# Relative numbers alive at each year from the start of an open band of 75 and over up to 100, shaped like
# recent US population estimates: a Gompertz survival curve (Gompertz 1825) times the smaller size of older
# cohorts. Integers, so that no platform's exp() has a say.
SURVIVORS = (
    *(1000, 955, 908, 860, 811, 762, 713, 663, 612, 562),  # 75 to 84
    *(512, 463, 415, 368, 323, 280, 240, 202, 167, 136),  # 85 to 94
    *(108, 84, 63, 46, 32, 20),  # 95 to 100
)
# Falling off beyond the last closed height band, a share of about 0.75 from one centimetre to the next.
TAIL = (100, 75, 56, 42, 32, 24, 18, 13, 10, 8, 6, 4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class Bands:
    """Integer values behind the categories of a banded dimension, all bands in one lookup table.

    `edges` are the running weights of `values` over all bands in turn; the band of code c begins at `base[c]`
    and holds `total[c]` of them. Bands may share values.
    """

    values: Integers
    edges: Integers
    base: Integers
    total: Integers

    def draw(self, seed: Seed, stream: str, indices: Indices, codes: Cells) -> Integers:
        """One value per persona, inside the band of its code; shape of `codes`."""
        threshold = self.base[codes] + _below(uniforms(seed, stream, indices), self.total[codes])
        return self.values[np.searchsorted(self.edges, threshold, side="right")]

    def within(self, spans: Sequence[tuple[int, int]]) -> Bands:
        """The same bands with no weight on values outside these spans, whose ends are included."""
        weights = np.diff(self.edges, prepend=0)
        inside = np.zeros(len(self.values), dtype=np.bool_)
        for first, last in spans:
            inside |= (self.values >= first) & (self.values <= last)
        edges = np.cumsum(np.where(inside, weights, 0))
        running = np.concatenate([[0], edges])
        base, end = (
            running[np.searchsorted(self.edges, at, side="right")] for at in (self.base, self.base + self.total)
        )
        return Bands(self.values, edges, base, end - base)

    def each(self, least: Sequence[int]) -> Bands:
        """Every band from each of these values on, `len(least)` for each band, one after the other; whole where it ends
        before.
        """
        running = np.concatenate([[0], self.edges])
        first = np.searchsorted(self.edges, self.base, side="right")
        end = self.base + self.total
        last = np.searchsorted(self.edges, end, side="right")
        base = np.empty((len(self.base), len(least)), dtype=np.int64)
        for band, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            start = low + np.searchsorted(self.values[low:high], least, side="left")
            base[band] = running[np.where(start < high, start, low)]
        return Bands(self.values, self.edges, base.ravel(), (end[:, None] - base).ravel())


def bands_of(dimension: str, categories: Sequence[str], *, low_tail: Sequence[int], high_tail: Sequence[int]) -> Bands:
    """Read bands from category ids such as `under_150`, `150_154`, `190_plus`.

    The tails are the weights of the values of an open band, counted away from its closed end. Raises
    SnapshotError for an id that is no band.
    """
    values: list[int] = []
    weights: list[list[int]] = []
    for category in categories:
        numbers = [int(text) for text in re.findall(r"\d+", category)]
        if len(numbers) == 2 and numbers[0] <= numbers[1]:
            span = range(numbers[0], numbers[1] + 1)
            weights.append([1] * len(span))
        elif len(numbers) == 1 and category.endswith(("plus", "over", "more")):
            span = range(numbers[0], numbers[0] + len(high_tail))
            weights.append(list(high_tail))
        elif len(numbers) == 1 and category.startswith(("under", "below", "less")):
            span = range(numbers[0] - len(low_tail), numbers[0])
            weights.append(list(reversed(low_tail)))
        else:
            raise SnapshotError(f"{category!r} of dimension {dimension!r} is no band: name it like 25_34 or 75_plus")
        values.extend(span)
    return laid_out(values, weights)


def laid_out(values: Sequence[int], weights: Sequence[Sequence[int]]) -> Bands:
    """Bands of values, one after the other, with the weights of each."""
    total = np.array([sum(band) for band in weights], dtype=np.int64)
    return Bands(
        values=np.array(values, dtype=np.int64),
        edges=np.cumsum([weight for band in weights for weight in band], dtype=np.int64),
        base=np.cumsum(total) - total,
        total=total,
    )


def joined(parts: Sequence[Bands]) -> Bands:
    """The bands of all parts, one after the other."""
    begins = np.cumsum([0, *(int(part.edges[-1]) for part in parts[:-1])], dtype=np.int64)
    return Bands(
        values=np.concatenate([part.values for part in parts]),
        edges=np.concatenate([part.edges + begin for part, begin in zip(parts, begins, strict=True)]),
        base=np.concatenate([part.base + begin for part, begin in zip(parts, begins, strict=True)]),
        total=np.concatenate([part.total for part in parts]),
    )


@lru_cache(maxsize=16)
def age_bands(categories: tuple[str, ...]) -> Bands:
    """Bands of the dimension `age`; an open one ends 25 years on, thinning out as survival does."""
    return bands_of("age", categories, low_tail=(1,), high_tail=SURVIVORS)


@lru_cache(maxsize=16)
def height_bands(categories: tuple[str, ...]) -> Bands:
    """Bands of the dimension `height`, in centimetres; open ones end 15 cm on."""
    return bands_of("height", categories, low_tail=TAIL, high_tail=TAIL)


def months_of(categories: Sequence[str]) -> Integers:
    """Month number 1 to 12 of each category of `birth_month`; SnapshotError for one that is no month."""
    try:
        return np.array([MONTHS.index(category) + 1 for category in categories], dtype=np.int64)
    except ValueError:
        raise SnapshotError("the categories of 'birth_month' are not january to december") from None


def exact_ages(seed: Seed, indices: Indices, codes: Cells, bands: Bands) -> Integers:
    """Age in completed years at `as_of`, inside the persona's age band; `codes` are places among the bands."""
    return bands.draw(seed, "derived:age_years", indices, codes)


def heights_cm(seed: Seed, indices: Indices, codes: Codes, bands: Bands) -> Integers:
    """Height in whole centimetres, inside the persona's height band."""
    return bands.draw(seed, "derived:height_cm", indices, codes)


def birth_dates(seed: Seed, indices: Indices, ages: Integers, months: Integers, as_of: date) -> Dates:
    """Birth dates (`datetime64[D]`) in month `months` (1 to 12) that make one `ages` years old at `as_of`.

    All days of that month that fit are equally likely. Who is born on 29 February completes a year on 1 March
    of a common year. In the month of `as_of` itself, days up to that of `as_of` belong to the later birth
    year.
    """
    u = uniforms(seed, "derived:birth_date", indices)
    this_year = as_of.year - ages - (months > as_of.month)
    same_month = months == as_of.month
    length = _month_length(this_year, months)
    # In the month of as_of: that many days of this_year, and the rest of the month one year earlier.
    until = np.where(same_month, np.minimum(length, as_of.day), length)
    after = np.where(same_month, np.maximum(_month_length(this_year - 1, months) - as_of.day, 0), 0)
    day = _below(u, until + after)
    earlier = day >= until
    year = this_year - earlier
    day = np.where(earlier, day - until + as_of.day, day)
    first = ((year - 1970) * 12 + months - 1).astype("datetime64[M]").astype("datetime64[D]")
    dates: Dates = first + day.astype("timedelta64[D]")
    return dates


def age_on(born: date, as_of: date) -> int:
    """Completed years at `as_of`, by the same convention for 29 February as `birth_dates`."""
    return as_of.year - born.year - ((as_of.month, as_of.day) < (born.month, born.day))


def generation_codes(births: Dates) -> Codes:
    """Index into `GENERATIONS` of each birth date; earlier than the first counts as the first."""
    years = births.astype("datetime64[Y]").astype(np.int64) + 1970
    starts = np.array(list(GENERATIONS.values()))
    return np.maximum(np.searchsorted(starts, years, side="right") - 1, 0).astype(np.uint8)


def star_sign_codes(births: Dates) -> Codes:
    """Index into `STAR_SIGNS` of each birth date."""
    months = births.astype("datetime64[M]")
    day = (births - months.astype("datetime64[D]")).astype(np.int64) + 1
    ordinal = (months.astype(np.int64) % 12 + 1) * 100 + day
    starts = np.array([month * 100 + first for month, first in STAR_SIGNS.values()])
    # Before 20 January is the tail of Capricorn, the last of the list.
    place: Integers = np.searchsorted(starts, ordinal, side="right") - 1
    return (place % len(STAR_SIGNS)).astype(np.uint8)


def _below(u: npt.NDArray[np.float64], bound: Integers) -> Integers:
    """Integers in 0 .. bound - 1; never the bound itself, see `serving.counter.SCALE`."""
    return (u * bound).astype(np.int64)


def _month_length(years: Integers, months: Integers) -> Integers:
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    length: Integers = lengths[months] + (leap & (months == 2))
    return length
