"""Which two-way maps are worth asking for: each pair's true worth, beside what the one-way maps foretell of it.

Does not belong here: the measure itself, which the pipeline offers as `pipeline.combination.asking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from benchmarks.combination.arms import exact_map, problem_of
from benchmarks.combination.scoring import gain
from benchmarks.combination.tasks import People, Task
from pipeline.combination.asking import pair_worth
from pipeline.combination.max_entropy import max_entropy_shrunk
from pipeline.combination.problem import ElicitedMap, Given

MOST_PAIRS = 6


def pair_rows(
    task: Task,
    train: People,
    test: People,
    truth: Mapping[Given, ElicitedMap],
    references: tuple[float, float],
) -> list[dict[str, Any]]:
    """A row per pair of parents: what its exact two-way map adds to the gain, and its worth foretold without it.

    A row for each number of pairs asked, in the order of the forecast, tells what they add together. `references` are
    the gains of multinomial logit and gradient boosting.
    """
    logit, boosting = references
    mains = [truth[(p,)] for p in task.target.parents]
    plain = problem_of(task, train, truth[()], mains)
    without = gain(task, train, test, max_entropy_shrunk(plain).probabilities(test.parents))
    forecast = {w.pair: w for w in pair_worth(plain)}
    exact = {pair: exact_map(task, train, pair) for pair in combinations(task.target.parents, 2)}
    rows = []
    for pair, one in exact.items():
        with_it = problem_of(task, train, truth[()], [*mains, one])
        added = gain(task, train, test, max_entropy_shrunk(with_it).probabilities(test.parents)) - without
        rows.append(
            {
                "task": task.id,
                "role": task.role,
                "kind": "pair",
                "pair": " x ".join(pair),
                "asked": 1,
                "forecast": forecast[pair].worth,
                "disagreement": forecast[pair].disagreement,
                "cells": forecast[pair].cells,
                "added": added,
                "logit": logit,
                "headroom": boosting - without,
            }
        )
    order = [w.pair for w in pair_worth(plain)]
    for count in range(min(MOST_PAIRS, len(order)) + 1):
        problem = problem_of(task, train, truth[()], [*mains, *(exact[p] for p in order[:count])])
        added = gain(task, train, test, max_entropy_shrunk(problem).probabilities(test.parents)) - without
        rows.append(
            {
                "task": task.id,
                "role": task.role,
                "kind": "first",
                "pair": "",
                "asked": count,
                "forecast": 0.0,
                "disagreement": 0.0,
                "cells": 0,
                "added": added,
                "logit": logit,
                "headroom": boosting - without,
            }
        )
    return rows
