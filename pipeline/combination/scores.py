"""Distances between distributions, and between a batch and the maps it should reproduce.

Belongs here: pure scores on arrays. Does not belong here: choosing a winner, storing trials, plots.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.combination.problem import Codes, CombinationError, ElicitedMap, Floats, Given, given_name


@dataclass(frozen=True, slots=True)
class MapScore:
    """Divergence of the map that a batch implies from the elicited one.

    Attributes:
        given: What the map conditions on; () for the base map, whose `tv` is the marginal total variation.
        tv: Mean total variation of its rows, weighted by the batch's condition mass.
        js: The same of the Jensen-Shannon divergence, in nats.
        worst_tv: Total variation of the row that adds most to `tv`; a row of few people is mostly sampling noise.
        worst_condition: Parent codes of that row.
        worst_mass: Share of the batch in that row.
    """

    given: Given
    tv: float
    js: float
    worst_tv: float
    worst_condition: tuple[int, ...]
    worst_mass: float


def total_variation(p: Floats, q: Floats) -> Floats:
    """Return half the L1 distance along the last axis, 0 to 1."""
    return np.asarray(0.5 * np.abs(p - q).sum(axis=-1))


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Return the Jensen-Shannon divergence along the last axis in nats, 0 to ln 2 (Lin 1991)."""
    middle = 0.5 * (p + q)
    return np.asarray(np.maximum(0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle)), 0.0))


def one_hot(values: Codes, categories: int) -> Floats:
    """Return drawn category codes (n,) as distributions (n, K)."""
    result = np.zeros((len(values), categories))
    result[np.arange(len(values)), values] = 1.0
    return result


def implied_map(
    codes: Codes, rows: Floats, columns: tuple[int, ...], sizes: tuple[int, ...], weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return the map that a batch implies and the mass of its conditions.

    Args:
        codes: Parent codes, (n, P).
        rows: Distribution of each row, (n, K): model probabilities, or `one_hot` draws.
        columns: Columns of `codes` to condition on.
        sizes: Number of categories of each of these.
        weights: Mass of each row, (n,); equal by default.

    Returns:
        P of shape (*sizes, K), rows of 0 where no row falls, and the mass of shape sizes, summing to 1.
    """
    weights = np.full(len(rows), 1 / len(rows)) if weights is None else weights / weights.sum()
    count = int(np.prod(sizes)) if sizes else 1
    index = (
        np.ravel_multi_index(tuple(codes[:, c].astype(np.intp) for c in columns), sizes)
        if columns
        else np.zeros(len(rows), dtype=np.intp)
    )
    mass = np.bincount(index, weights, count).astype(np.float64)
    table = np.stack(
        [np.bincount(index, weights * rows[:, k], count).astype(np.float64) for k in range(rows.shape[1])], axis=1
    )
    table /= np.where(mass > 0, mass, 1.0)[:, np.newaxis]
    return table.reshape(*sizes, -1), mass.reshape(sizes)


def map_score(
    elicited: ElicitedMap, codes: Codes, rows: Floats, parents: tuple[str, ...], weights: Floats | None = None
) -> MapScore:
    """Score a batch against one map; see `implied_map` for the arrays. Conditions absent from the batch weigh 0.

    Raises:
        CombinationError: If the map conditions on something that is no column of `codes`.
    """
    missing = [p for p in elicited.given if p not in parents]
    if missing:
        raise CombinationError(f"map {given_name(elicited.given)}: the batch has no column {missing[0]}; add it")
    columns = tuple(parents.index(p) for p in elicited.given)
    sizes = elicited.p.shape[:-1]
    implied, mass = implied_map(codes, rows, columns, sizes, weights)
    tv = np.where(mass > 0, total_variation(implied, elicited.p), 0.0)
    js = np.where(mass > 0, jensen_shannon(implied, elicited.p), 0.0)
    worst = np.unravel_index(int((mass * tv).argmax()), tv.shape) if sizes else ()
    return MapScore(
        given=elicited.given,
        tv=float((mass * tv).sum()),
        js=float((mass * js).sum()),
        worst_tv=float(tv[worst]),
        worst_condition=tuple(int(i) for i in worst),
        worst_mass=float(mass[worst]),
    )


def map_scores(
    maps: Iterable[ElicitedMap],
    codes: Codes,
    rows: Floats,
    parents: tuple[str, ...],
    weights: Floats | None = None,
) -> tuple[MapScore, ...]:
    """Score a batch against several maps."""
    return tuple(map_score(m, codes, rows, parents, weights) for m in maps)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    live = p > 0
    ratio = np.where(live, p, 1.0) / np.where(live, q, 1.0)
    return np.asarray((p * np.log(ratio)).sum(axis=-1))
