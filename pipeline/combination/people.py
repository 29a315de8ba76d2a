"""The reference population as arrays that fits run over, and maps laid flat beside it.

Belongs here: collapsing equal people, numbering conditions, flat tables. Does not belong here: fitting, or drawing the
population (`reference`).

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


def collapse(problem: Problem) -> People:
    """Collapse the reference population into weighted distinct rows."""
    if math.prod(problem.sizes) < np.iinfo(np.intp).max:  # one integer can number every combination of the parents
        keys = cells(problem, problem.parents, problem.reference)
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        codes = problem.reference[first]
    else:
        codes, counts = np.unique(problem.reference, axis=0, return_counts=True)
    return People(codes, counts / counts.sum(), problem.allowed_rows(codes))


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
