"""Which two-way maps are worth asking for: each pair's true worth, beside what the one-way maps foretell of it.

Does not belong here: the measure itself, which the pipeline offers as `pipeline.combination.asking`.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.combination.arms import exact_map, problem_of
from benchmarks.combination.scoring import gain
from benchmarks.combination.tasks import People, Task
from pipeline.combination.asking import pair_worth
from pipeline.combination.goodness import draw
from pipeline.combination.max_entropy import max_entropy_shrunk
from pipeline.combination.problem import Combined, Problem

DRAWS = 3
"""Simulated answers without interaction, by which the price of a thin map is told."""


def pair_rows(
    task: Task, train: People, test: People, references: tuple[float, float], seed: int
) -> list[dict[str, Any]]:
    """A row per pair of parents: what its two-way map adds to the gain, and the forecast made without it.

    Figures are shares of the logit's gain. `added` is measured on the unseen half. A map taken from a sample costs
    something for its sampling error even where there is nothing to learn; that is measured on people whose answers
    were drawn from the main effects alone, and `worth` is the addition without it (a parametric bootstrap, Efron &
    Tibshirani 1993). `references` are the gains of multinomial logit and gradient boosting.
    """
    logit, boosting = references
    plain, fit = _main_effects(task, train)
    without, added = _additions(task, train, test, plain, fit)
    nulls = []
    for turn in range(DRAWS):
        first, second = (
            People(people.parents, draw(fit.probabilities(people.parents), 1000 * seed + 10 * turn + half))
            for half, people in enumerate((train, test))
        )
        nulls.append(_additions(task, first, second, *_main_effects(task, first))[1])
    price = np.mean(nulls, axis=0)
    forecasts = {w.pair: w for w in pair_worth(plain)}
    return [
        {
            "task": task.id,
            "role": task.role,
            "split": seed,
            "pair": " x ".join(pair),
            "forecast": forecasts[pair].disagreement,
            "cells": forecasts[pair].cells,
            "added": float(added[i]) / logit,
            "worth": float(added[i] - price[i]) / logit,
            "headroom": (boosting - without) / logit,
        }
        for i, pair in enumerate(combinations(task.target.parents, 2))
    ]


def _main_effects(task: Task, people: People) -> tuple[Problem, Combined]:
    base, *mains = (exact_map(task, people, given) for given in [(), *((p,) for p in task.target.parents)])
    problem = problem_of(task, people, base, mains)
    return problem, max_entropy_shrunk(problem)


def _additions(task: Task, train: People, test: People, plain: Problem, fit: Combined) -> tuple[float, list[float]]:
    """The gain of main effects on the other half, and what each pair's map, taken from the one half, adds; in nats."""
    without = gain(task, train, test, fit.probabilities(test.parents))
    found = []
    for pair in combinations(task.target.parents, 2):
        problem = problem_of(task, train, plain.base, [*plain.maps, exact_map(task, train, pair)])
        found.append(gain(task, train, test, max_entropy_shrunk(problem).probabilities(test.parents)) - without)
    return without, found
