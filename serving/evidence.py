"""Evidence as users write it, read and checked: a likelihood for each dimension that something is known of.

Here belong the spellings (a category, several, a range) and their errors. What is done with them is
`serving.conditions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from serving import ages
from serving.snapshot import Snapshot, SnapshotDimension
from warehouse.errors import SamplingError

RANGE = ".."
OLDEST = 150
LARGEST = 1e30  # likelihood that is taken

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Likelihoods by dimension id, each from 0 to 1 with a largest of at most 1; hashable, as bounds are kept by it.

    `years` are the spans of exact ages, both ends included, that evidence on `age` allows, if it names any.
    """

    likelihoods: tuple[tuple[str, tuple[float, ...]], ...] = ()
    years: ages.Spans = ()

    @property
    def vectors(self) -> dict[str, Floats]:
        """Likelihoods as arrays, f64 (categories,)."""
        return {name: np.array(values) for name, values in self.likelihoods}

    def joined(self, other: Evidence) -> Evidence:
        """Both together; what speaks of the same dimension is multiplied."""
        vectors = self.vectors
        for name, values in other.vectors.items():
            vectors[name] = vectors[name] * values if name in vectors else values
        return Evidence(_frozen(vectors), self.years or other.years)


def evidence_of(vectors: Mapping[str, Floats]) -> Evidence:
    """Evidence from likelihoods by dimension id."""
    return Evidence(_frozen(vectors))


def tells_years(name: str, value: Any) -> bool:
    """Whether a condition on this dimension is one on exact ages, which only evidence can be."""
    return name == ages.AGE and bool(_spans(value))


def read_evidence(snapshot: Snapshot, hard: Mapping[str, Any], soft: Mapping[str, Mapping[str, float]]) -> Evidence:
    """Read both kinds of evidence; SamplingError names what is unknown or cannot be."""
    vectors: dict[str, Floats] = {}
    years: ages.Spans = ()
    for name, value in hard.items():
        dimension = snapshot.dimension(name)
        if name == ages.AGE and (spans := _spans(value)):
            years = spans
            vectors[name] = _share_of_bands(snapshot, spans)
        else:
            vectors[name] = _hard(dimension, value)
    for name, values in soft.items():
        vectors[name] = _soft(snapshot.dimension(name), values)
    if ages.years_of(snapshot, years):
        # It is evidence on all of these together, so that all must be drawn with it.
        for needed in ages.needs(snapshot):
            vectors.setdefault(needed, np.ones(len(snapshot.dimension(needed).categories)))
    return Evidence(_frozen(vectors), years)


def _frozen(vectors: Mapping[str, Floats]) -> tuple[tuple[str, tuple[float, ...]], ...]:
    return tuple(sorted((name, tuple(values.tolist())) for name, values in vectors.items()))


def _hard(dimension: SnapshotDimension, value: Any) -> Floats:
    likelihood = np.zeros(len(dimension.categories))
    values = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else None
    if values is None or isinstance(value, Mapping) or not all(isinstance(one, str) for one in values):
        raise SamplingError(
            f"evidence on {dimension.id!r} must be a category, a list of some, or a range of an ordinal dimension, "
            f"not {value!r}",
            about=dimension.id,
            allowed=dimension.categories,
        )
    if not values:
        raise SamplingError(
            f"evidence on {dimension.id!r} allows no category: name one at least",
            about=dimension.id,
            allowed=dimension.categories,
        )
    for one in values:
        if RANGE not in one:
            likelihood[dimension.code(one)] = 1.0
            continue
        if not dimension.ordinal:
            raise SamplingError(
                f"dimension {dimension.id!r} has no order: list its categories instead of {one!r}",
                about=dimension.id,
                allowed=dimension.categories,
            )
        low, _, high = one.partition(RANGE)
        first = dimension.code(low) if low else 0
        last = dimension.code(high) if high else len(dimension.categories) - 1
        if last < first:
            raise SamplingError(
                f"the range {one!r} of {dimension.id!r} is empty: turn it round",
                about=dimension.id,
                allowed=dimension.categories,
            )
        likelihood[first : last + 1] = 1.0
    return likelihood


def _soft(dimension: SnapshotDimension, values: Mapping[str, float]) -> Floats:
    likelihood = np.zeros(len(dimension.categories))
    for category, value in _pairs(dimension, values):
        if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 <= _float(value) <= LARGEST:
            raise SamplingError(
                f"the likelihood of {dimension.id}={category} must be a number from 0 to {LARGEST:g}, not {value!r}",
                about=dimension.id,
            )
        likelihood[dimension.code(category)] = value
    if likelihood.max(initial=0.0) == 0:
        raise SamplingError(
            f"the likelihood on {dimension.id!r} allows no category: give one a positive number",
            about=dimension.id,
            allowed=dimension.categories,
        )
    return np.asarray(likelihood / likelihood.max())


def _float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _pairs(dimension: SnapshotDimension, values: Any) -> list[tuple[str, Any]]:
    if not isinstance(values, Mapping):
        raise SamplingError(
            f"{dimension.id!r} needs a number for each category, such as {{'x': 0.3}}, not {values!r}",
            about=dimension.id,
            allowed=dimension.categories,
        )
    return list(values.items())


def _spans(value: Any) -> ages.Spans:
    """Spans of exact ages; none for what names bands, or nothing at all."""
    if isinstance(value, list | tuple | set | frozenset):
        spans = [_span(one) for one in value]
        if any(spans) and not all(spans):
            raise SamplingError(f"evidence on 'age' mixes years and bands: {value!r}; name one kind only", about="age")
        return tuple(sorted(span for span in spans if span))
    span = _span(value)
    return (span,) if span else ()


def _span(value: Any) -> tuple[int, int] | None:
    """First and last year of a range of exact ages; None for what is no such range."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value), int(value)
    if isinstance(value, range):
        if value.step != 1 or not value:
            raise SamplingError(f"ages must be a range without gaps that holds some, not {value!r}", about="age")
        return value.start, value.stop - 1
    if not isinstance(value, str):
        return None
    low, dots, high = value.partition(RANGE)
    years = [text for text in (low, high) if text]
    if not years or not all(text.isascii() and text.isdecimal() for text in years):
        return None
    first, last = (int(text.lstrip("0")[:9] or 0) if text else None for text in (low, high))
    first = 0 if first is None else first
    last = (OLDEST if dots else first) if last is None else last
    if last < first:
        raise SamplingError(f"the range of ages {value[:40]!r} is empty: turn it round", about="age")
    return first, last


def _share_of_bands(snapshot: Snapshot, spans: ages.Spans) -> Floats:
    """The part of each age band that lies within these years, among the people of whom it is largest."""
    share = ages.shares_of(snapshot, spans)
    share = share.reshape(len(share), -1).max(axis=1)
    if share.max() == 0:
        said = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in spans)
        years = ages.bands_of(snapshot).values
        raise SamplingError(
            f"nobody is {said} years old: ages go from {int(years[0])} to {int(years[-1])}",
            about=ages.AGE,
            allowed=snapshot.dimension(ages.AGE).categories,
        )
    return np.asarray(share)
