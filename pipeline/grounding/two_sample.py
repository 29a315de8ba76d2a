"""The classifier two-sample test: can gradient boosting tell respondents from personas (Lopez-Paz & Oquab 2017)?

Does not belong here: making the personas, whether by the snapshot or by a control (`engine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.combination.bootstrap import LEVEL, Interval
from pipeline.combination.problem import Floats
from pipeline.grounding.crosswalk import People

FOLDS = 5
REPLICATES = 400
SWEEPS = 30
"""Of raking."""


def held_out_scores(asked: People, made: People, nominal: list[bool], seed: int) -> tuple[Floats, Floats]:
    """What a classifier that has not seen them says of respondents and of the made people: the odds of being made.

    Stratified cross-validation; `nominal` marks the columns whose order means nothing. Weights count in training.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415  # a benchmark extra
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415

    x = np.concatenate([asked.codes, made.codes]).astype(float)
    y = np.repeat([0, 1], [len(asked), len(made)])
    weights = np.concatenate([asked.weights / asked.weights.mean(), made.weights / made.weights.mean()])
    scores = np.empty(len(y))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        model = HistGradientBoostingClassifier(
            categorical_features=[i for i, one in enumerate(nominal) if one] or None,
            learning_rate=0.06,
            max_leaf_nodes=12,
            max_iter=300,
            early_stopping=True,
            random_state=seed,
        )
        # Set here, as a limit holds only for libraries that are loaded; threads of two processes wait for each other.
        with threadpool_limits(1):
            model.fit(x[train], y[train], sample_weight=weights[train])
            scores[test] = model.decision_function(x[test])
    return scores[y == 0], scores[y == 1]


def auc_replicates(asked: Floats, made: Floats, weights: Floats, seed: int) -> Floats:
    """Area under the ROC curve, then of resampled people: (1 + REPLICATES,). 0.5 is indistinguishable.

    `asked` and `made` are the scores of both, `weights` the respondents'. Respondents are resampled by `seed` alone, so
    that the areas of several arms against the same respondents are paired.
    """
    ordered = np.sort(made)
    place = np.argsort(made, kind="stable")
    below, upto = np.searchsorted(ordered, asked, "left"), np.searchsorted(ordered, asked, "right")
    theirs, ours = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    found = np.empty(1 + REPLICATES)
    for turn in range(1 + REPLICATES):
        counts = np.ones(len(made)) if turn == 0 else _resampled(ours, len(made))
        drawn = weights if turn == 0 else weights * _resampled(theirs, len(asked))
        heap = np.concatenate([[0.0], np.cumsum(counts[place])])
        above = 1 - (heap[below] + heap[upto]) / (2 * heap[-1])
        found[turn] = (drawn @ above) / drawn.sum()
    return found


def area(replicates: Floats) -> Interval:
    """The area, or a difference of areas, with its interval from the resampled people."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(replicates[1:], [tail, 1 - tail])
    return Interval(float(replicates[0]), float(low), float(high))


def matched(pool: People, like: People, sizes: list[int], n: int, seed: int) -> People:
    """n of the pool, without replacement, whose margins are those of `like`: what is left to tell them by is joint."""
    targets = [np.bincount(like.codes[:, i], like.weights, size) / like.weights.sum() for i, size in enumerate(sizes)]
    return chosen(People(pool.codes, raked(pool.codes, targets)), n, seed)


def raked(codes: npt.NDArray[np.integer[Any]], targets: Sequence[Floats]) -> Floats:
    """Weights, (n,), with which each column of codes has its target for a margin (raking, Deming & Stephan 1940)."""
    weights = np.ones(len(codes))
    for _ in range(SWEEPS):
        for i, target in enumerate(targets):
            share = np.bincount(codes[:, i], weights, len(target)) / weights.sum()
            weights *= (target / np.where(share > 0, share, 1.0))[codes[:, i]]
    return weights


def chosen(people: People, n: int, seed: int) -> People:
    """n of the people, without replacement, by their weights; all count the same after it.

    The draw is by exponential keys (Efraimidis & Spirakis 2006), which follows the weights as long as people are many
    more than n.
    """
    keys = np.log(np.random.default_rng(seed).random(len(people))) / np.maximum(people.weights, 1e-300)
    found = people.codes[np.argsort(-keys)[:n]]
    return People(found, np.ones(len(found)))


def _resampled(rng: np.random.Generator, n: int) -> Floats:
    return np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
