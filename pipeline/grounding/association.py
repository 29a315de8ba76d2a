"""How strongly two columns go together: Cramer's V among respondents and among personas, pair by pair.

Does not belong here: recoding (`crosswalk`), comparing more than two columns at once (`two_sample`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipeline.combination.bootstrap import Interval
from pipeline.combination.problem import Floats
from pipeline.grounding.crosswalk import Crosswalk, People

REPLICATES = 200
NORMAL = 1.959964
"""Standard deviations on either side of 95 % of a normal distribution."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair of dimensions: V among respondents and personas, and personas less respondents.

    `edge` is whether one of the two is a parent of the other; without an edge the catalogue has them independent given
    what else they depend on. `exact` is whether both columns match exactly.
    """

    first: str
    second: str
    edge: bool
    exact: bool
    people: int
    respondents: Interval
    personas: Interval
    difference: Interval


def pair_rows(walk: Crosswalk, asked: People, made: People) -> list[PairRow]:
    """All pairs of columns, the largest difference first. Of each pair those people count who have both columns."""
    found = []
    for i, j in combinations(range(len(walk.columns)), 2):
        first, second = walk.columns[i], walk.columns[j]
        if _nested(walk, i, j):
            continue
        sizes = (len(first.categories), len(second.categories))
        seed = 1_000 * i + j
        v_asked, sd_asked = _v_with_error(contingency(asked.of([i, j]), sizes), seed)
        v_made, sd_made = _v_with_error(contingency(made.of([i, j]), sizes), seed + 1)
        found.append(
            PairRow(
                first.id,
                second.id,
                first.id in second.dimension.parents or second.id in first.dimension.parents,
                first.exact and second.exact,
                len(asked.of([i, j])),
                _interval(v_asked, sd_asked, 0.0),
                _interval(v_made, sd_made, 0.0),
                _interval(v_made - v_asked, float(np.hypot(sd_asked, sd_made)), -1.0),
            )
        )
    return sorted(found, key=lambda row: -abs(row.difference.value))


def contingency(people: People, sizes: tuple[int, int]) -> Floats:
    """Weighted counts of two columns, (R, C), scaled to the effective number of people (Kish 1965)."""
    index = np.ravel_multi_index((people.codes[:, 0], people.codes[:, 1]), sizes)
    counts = np.bincount(index, people.weights, sizes[0] * sizes[1]).reshape(sizes)
    return np.asarray(counts * effective(people.weights) / people.weights.sum())


def effective(weights: Floats) -> float:
    """Effective number of people behind weights: squared sum over sum of squares; 0 of nobody."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def cramers_v(counts: Floats) -> float:
    """Cramer's V of a table of counts, 0 to 1, corrected for bias (Bergsma 2013); 0 if a side is constant."""
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    n, (rows, columns) = counts.sum(), counts.shape
    if min(rows, columns) < 2 or n <= 1:
        return 0.0
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n
    phi = ((counts - expected) ** 2 / expected).sum() / n - (rows - 1) * (columns - 1) / (n - 1)
    least = min(size - (size - 1) ** 2 / (n - 1) for size in (rows, columns)) - 1
    return float(np.sqrt(max(phi, 0.0) / least)) if least > 0 else 0.0


def _nested(walk: Crosswalk, i: int, j: int) -> bool:
    """Whether one column says of whom the other is told at all, so that they are no pair of their own."""
    first, second = walk.columns[i], walk.columns[j]
    return first.id in second.source.get("among", {}) or second.id in first.source.get("among", {})


def _v_with_error(counts: Floats, seed: int) -> tuple[float, float]:
    """V and its standard error over resampled tables."""
    n = round(float(counts.sum()))
    draws = np.random.default_rng(seed).multinomial(n, counts.ravel() / counts.sum(), REPLICATES)
    values = [cramers_v(draw.reshape(counts.shape).astype(float)) for draw in draws]
    return cramers_v(counts), float(np.std(values, ddof=1))


def _interval(value: float, error: float, least: float) -> Interval:
    """A normal interval: resampled tables have V too large on average, so that their percentiles would be off."""
    return Interval(value, max(value - NORMAL * error, least), min(value + NORMAL * error, 1.0))
