"""Latent shift: ordinal dimensions as cut points on a normal scale that parents move people along.

Belongs here: the one strategy that needs an order of the categories. Does not belong here: anything for nominal ones.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from pipeline.combination.additive import joint_effects
from pipeline.combination.controls import base_only
from pipeline.combination.evaluated import Evaluated
from pipeline.combination.people import collapse
from pipeline.combination.problem import Codes, Combined, ElicitedMap, Floats, Problem, StrategyDeclinedError

EDGE = 1e-6
BISECTIONS = 50
FARTHEST = 12.0


def latent_shift(problem: Problem) -> Combined:
    """Add up the parents' shifts of a latent normal variable cut into the ordered categories (McCullagh 1980).

    Each one-way map says how far its conditions lie from the base on the probit scale. Shifts of overlapping parents
    are not simply added: they are solved for jointly, so that the mean total shift under every condition is the one
    its own map shows (backfitting of an additive model, Buja, Hastie & Tibshirani 1989), and the cut points are moved
    until the base rate holds. Two-way maps are not used.

    Raises:
        StrategyDeclinedError: If the dimension is nominal: its categories lie on no scale.
    """
    if not problem.ordinal:
        raise StrategyDeclinedError(f"{problem.dimension}: latent_shift needs ordered categories, these are nominal")
    if not problem.one_way or len(problem.categories) < 2:
        return base_only(problem)
    effects = joint_effects(problem, [_own_shift(problem, m) for m in problem.one_way])
    shifts = {m.given[0]: effect for m, effect in zip(problem.one_way, effects, strict=True)}

    def total(codes: Codes) -> Floats:
        return np.asarray(sum(s[codes[:, problem.parents.index(p)]] for p, s in shifts.items()))

    people = collapse(problem)
    cuts = _cut_points(problem.base.p, total(people.codes), people.weights)

    def weigh(codes: Codes) -> Floats:
        below = ndtr(cuts[np.newaxis] - total(codes)[:, np.newaxis])
        edges = np.column_stack([np.zeros(len(codes)), below, np.ones(len(codes))])
        return np.asarray(np.diff(edges, axis=1))

    return Evaluated(problem, weigh)


def _own_shift(problem: Problem, one: ElicitedMap) -> Floats:
    """Mean distance of each condition's cut points from the base's, weighted by the normal density there, (C,)."""
    base = ndtri(np.clip(np.cumsum(problem.base.p)[:-1], EDGE, 1 - EDGE))
    rows = ndtri(np.clip(np.cumsum(one.p, axis=1)[:, :-1], EDGE, 1 - EDGE))
    density = np.exp(-0.5 * np.square(base))
    return np.asarray(((base - rows) * density).sum(axis=1) / density.sum())


def _cut_points(base: Floats, shift: Floats, weights: Floats) -> Floats:
    """Cut points for which people with these shifts have the base rate, by bisection, (K - 1,)."""
    wanted = np.clip(np.cumsum(base)[:-1], EDGE, 1 - EDGE)
    low, high = np.full(len(wanted), -FARTHEST), np.full(len(wanted), FARTHEST)
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        share = weights @ ndtr(middle[np.newaxis] - shift[:, np.newaxis])
        low, high = np.where(share < wanted, middle, low), np.where(share < wanted, high, middle)
    return np.asarray(0.5 * (low + high))
