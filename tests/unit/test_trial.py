"""Trials score every strategy on fresh people; one that declines has none; the rule of choice is one function."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.combination.problem import (
    CombinationError,
    Combined,
    ElicitedMap,
    FactorModel,
    Problem,
    StrategyDeclinedError,
)
from pipeline.combination.scores import implied_map
from pipeline.combination.strategies import STRATEGIES
from pipeline.combination.trial import choose, run_trials


def problem() -> Problem:
    """Two independent parents whose log-lifts add, with the exact maps of that joint."""
    rng = np.random.default_rng(3)
    reference = rng.integers(0, 3, (4000, 2)).astype(np.uint8)
    lift = np.array([[1.0, 0.0], [0.0, 0.0], [-1.5, 0.5]])
    joint = np.exp(lift[reference[:, 0]] + lift[reference[:, 1]])
    joint /= joint.sum(axis=1, keepdims=True)
    sizes = {(): (), (0,): (3,), (1,): (3,)}
    tables = [implied_map(reference, joint, columns, size)[0] for columns, size in sizes.items()]
    base, *one_way = (
        ElicitedMap(given, p, np.full_like(p, 0.01)) for given, p in zip([(), ("x",), ("y",)], tables, strict=True)
    )
    return Problem("d", False, ("a", "b"), ("x", "y"), (3, 3), base, tuple(one_way), reference)


def decline(problem: Problem) -> Combined:
    raise StrategyDeclinedError(f"{problem.dimension}: not for this one")


def test_every_strategy_has_a_trial_unless_it_declines() -> None:
    given = problem()
    trials, models = run_trials(given, given.reference[:1000], {**STRATEGIES, "shy": decline})
    assert [t.strategy for t in trials] == list(STRATEGIES)
    assert "linear_pool" not in models and isinstance(models["max_entropy"], FactorModel)


def test_scores_tell_a_faithful_fit_from_a_washed_out_one() -> None:
    given = problem()
    by_name = {t.strategy: t for t in run_trials(given, given.reference, STRATEGIES)[0]}
    assert by_name["max_entropy"].one_way_tv < 0.01
    assert by_name["linear_pool"].one_way_tv > 3 * by_name["max_entropy"].one_way_tv
    assert by_name["max_entropy"].marginal_tv < 0.01


def test_the_choice_is_the_shipped_strategy_or_an_error() -> None:
    given = problem()
    models = run_trials(given, given.reference, STRATEGIES)[1]
    assert choose("d", models).strategy == "max_entropy"
    with pytest.raises(CombinationError, match="d: strategy max_entropy gave no factors"):
        choose("d", {})
