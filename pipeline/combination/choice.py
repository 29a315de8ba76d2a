"""The rule by which a dimension gets its strategy. One function; nothing else belongs here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.combination.bootstrap import LEVEL
from pipeline.combination.problem import CombinationError
from pipeline.combination.strategies import CONTROLS, STRATEGIES
from pipeline.combination.trial import Trial

MARGINAL_LIMIT = 0.02
ONE_WAY_LIMIT = 0.04
TWO_WAY_LIMIT = 0.04
"""How far a dimension may lie from its marginal and, on average, from the maps that were asked: total variation."""

MARGINAL_ROOM = 0.015
"""What a trial allows of the marginal's limit: a batch adds the drift of ancestors and its own sampling error."""

NEGLIGIBLE = 1e-6
"""Divergence in nats that the rounding of stored factors can cause."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The strategy that a dimension ships with.

    Attributes:
        winner: The trial of the chosen strategy.
        runner_up: Name of the best other strategy that could have been chosen; None if there is none.
        margin: Divergence of the runner-up less the winner's, in nats: negative if the simpler of two tied won,
            the winner was set by hand, or is the nearest to its maps where no strategy keeps to them.
        tied: Names of all whose divergence does not separate from the lowest, simplest first.
        reason: Why, in a sentence.
        override: The catalogue's reason for choosing otherwise; None if the rule decided.
    """

    winner: Trial
    runner_up: str | None
    margin: float | None
    tied: tuple[str, ...]
    reason: str
    override: str | None = None


def choose(dimension: str, trials: Sequence[Trial], override: tuple[str, str] | None = None) -> Choice:
    """Choose a dimension's strategy: the lowest divergence whose interval separates, else the simplest of the tied.

    1. Only strategies that keep to the maps they were given take part: the marginal within 0.015, one-way and two-way
       maps within 0.04 of total variation on average. If none does, the nearest is chosen, by the distance that is
       farthest beyond what is allowed: a marginal a little off weighs less than maps that are not kept at all.
    2. Controls take no part, unless the dimension has no parents and they are all there is to say.
    3. Divergence is Jensen-Shannon, averaged over the held-out maps (over the maps of the fit where none is held out).
    4. A strategy ties with the lowest if the 95 % bootstrap interval of their difference, paired condition by
       condition, reaches 0, or what the rounding of stored factors can make of it.
    5. Of those tied the simplest wins, which is the first in the registry.

    Args:
        dimension: Its id, for messages.
        trials: All its trials.
        override: Strategy and reason that the catalogue sets against the rule.

    Raises:
        CombinationError: If the override names a strategy that is unknown or declined, or nothing was tried.
    """
    if not trials:
        raise CombinationError(f"{dimension}: no strategy was tried; give at least one")
    rooted = all(len(m.given) == 0 for m in trials[0].maps)
    free = [t for t in trials if rooted or t.strategy not in CONTROLS] or list(trials)
    keeping = [t for t in free if _excess(t) <= 1]
    field = keeping or [min(free, key=_excess)]
    best = min(field, key=lambda t: float(t.judged[0]))
    tied = [t for t in field if _ties(t, best)]
    order = list(STRATEGIES)
    tied.sort(key=lambda t: order.index(t.strategy) if t.strategy in order else len(order))
    winner = tied[0]
    reason = "lowest held-out divergence" if len(tied) == 1 else f"simplest of {len(tied)} tied on held-out divergence"
    if trials[0].held_out_js is None:
        reason = reason.replace("held-out divergence", "divergence from its own maps, none being held out")
    if not keeping:
        reason = "nearest to the maps it was given: no strategy keeps to them"
    why = None
    if override is not None:
        name, why = override
        chosen = next((t for t in trials if t.strategy == name), None)
        if chosen is None:
            known = ", ".join(t.strategy for t in trials)
            raise CombinationError(f"{dimension}: override '{name}' was not tried here: choose one of {known}")
        reason, winner = f"override: {why} (the rule would have chosen {winner.strategy})", chosen
    others = sorted((t for t in (keeping or free) if t is not winner), key=lambda t: float(t.judged[0]))
    second = others[0] if others else None
    return Choice(
        winner=winner,
        runner_up=second.strategy if second else None,
        margin=float(second.judged[0] - winner.judged[0]) if second else None,
        tied=tuple(t.strategy for t in tied),
        reason=reason,
        override=why,
    )


def _excess(trial: Trial) -> float:
    """Distance from the maps it was given in units of what is allowed; at most 1 if it keeps to them."""
    return max(trial.marginal_tv / MARGINAL_ROOM, trial.one_way_tv / ONE_WAY_LIMIT, trial.two_way_tv / TWO_WAY_LIMIT)


def _ties(trial: Trial, best: Trial) -> bool:
    difference = trial.judged - best.judged
    return bool(np.percentile(difference[1:], 50 * (1 - LEVEL)) <= NEGLIGIBLE)
