"""The posterior of a log-linear model's factors given maps that may be wrong, and the search for its mode.

Belongs here: the misfit, its gradient and its minimiser. Does not belong here: how far maps can be trusted (`noise`),
and what becomes of the factors (`max_entropy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from pipeline.combination.noise import Scales, effect_variances, noise_levels, noise_variances, rare
from pipeline.combination.people import People, cells, flat_map
from pipeline.combination.problem import Floats, Problem
from pipeline.combination.raking import Margin, rake

FLAT = 10.0
"""Prior standard deviation in nats of the base factor: none, to all purposes."""

TILTED = 1e-7
"""Total variation within which a base rate is met by a tilt."""

LEAST_MASS = 1e-9

ROUND = 40
"""Iterations after which coordinates are made anew."""

ENOUGH = 0.05
"""A round that raises the log posterior by less than this, in nats, was the last."""


@dataclass(slots=True, eq=False)
class Posterior:
    """Minus the log posterior as a function of one vector: all log factors, each in units of its prior deviation.

    With K categories, R conditions of all maps (the base map's first) and n distinct people:

    Attributes:
        rows: Which conditions each person meets, (n, R) of zeros and ones.
        columns: The same transposed.
        start: Categories that logic allows each person, (n, K) of zeros and ones.
        weights: Share of each person, (n,).
        masses: Share of people under each condition, (C,) per map.
        targets: The maps, (C, K) each.
        rare: Categories that answers hardly resolve under a condition, (R, K) of zeros and ones; see `noise.rare`.
        precision: One over the noise variance of each started log, (R, K + 1), that of the sum of the rare categories
            last; 0 where nothing can or need be met.
        log_target: Started log of the targets and of that sum, log(p + resolution), (R, K + 1).
        resolution: What is added to a probability before its log is taken.
        prior: Prior standard deviation of each condition's log factors in nats, (R, 1).
        bounds: First condition of each map, and R.
        doubt: Standard deviation in nats of the base map's noise.
    """

    rows: sp.csr_array
    columns: sp.csr_array
    start: Floats
    weights: Floats
    masses: list[Floats]
    targets: list[Floats]
    rare: Floats
    precision: Floats
    log_target: Floats
    resolution: float
    prior: Floats
    bounds: list[int]
    doubt: float

    @staticmethod
    def of(problem: Problem, people: People, scales: Scales) -> Posterior:
        """Lay out a problem over its distinct people."""
        maps = (problem.base, *problem.maps)
        targets = [flat_map(problem, m) for m in maps]
        bounds = [0, *np.cumsum([len(t) for t in targets]).tolist()]
        rows = _rows(problem, people, bounds)
        columns = sp.csr_array(rows.T)
        mass = np.asarray(columns @ people.weights)
        masses = [mass[a:b] for a, b in pairwise(bounds)]
        levels = noise_levels(problem, scales)
        noise = [noise_variances(level, table, scales) for level, table in zip(levels, targets, strict=True)]
        effects = effect_variances(problem, masses[1:], noise[1:], scales)
        reachable = np.asarray(columns @ people.allowed.astype(np.float64)) > 0
        stacked = np.concatenate(targets)
        live = reachable & (stacked > 0)
        few = rare(stacked, live, scales)
        together = (few * stacked).sum(axis=1, keepdims=True)
        level = np.repeat(levels, [len(t) for t in targets])[:, np.newaxis]
        known = np.where(few.any(axis=1, keepdims=True), 1 / noise_variances(level, together, scales), 0.0)
        return Posterior(
            rows,
            columns,
            people.allowed.astype(np.float64),
            people.weights,
            masses,
            targets,
            few,
            np.hstack([np.where(live, 1 / np.concatenate(noise), 0.0), known]),
            np.log(np.hstack([stacked, together]) + scales.resolution),
            scales.resolution,
            np.concatenate([np.full(1, FLAT), *(np.sqrt(e) for e in effects)])[:, np.newaxis],
            bounds,
            float(np.sqrt(np.median(noise[0]))),
        )

    def over(self, problem: Problem, people: People) -> Posterior:
        """The same posterior over other people: what is known of maps and effects stays as it is."""
        rows = _rows(problem, people, self.bounds)
        allowed = people.allowed.astype(np.float64)
        return replace(self, rows=rows, columns=sp.csr_array(rows.T), start=allowed, weights=people.weights)

    def outset(self) -> Floats:
        """Where to start: the elicited base rate and no effects."""
        start = np.zeros_like(self.rare)
        start[0] = self.log_target[0, :-1] / self.prior[0]
        return start.ravel()

    def tilted(self, vector: Floats, base: Floats) -> Floats:
        """The vector with its base factor moved until the base rate (K,) is implied, all other factors as they are.

        Of all joints with that base rate this is the nearest to the vector's in Kullback-Leibler divergence (Csiszar
        1975): odds ratios stay, so that it is groups in doubt that give way, not those in which one category takes all.
        """
        everybody = Margin(np.zeros(len(self.weights), dtype=np.intp), base[np.newaxis])
        moved = rake(self.weights, self.table(vector), [everybody], tolerance=TILTED)
        result = vector.reshape(self.rare.shape).copy()
        result[0] += np.where(np.isfinite(moved.logs[0][0]), moved.logs[0][0], 0.0) / self.prior[0]
        return np.asarray(result.ravel())

    def table(self, vector: Floats) -> Floats:
        """Rows P(k | person), (n, K)."""
        logs = np.asarray(self.rows @ (vector.reshape(self.rare.shape) * self.prior))
        logs -= logs.max(axis=1, keepdims=True)
        result = np.exp(logs, out=logs)
        result *= self.start
        result /= result.sum(axis=1, keepdims=True)
        return np.asarray(result)

    def _sums(self, table: Floats) -> Floats:
        """Mass of every category under every condition, (R, K), of rows (n, K)."""
        return np.asarray(self.columns @ (table * self.weights[:, np.newaxis]))

    def implied(self, vector: Floats) -> list[Floats]:
        """The maps that the factors imply, (C, K) each, rows of 0 where nobody is."""
        sums = self._sums(self.table(vector))
        sums /= np.maximum(sums.sum(axis=1, keepdims=True), LEAST_MASS)
        return [sums[a:b] for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]

    def misfit(self, vector: Floats) -> tuple[float, Floats]:
        """Minus the log posterior up to a constant, and its gradient."""
        table = self.table(vector)
        sums = self._sums(table)
        totals = np.maximum(sums.sum(axis=1, keepdims=True), LEAST_MASS)
        met = np.hstack([sums, (self.rare * sums).sum(axis=1, keepdims=True)]) + self.resolution * totals
        error = np.log(met / totals) - self.log_target
        # Scaling a row to 1 took one degree of freedom of its noise: only differences within a row are evidence.
        precision = self.precision
        error -= (precision * error).sum(axis=1, keepdims=True) / np.maximum(
            precision.sum(axis=1, keepdims=True), LEAST_MASS
        )
        push = precision * error
        slope = push / met
        pull = np.asarray(self.rows @ (slope[:, :-1] + self.rare * slope[:, -1:]))
        pull -= (table * pull).sum(axis=1, keepdims=True)
        pull *= table * self.weights[:, np.newaxis]
        gradient = np.asarray(self.columns @ pull) * self.prior
        value = 0.5 * float((push * error).sum()) + 0.5 * float(vector @ vector)
        return value, gradient.ravel() + vector

    def solve(self, start: Floats, max_rounds: int) -> tuple[Floats, int, bool]:
        """Minimise the misfit from `start`: the vector, the iterations, whether it converged.

        L-BFGS (Liu & Nocedal 1989) in rounds, each in coordinates in which the misfit is nearly round at the round's
        start (see `_rounding`): overlapping parents make a long valley of it, along which plain L-BFGS creeps.
        """
        shape = self.rare.shape
        vector, value, iterations = start, np.inf, 0
        for _ in range(max_rounds):
            into, out = self._rounding(vector)

            def misfit(u: Floats, out: Floats = out) -> tuple[float, Floats]:
                found, gradient = self.misfit(_apply(out, u.reshape(shape)).ravel())
                return found, _apply(np.swapaxes(out, 1, 2), gradient.reshape(shape)).ravel()

            found = minimize(
                misfit,
                _apply(into, vector.reshape(shape)).ravel(),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": ROUND, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-6},
            )
            vector = _apply(out, found.x.reshape(shape)).ravel()
            iterations += int(found.nit)
            gained, value = value - float(found.fun), float(found.fun)
            if gained < ENOUGH:
                return vector, iterations, found.nit > 0 or bool(found.success)
        return vector, iterations, False

    def _rounding(self, vector: Floats) -> tuple[Floats, Floats]:
        """Maps from a vector into round coordinates and back, (K, R, R) each, R conditions of all maps.

        They come from the Gauss-Newton matrix of the misfit at the vector, taken category by category as if the others
        stood still: its Cholesky factor holds how maps overlap, which is what makes the misfit hard.
        """
        table = self.table(vector)
        sums = self._sums(table)
        totals = np.maximum(sums.sum(axis=1), LEAST_MASS)
        few = (self.rare * sums).sum(axis=1)
        prior = self.prior[:, 0]
        into = np.empty((table.shape[1], len(prior), len(prior)))
        for k in range(table.shape[1]):
            moved = sp.diags_array(self.weights * table[:, k] * (1 - table[:, k]))
            slope = (self.columns @ moved @ self.rows).toarray()
            alone = self.precision[:, k] / np.square(sums[:, k] + self.resolution * totals)
            together = self.rare[:, k] * self.precision[:, -1] / np.square(few + self.resolution * totals)
            slope *= prior
            into[k] = np.linalg.cholesky(np.eye(len(prior)) + (slope.T * (alone + together)) @ slope).T
        return into, np.asarray(np.linalg.inv(into), dtype=np.float64)

    def factors(self, vector: Floats) -> tuple[Floats, list[Floats]]:
        """Log factors of the base (K,) and of every map (C, K)."""
        logs = vector.reshape(self.rare.shape) * self.prior
        return logs[0], [logs[a:b] for a, b in zip(self.bounds[1:-1], self.bounds[2:], strict=True)]


def _rows(problem: Problem, people: People, bounds: Sequence[int]) -> sp.csr_array:
    """Which conditions of all maps, numbered through by `bounds`, each person meets."""
    maps = (problem.base, *problem.maps)
    slots = np.stack([cells(problem, m.given, people.codes) + b for m, b in zip(maps, bounds, strict=False)], axis=1)
    pointers = np.arange(0, slots.size + 1, len(maps))
    return sp.csr_array((np.ones(slots.size), slots.ravel(), pointers), shape=(len(slots), bounds[-1]))


def _apply(maps: Floats, table: Floats) -> Floats:
    """Apply (K, R, R) matrices to the columns of a table (R, K)."""
    return np.ascontiguousarray((maps @ table.T[:, :, np.newaxis])[:, :, 0].T)
