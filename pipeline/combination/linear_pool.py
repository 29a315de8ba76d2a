"""Linear opinion pool of the maps: the average of what each map says alone.

Belongs here: the pool and the mixture model it compiles to. Does not belong here: weighted pools.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.combination.problem import Codes, Combined, Floats, Problem, normalised_rows


@dataclass(frozen=True, slots=True, eq=False)
class MixtureModel:
    """P(k | x) as a weighted mean of maps, with structural zeros applied to the mean.

    Evaluated in trials only: a mean of tables is not a product of factors, so a snapshot cannot store it.

    Attributes:
        problem: Supplies the parents' column order and the structural zeros.
        parts: Pairs (weight, map values (*sizes of given, K)) by given.
    """

    problem: Problem
    parts: tuple[tuple[float, tuple[str, ...], Floats], ...]

    def probabilities(self, codes: Codes) -> Floats:
        """Return the distribution for each row of parent codes: (n, P) uint8 to (n, K), rows summing to 1."""
        total = np.zeros((len(codes), len(self.problem.categories)))
        for weight, given, values in self.parts:
            total += weight * values[tuple(codes[:, c] for c in self.problem.columns_of(given))]
        return normalised_rows(np.where(self.problem.allowed_rows(codes), total, 0.0), self.problem.dimension)


def linear_pool(problem: Problem) -> Combined:
    """Average all one-way and two-way maps with equal weights (Stone 1961; Genest & Zidek 1986).

    Keeps the margins' average but washes out: no row is ever more decided than its most decided map. A dimension
    without parents gets its base map. The average of maps without structural zeros keeps some mass on them, so
    forbidden categories are removed and the row is scaled to 1.
    """
    maps = problem.maps or (problem.base,)
    return MixtureModel(problem, tuple((1 / len(maps), m.given, m.p) for m in maps))
