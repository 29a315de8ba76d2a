"""Geometric means of the maps: logarithmic opinion pools.

Belongs here: pools across givens. Does not belong here: pooling one map across models, which is `pooling`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.combination.controls import base_only
from pipeline.combination.factors import compile_factors, safe_log
from pipeline.combination.information import information_shares
from pipeline.combination.problem import Combined, Problem


def log_pool(problem: Problem) -> Combined:
    """Take the geometric mean of all one-way and two-way maps with equal weights (Genest & Zidek 1986).

    Externally Bayesian and never compounding, but it underuses maps that speak of different things.
    """
    return _log_pool(problem, [1 / len(problem.maps)] * len(problem.maps) if problem.maps else [])


def log_pool_information(problem: Problem) -> Combined:
    """Take the geometric mean with exponents proportional to what each map tells (Genest & Zidek 1986; the weights
    by mutual information follow Allard, Comunian & Renard 2012, who fit them to data).
    """
    return _log_pool(problem, information_shares(problem) if problem.maps else [])


def _log_pool(problem: Problem, shares: Sequence[float]) -> Combined:
    if not problem.maps:
        return base_only(problem)
    logs = [(m.given, share * safe_log(m.p)) for m, share in zip(problem.maps, shares, strict=True)]
    return compile_factors(problem, [((), np.zeros(len(problem.categories))), *logs])
