"""What moved between two snapshots: their maps, their strategies, and the people drawn from them.

Belongs here: pure measures on two loaded snapshots. Does not belong here: which snapshots are compared, storing or
showing what was found, and the decision that follows from it.

A map that both have is compared row by row in total variation, weighted by how many people stand in each condition.
Its interval holds two uncertainties: conditions are resampled as everywhere else (`combination.bootstrap`), and each
row's distance carries the error that the spread between the members leaves in both pooled rows: with spread s over m
members a log probability is known to s / sqrt(m), which the delta method turns into an error of the distance. `noise`
is the distance to expect had nothing moved, from the same errors: below it a drift is no news. What all members get
wrong alike is in neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import contingency

from pipeline.combination.bootstrap import REPLICATES, SEED, Interval, Resamples, interval
from pipeline.combination.problem import Floats
from pipeline.combination.scores import total_variation
from serving.batch import Batch
from serving.comparing import changed_strategies
from serving.sampler import Sampler
from serving.snapshot import Snapshot

PEOPLE = 20_000
EXAMPLES = 3

Given = tuple[str, ...]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class MapDrift:
    """How far one map moved: total variation with its interval, and the distance to expect had nothing moved."""

    dimension: str
    given: Given
    tv: Interval
    noise: float

    @property
    def beyond_noise(self) -> bool:
        """Whether even the low end of the interval is more than the members' spread explains."""
        return self.tv.low > self.noise


@dataclass(frozen=True, slots=True)
class MarginalDrift:
    """One dimension of the people: total variation of its marginal, and the share of people whose value is another."""

    dimension: str
    tv: Interval
    changed: float


@dataclass(frozen=True, slots=True)
class PairDrift:
    """Cramer's V of two dimensions among the people drawn before and after."""

    first: str
    second: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Example:
    """One person of the same seed and index from both snapshots, with the values that differ."""

    before: str
    after: str
    changed: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """What moved; each list has the greatest move first.

    Attributes:
        people: How many were drawn from each snapshot, with `seed`.
        maps: Maps that both have.
        gone, new: Maps that only the first or only the second has, and those whose categories differ (in both lists).
        strategies: Dimensions combined in another way: (dimension, before, after).
        marginals, pairs: Dimensions of equal categories in both, and pairs of these.
        examples: The first few people of whom anything changed.
    """

    population: str
    before: Snapshot
    after: Snapshot
    people: int
    seed: int
    maps: tuple[MapDrift, ...]
    gone: tuple[tuple[str, Given], ...]
    new: tuple[tuple[str, Given], ...]
    strategies: tuple[tuple[str, str, str], ...]
    marginals: tuple[MarginalDrift, ...]
    pairs: tuple[PairDrift, ...]
    examples: tuple[Example, ...]


def drift(before: Snapshot, after: Snapshot, *, people: int = PEOPLE, seed: int = 0) -> Drift:
    """Compare two snapshots of one population, on `people` personas of the same seed from each."""
    shared = tuple(d.id for d in after.dimensions if d.id in before and _categories(before, d.id) == d.categories)
    drawn = [Sampler(s).sample(people, seed) for s in (before, after)]
    codes = [{d: batch.codes(d).astype(np.intp) for d in shared} for batch in drawn]
    sizes = {d: len(_categories(after, d)) for d in shared}
    tables = [_tables(s) for s in (before, after)]
    comparable = [k for k in tables[0] if k in tables[1] and {k[0], *k[1]} <= set(shared)]
    maps = [_map_drift(key, tables[0][key], tables[1][key], codes, sizes) for key in comparable]
    marginals = [_marginal_drift(d, sizes[d], codes[0][d], codes[1][d]) for d in shared]
    pairs = [_pair_drift(a, b, sizes, codes) for a, b in combinations(shared, 2)]
    return Drift(
        population=after.manifest.population.id,
        before=before,
        after=after,
        people=people,
        seed=seed,
        maps=tuple(sorted(maps, key=lambda m: -m.tv.value)),
        gone=tuple(k for k in tables[0] if k not in comparable),
        new=tuple(k for k in tables[1] if k not in comparable),
        strategies=tuple((name, *change) for name, change in changed_strategies(before, after)),
        marginals=tuple(sorted(marginals, key=lambda m: -m.tv.value)),
        pairs=tuple(sorted(pairs, key=lambda p: -abs(p.after - p.before))),
        examples=tuple(_examples(drawn[0], drawn[1], codes)),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One condition of a map: probabilities by category, and the standard error of their logs."""

    p: dict[str, float]
    error: dict[str, float]


def _tables(snapshot: Snapshot) -> dict[tuple[str, Given], dict[Given, _Row]]:
    """Every map of a snapshot by (dimension, given), its rows by condition."""
    frame = pl.DataFrame(snapshot.maps()).with_columns(pl.col("spread").fill_null(0.0))
    found: dict[tuple[str, Given], dict[Given, _Row]] = {}
    columns = ("dimension", "given", "condition", "category", "probability", "spread", "models")
    for dimension, given, condition, category, p, spread, models in frame.select(columns).iter_rows():
        rows = found.setdefault((dimension, tuple(given)), {})
        row = rows.setdefault(tuple(condition), _Row({}, {}))
        row.p[category], row.error[category] = p, spread / np.sqrt(max(models, 1))
    return found


def _map_drift(
    key: tuple[str, Given],
    before: Mapping[Given, _Row],
    after: Mapping[Given, _Row],
    codes: Sequence[Mapping[str, Codes]],
    sizes: Mapping[str, int],
) -> MapDrift:
    """Distance of one map; a condition weighs what the people of both snapshots put there."""
    dimension, given = key
    conditions = list(after)
    categories = list(after[conditions[0]].p)
    p, q = (np.array([[rows[c].p[k] for k in categories] for c in conditions]) for rows in (before, after))
    s, t = (np.array([[rows[c].error[k] for k in categories] for c in conditions]) for rows in (before, after))
    mass = _mass(given, codes, sizes)
    tv = total_variation(p, q)
    # The distance is half the sum of sign * difference: linear in small errors of the logs.
    sign = np.sign(q - p)
    error = np.sqrt(_linear_variance(p, s, sign) + _linear_variance(q, t, sign))
    counts = Resamples.of([mass]).counts[0]
    shaken = tv + error * np.random.default_rng(SEED).standard_normal((REPLICATES, len(tv)))
    weight = counts * mass
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    replicates = (weight * np.vstack([tv, shaken])).sum(axis=1)
    spread = np.sqrt(_cell_variance(p, s) + _cell_variance(q, t))
    noise = 0.5 * np.sqrt(2 / np.pi) * spread.sum(axis=1)  # a normal error is sqrt(2 / pi) of its deviation on average
    return MapDrift(dimension, given, _clipped(interval(replicates)), float(mass @ noise))


def _mass(given: Given, codes: Sequence[Mapping[str, Codes]], sizes: Mapping[str, int]) -> Floats:
    """Share of all people in each condition, in the order of a snapshot's rows, (C,)."""
    shape = tuple(sizes[g] for g in given)
    if not given:
        return np.ones(1)
    places = [np.ravel_multi_index(tuple(c[g] for g in given), shape) for c in codes]
    counts = np.bincount(np.concatenate(places), minlength=int(np.prod(shape))).astype(np.float64)
    return np.asarray(counts / counts.sum())


def _linear_variance(p: Floats, error: Floats, sign: Floats) -> Floats:
    """Variance of half the signed sum of a row's probabilities, from independent errors of their logs."""
    centred = sign - (p * sign).sum(axis=1, keepdims=True)
    return np.asarray(0.25 * np.square(p * error * centred).sum(axis=1))


def _cell_variance(p: Floats, error: Floats) -> Floats:
    """Variance of each normalised probability, from independent errors of their logs."""
    all_cells = np.square(p * error).sum(axis=1, keepdims=True)
    return np.asarray(np.square(p) * np.maximum(np.square(error) * (1 - 2 * p) + all_cells, 0.0))


def _marginal_drift(dimension: str, size: int, before: Codes, after: Codes) -> MarginalDrift:
    """Distance of a marginal; its interval resamples people, each with both of its values."""
    joint = np.bincount(before * size + after, minlength=size * size)
    drawn = np.random.default_rng(SEED).multinomial(len(before), joint / joint.sum(), REPLICATES)
    tables = np.vstack([joint, drawn]).reshape(-1, size, size) / len(before)
    tv = total_variation(tables.sum(axis=2), tables.sum(axis=1))
    return MarginalDrift(dimension, interval(tv), float(np.mean(before != after)))


def _pair_drift(first: str, second: str, sizes: Mapping[str, int], codes: Sequence[Mapping[str, Codes]]) -> PairDrift:
    values = []
    for drawn in codes:
        place = drawn[first] * sizes[second] + drawn[second]
        table = np.bincount(place, minlength=sizes[first] * sizes[second]).reshape(sizes[first], sizes[second])
        table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
        values.append(float(contingency.association(table, method="cramer")) if min(table.shape) > 1 else 0.0)
    return PairDrift(first, second, values[0], values[1])


def _examples(one: Batch, other: Batch, codes: Sequence[Mapping[str, Codes]]) -> Iterator[Example]:
    """The first people of whom any value differs."""
    shared = list(codes[0])
    differs = np.any([codes[0][d] != codes[1][d] for d in shared], axis=0)
    for place in np.flatnonzero(differs)[:EXAMPLES].tolist():
        old, new = one[place], other[place]
        changed = tuple((d, str(old[d]), str(new[d])) for d in shared if old[d] != new[d])
        yield Example(old.to_prompt(), new.to_prompt(), changed)


def _categories(snapshot: Snapshot, dimension: str) -> tuple[str, ...]:
    return snapshot.dimension(dimension).categories


def _clipped(found: Interval) -> Interval:
    """Distances are no less than 0, whatever the error."""
    return Interval(found.value, max(found.low, 0.0), max(found.high, 0.0))
