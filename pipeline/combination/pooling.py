"""Pooling one map across the models of the panel, with the spread between them kept per cell.

Belongs here: from several models' estimates of one given to one `ElicitedMap`. Does not belong here: parsing or
validating answers, the models' weights, and combining maps of different givens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.combination.problem import Bools, CombinationError, ElicitedMap, Floats, Given, given_name

ZERO_FLOOR = 1e-4
"""A model's probability is read as at least this where another model sees more: nobody vetoes alone."""

UNANIMOUS_FLOOR = 1e-6
"""Where all models are below `ZERO_FLOOR` the cell may fall to this; only logic makes a zero."""

DEFAULT_SPREAD = 0.15
"""Spread in nats assumed for a map that one model answered; an assumption, not a measurement."""

CELL_PRIOR = 4.0
"""Degrees of freedom that the map's mean variance counts against the variance of one cell."""

MAP_PRIOR = 2.0
"""Degrees of freedom that `DEFAULT_SPREAD` counts against the mean variance of one map."""

BISQUARE = 4.685
"""Cut-off of Tukey's bisquare in units of the typical distance; the customary constant."""

LEAST_DISTANCE = 0.2
"""Typical distance in nats that is never undercut, so that near-unanimous panels do not expel an honest dissenter.

Also where few members and categories make a row's own median distance small by chance.
"""


def pool(
    given: Given,
    estimates: Sequence[Floats],
    weights: Sequence[float] | None = None,
    allowed: Bools | None = None,
) -> ElicitedMap:
    """Pool the estimates of one map: a weighted logarithmic opinion pool, robust to one bad model.

    The pool is the weighted geometric mean of each row (Genest & Zidek 1986). With three or more models a model is
    discounted in rows where it is far from the weighted median of the logs (bisquare, Beaton & Tukey 1974): a good one
    can be wrong somewhere, and what is bad everywhere is shut out by its weight (`scorecards`). Of two that disagree
    neither can be called bad. The spread is the weighted standard deviation of the centred log probability. From few
    models that is itself mostly noise, so cell variances are moderated towards the map's mean variance, and that
    towards `DEFAULT_SPREAD` (empirical Bayes, Smyth 2004).

    `support` counts members as if they erred independently; what all members share shows in no spread.

    Args:
        given: Parents conditioned on, naming the axes.
        estimates: One array (*sizes of given, K) per model; a row of NaN where a model has no answer.
        weights: Panel weight of each model, not all 0; equal by default. A model of weight 0 is not there at all.
        allowed: Structural zeros (*sizes of given, K), False = never: exactly 0 in the result.

    Raises:
        CombinationError: If shapes differ, a row has no answer at all, or an answer has only forbidden categories.
    """
    logs, shares, p, mask = _pooled(given, estimates, weights, allowed)
    effective = 1 / np.square(shares).sum(axis=0)
    shape = estimates[0].shape
    return ElicitedMap(
        given=given,
        p=p.reshape(shape),
        spread=_spread(logs, shares, p, effective, mask).reshape(shape),
        support=max(1.0, float(effective.min())),
    )


def pooled_probabilities(
    given: Given,
    estimates: Sequence[Floats],
    weights: Sequence[float] | None = None,
    allowed: Bools | None = None,
) -> Floats:
    """The probabilities of `pool` alone, (*sizes of given, K), for the many pools whose spread nobody asks for."""
    return _pooled(given, estimates, weights, allowed)[2].reshape(estimates[0].shape)


def _pooled(
    given: Given, estimates: Sequence[Floats], weights: Sequence[float] | None, allowed: Bools | None
) -> tuple[Floats, Floats, Floats, Bools]:
    """Log probabilities (m, rows, K) of the models that count, their shares (m, rows), the pool (rows, K), the mask."""
    stack, panel, mask = _checked(given, estimates, weights, allowed)
    present: Bools = np.asarray(~np.isnan(stack).any(axis=-1))
    logs = floored_logs(given, stack, present, mask)
    shares = _robust_shares(logs, np.where(present, panel[:, np.newaxis], 0.0), mask)
    pooled = np.einsum("mr,mrk->rk", shares, logs)
    p = np.where(mask, np.exp(pooled - pooled.max(axis=1, where=mask, initial=-np.inf, keepdims=True)), 0.0)
    return logs, shares, p / p.sum(axis=1, keepdims=True), mask


def _checked(
    given: Given, estimates: Sequence[Floats], weights: Sequence[float] | None, allowed: Bools | None
) -> tuple[Floats, Floats, Bools]:
    name = given_name(given)
    if not estimates or any(e.shape != estimates[0].shape for e in estimates):
        raise CombinationError(f"map {name}: pooling needs estimates of one shape; check the models' answers")
    k = estimates[0].shape[-1]
    stack = np.stack([np.asarray(e, dtype=np.float64).reshape(-1, k) for e in estimates])
    if (stack < 0).any() or np.isinf(stack).any():
        raise CombinationError(f"map {name}: an estimate is negative or infinite; validate it first")
    panel = np.ones(len(estimates)) if weights is None else np.asarray(weights, dtype=np.float64)
    if panel.shape != (len(estimates),) or not np.isfinite(panel).all() or (panel < 0).any() or panel.sum() == 0:
        raise CombinationError(f"map {name}: give one weight >= 0 per model, not all of them 0")
    answered = (~np.isnan(stack).any(axis=-1) & (panel > 0)[:, np.newaxis]).any(axis=0)
    if not answered.all():
        row = np.unravel_index(int(np.argmin(answered)), estimates[0].shape[:-1]) if given else ()
        raise CombinationError(f"map {name}: no model answered condition {tuple(map(int, row))}; ask again")
    mask = np.ones(estimates[0].shape, dtype=np.bool_) if allowed is None else allowed
    if mask.shape != estimates[0].shape:
        raise CombinationError(f"map {name}: structural zeros have shape {mask.shape}, not {estimates[0].shape}")
    heard = panel > 0  # a model that is shut out does not even hold up the floor of a cell
    return stack[heard], panel[heard], mask.reshape(-1, k)


def floored_logs(given: Given, stack: Floats, present: Bools, mask: Bools) -> Floats:
    """Return log probabilities (models, rows, K) with floors applied; 0 where forbidden or absent.

    Args:
        given: Names the map in errors.
        stack: Estimates (models, rows, K).
        present: Which model answered which row, (models, rows).
        mask: Structural zeros (rows, K), False = never.
    """
    p = np.where(mask & present[..., np.newaxis], stack, 0.0)
    if (present & (p.sum(axis=-1) <= 0)).any():
        raise CombinationError(f"map {given_name(given)}: an answer has only forbidden categories; reject it")
    p /= np.where(present, p.sum(axis=-1), 1.0)[..., np.newaxis]
    floor = np.where(p.max(axis=0) < ZERO_FLOOR, UNANIMOUS_FLOOR, ZERO_FLOOR)
    p = np.maximum(p, floor)
    total = np.where(mask, p, 0.0).sum(axis=-1, keepdims=True)
    return np.where(mask & present[..., np.newaxis], np.log(p / total), 0.0)


def _robust_shares(logs: Floats, weights: Floats, mask: Bools) -> Floats:
    """Return the share of each model in each row, (models, rows), summing to 1 over models."""
    members = (weights > 0).sum(axis=0)
    if members.max() >= 3:
        middle = weighted_median(logs, np.broadcast_to(weights[..., np.newaxis], logs.shape))
        importance = np.where(mask, np.exp(middle), 0.0)
        importance /= importance.sum(axis=1, keepdims=True)
        distance = np.sqrt((importance * np.square(logs - middle)).sum(axis=-1))
        scale = np.maximum(weighted_median(distance, weights), LEAST_DISTANCE)
        bisquare = np.square(np.maximum(1 - np.square(distance / (BISQUARE * scale)), 0.0))
        weights = np.where(members >= 3, weights * bisquare, weights)
    return np.asarray(weights / weights.sum(axis=0))


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Return the weighted median along the first axis, midway between two values that both qualify."""
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    total = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    half = 0.5 * total[-1:]
    slack = 1e-12 * total[-1:]
    low = np.take_along_axis(ordered, (total >= half - slack).argmax(axis=0)[np.newaxis], axis=0)
    high = np.take_along_axis(ordered, (total > half + slack).argmax(axis=0)[np.newaxis], axis=0)
    return np.asarray(0.5 * (low + high)[0])


def _spread(logs: Floats, shares: Floats, p: Floats, effective: Floats, mask: Bools) -> Floats:
    """Return the moderated standard deviation of the centred log probability, (rows, K); 0 where it is certain."""
    centred = logs - (p * logs).sum(axis=-1, keepdims=True)
    mean = np.einsum("mr,mrk->rk", shares, centred)
    variance = np.einsum("mr,mrk->rk", shares, np.square(centred - mean))
    free = np.maximum(effective - 1, 0.0)
    variance *= np.where(free > 0, effective / np.maximum(free, 1e-12), 0.0)[:, np.newaxis]
    row_free = free * (mask.sum(axis=1) - 1)
    typical = float(row_free @ (p * variance).sum(axis=1)) + MAP_PRIOR * DEFAULT_SPREAD**2
    typical /= float(row_free.sum()) + MAP_PRIOR
    moderated = (free[:, np.newaxis] * variance + CELL_PRIOR * typical) / (free[:, np.newaxis] + CELL_PRIOR)
    uncertain = mask & (mask.sum(axis=1, keepdims=True) > 1)
    return np.where(uncertain, np.sqrt(moderated), 0.0)
