"""Which two-way maps are worth asking for: each pair's true worth, beside what the one-way maps foretell of it.

Does not belong here: the measure itself, which the pipeline offers as `pipeline.combination.asking`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from benchmarks.combination.arms import exact_map, problem_of
from benchmarks.combination.scoring import gain
from benchmarks.combination.tasks import People, Task
from pipeline.combination.asking import pair_worth
from pipeline.combination.max_entropy import max_entropy_shrunk
from pipeline.combination.problem import ElicitedMap, Given

MOST_PAIRS = 3


def pair_rows(
    task: Task,
    train: People,
    test: People,
    truth: Mapping[Given, ElicitedMap],
    references: tuple[float, float],
) -> list[dict[str, Any]]:
    """A row per pair of parents: what its two-way map adds to the gain, and the forecast made without it.

    A row for each number of pairs asked, in the order of the forecast, tells what they add together. `worth` is the
    addition without the sampling error of a map taken from few people (see `thin`). `references` are the gains of
    multinomial logit and gradient boosting.
    """
    logit, boosting = references
    mains = [truth[(p,)] for p in task.target.parents]
    plain = problem_of(task, train, truth[()], mains)
    without = gain(task, train, test, max_entropy_shrunk(plain).probabilities(test.parents))
    forecasts = {w.pair: w.disagreement for w in pair_worth(plain)}

    def row(kind: str, pairs: Sequence[Given]) -> dict[str, Any]:
        maps = [*mains, *(exact_map(task, train, pair) for pair in pairs)]
        fit = max_entropy_shrunk(problem_of(task, train, truth[()], maps))
        added = gain(task, train, test, fit.probabilities(test.parents)) - without
        return {
            "task": task.id,
            "role": task.role,
            "kind": kind,
            "pair": " x ".join(pairs[0]) if kind == "pair" else "",
            "asked": len(pairs),
            "forecast": forecasts[pairs[0]] if kind == "pair" else 0.0,
            "added": added,
            "worth": added + sum(thin(task, train, pair) for pair in pairs),
            "logit": logit,
            "headroom": boosting - without,
        }

    order = list(forecasts)
    rows = [row("pair", [pair]) for pair in combinations(task.target.parents, 2)]
    return rows + [row("first", order[:count]) for count in range(1, min(MOST_PAIRS, len(order)) + 1)]


def thin(task: Task, train: People, pair: Given) -> float:
    """Expected loss on unseen people, in nats, for fitting the free cells of a pair to this many people.

    Half a nat per free cell and person (Akaike 1974). It is the price of taking the map from a sample; who asks a
    model for the map pays with the model's own error instead.
    """
    sizes = [task.sizes[task.target.parents.index(p)] - 1 for p in pair]
    return math.prod(sizes) * (len(task.target.categories) - 1) / (2 * len(train.target))
