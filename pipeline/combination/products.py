"""Products of lifts over the base map: naive Bayes and the tau models that temper it.

Belongs here: base times powers of each map's lift. Does not belong here: products of whole maps (`controls`), fits
that account for overlap exactly (`max_entropy`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.combination.evaluated import tuned
from pipeline.combination.factors import compile_factors, safe_log
from pipeline.combination.information import map_information, overlap
from pipeline.combination.problem import Combined, ElicitedMap, Floats, Problem


def naive_bayes(problem: Problem) -> Combined:
    """Multiply the base map by each map's lift over it (Bordley 1982; the tau model of Journel 2002 with tau 1).

    Exact if the parents are independent given the dimension; otherwise it counts shared information repeatedly.
    A two-way map contributes only what its one-way maps do not say, p(k|a,b) base(k) / (p(k|a) p(k|b)), so that a
    pair counts once (Kirkwood 1935).
    """
    return _product(problem, dict.fromkeys(problem.parents, 1.0))


def tempered_product(problem: Problem) -> Combined:
    """Naive Bayes with one exponent tau for all lifts (Journel 2002; Allard, Comunian & Renard 2012).

    Tau is tuned on the one-way maps: below 1 where the parents overlap.
    """
    tau = tuned(problem, lambda t: _product(problem, dict.fromkeys(problem.parents, t)), 0.0, 1.5)
    return _product(problem, dict.fromkeys(problem.parents, tau))


def tau_redundancy(problem: Problem) -> Combined:
    """Naive Bayes with an exponent per parent that falls with what others say already (Krishnan 2008's reading of tau).

    tau_i = 1 / (1 + sum over the other parents j of overlap(i, j) min(1, I_j / I_i)): two copies of one parent get one
    half each, and a parent that tells little takes little from one that tells much.
    """
    nats = {m.given[0]: map_information(problem, m) for m in problem.one_way}
    taus = {}
    for i, parent in enumerate(problem.parents):
        own = max(nats.get(parent, 0.0), 1e-12)
        shared = sum(
            overlap(problem.reference, i, j) * min(1.0, nats.get(other, 0.0) / own)
            for j, other in enumerate(problem.parents)
            if j != i
        )
        taus[parent] = 1 / (1 + shared)
    return _product(problem, taus)


def _product(problem: Problem, taus: Mapping[str, float]) -> Combined:
    """Base times lifts to the power of their parent's tau; an interaction takes the smaller tau of its two."""
    base = safe_log(problem.base.p)
    mains = {m.given[0]: safe_log(m.p) - base for m in problem.one_way}
    logs = [(m.given, taus[m.given[0]] * mains[m.given[0]]) for m in problem.one_way]
    logs += [(m.given, min(taus[p] for p in m.given) * _interaction(m, base, mains)) for m in problem.higher]
    return compile_factors(problem, [((), base), *logs])


def _interaction(pair: ElicitedMap, base: Floats, mains: Mapping[str, Floats]) -> Floats:
    result = safe_log(pair.p) - base
    for axis, parent in enumerate(pair.given):
        if parent in mains:
            shape = np.ones(pair.p.ndim, dtype=int)
            shape[axis], shape[-1] = pair.p.shape[axis], pair.p.shape[-1]
            result = result - mains[parent].reshape(shape)
    return np.asarray(result)
