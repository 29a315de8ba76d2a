"""Controls and the simplest answers: what the strategies are compared with.

Belongs here: combinations that use one map, or all of them wrongly. Does not belong here: anything meant to be good.
"""

from __future__ import annotations

import numpy as np

from pipeline.combination.factors import compile_factors, safe_log
from pipeline.combination.information import map_information
from pipeline.combination.problem import Combined, Problem


def base_only(problem: Problem) -> Combined:
    """Give everybody the base map: the control that knows nothing of anybody (climatology, Murphy 1973)."""
    return compile_factors(problem, [((), safe_log(problem.base.p))])


def strongest_parent(problem: Problem) -> Combined:
    """Use the one-way map that tells most and forget the others (one rule, Holte 1993)."""
    if not problem.one_way:
        return base_only(problem)
    best = max(problem.one_way, key=lambda m: map_information(problem, m))
    return compile_factors(problem, [((), np.zeros(len(problem.categories))), (best.given, safe_log(best.p))])


def raw_product(problem: Problem) -> Combined:
    """Multiply all maps as they are: the control that shows the failure.

    The product of experts with equal exponents (Hinton 2002) counts the base rate once per map, so that common
    categories swallow rare ones.
    """
    if not problem.maps:
        return base_only(problem)
    logs = [(m.given, safe_log(m.p)) for m in problem.maps]
    return compile_factors(problem, [((), np.zeros(len(problem.categories))), *logs])
