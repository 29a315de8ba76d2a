"""Logarithmic opinion pool of the maps: their geometric mean.

Belongs here: the equally weighted pool. Does not belong here: pooling across models, which is `pooling`.
"""

from __future__ import annotations

import numpy as np

from pipeline.combination.factors import compile_factors, safe_log
from pipeline.combination.problem import Combined, Problem


def log_pool(problem: Problem) -> Combined:
    """Take the geometric mean of all one-way and two-way maps with equal weights (Genest & Zidek 1986).

    Externally Bayesian and never compounding, but it underuses maps that speak of different things. A dimension
    without parents gets its base map.
    """
    if not problem.maps:
        return compile_factors(problem, [((), safe_log(problem.base.p))])
    flat = np.zeros(len(problem.categories))
    weight = 1 / len(problem.maps)
    return compile_factors(problem, [((), flat), *((m.given, weight * safe_log(m.p)) for m in problem.maps)])
