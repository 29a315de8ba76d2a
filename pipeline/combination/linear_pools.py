"""Averages of the maps: linear pools, their sharpened form, and the backing-off chain.

Belongs here: combinations that add probabilities. None of them is a product of tables: one that wins is served through
`evaluated.projected`. Does not belong here: geometric means (`log_pools`), products of lifts (`products`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc

from pipeline.combination.controls import base_only
from pipeline.combination.evaluated import Evaluated, tuned
from pipeline.combination.factors import PROBABILITY_FLOOR
from pipeline.combination.information import information_shares, map_information
from pipeline.combination.problem import Codes, Combined, Floats, Problem

SHARPEST = 12.0
"""Largest first parameter of the beta transform; at 12 a pooled lift of 1.1 is already decisive."""

BACKOFF_RANGE = (0.05, 0.95)


def linear_pool(problem: Problem) -> Combined:
    """Average all one-way and two-way maps with equal weights (Stone 1961; Genest & Zidek 1986).

    Keeps the margins' average but washes out: no row is ever more decided than its most decided map.
    """
    if not problem.maps:
        return base_only(problem)
    shares = [1 / len(problem.maps)] * len(problem.maps)
    return Evaluated(problem, lambda codes: _pool(problem, shares, codes))


def linear_pool_information(problem: Problem) -> Combined:
    """Average all maps with weights proportional to what each tells (the mixture transition model, Raftery 1985)."""
    if not problem.maps:
        return base_only(problem)
    shares = information_shares(problem)
    return Evaluated(problem, lambda codes: _pool(problem, shares, codes))


def beta_linear_pool(problem: Problem) -> Combined:
    """Sharpen the information-weighted pool by a beta distribution function (Ranjan & Gneiting 2010).

    A linear pool is underconfident; for one event they transform it by a beta distribution function. Here each
    category is an event: its second parameter is solved so that the base rate stays where it is, and the first,
    the same for all, is tuned on the one-way maps.
    """
    if not problem.maps:
        return base_only(problem)
    shares = information_shares(problem)

    def sharpened(first: float) -> Evaluated:
        second = np.array([_fixed_point(first, float(b)) for b in problem.base.p])
        return Evaluated(
            problem, lambda codes: np.asarray(betainc(first, second, np.clip(_pool(problem, shares, codes), 0, 1)))
        )

    return sharpened(tuned(problem, sharpened, 1.0, SHARPEST))


def backoff(problem: Problem) -> Combined:
    """Interpolate along a chain, the map that tells most first, the base map last (Jelinek & Mercer 1980).

    Every map gets the same share of what those before it left; that share is tuned on the one-way maps.
    """
    if not problem.maps:
        return base_only(problem)
    order = sorted(range(len(problem.maps)), key=lambda i: -map_information(problem, problem.maps[i]))

    def chain(share: float) -> Evaluated:
        shares = [0.0] * len(order)
        for rank, i in enumerate(order):
            shares[i] = share * (1 - share) ** rank
        rest = (1 - share) ** len(order)
        return Evaluated(problem, lambda codes: _pool(problem, shares, codes) + rest * problem.base.p)

    return chain(tuned(problem, chain, *BACKOFF_RANGE))


def _pool(problem: Problem, shares: Sequence[float], codes: Codes) -> Floats:
    total = np.zeros((len(codes), len(problem.categories)))
    for share, one in zip(shares, problem.maps, strict=True):
        total += share * one.p[tuple(codes[:, c] for c in problem.columns_of(one.given))]
    return total


def _fixed_point(first: float, rate: float) -> float:
    """Second parameter for which the beta distribution function maps `rate` to itself."""
    rate = min(max(rate, PROBABILITY_FLOOR), 1 - PROBABILITY_FLOOR)
    low, high = 1e-6, 1.0
    while betainc(first, high, rate) < rate:
        high *= 4
    return float(brentq(lambda b: betainc(first, b, rate) - rate, low, high, xtol=1e-9))
