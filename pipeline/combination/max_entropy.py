"""Maximum entropy: factors whose implied maps equal the elicited ones, exactly or as far as these can be trusted.

Belongs here: the two joint fits and their compilation into factors. Does not belong here: the solver of the exact one
(`raking`), the search for the shrunk one (`posterior`), how far maps can be trusted (`noise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.combination.factors import PROBABILITY_FLOOR, compile_factors
from pipeline.combination.noise import Scales
from pipeline.combination.people import MANY, Cells, People, cells, collapse, flat_map
from pipeline.combination.posterior import LEAST_MASS, Posterior
from pipeline.combination.problem import Diagnostics, ElicitedMap, FactorModel, Floats, Problem
from pipeline.combination.raking import Margin, rake

ROUGHLY = 10_000
"""Rows over which the search for the mode begins."""

FLAT_ENERGY = 1e-6
"""Mean square log-lift below which it makes no sense to ask which share of it was kept."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Constants of the shrunk fit.

    Attributes:
        scales: How noise and effects are estimated.
        guard: Total variation that the fitted base rate may lie from the elicited base map.
        doubt: Standard deviation in nats of the elicited base map's log probabilities above which it is not guarded;
            what a single answer is taken to be in doubt (`pooling.DEFAULT_SPREAD` and the least noise) lies below.
        max_rounds: Of the search for the mode, before it gives up.
    """

    scales: Scales = field(default_factory=Scales)
    guard: float = 0.01
    doubt: float = 0.18
    max_rounds: int = 100


def max_entropy(problem: Problem) -> FactorModel:
    """Fit P(k | x) proportional to base(k) * product of one factor per one-way map, to the maps as they are.

    Of all joints that have the reference population's parents and the given maps as margins, the one of maximum
    entropy has exactly this form (Jaynes 1957; Good 1963), and iterative proportional fitting finds it (Deming &
    Stephan 1940; Ireland & Kullback 1968). Overlapping maps are not counted twice, because a factor only adds what
    the others do not already imply. Each map is first raked to the base map, so that the margins agree; how far it can
    be trusted, and two-way maps, are ignored. A condition that no reference person meets gets the map's own lift.
    """
    people = collapse(problem, MANY)
    margins = main_margins(problem, people)
    fit = rake(people.weights, people.allowed.astype(np.float64), margins, max_iterations=300, tolerance=1e-5)
    base = margins[0].target[0]
    tables = []
    for one, margin, log in zip(problem.one_way, margins[1:], fit.logs[1:], strict=True):
        mass = np.bincount(margin.cells, people.weights, len(log)).astype(np.float64)
        own = _own_lift(flat_map(problem, one), mass)
        tables.append((one, np.where((mass > 0)[:, np.newaxis], log, own), mass))
    diagnostics = Diagnostics(
        fit.converged, fit.iterations, fit.residual, len(people.weights), _distance(base, problem)
    )
    return _compiled(problem, fit.logs[0][0], tables, diagnostics)


def max_entropy_shrunk(problem: Problem, settings: Settings = Settings()) -> FactorModel:  # frozen
    """Fit the same form, two-way maps included, to maps that may be wrong by as much as their spread says.

    Every map is a noisy reading of what the joint implies: its log probabilities have a variance (see
    `noise.noise_variances`) and the log factors a normal prior of mean 0 whose variance is estimated map by map
    (`noise.effect_variances`). The factors are the posterior mode. Where spread is small this is maximum entropy with
    all maps as margins; where it is large, factors shrink, and those that only serve to tell overlapping parents apart
    shrink most, since there the noise is multiplied. This is generalised raking with a penalty (Deville & Sarndal 1993)
    read as a hierarchical log-linear model (Good 1965; Gelman & Little 1997).

    One base rate is fitted to all maps, so that they agree on a consensus. It may not leave the elicited base map by
    more than `guard`, since personas are judged by their marginals, unless that map is itself in doubt: the joint is
    then moved to the nearest one whose base rate does not.

    Returns:
        The factor model; `diagnostics` tells whether it converged, and which share of each map's log-lift it kept. A
        condition that no reference person meets gets the map's own lift, shrunk as the rest of the map.
    """
    people = collapse(problem, MANY)
    posterior = Posterior.of(problem, people, settings.scales)
    start, before = posterior.outset(), 0
    if len(people.weights) > 2 * ROUGHLY:  # most of the way can be gone with some of the people
        start, before, _ = posterior.over(problem, collapse(problem, ROUGHLY)).solve(start, settings.max_rounds)
    solution, iterations, converged = posterior.solve(start, settings.max_rounds)
    elicited = _permitted(people, posterior.targets[0][0])
    fitted = posterior.implied(solution)[0][0]
    shift = 0.5 * float(np.abs(fitted - elicited).sum())
    if shift > settings.guard and posterior.doubt <= settings.doubt:
        solution = posterior.tilted(solution, elicited + settings.guard / shift * (fitted - elicited))
    base, logs = posterior.factors(solution)
    implied = posterior.implied(solution)
    tables = []
    kept = []
    for place, (one, log) in enumerate(zip(problem.maps, logs, strict=True), start=1):
        mass, target = posterior.masses[place], posterior.targets[place]
        own, now = _own_lift(target, mass), _own_lift(implied[place], mass)
        energy = float(mass @ (target * np.square(own)).sum(axis=1))
        shared = float(mass @ (target * own * now).sum(axis=1))
        share = float(np.clip(shared / energy, 0, 1)) if energy > FLAT_ENERGY else 1.0
        kept.append((one.given, share))
        lift = share * own if len(one.given) == 1 else np.zeros_like(own)
        tables.append((one, np.where((mass > 0)[:, np.newaxis], log, lift), mass))
    residual = max(
        0.5 * float((m[:, np.newaxis] * np.abs(i - t)).sum())
        for m, i, t in zip(posterior.masses, implied, posterior.targets, strict=True)
    )
    diagnostics = Diagnostics(
        converged,
        before + iterations,
        residual,
        len(people.weights),
        0.5 * float(np.abs(implied[0][0] - problem.base.p).sum()),
        tuple(kept),
    )
    return _compiled(problem, base, tables, diagnostics)


def main_margins(problem: Problem, people: People) -> list[Margin]:
    """The base map and every one-way map as margins that agree."""
    base = _permitted(people, flat_map(problem, problem.base)[0])
    margins = [Margin(cells(problem, (), people.codes), base[np.newaxis])]
    for one in problem.one_way:
        where = cells(problem, one.given, people.codes)
        margins.append(Margin(where, _agreeing(people, where, flat_map(problem, one), base)))
    return margins


def _permitted(people: People, rate: Floats) -> Floats:
    """The rate (K,) nearest to `rate` among those that the structural zeros permit."""
    if people.allowed.all():
        return rate
    everybody = np.zeros(len(people.weights), dtype=np.intp)
    start = people.allowed.astype(np.float64) * np.maximum(rate, PROBABILITY_FLOOR)
    fit = rake(people.weights, start, [Margin(everybody, rate[np.newaxis])])
    return np.asarray(people.weights @ fit.table)


def _agreeing(people: People, where: Cells, table: Floats, base: Floats) -> Floats:
    """Rake a one-way map (C, K) to the base rate, its conditions' mass and its zeros kept."""
    rows = np.where(people.allowed, table[where], 0.0)
    rows = np.where(rows.sum(axis=1, keepdims=True) > 0, rows, people.allowed)
    fit = rake(people.weights, rows, [Margin(np.zeros(len(where), dtype=np.intp), base[np.newaxis])], tolerance=1e-7)
    sums = np.zeros_like(table)
    np.add.at(sums, where, fit.table * people.weights[:, np.newaxis])
    totals = sums.sum(axis=1, keepdims=True)
    agreed = np.where(totals > 0, sums / np.where(totals > 0, totals, 1.0), table)
    # What only other people than the reference's may have is no zero: a veto is for logic alone.
    return np.where(table > 0, np.maximum(agreed, PROBABILITY_FLOOR), 0.0)


def _own_lift(table: Floats, mass: Floats) -> Floats:
    """Log-lift of a flat map over the base it implies, (C, K), rows centred under themselves; 0 where p is 0."""
    base = np.maximum(mass @ table / max(float(mass.sum()), LEAST_MASS), PROBABILITY_FLOOR)
    live = table > 0
    lift = np.where(live, np.log(np.where(live, table, 1.0) / base), 0.0)
    return np.asarray(np.where(live, lift - (table * lift).sum(axis=1, keepdims=True), 0.0))


def _compiled(
    problem: Problem,
    base: Floats,
    tables: Sequence[tuple[ElicitedMap, Floats, Floats]],
    diagnostics: Diagnostics,
) -> FactorModel:
    """Move the mean of every table's columns into the base, where people of unseen conditions find it, and compile."""
    base = base.copy()
    logs = []
    for one, table, mass in tables:
        finite = np.where(np.isfinite(table), table, 0.0)
        centre = mass @ finite / mass.sum()
        base += centre
        seen = (mass > 0)[:, np.newaxis]
        logs.append((one.given, np.where(seen, table - centre, table).reshape(problem.shape_of(one.given))))
    return compile_factors(problem, [((), base), *logs], diagnostics)


def _distance(base: Floats, problem: Problem) -> float:
    return 0.5 * float(np.abs(base - problem.base.p).sum())
