"""Turning log tables into a stored factor model: structural zeros, scale and rounding.

Belongs here: what every multiplicative strategy needs at its end. Does not belong here: how the logs are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.combination.problem import Diagnostics, Factor, FactorModel, Floats, Given, Problem

LOG_LIMIT = float(np.log(1e12))
PROBABILITY_FLOOR = 1e-9
SIGNIFICANT_DIGITS = 4


def safe_log(p: Floats) -> Floats:
    """Return the log of `p` floored at 1e-9, so that a zero which no logic demands never becomes a veto."""
    result: Floats = np.log(np.maximum(p, PROBABILITY_FLOOR))
    return result


def compile_factors(
    problem: Problem,
    logs: Sequence[tuple[Given, Floats]],
    diagnostics: Diagnostics | None = None,
) -> FactorModel:
    """Build a factor model from log tables (given, (*sizes of given, K)), the first with given ().

    A row of a table may be shifted at will without changing any probability, so each row is centred to a mean
    of 0 under the base map, where all rows have comparable scale, and clipped to 1e-12 .. 1e12. Structural zeros
    become exact zeros: in the table whose given covers them, or else in a table of zeros and ones of their own.
    """
    factors = [Factor(given, _exponentiated(problem, given, table)) for given, table in logs]
    covered = [set(given) for given, _ in logs]
    for given, mask in problem.allowed:
        if not any(set(given) <= c for c in covered):
            factors.append(Factor(given, mask.astype(np.float64)))
    return FactorModel(problem.dimension, problem.parents, tuple(factors), diagnostics)


def rounded(model: FactorModel) -> FactorModel:
    """Return the model with factors rounded to 4 significant digits.

    It keeps files small and takes out differences in the last digits of a sum. What it adds, 1 in 10,000 of a
    probability, is a hundredth of an answer's uncertainty.
    """
    return replace(model, factors=tuple(replace(f, values=_round(f.values)) for f in model.factors))


def _exponentiated(problem: Problem, given: Given, table: Floats) -> Floats:
    allowed = problem.allowed_given(given) & (table > -np.inf)
    weight = np.where(allowed, np.maximum(problem.base.p, PROBABILITY_FLOOR), 0.0)
    finite = np.where(allowed, table, 0.0)
    centre = (weight * finite).sum(-1, keepdims=True) / np.maximum(weight.sum(-1, keepdims=True), PROBABILITY_FLOOR)
    result: Floats = np.where(allowed, np.exp(np.clip(finite - centre, -LOG_LIMIT, LOG_LIMIT)), 0.0)
    return result


def _round(values: Floats) -> Floats:
    flat = [float(f"{v:.{SIGNIFICANT_DIGITS}g}") for v in values.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)
