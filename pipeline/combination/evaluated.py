"""Combinations that are no product of tables, how they are tuned on the maps, and how they are served all the same.

Belongs here: the wrapper that applies structural zeros, the search for a strategy's one free constant, and the
projection onto factors. Does not belong here: any strategy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from pipeline.combination.factors import PROBABILITY_FLOOR, compile_factors, safe_log
from pipeline.combination.people import cells, collapse
from pipeline.combination.problem import Codes, Combined, Diagnostics, FactorModel, Floats, Problem, normalised_rows
from pipeline.combination.raking import Margin, rake
from pipeline.combination.scores import implied_map

TUNING_PEOPLE = 2_000
"""Reference people over whom a constant is tuned: its optimum is flat, and more change its second digit."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """P(k | x) as a function of the parents' codes; a snapshot stores its projection (see `projected`).

    Attributes:
        problem: Supplies the parents' column order and the structural zeros.
        weigh: Codes (n, P) to weights (n, K) >= 0 that need not sum to 1.
    """

    problem: Problem
    weigh: Callable[[Codes], Floats]

    def probabilities(self, codes: Codes) -> Floats:
        """Return the distribution for each row of parent codes: (n, P) uint8 to (n, K), rows summing to 1.

        Forbidden categories are removed and the row scaled to 1.
        """
        allowed = self.problem.allowed_rows(codes)
        weights = np.maximum(self.weigh(codes), PROBABILITY_FLOOR)
        return normalised_rows(np.where(allowed, weights, 0.0), self.problem.dimension)


def tuned(problem: Problem, build: Callable[[float], Combined], low: float, high: float) -> float:
    """Return the constant in [low, high] whose combination comes nearest to the one-way maps it was made from.

    Nearest in relative entropy of what it implies over the reference population, averaged over the maps. No data but
    the maps are needed, so a constant is never a matter of taste; rounded to three decimals, so that it reproduces.
    """
    codes = problem.reference[:TUNING_PEOPLE]

    def misfit(value: float) -> float:
        rows = build(value).probabilities(codes)
        total = 0.0
        for one in problem.one_way:
            implied, mass = implied_map(codes, rows, problem.columns_of(one.given), one.p.shape[:-1])
            ratio = safe_log(one.p) - safe_log(implied)
            total += float((mass[:, np.newaxis] * one.p * np.where(mass[:, np.newaxis] > 0, ratio, 0.0)).sum())
        return total

    if not problem.one_way:
        return round(low, 3)
    return round(float(minimize_scalar(misfit, bounds=(low, high), method="bounded", options={"xatol": 1e-3}).x), 3)


def projected(problem: Problem, combined: Combined) -> FactorModel:
    """Return the factor model nearest to a combination: what is served if a mixture or a latent scale wins.

    Of all products of a base and one table per map it is the maximum-likelihood one for people who behave as the
    combination says: its base rate, one-way and two-way maps over the reference population equal the combination's
    (iterative proportional fitting of a log-linear model, Deming & Stephan 1940). What a table of every parent at
    once would add is lost; sampling then costs no more than for any other strategy.
    """
    if isinstance(combined, FactorModel):
        return combined
    people = collapse(problem)
    rows = combined.probabilities(people.codes)
    givens = [(), *(m.given for m in problem.maps)]
    margins = []
    for given in givens:
        target, _ = implied_map(
            people.codes, rows, problem.columns_of(given), problem.shape_of(given)[:-1], people.weights
        )
        # What only other people than the reference's may have is no zero: a veto is for logic alone.
        flat = np.where(problem.allowed_given(given), np.maximum(target, PROBABILITY_FLOOR), 0.0)
        flat = flat.reshape(-1, target.shape[-1])
        margins.append(Margin(cells(problem, given, people.codes), flat))
    fit = rake(people.weights, people.allowed.astype(np.float64), margins, max_iterations=200, tolerance=1e-4)
    base = fit.logs[0][0].copy()
    tables = []
    for one, margin, log in zip(problem.maps, margins[1:], fit.logs[1:], strict=True):
        mass = np.bincount(margin.cells, people.weights, len(log)).astype(np.float64)
        finite = np.where(np.isfinite(log), log, 0.0)
        centre = mass @ finite / mass.sum()
        base = base + centre
        # A condition that no reference person meets gets the map's own lift, or nothing beyond its one-way maps.
        k = log.shape[1]
        own = safe_log(one.p.reshape(-1, k)) - safe_log(problem.base.p) if len(one.given) == 1 else np.zeros_like(log)
        table = np.where((mass > 0)[:, np.newaxis], log - centre, own)
        tables.append((one.given, table.reshape(problem.shape_of(one.given))))
    diagnostics = Diagnostics(fit.converged, fit.iterations, fit.residual, len(people.weights), 0.0)
    return compile_factors(problem, [((), base), *tables], diagnostics)
