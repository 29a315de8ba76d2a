"""Trials: every strategy fitted to one dimension and scored on people that the fit did not see; then the choice.

Belongs here: running strategies on one problem, their scores, and the rule of choice. Does not belong here: the
strategies, the distances themselves (`scores`), storage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.combination.factors import rounded
from pipeline.combination.problem import (
    Codes,
    CombinationError,
    FactorModel,
    Problem,
    Strategy,
    StrategyDeclinedError,
)
from pipeline.combination.scores import MapScore, map_scores

SHIPPED = "max_entropy"


@dataclass(frozen=True, slots=True)
class Trial:
    """One strategy tried on one dimension.

    Distances are between what the strategy implies for a fresh batch of parents and the pooled maps: total variation
    (0 to 1) and Jensen-Shannon divergence (nats), weighted by the mass of the conditions and averaged over maps.
    """

    strategy: str
    marginal_tv: float
    one_way_tv: float
    one_way_worst: float
    two_way_tv: float
    js: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The strategy a dimension ships with, and why."""

    strategy: str
    reason: str
    model: FactorModel


def run_trials(
    problem: Problem, batch: Codes, strategies: Mapping[str, Strategy]
) -> tuple[tuple[Trial, ...], dict[str, FactorModel]]:
    """Fit every strategy and score it on a batch of parents, uint8 (n, P), drawn apart from the reference.

    Returns the trials, and the factor models among the fits, rounded as a snapshot stores them. A strategy that
    declines the dimension has no trial.
    """
    trials, models = [], {}
    for name, strategy in strategies.items():
        try:
            fitted = strategy(problem)
        except StrategyDeclinedError:
            continue
        if isinstance(fitted, FactorModel):
            fitted = rounded(fitted)
            models[name] = fitted
        rows = fitted.probabilities(batch)
        scores = map_scores((problem.base, *problem.maps), batch, rows, problem.parents)
        trials.append(_trial(name, scores))
    return tuple(trials), models


def choose(dimension: str, models: Mapping[str, FactorModel]) -> Choice:
    """The rule of choice: the maximum entropy fit, the one strategy that reproduces every map it is given.

    Other strategies are tried beside it so that the choice can be questioned with figures; they reproduce the maps they
    were given less well by construction, so distance to those maps alone is no fair contest between them.

    Raises `CombinationError` if it has not been fitted.
    """
    if SHIPPED not in models:
        raise CombinationError(f"{dimension}: strategy {SHIPPED} gave no factors; see its trial")
    return Choice(SHIPPED, "shipped for every dimension: reproduces all maps at once", models[SHIPPED])


def _trial(name: str, scores: Sequence[MapScore]) -> Trial:
    marginal = scores[0]
    one_way = [s for s in scores if len(s.given) == 1]
    two_way = [s for s in scores if len(s.given) > 1]
    return Trial(
        strategy=name,
        marginal_tv=marginal.tv,
        one_way_tv=_mean([s.tv for s in one_way]),
        one_way_worst=max((s.tv for s in one_way), default=0.0),
        two_way_tv=_mean([s.tv for s in two_way]),
        js=_mean([s.js for s in scores]),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
