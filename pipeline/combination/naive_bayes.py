"""Naive Bayes: the base rate times the lift of every map.

Belongs here: the product with every exponent 1. Does not belong here: tempered products and tau models.
"""

from __future__ import annotations

import numpy as np

from pipeline.combination.factors import compile_factors, safe_log
from pipeline.combination.problem import Combined, ElicitedMap, Floats, Problem


def naive_bayes(problem: Problem) -> Combined:
    """Multiply the base map by each map's lift over it (Bordley 1982; the tau model of Journel 2002 with tau 1).

    Exact if the parents are independent given the dimension; otherwise it counts shared information repeatedly.
    A two-way map contributes only what its one-way maps do not say, p(k|a,b) base(k) / (p(k|a) p(k|b)), so that a
    pair counts once (Kirkwood 1935).
    """
    base = safe_log(problem.base.p)
    mains = {m.given[0]: safe_log(m.p) - base for m in problem.one_way}
    logs = [(m.given, mains[m.given[0]]) for m in problem.one_way]
    logs += [(m.given, _interaction(m, base, mains)) for m in problem.higher]
    return compile_factors(problem, [((), base), *logs])


def _interaction(pair: ElicitedMap, base: Floats, mains: dict[str, Floats]) -> Floats:
    result = safe_log(pair.p) - base
    for axis, parent in enumerate(pair.given):
        if parent in mains:
            shape = np.ones(pair.p.ndim, dtype=int)
            shape[axis], shape[-1] = pair.p.shape[axis], pair.p.shape[-1]
            result = result - mains[parent].reshape(shape)
    return np.asarray(result)
