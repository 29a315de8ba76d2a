"""The reference population as arrays that fits run over, and maps laid flat beside it.

Belongs here: collapsing equal people, thinning them, numbering conditions, flat tables. Does not belong here: fitting,
or drawing the population (`reference`).

Tables here are flat: a map over m parents is (C, K) with C the product of the parents' sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.combination.factors import PROBABILITY_FLOOR
from pipeline.combination.problem import Bools, Codes, ElicitedMap, Floats, Given, Problem

Cells = NDArray[np.intp]

FEW, MANY = 20_000, 40_000
"""Rows that a fit runs over at most: one of many that are compared, and one that is likely to be served."""


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Weighted distinct rows of the reference population.

    Attributes:
        codes: Distinct parent codes, shape (rows, P).
        weights: Their share of the population, summing to 1.
        allowed: Categories each may take, shape (rows, K).
    """

    codes: Codes
    weights: Floats
    allowed: Bools


def collapse(problem: Problem, most: int = FEW) -> People:
    """Collapse the reference population into weighted distinct rows, thinned to about `most` if there are more."""
    if math.prod(problem.sizes) < np.iinfo(np.intp).max:  # one integer can number every combination of the parents
        keys = cells(problem, problem.parents, problem.reference)
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        codes = problem.reference[first]
    else:
        codes, counts = np.unique(problem.reference, axis=0, return_counts=True)
    weights = counts / counts.sum()
    if len(codes) > most:
        codes, weights = _thinned(problem, codes, weights, most)
    return People(codes, weights, problem.allowed_rows(codes))


def _thinned(problem: Problem, codes: Codes, shares: Floats, most: int) -> tuple[Codes, Floats]:
    """At most `most` of these rows, and weights that let them stand for all.

    A factor of a small group is fitted to what few people the group has among the rows, and fits others of the group
    the less. So rows are drawn systematically with probability proportional to a size (Madow 1949), and weighted by
    one over it (Horvitz & Thompson 1952): the size is the mean, over the maps, of the share that a row would have if
    all conditions of a map were equally frequent. The rows are in lexicographic order, which stratifies the draw.
    """
    sizes = shares.copy()
    for one in problem.maps:
        where = cells(problem, one.given, codes)
        mass = np.bincount(where, shares)
        sizes += shares / (np.count_nonzero(mass) * mass[where])
    chances = sizes / sizes.sum() * most
    drawn = np.unique(np.searchsorted(np.cumsum(chances), np.arange(most) + 0.5).clip(max=len(codes) - 1))
    weights = shares[drawn] / np.minimum(chances[drawn], 1.0)
    return codes[drawn], weights / weights.sum()


def cells(problem: Problem, given: Given, codes: Codes) -> Cells:
    """Return the flat condition index of each row of parent codes."""
    if not given:
        return np.zeros(len(codes), dtype=np.intp)
    index: Cells = np.ravel_multi_index(
        tuple(codes[:, c].astype(np.intp) for c in problem.columns_of(given)), problem.shape_of(given)[:-1]
    )
    return index


def flat_map(problem: Problem, one: ElicitedMap) -> Floats:
    """Return a map as (C, K) with structural zeros applied and every other entry positive."""
    k = len(problem.categories)
    allowed = problem.allowed_given(one.given).reshape(-1, k)
    table = np.where(allowed, np.maximum(one.p.reshape(-1, k), PROBABILITY_FLOOR), 0.0)
    result: Floats = table / np.maximum(table.sum(axis=1, keepdims=True), PROBABILITY_FLOOR)
    return result
