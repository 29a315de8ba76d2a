"""Which two-way maps are worth asking for, told from the one-way maps alone, before any answer is bought.

Belongs here: the forecast. Does not belong here: rendering or sending requests, and the catalogue's choice of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipeline.combination.additive import joint_effects
from pipeline.combination.evaluated import Evaluated
from pipeline.combination.max_entropy import main_margins, max_entropy
from pipeline.combination.people import collapse
from pipeline.combination.problem import Codes, Floats, Problem
from pipeline.combination.raking import rake
from pipeline.combination.scores import implied_map, jensen_shannon


@dataclass(frozen=True, slots=True)
class PairWorth:
    """A pair of parents and what its two-way map is expected to be worth.

    Attributes:
        pair: The parents.
        cells: Figures that an answer has to give: what it costs.
        disagreement: Jensen-Shannon divergence in nats between two predictions of the map, by which pairs are ranked.
    """

    pair: tuple[str, str]
    cells: int
    disagreement: float


def pair_worth(problem: Problem) -> tuple[PairWorth, ...]:
    """Rank all pairs of parents by how far two additive models disagree about their two-way map, most first.

    One-way maps do not say on which scale effects add up: a product of lifts (log scale) and a sum of differences
    (probability scale) fit them equally well, and an interaction on one scale is none on the other (Loftus 1978).
    Where both predict the same two-way map there is little to learn; where they differ only an answer can tell (query
    by committee, Seung, Opper & Sompolinsky 1992). Needs the one-way maps and the reference population, no answer.

    A dimension with fewer than two one-way maps has no pairs.
    """
    maps = {m.given[0]: m for m in problem.one_way}
    if len(maps) < 2:
        return ()
    people = collapse(problem)
    products = max_entropy(problem).probabilities(people.codes)
    # The sum is cut off at 0 and must be brought back to the one-way maps, or their misfit would count as disagreement.
    margins = main_margins(problem, people)
    sums = rake(people.weights, _additive(problem).probabilities(people.codes), margins, tolerance=1e-5).table
    found = []
    for pair in combinations(maps, 2):
        columns, sizes = problem.columns_of(pair), problem.shape_of(pair)[:-1]
        first, mass = implied_map(people.codes, products, columns, sizes, people.weights)
        second, _ = implied_map(people.codes, sums, columns, sizes, people.weights)
        apart = float((mass * np.where(mass > 0, jensen_shannon(first, second), 0.0)).sum())
        found.append(PairWorth(pair, first.size, apart))
    return tuple(sorted(found, key=lambda w: (-w.disagreement, w.pair)))


def _additive(problem: Problem) -> Evaluated:
    """Base rate plus a difference per parent, on the probability scale."""
    base = problem.base.p
    effects = joint_effects(problem, [m.p - base for m in problem.one_way])
    parents = [m.given[0] for m in problem.one_way]

    def weigh(codes: Codes) -> Floats:
        total = np.tile(base, (len(codes), 1))
        for parent, effect in zip(parents, effects, strict=True):
            total += effect[codes[:, problem.parents.index(parent)]]
        return np.asarray(total)

    return Evaluated(problem, weigh)
