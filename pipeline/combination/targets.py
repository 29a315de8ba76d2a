"""What the margins of a maximum-entropy fit should be: consensus base, reconciliation, shrinkage, damping.

Belongs here: everything between the elicited maps and the targets handed to `raking.rake`. Does not belong here:
the joint fit of all margins, which is `max_entropy`.

Tables here are flat: a map over m parents is (C, K) with C the product of the parents' sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.combination.factors import PROBABILITY_FLOOR
from pipeline.combination.problem import Bools, Codes, ElicitedMap, Floats, Given, Problem
from pipeline.combination.raking import Cells, Margin, Nesting, rake

NO_SLACK = np.zeros(())

INTERIOR = 0.01
"""Share of a map's own rows mixed in where structural zeros contradict the map."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Constants of the fit; defaults chosen on synthetic populations (noise 0 to 0.35 nats), not on real maps.

    Attributes:
        base_share: Weight of the elicited base map in the consensus; the bases that the maps imply share the rest.
        consensus_guard: Largest total variation the consensus may move from the elicited base map.
        shrink: Multiple of the variance of the pooled log probability taken off a row's log-lifts; 0 switches off.
        row_share: How much of the signal variance that shrinkage compares with is the row's own; the rest is the map's.
        ridge: Multiple of the standard deviation of the pooled log probability used as damping; 0 switches off.
            Related parents' maps are nearly collinear, and their noise is multiplied along what they do not
            share; damping in proportion to the deviation, not the variance, is what bounds it.
        reference_noise: Damping of a condition with one reference person, falling as 1 over their number.
        max_iterations: Sweeps of the joint fit.
        tolerance: Total variation at which the joint fit stops.
        target_tolerance: The same for preparing one target; well below `tolerance`, or the margins still fight.
    """

    base_share: float = 0.25
    consensus_guard: float = 0.01
    shrink: float = 1.0
    row_share: float = 0.5
    ridge: float = 1.5
    reference_noise: float = 0.25
    max_iterations: int = 300
    tolerance: float = 1e-5
    target_tolerance: float = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Weighted distinct rows of the reference population.

    Attributes:
        codes: Distinct parent codes, shape (rows, P).
        weights: Their share of the population, summing to 1.
        allowed: Categories each may take, shape (rows, K).
        patterns: Distinct rows of `allowed`.
        pattern: Index of each row's pattern, shape (rows,).
        count: Size of the reference population.
    """

    codes: Codes
    weights: Floats
    allowed: Bools
    patterns: Bools
    pattern: Cells
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One map ready for the joint fit.

    Attributes:
        given: Parents, in axis order.
        p: Reconciled and shrunk distribution per condition, (C, K).
        slack: Damping per entry, (C, K).
        own_lift: Shrunk log-lift of the map itself, (C, K): serves conditions the reference population lacks.
        kept: Mean share of the log-lift left by shrinkage.
    """

    given: Given
    p: Floats
    slack: Floats
    own_lift: Floats
    kept: float


def collapse(problem: Problem) -> People:
    """Collapse the reference population into weighted distinct rows."""
    keys = cells(problem, problem.parents, problem.reference) if _fits(problem) else None
    if keys is None:
        codes, counts = np.unique(problem.reference, axis=0, return_counts=True)
    else:
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        codes = problem.reference[first]
    allowed = problem.allowed_rows(codes)
    patterns, pattern = np.unique(allowed, axis=0, return_inverse=True)
    return People(codes, counts / counts.sum(), allowed, patterns, pattern.ravel(), int(counts.sum()))


def _fits(problem: Problem) -> bool:
    """Whether one integer can number every combination of the parents."""
    return math.prod(problem.sizes) < np.iinfo(np.intp).max


def cells(problem: Problem, given: Given, codes: Codes) -> Cells:
    """Return the flat condition index of each row of parent codes."""
    if not given:
        return np.zeros(len(codes), dtype=np.intp)
    index: Cells = np.ravel_multi_index(
        tuple(codes[:, c].astype(np.intp) for c in problem.columns_of(given)), problem.shape_of(given)[:-1]
    )
    return index


def flat_map(problem: Problem, one: ElicitedMap) -> Floats:
    """Return a map as (C, K) with structural zeros applied and every other entry positive."""
    k = len(problem.categories)
    allowed = problem.allowed_given(one.given).reshape(-1, k)
    table = np.where(allowed, np.maximum(one.p.reshape(-1, k), PROBABILITY_FLOOR), 0.0)
    result: Floats = table / np.maximum(table.sum(axis=1, keepdims=True), PROBABILITY_FLOOR)
    return result


def consensus(problem: Problem, people: People, settings: Settings) -> Floats:
    """Return the base rate (K,) that all margins agree on.

    A linear pool (Stone 1961) of the elicited base map and the base that each map implies under the reference
    population's parents, moved back towards the elicited one until within `consensus_guard` total variation. Logic
    goes first: a rate that the structural zeros forbid gives way to the nearest one that they permit, and what
    that costs is taken off the guard.
    """
    rows = _Rows.of(problem, people, ())

    def permitted(rate: Floats) -> Floats:
        return rate if people.allowed.all() else np.asarray(rows.implied(rows.fit(rate[np.newaxis]))[0])

    elicited = flat_map(problem, problem.base)[0]
    nearest = permitted(elicited)
    if not problem.maps:
        return nearest
    tables = [flat_map(problem, m) for m in problem.maps]
    masses = [
        np.bincount(cells(problem, m.given, people.codes), people.weights, len(t))
        for m, t in zip(problem.maps, tables, strict=True)
    ]
    implied = np.mean([mass @ t for mass, t in zip(masses, tables, strict=True)], axis=0)
    pooled = settings.base_share * elicited + (1 - settings.base_share) * implied / implied.sum()
    guard = max(0.0, settings.consensus_guard - 0.5 * float(np.abs(nearest - elicited).sum()))
    distance = 0.5 * float(np.abs(pooled - nearest).sum())
    return permitted(nearest + min(1.0, guard / max(distance, PROBABILITY_FLOOR)) * (pooled - nearest))


def one_way_target(problem: Problem, people: People, one: ElicitedMap, base: Floats, settings: Settings) -> Target:
    """Shrink a one-way map and rake it to the consensus `base`.

    The map's log-lifts over the base that it implies itself are shrunk (see `_kept`), then the table of
    conditions by categories is raked to the parent's distribution and the consensus (Deming & Stephan 1940).
    """
    rows = _Rows.of(problem, people, one.given)
    table = flat_map(problem, one)
    variance = _variance(problem, one)
    own_base = np.maximum(rows.mass @ table, PROBABILITY_FLOOR)
    feasible = rows.fit(table)
    lift = _centred(np.log(np.maximum(table, PROBABILITY_FLOOR) / own_base), table)
    kept = _kept(lift, table, variance, rows.mass, settings)
    shrunk = feasible * np.exp((kept - 1)[:, np.newaxis] * lift)[rows.cells]
    margin = Margin(np.zeros_like(rows.cells), base[np.newaxis], NO_SLACK)
    fitted = rake(rows.weights, shrunk, [margin], tolerance=settings.target_tolerance).table
    return Target(
        given=one.given,
        p=rows.implied(fitted),
        slack=_slack(variance, rows.mass * people.count, settings),
        own_lift=kept[:, np.newaxis] * lift,
        kept=float(rows.mass @ kept),
    )


def higher_target(
    problem: Problem,
    people: People,
    pair: ElicitedMap,
    mains: dict[str, Target],
    *,
    base: Floats,
    settings: Settings,
) -> Target:
    """Reconcile a map of two or more parents with the one-way targets and shrink its interaction.

    The map is raked to the one-way targets of its parents, so that the margins do not fight; damped, because the
    noise of two strongly related parents' maps can only be met exactly by absurd rows where both differ. What it
    then says beyond the maximum-entropy table of those one-way targets alone is its interaction: only that is shrunk.
    """
    rows = _Rows.of(problem, people, pair.given)
    k = len(problem.categories)
    grid = np.indices(problem.shape_of(pair.given)[:-1]).reshape(len(pair.given), -1)
    margins = [Margin(np.zeros_like(rows.cells), base[np.newaxis], NO_SLACK)]
    margins += [
        Margin(grid[axis][rows.cells], mains[parent].p, mains[parent].slack)
        for axis, parent in enumerate(pair.given)
        if parent in mains
    ]
    nestings = [Nesting(0, i, np.zeros(len(m.target), dtype=np.intp)) for i, m in enumerate(margins) if i > 0]

    def reconcile(start: Floats) -> Floats:
        return rake(rows.weights, start, margins, nestings, tolerance=settings.target_tolerance).table

    table = flat_map(problem, pair)
    variance = _variance(problem, pair)
    additive = reconcile(rows.start)
    reconciled = reconcile(rows.fit(table))
    main_p, pair_p = rows.implied(additive), rows.implied(reconciled)
    both = (main_p > 0) & (pair_p > 0)
    lift = _centred(np.log(np.where(both, pair_p, 1.0) / np.where(both, main_p, 1.0)), pair_p)
    kept = _kept(lift, pair_p, variance, rows.mass, settings)
    shrunk = reconciled * np.exp((kept - 1)[:, np.newaxis] * lift)[rows.cells]
    fitted = reconcile(shrunk)
    return Target(
        given=pair.given,
        p=rows.implied(fitted),
        slack=_slack(variance, rows.mass * people.count, settings),
        own_lift=np.zeros((len(table), k)),
        kept=float(rows.mass @ kept),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Reference population collapsed to one map: a row per condition and pattern of structural zeros."""

    weights: Floats
    cells: Cells
    allowed: Bools
    mass: Floats

    @staticmethod
    def of(problem: Problem, people: People, given: Given) -> _Rows:
        where = cells(problem, given, people.codes)
        conditions = int(np.prod(problem.shape_of(given)[:-1]))
        patterns = people.patterns
        keys, row = np.unique(where * len(patterns) + people.pattern, return_inverse=True)
        weights = np.bincount(row.ravel(), people.weights).astype(np.float64)
        mass = np.bincount(where, people.weights, conditions).astype(np.float64)
        return _Rows(weights, keys // len(patterns), patterns[keys % len(patterns)], mass)

    @property
    def start(self) -> Floats:
        """Uniform over the allowed categories."""
        return np.asarray(self.allowed / self.allowed.sum(axis=1, keepdims=True))

    def fit(self, table: Floats) -> Floats:
        """Return the rows nearest to uniform whose conditions have the distributions of `table`.

        If zeros forbid that, the limit lies on the boundary, with categories driven out of rows that may have them;
        a little of what the table says itself keeps them possible and the later fits well conditioned.
        """
        if len(self.weights) == np.count_nonzero(self.mass):
            start = np.where(self.allowed, table[self.cells], 0.0)
            return np.asarray(start / start.sum(axis=1, keepdims=True))
        reachable = np.zeros(table.shape, dtype=np.bool_)
        np.logical_or.at(reachable, self.cells, self.allowed)
        target = np.where(reachable, table, 0.0)
        target /= np.maximum(target.sum(axis=1, keepdims=True), PROBABILITY_FLOOR)
        fit = rake(self.weights, self.start, [Margin(self.cells, target, NO_SLACK)])
        if fit.converged:
            return fit.table
        own = np.where(self.allowed, np.maximum(table[self.cells], PROBABILITY_FLOOR), 0.0)
        own /= own.sum(axis=1, keepdims=True)
        return np.asarray((1 - INTERIOR) * fit.table + INTERIOR * own)

    def implied(self, table: Floats) -> Floats:
        """Return the distribution per condition, (C, K); rows of 0 where a condition has no mass."""
        result = np.zeros((len(self.mass), table.shape[1]))
        np.add.at(result, self.cells, table * self.weights[:, np.newaxis])
        return np.asarray(result / np.maximum(self.mass, 1e-300)[:, np.newaxis])


def _variance(problem: Problem, one: ElicitedMap) -> Floats:
    """Variance of the pooled log probability per entry, (C, K)."""
    return np.asarray(np.square(one.spread.reshape(-1, len(problem.categories))) / one.support)


def _centred(lift: Floats, p: Floats) -> Floats:
    """Centre each row to a weighted mean of 0 and set entries without mass to 0."""
    live = p > 0
    clean = np.where(live, lift, 0.0)
    centre = (p * clean).sum(axis=1, keepdims=True)
    return np.where(live, clean - centre, 0.0)


def _kept(lift: Floats, p: Floats, variance: Floats, mass: Floats, settings: Settings) -> Floats:
    """Return the share of each row's log-lift to keep, (C,): the positive part of 1 - noise / signal.

    The positive-part estimator of James & Stein 1961 in the weighted metric of the row. A row's own variance
    is itself noisy when K is small, so it is averaged with that of the whole map (Efron & Morris 1973).
    """
    if settings.shrink == 0:
        return np.ones(len(lift))
    own = (p * np.square(lift)).sum(axis=1)
    noise = settings.shrink * (p * variance).sum(axis=1)
    whole = float(mass @ own) / max(float(mass.sum()), PROBABILITY_FLOOR)
    signal = settings.row_share * own + (1 - settings.row_share) * whole
    return np.asarray(np.clip(1 - noise / np.maximum(signal, PROBABILITY_FLOOR), 0.0, 1.0))


def _slack(variance: Floats, count: Floats, settings: Settings) -> Floats:
    """Damping per entry, (C, K): grows with disagreement and with the scarcity of reference people."""
    scarce = settings.reference_noise / np.maximum(count, 1.0)
    return np.asarray(settings.ridge * np.sqrt(variance) + scarce[:, np.newaxis])
