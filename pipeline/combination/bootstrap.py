"""Intervals for scores over maps, by resampling conditions.

Belongs here: the bootstrap alone. Does not belong here: what is scored, and what follows from an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.combination.problem import Floats

REPLICATES = 1_000
LEVEL = 0.95
SEED = 20261101


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with the bounds of its 95 % percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Resamples:
    """How often each condition of each map is drawn, (replicates, C) per map; replicate 0 is the sample itself.

    Conditions are the clusters in which scores come: everything below them, the people of a condition included, varies
    with them, so resampling them alone gives the variance of the whole (ultimate clusters, Kalton 1979; bootstrap
    of clusters, Field & Welsh 2007). The same draws serve every strategy, which makes their differences paired.
    """

    counts: tuple[Floats, ...]

    @staticmethod
    def of(masses: Sequence[Floats], replicates: int = REPLICATES, seed: int = SEED) -> Resamples:
        """Draw with replacement among the conditions of each map that hold anybody; `masses` are flat, (C,)."""
        rng = np.random.default_rng(seed)
        counts = []
        for mass in masses:
            live = (mass > 0).astype(np.float64)
            size = int(live.sum())
            drawn = rng.multinomial(size, live / live.sum(), replicates).astype(np.float64)
            counts.append(np.vstack([live, drawn]))
        return Resamples(tuple(counts))

    def means(self, masses: Sequence[Floats], scores: Sequence[Floats]) -> Floats:
        """Mean over maps of the mass-weighted mean score, per replicate, (1 + replicates,)."""
        total = np.zeros(len(self.counts[0]))
        for counts, mass, score in zip(self.counts, masses, scores, strict=True):
            weight = counts * mass
            total += (weight @ score) / np.maximum(weight.sum(axis=1), 1e-300)
        return total / len(self.counts)


def interval(replicates: Floats) -> Interval:
    """Value (replicate 0) and percentile bounds of the others."""
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(replicates[1:], [tail, 100 - tail])
    return Interval(float(replicates[0]), float(low), float(high))
