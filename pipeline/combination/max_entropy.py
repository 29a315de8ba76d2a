"""Maximum entropy: factors whose implied maps equal the elicited ones, exactly or as far as these can be trusted.

Belongs here: the two joint fits and their compilation into factors. Does not belong here: the solver of the exact one
(`raking`), how far maps can be trusted (`noise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from pipeline.combination.factors import PROBABILITY_FLOOR, compile_factors
from pipeline.combination.noise import Scales, effect_variances, noise_variances
from pipeline.combination.people import Cells, People, cells, collapse, flat_map
from pipeline.combination.problem import Diagnostics, ElicitedMap, FactorModel, Floats, Problem
from pipeline.combination.raking import Margin, rake

FLAT = 10.0
"""Prior standard deviation in nats of the base factor: none, to all purposes."""

PINNED = 1e-4
"""Standard deviation in nats of a base rate that the guard holds fast."""

LEAST_MASS = 1e-9

FLAT_ENERGY = 1e-6
"""Mean square log-lift below which it makes no sense to ask which share of it was kept."""

OUTSET_SWEEPS = 50
STEEPEST = 6.0
"""Log factor in nats beyond which the rough fit that the shrunk one starts from is not followed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Constants of the shrunk fit.

    Attributes:
        scales: How noise and effects are estimated.
        guard: Total variation that the fitted base rate may lie from the elicited base map.
        doubt: Standard deviation in nats of the elicited base map's log probabilities above which it is not guarded.
        max_iterations: Of L-BFGS.
    """

    scales: Scales = field(default_factory=Scales)
    guard: float = 0.01
    doubt: float = 0.15
    max_iterations: int = 1000


def max_entropy(problem: Problem) -> FactorModel:
    """Fit P(k | x) proportional to base(k) * product of one factor per one-way map, to the maps as they are.

    Of all joints that have the reference population's parents and the given maps as margins, the one of maximum
    entropy has exactly this form (Jaynes 1957; Good 1963), and iterative proportional fitting finds it (Deming &
    Stephan 1940; Ireland & Kullback 1968). Overlapping maps are not counted twice, because a factor only adds what
    the others do not already imply. Each map is first raked to the base map, so that the margins agree; how far it can
    be trusted, and two-way maps, are ignored. A condition that no reference person meets gets the map's own lift.
    """
    people = collapse(problem)
    margins = _main_margins(problem, people)
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
    more than `guard`, since personas are judged by their marginals, unless that map is itself in doubt.

    Returns:
        The factor model; `diagnostics` tells whether it converged, and which share of each map's log-lift it kept. A
        condition that no reference person meets gets the map's own lift, shrunk as the rest of the map.
    """
    people = collapse(problem)
    scene = _Scene.of(problem, people, settings.scales)
    solution, iterations, converged = scene.solve(scene.outset(problem, people), settings.max_iterations)
    elicited = _permitted(people, scene.targets[0][0])
    fitted = scene.implied(solution)[0][0]
    shift = 0.5 * float(np.abs(fitted - elicited).sum())
    if shift > settings.guard and scene.doubt <= settings.doubt:
        scene.pin(elicited + settings.guard / shift * (fitted - elicited))
        solution, more, converged = scene.solve(solution, settings.max_iterations)
        iterations += more
    base, logs = scene.factors(solution)
    implied = scene.implied(solution)
    tables = []
    kept = []
    for place, (one, log) in enumerate(zip(problem.maps, logs, strict=True), start=1):
        mass, target = scene.masses[place], scene.targets[place]
        own, now = _own_lift(target, mass), _own_lift(implied[place], mass)
        energy = float(mass @ (target * np.square(own)).sum(axis=1))
        shared = float(mass @ (target * own * now).sum(axis=1))
        share = float(np.clip(shared / energy, 0, 1)) if energy > FLAT_ENERGY else 1.0
        kept.append((one.given, share))
        lift = share * own if len(one.given) == 1 else np.zeros_like(own)
        tables.append((one, np.where((mass > 0)[:, np.newaxis], log, lift), mass))
    residual = max(
        0.5 * float((m[:, np.newaxis] * np.abs(i - t)).sum())
        for m, i, t in zip(scene.masses, implied, scene.targets, strict=True)
    )
    diagnostics = Diagnostics(
        converged,
        iterations,
        residual,
        len(people.weights),
        0.5 * float(np.abs(implied[0][0] - problem.base.p).sum()),
        tuple(kept),
    )
    return _compiled(problem, base, tables, diagnostics)


@dataclass(slots=True, eq=False)
class _Scene:
    """The posterior as a function of one vector: all factors, each in units of its prior standard deviation."""

    rows: sp.csr_array
    columns: sp.csr_array
    start: Floats
    weights: Floats
    masses: list[Floats]
    targets: list[Floats]
    precision: Floats
    log_target: Floats
    prior: Floats
    bounds: list[int]
    doubt: float

    @staticmethod
    def of(problem: Problem, people: People, scales: Scales) -> _Scene:
        maps = (problem.base, *problem.maps)
        count = len(people.weights)
        targets = [flat_map(problem, m) for m in maps]
        bounds = [0, *np.cumsum([len(t) for t in targets]).tolist()]
        slots = np.stack(
            [cells(problem, m.given, people.codes) + b for m, b in zip(maps, bounds[:-1], strict=True)], axis=1
        )
        pointers = np.arange(0, slots.size + 1, len(maps))
        rows = sp.csr_array((np.ones(slots.size), slots.ravel(), pointers), shape=(count, bounds[-1]))
        columns = sp.csr_array(rows.T)
        mass = np.asarray(columns @ people.weights)
        masses = [mass[a:b] for a, b in pairwise(bounds)]
        noise = noise_variances(problem, scales)
        effects = effect_variances(problem, masses[1:], noise[1:], scales)
        reachable = np.asarray(columns @ people.allowed.astype(np.float64)) > 0
        stacked = np.concatenate(targets)
        live = reachable & (stacked > 0)
        return _Scene(
            rows,
            columns,
            people.allowed.astype(np.float64),
            people.weights,
            masses,
            targets,
            np.where(live, 1 / (scales.noise * np.concatenate(noise)), 0.0),
            np.log(np.where(stacked > 0, stacked, 1.0)),
            np.concatenate([np.full(1, FLAT), *(np.sqrt(e) for e in effects)])[:, np.newaxis],
            bounds,
            float(np.sqrt(np.median(noise[0]))),
        )

    @property
    def size(self) -> int:
        return int(self.precision.size)

    def outset(self, problem: Problem, people: People) -> Floats:
        """Where to start: no effects, or those of a rough exact fit, whichever lies nearer to the solution."""
        nothing = np.zeros(self.size)
        margins = _main_margins(problem, people)
        fit = rake(people.weights, self.start, margins, max_iterations=OUTSET_SWEEPS, tolerance=1e-3)
        places = {(): 0} | {m.given: i for i, m in enumerate(problem.maps, start=1)}
        exact = np.zeros_like(self.precision)
        for given, log in zip([(), *(m.given for m in problem.one_way)], fit.logs, strict=True):
            a, b = self.bounds[places[given]], self.bounds[places[given] + 1]
            exact[a:b] = np.clip(log, -STEEPEST, STEEPEST) / self.prior[a:b]
        vectors = [nothing, exact.ravel()]
        return min(vectors, key=lambda v: self.misfit(v)[0])

    def pin(self, base: Floats) -> None:
        """Hold the base rate at `base`."""
        self.log_target[0] = np.log(np.maximum(base, PROBABILITY_FLOOR))
        self.precision[0] = np.where(self.precision[0] > 0, 1 / PINNED**2, 0.0)

    def table(self, vector: Floats) -> Floats:
        """Rows P(k | person), (n, K)."""
        logs = np.asarray(self.rows @ (vector.reshape(self.precision.shape) * self.prior))
        logs -= logs.max(axis=1, keepdims=True)
        result = np.exp(logs, out=logs)
        result *= self.start
        result /= result.sum(axis=1, keepdims=True)
        return np.asarray(result)

    def implied(self, vector: Floats) -> list[Floats]:
        """The maps that the factors imply, (C, K) each, rows of 0 where nobody is."""
        sums = np.asarray(self.columns @ (self.table(vector) * self.weights[:, np.newaxis]))
        sums /= np.maximum(sums.sum(axis=1, keepdims=True), LEAST_MASS)
        return [sums[a:b] for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]

    def misfit(self, vector: Floats) -> tuple[float, Floats]:
        """Minus the log posterior up to a constant, and its gradient."""
        table = self.table(vector)
        sums = np.asarray(self.columns @ (table * self.weights[:, np.newaxis]))
        totals = np.maximum(sums.sum(axis=1, keepdims=True), LEAST_MASS)
        error = np.log(np.maximum(sums / totals, PROBABILITY_FLOOR)) - self.log_target
        # Scaling a row to 1 took one degree of freedom of its noise: only differences within a row are evidence.
        precision = self.precision
        error -= (precision * error).sum(axis=1, keepdims=True) / np.maximum(
            precision.sum(axis=1, keepdims=True), LEAST_MASS
        )
        push = precision * error
        pull = np.asarray(self.rows @ (push / np.maximum(sums, PROBABILITY_FLOOR * totals)))
        pull -= (table * pull).sum(axis=1, keepdims=True)
        pull *= table * self.weights[:, np.newaxis]
        gradient = np.asarray(self.columns @ pull) * self.prior
        value = 0.5 * float((push * error).sum()) + 0.5 * float(vector @ vector)
        return value, gradient.ravel() + vector

    def solve(self, start: Floats, max_iterations: int) -> tuple[Floats, int, bool]:
        """Minimise the misfit from `start`: the vector, the iterations, whether it converged."""
        found = minimize(
            self.misfit,
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": max_iterations, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-6},
        )
        return np.asarray(found.x), int(found.nit), bool(found.success)

    def factors(self, vector: Floats) -> tuple[Floats, list[Floats]]:
        """Log factors of the base (K,) and of every map (C, K)."""
        logs = vector.reshape(self.precision.shape) * self.prior
        return logs[0], [logs[a:b] for a, b in zip(self.bounds[1:-1], self.bounds[2:], strict=True)]


def _main_margins(problem: Problem, people: People) -> list[Margin]:
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
