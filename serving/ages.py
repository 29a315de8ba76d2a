"""Exact ages: which years of a band a persona's characteristics make likely, and what evidence on years says of these.

Here belong the bands of `age` crossed with what years depend on, and the likelihood of spans of years. Drawing from
bands is `serving.derived`, reading spans `serving.evidence`; what years depend on is decided by
`pipeline.particulars.ages`.

Within the band from 25 to 34 the married are older than others, and nobody of 18 has a degree though the band from 18
to 24 holds many who have. Snapshots from before there was `ages.parquet` know the latter only: `least_ages.toml` says
from which year on. A snapshot without `education` has ages by band alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from serving.derived import Bands, age_bands
from serving.particulars import Particulars
from warehouse.errors import SnapshotError
from warehouse.particulars import AGES

if TYPE_CHECKING:
    from serving.snapshot import Snapshot

AGE, EDUCATION = "age", "education"
LEAST_AGES = Path(__file__).with_name("least_ages.toml")

UNIT = 1 << 20
"""Parts that the people of a combination are counted in; a year with less than half of one has nobody."""

Spans = tuple[tuple[int, int], ...]
"""First and last years of ranges of exact ages."""

Floats = npt.NDArray[np.float64]


def needs(snapshot: Snapshot) -> tuple[str, ...]:
    """The dimensions that exact ages depend on, `age` first."""
    if told := snapshot.particulars(AGES):
        return told.needs
    return (AGE, EDUCATION) if EDUCATION in snapshot else (AGE,)


def bands_of(snapshot: Snapshot) -> Bands:
    """The years of each combination of `needs`, in the order of `np.ravel_multi_index`."""
    if told := snapshot.particulars(AGES):
        return _told(told)
    return _crossed(*(snapshot.dimension(name).categories for name in needs(snapshot)))


def shares_of(snapshot: Snapshot, spans: Spans) -> Floats:
    """The part of each combination of `needs` that lies within these years, f64 (categories of each)."""
    bands = bands_of(snapshot)
    share = bands.within(spans).total / bands.total
    sizes = [len(snapshot.dimension(name).categories) for name in needs(snapshot)]
    return np.asarray(share.reshape(sizes), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Years:
    """What evidence on exact ages says of a band and the rest of `needs` together, besides what it says of the band:
    likelihoods from 0 to 1, and the positions of these dimensions.
    """

    positions: tuple[int, ...]
    ratios: Floats

    def of(self, codes: Mapping[int, npt.NDArray[np.uint8]], fixed: Mapping[int, int]) -> Floats:
        """The likelihood of each persona, (n,); what is fixed need not be among the codes."""
        found: Floats = self.ratios[tuple(codes.get(one, fixed.get(one)) for one in self.positions)]
        return found


def years_of(snapshot: Snapshot, spans: Spans) -> Years | None:
    """What spans of years say of `needs` together; None without spans, or if bands alone make a difference."""
    if not spans:
        return None
    share = shares_of(snapshot, spans)
    largest = share.max(axis=tuple(range(1, share.ndim)), keepdims=True)
    ratios = np.divide(share, largest, out=np.ones_like(share), where=largest > 0)
    if (ratios == 1).all():
        return None
    return Years(tuple(snapshot.dimension(name).position for name in needs(snapshot)), ratios)


def check_ages(told: Particulars) -> None:
    """Raise SnapshotError for a file of ages whose bands do not hold years, each its own."""
    last = -1
    for band in range(len(told)):
        names = told.names_within(band)
        years = [int(name) if isinstance(name, str) and name.isdecimal() and len(name) < 4 else -1 for name in names]
        if not years or min(years) <= last or any(a >= b for a, b in pairwise(years)):
            raise SnapshotError(f"{AGES} has a band without years of its own, in ascending order; export it again")
        last = years[-1]


@lru_cache(maxsize=16)
def _told(ages: Particulars) -> Bands:
    """The years of each combination, weighed as the file has it: whole numbers of UNIT for each."""
    values, weights = [], []
    for band in range(len(ages)):
        years = [int(name) for name in ages.names_within(band)]
        shares = ages.weights(band).reshape(len(years), -1)
        whole = np.floor(shares / shares.sum(axis=0) * UNIT + 0.5).astype(np.int64)
        values.append(np.tile(years, whole.shape[1]))
        weights.append(whole.T)
    total = np.concatenate([one.sum(axis=1) for one in weights])
    edges = np.cumsum(np.concatenate([one.ravel() for one in weights]))
    return Bands(np.concatenate(values), edges, np.cumsum(total) - total, total)


@lru_cache(maxsize=16)
def _crossed(ages: tuple[str, ...], educations: tuple[str, ...] = ("",)) -> Bands:
    bands, least = age_bands(ages), least_ages()
    return bands.each([least.get(one, 0) for one in educations])


@lru_cache(maxsize=1)
def least_ages() -> Mapping[str, int]:
    """The age at which a category of `education` is reached by all but prodigies."""
    return tomllib.loads(LEAST_AGES.read_text(encoding="utf-8"))
