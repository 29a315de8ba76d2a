"""Scoring: one strategy on one task, against people it has not seen and against what the microdata itself can teach.

Does not belong here: where the maps come from (`arms`), tables and pictures (`report`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.combination.tasks import People, Task
from pipeline.combination.problem import Combined, ElicitedMap, Floats
from pipeline.combination.scores import map_score

MOST_PEOPLE = 20_000
FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Score:
    """How one fit did.

    `gain` is the mean log probability of the unseen people's target over that of the training base rate, in nats; the
    distances are total variation between what the fit implies for the training people and their exact maps.
    """

    gain: float
    marginal_tv: float
    one_way_tv: float
    two_way_tv: float


def split(people: People, seed: int) -> tuple[People, People]:
    """Two random halves of the people, of at most `MOST_PEOPLE` together."""
    order = np.random.default_rng(seed).permutation(len(people.target))[:MOST_PEOPLE]
    half = len(order) // 2
    first, second = order[:half], order[half:]
    return (
        People(people.parents[first], people.target[first]),
        People(people.parents[second], people.target[second]),
    )


def base_rate(task: Task, train: People) -> Floats:
    """Base rate of the training half, (K,), half a person added to each category."""
    counts = np.bincount(train.target, minlength=len(task.target.categories)) + 0.5
    return np.asarray(counts / counts.sum())


def gain(task: Task, train: People, test: People, rows: Floats) -> float:
    """Mean log probability in nats that (n, K) rows give the test people's target, over the training base rate."""
    hit = np.maximum(rows[np.arange(len(rows)), test.target], FLOOR)
    return float(np.mean(np.log(hit) - np.log(base_rate(task, train)[test.target])))


def score(
    task: Task, train: People, test: People, combined: Combined, truth: Mapping[tuple[str, ...], ElicitedMap]
) -> Score:
    """Score a combination; `truth` holds the exact maps of the training half."""
    implied = combined.probabilities(train.parents)
    found: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for given, exact in truth.items():
        found[len(given)].append(map_score(exact, train.parents, implied, task.target.parents).tv)
    return Score(
        gain(task, train, test, combined.probabilities(test.parents)), *(mean(found[order]) for order in (0, 1, 2))
    )


def logit_rows(task: Task, train: People, test: People) -> Floats:
    """Reference: a multinomial logit on the parents' indicator columns, trained on the training half itself."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  # a benchmark extra

    model = LogisticRegression(C=1.0, max_iter=2000)
    model.fit(_indicators(task, train), train.target)
    return _spread_over(task, model.classes_, model.predict_proba(_indicators(task, test)))


def boosting_rows(task: Task, train: People, test: People) -> Floats:
    """Reference: gradient boosting on the training half, parents as categories, stopped on a tenth of it."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415

    model = HistGradientBoostingClassifier(
        categorical_features=list(range(len(task.sizes))),
        learning_rate=0.06,
        max_leaf_nodes=12,
        max_iter=300,
        early_stopping=True,
        random_state=0,
    )
    model.fit(train.parents, train.target)
    return _spread_over(task, model.classes_, model.predict_proba(test.parents))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; nan of nothing."""
    return sum(values) / len(values) if values else math.nan


def _indicators(task: Task, people: People) -> Floats:
    return np.concatenate([np.eye(n)[people.parents[:, i]] for i, n in enumerate(task.sizes)], axis=1)


def _spread_over(task: Task, classes: Sequence[int], rows: Floats) -> Floats:
    """Put the columns of the classes that the training half had into the order of all categories."""
    result = np.zeros((len(rows), len(task.target.categories)))
    result[:, list(classes)] = rows
    return result
