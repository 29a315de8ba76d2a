"""What each member of a panel has shown, and the pooling weight that follows from it.

Belongs here: the formula of the weight and the measures it rests on. Does not belong here: the geometry of answers
(`agreement`), the pool that uses the weights (`pooling`), counts of requests and calls, which come from tables.

The formula, with its reasons and how far it carries, is laid out in docs/pooling.md:

    weight = acceptance * decision * information * nearness / likeness,  largest scaled to 1

- **acceptance, decision, information**: ramps from 0 at a quarter to 1 at three quarters. Of the requests that the
  member answered, the share accepted; of the consensus's distance from uniform rows in entropy, the member's (a hedger
  has little); of the mutual information in the consensus's one-way maps, the member's (who ignores the given has none).
- **nearness**: Tukey's bisquare of the distance from the pool of all others, 0 from `CUT` times the panel's median
  distance on. Fluent and wrong is far away.
- **likeness**: how many members the member stands for, itself included. Residuals from the consensus that correlate by
  0.5 or less count as independent, by 0.9 or more as one, so that a cluster of copies counts about once.

Weights and consensus need each other, so they take turns (iteratively reweighted least squares, Holland & Welsch 1977),
from a start that half of the panel cannot spoil: each member's median distance from the members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.combination.agreement import Agreement
from pipeline.combination.pooling import LEAST_DISTANCE, weighted_median
from pipeline.combination.problem import CombinationError, Floats

RAMP = (0.25, 0.75)
"""Share of what should be there at which a member counts nothing, and from which on fully."""

CUT = 3.0
"""Distance, in units of the panel's median (at least `LEAST_DISTANCE`), from which on a member counts nothing."""

ALIKE = (0.5, 0.9)
"""Correlation of residuals up to which two members count as two, and from which on as one."""

LEAST_RESIDUAL = 0.1
"""Length in nats that residuals count as having at least."""

JUDGES = 2.5
"""Independent members needed before distance, hedging and information are judged: of two neither can be called bad."""

ROUNDS = 8
"""Rounds of weights and consensus; a fixed number, so that the result depends on nothing else."""

DIGITS = 2
"""Digits that a weight is kept with: small changes of an answer must not redo every map."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one member stands in its panel. Measures are NaN where nobody else answered the same maps.

    Attributes:
        model: Its id.
        hedging: Mean entropy of its maps less the consensus's, in nats; positive if it hedges.
        distance: Rms centred log distance from the pool of all others, in nats.
        tv: Mean total variation from the pool of all others.
        information: Mutual information of its one-way maps over the consensus's; 0 if it ignores the given.
        nearest: The member that it resembles most beyond the consensus; None if there is no other.
        similarity: Correlation of its residuals with that member's.
        weight: Pooling weight, 0 to 1.
    """

    model: str
    hedging: float
    distance: float
    tv: float
    information: float
    nearest: str | None
    similarity: float
    weight: float


def standings(agreement: Agreement, acceptance: Sequence[float]) -> tuple[Standing, ...]:
    """Judge every member, in the order of `agreement.members`; `acceptance` is the share of answers accepted, 0 to 1.

    Measures are against the final consensus.

    Raises `CombinationError` if `acceptance` is not one share per member.
    """
    shares = np.asarray(acceptance, dtype=np.float64)
    if shares.shape != (len(agreement.members),) or not ((shares >= 0) & (shares <= 1)).all():
        raise CombinationError("scorecards need one acceptance between 0 and 1 per member: count the answers again")
    weights = panel_weights(agreement, shares)
    own, pool, _ = agreement.entropy(weights)
    told, known = agreement.information(weights)
    alike = agreement.similarity(weights, LEAST_RESIDUAL)
    np.fill_diagonal(alike, -np.inf)
    nearest = alike.argmax(axis=1)
    distance, tv = agreement.from_others(weights), agreement.total_variation(weights)
    several = len(agreement.members) > 1
    return tuple(
        Standing(
            model=model,
            hedging=float(own[i] - pool[i]),
            distance=float(distance[i]),
            tv=float(tv[i]),
            information=float(told[i] / known[i]) if known[i] > 0 else float("nan"),
            nearest=agreement.members[nearest[i]] if several else None,
            similarity=float(alike[i, nearest[i]]) if several else float("nan"),
            weight=float(weights[i]),
        )
        for i, model in enumerate(agreement.members)
    )


def panel_weights(agreement: Agreement, acceptance: Floats) -> Floats:
    """Weights (M,), the largest 1, rounded; all 0 if nobody's answers were accepted."""
    accepted = np.where(agreement.present.any(axis=0), _ramp(acceptance, RAMP), 0.0)
    likeness = _likeness(agreement, np.zeros(len(accepted)), accepted)
    if (accepted / likeness).sum() >= JUDGES:
        weights = accepted / likeness * _nearness(_start(agreement, accepted / likeness), accepted / likeness)
        for _ in range(ROUNDS):
            weights = _round(agreement, accepted, weights)
    else:
        weights = accepted / likeness
    top = weights.max(initial=0.0)
    return np.asarray(np.round(weights / top, DIGITS) if top > 0 else weights)


def _round(agreement: Agreement, accepted: Floats, weights: Floats) -> Floats:
    """One round: what the members are worth against the consensus under these weights."""
    own, pool, most = agreement.entropy(weights)
    told, known = agreement.information(weights)
    worth = accepted * _ramp(_ratio(most - own, most - pool), RAMP) * _ramp(_ratio(told, known), RAMP)
    heard = _likeness(agreement, weights, worth)
    near = _nearness(agreement.from_others(weights), worth / heard)
    return worth * near / _likeness(agreement, weights, worth * near)


def _start(agreement: Agreement, heard: Floats) -> Floats:
    """Each member's weighted median distance from all members, itself included, in nats, (M,)."""
    distance = np.sqrt(agreement.between)
    unknown = np.isnan(distance)
    weights = np.where(unknown, 0.0, heard)
    alone = weights.sum(axis=1) == 0
    weights[alone] = 1.0
    middle = weighted_median(np.where(unknown, 0.0, distance).T, weights.T)
    return np.where(alone, np.nan, middle)


def _nearness(distance: Floats, heard: Floats) -> Floats:
    """Tukey's bisquare of distances against the weighted median distance; 1 where a distance is unknown."""
    known = ~np.isnan(distance) & (heard > 0)
    typical = LEAST_DISTANCE
    if known.any():
        typical = max(typical, float(weighted_median(distance[known][:, np.newaxis], heard[known][:, np.newaxis])[0]))
    near = np.square(np.maximum(1 - np.square(distance / (CUT * typical)), 0.0))
    return np.where(np.isnan(distance), 1.0, near)


def _likeness(agreement: Agreement, weights: Floats, worth: Floats) -> Floats:
    """How many members each stands for, at least 1: those like it, in proportion to what they are worth beside it."""
    alike = _ramp(agreement.similarity(weights, LEAST_RESIDUAL), ALIKE)
    np.fill_diagonal(alike, 0.0)
    beside = np.minimum(worth[np.newaxis, :] / np.where(worth > 0, worth, np.inf)[:, np.newaxis], 1.0)
    return np.asarray(1 + (alike * beside).sum(axis=1))


def _ramp(value: Floats, ends: tuple[float, float]) -> Floats:
    low, high = ends
    return np.asarray(np.clip((value - low) / (high - low), 0.0, 1.0))


def _ratio(own: Floats, whole: Floats) -> Floats:
    """Own part of a whole; 1, and so no reproach, where the whole is unknown or nothing."""
    usable = ~np.isnan(own) & (np.nan_to_num(whole) > 0)
    return np.where(usable, own / np.where(usable, whole, 1.0), 1.0)
