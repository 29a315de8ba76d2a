"""How far maps may be wrong, and how large the true effects are: the two scales that shrinkage weighs.

Belongs here: variances estimated from maps and the spread between models. Does not belong here: the fit that uses them.

Tables here are flat: a map over m parents is (C, K), see `people`. Both scales are of started logs, log(p + resolution)
(Tukey 1957): an answer of 0.0003 tells little about the ratio of 0.0003 to 0.0001, which is below what it can resolve,
and much about that to 0.16. With plain logs one variance has to stand for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.combination.people import flat_map
from pipeline.combination.problem import Bools, ElicitedMap, Floats, Problem

TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Scales:
    """Constants of the shrinkage, chosen on the `tune` tasks of the benchmark, reported on its others.

    Attributes:
        least: Standard deviation in nats below which no answer is believed exact.
        resolution: Probability that answers do not resolve: half of the tenth of a percent they are written in.
        rare: Probability below which categories are told together, too: twice the resolution.
        shared: Degrees of freedom that the noise level of the whole dimension counts against that of one map.
        own_row: Share of a row's own variance, against its map's, in the prior of its effects.
        effect: Standard deviation in nats of effects in a map that shows none beyond its noise.
    """

    least: float = 0.02
    resolution: float = 0.0005
    rare: float = 0.001
    shared: float = 50.0
    own_row: float = 0.2
    effect: float = 0.1


def noise_levels(problem: Problem, scales: Scales) -> list[float]:
    """Variance of the log probabilities of each map, in nats squared, before rows were scaled to 1, resolution apart.

    The base map first, then the problem's maps. Spread is that of centred logs, which by itself vanishes in rows where
    one category takes all, so the level is that of the whole map, corrected for centring: from few models, single
    cells tell next to nothing of their own noise. A small map has few cells to tell even its level from; the models
    are the same for all maps of a dimension, so levels are moderated towards the dimension's (empirical Bayes, Efron &
    Morris 1973).
    """
    maps = (problem.base, *problem.maps)
    tables = [flat_map(problem, m) for m in maps]
    spreads = [np.square(m.spread.reshape(t.shape)) / m.support for m, t in zip(maps, tables, strict=True)]
    loose = [1 - np.square(t).sum(axis=1) for t in tables]
    levels = np.array(
        [float((t * s).sum()) / max(float(f.sum()), TINY) for t, s, f in zip(tables, spreads, loose, strict=True)]
    )
    free = np.array([t.shape[0] * max(t.shape[1] - 1, 1) for t in tables], dtype=np.float64)
    whole = float(free @ levels / free.sum())
    moderated = (free * levels + scales.shared * whole) / (free + scales.shared) + scales.least**2
    return [float(level) for level in moderated]


def noise_variances(level: float | Floats, p: Floats, scales: Scales) -> Floats:
    """Variance of the started logs of probabilities `p` from a map of this level, in nats squared."""
    return np.asarray(level + np.square(scales.resolution / (p + scales.resolution)) / 3)


def rare(table: Floats, live: Bools, scales: Scales) -> Floats:
    """The categories of each row (C, K) whose sum tells what they do not tell one by one: ones, among zeros.

    Beside a 99.6, twenty answers of 0.0 or 0.1 resolve next to nothing each, but that they come to 0.4 together.
    A row has none if they are not several, or if it has no others.
    """
    few = live & (table < scales.rare)
    several = (few.sum(axis=1, keepdims=True) > 1) & (live & ~few).any(axis=1, keepdims=True)
    return np.asarray(few & several, dtype=np.float64)


def effect_variances(
    problem: Problem, masses: Sequence[Floats], noise: Sequence[Floats], scales: Scales
) -> list[Floats]:
    """Prior variance of every condition's effects, in nats squared: (C,) per map of the problem.

    What a map's log-lifts vary beyond their noise is signal (the method of moments of James & Stein 1961), averaged
    between the condition's own and the whole map's. Every category counts alike, as it does in the prior: weighted by
    probability, a row in which one category takes all would seem to have next to no effects, though what rules the
    others out is the largest effect there is. A two-way map's effects are what it says beyond its own two one-way
    margins.

    Args:
        problem: The maps.
        masses: Share of people under each condition, (C,) per map.
        noise: As `noise_variances` gives it, without that of the base map.
        scales: The constants.
    """
    result = []
    for one, mass, variance in zip(problem.maps, masses, noise, strict=True):
        table = flat_map(problem, one)
        live = table > 0
        count = np.maximum(live.sum(axis=1), 1)  # zeros of several parents may leave an impossible condition nothing
        lift = _lift(problem, one, table, mass, scales.resolution)
        # Noise that survives centring within the row and against the base that the map itself implies.
        left = (1 - 1 / count) * (1 - mass)
        excess = (np.square(lift).sum(axis=1) - left * (live * variance).sum(axis=1)) / count
        whole = max(float(mass @ excess), 0.0) + scales.effect**2
        result.append(np.asarray((1 - scales.own_row) * whole + scales.own_row * np.maximum(excess, 0.0)))
    return result


def _lift(problem: Problem, one: ElicitedMap, table: Floats, mass: Floats, resolution: float) -> Floats:
    """Centred lift of started logs over the base that the map implies, (C, K); for a pair, beyond its one-way lifts."""
    own = mass @ table + resolution
    live = table > 0
    lift = np.log((table + resolution) / own)
    if len(one.given) > 1:
        grid = np.indices(problem.shape_of(one.given)[:-1]).reshape(len(one.given), -1)
        for axis, parent in enumerate(one.given):
            # The pair's own margins, so that a one-way map asked apart does not count as interaction.
            size = problem.sizes[problem.parents.index(parent)]
            weight = np.bincount(grid[axis], mass, size)
            total = np.zeros((size, table.shape[1]))
            np.add.at(total, grid[axis], mass[:, np.newaxis] * table)
            main = np.log((total / np.maximum(weight, TINY)[:, np.newaxis] + resolution) / own)
            lift -= main[grid[axis]]
    centre = np.where(live, lift, 0.0).sum(axis=1, keepdims=True) / np.maximum(live.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.where(live, lift - centre, 0.0))
