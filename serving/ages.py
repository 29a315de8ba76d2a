"""Exact ages: which years of a band a persona's education leaves open, and what evidence on years says about both.

Here belong the bands of `age` crossed with `education`, and the likelihood of spans of years. Drawing from bands is
`serving.derived`, reading spans `serving.evidence`.

Nobody of 18 has a degree, though the band from 18 to 24 holds many who have: within it, those with a degree are the
older ones. `least_ages.toml` says from which year on. A snapshot without `education` has ages by band alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serving.derived import Bands, age_bands
from serving.snapshot import Snapshot

AGE, EDUCATION = "age", "education"
LEAST_AGES = Path(__file__).with_name("least_ages.toml")

Spans = tuple[tuple[int, int], ...]
"""First and last years of ranges of exact ages."""

Floats = npt.NDArray[np.float64]


def needs(snapshot: Snapshot) -> tuple[str, ...]:
    """The dimensions that exact ages depend on."""
    return (AGE, EDUCATION) if EDUCATION in snapshot else (AGE,)


def bands_of(snapshot: Snapshot) -> Bands:
    """The years of each combination of age band and education, in the order of `np.ravel_multi_index`."""
    return _crossed(*(snapshot.dimension(name).categories for name in needs(snapshot)))


def shares_of(snapshot: Snapshot, spans: Spans) -> Floats:
    """The part of each combination that lies within these years, f64 (age bands, levels of education)."""
    bands = bands_of(snapshot)
    share = bands.within(spans).total / bands.total
    return np.asarray(share.reshape(len(snapshot.dimension(AGE).categories), -1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Years:
    """What evidence on exact ages says of a band and a level of education together, besides what it says of the band:
    likelihoods from 0 to 1, and the positions of both dimensions.
    """

    age: int
    education: int
    ratios: Floats

    def of(self, codes: Mapping[int, npt.NDArray[np.uint8]], fixed: Mapping[int, int]) -> Floats:
        """The likelihood of each persona, (n,); what is fixed need not be among the codes."""
        age, education = (codes.get(one, fixed.get(one)) for one in (self.age, self.education))
        found: Floats = self.ratios[age, education]
        return found


def years_of(snapshot: Snapshot, spans: Spans) -> Years | None:
    """What spans of years say of bands and education together; None without spans, or if education makes no difference
    to them.
    """
    if not spans:
        return None
    share = shares_of(snapshot, spans)
    largest = share.max(axis=1, keepdims=True)
    ratios = np.divide(share, largest, out=np.ones_like(share), where=largest > 0)
    if (ratios == 1).all():
        return None
    return Years(snapshot.dimension(AGE).position, snapshot.dimension(EDUCATION).position, ratios)


@lru_cache(maxsize=16)
def _crossed(ages: tuple[str, ...], educations: tuple[str, ...] = ("",)) -> Bands:
    bands, least = age_bands(ages), _least_ages()
    return bands.each([least.get(one, 0) for one in educations])


@lru_cache(maxsize=1)
def _least_ages() -> Mapping[str, int]:
    return tomllib.loads(LEAST_AGES.read_text(encoding="utf-8"))
