"""Trials score every strategy on fresh people and unseen maps; the rule of choice is one function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.combination.choice import choose
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
from pipeline.combination.trial import Trial, run_trials


def joint(codes: np.ndarray) -> np.ndarray:
    """P(k | x, y, z): z repeats x most of the time, so that multiplying lifts counts x twice."""
    lift = np.array([[1.2, 0.0], [0.0, 0.0], [-1.5, 0.5]])
    weights = np.exp(lift[codes[:, 0]] + lift[codes[:, 1]])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def scene() -> tuple[Problem, list[ElicitedMap]]:
    """Three parents, their exact maps, and two exact two-way maps held out."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 3, (6000, 3)).astype(np.uint8)
    codes[:, 2] = np.where(rng.random(6000) < 0.8, codes[:, 0], codes[:, 2])
    rows = joint(codes)
    names = ("x", "y", "z")

    def exact(*columns: int) -> ElicitedMap:
        p = implied_map(codes, rows, columns, (3,) * len(columns))[0]
        return ElicitedMap(tuple(names[c] for c in columns), p, np.zeros_like(p))

    problem = Problem("d", False, ("a", "b"), names, (3, 3, 3), exact(), tuple(exact(c) for c in range(3)), codes)
    return problem, [exact(0, 1), exact(1, 2)]


def tried(**changes: object) -> tuple[Trial, ...]:
    problem, held_out = scene()
    return run_trials(replace(problem, **changes), held_out, problem.reference, STRATEGIES)[0]


def decline(problem: Problem) -> Combined:
    raise StrategyDeclinedError(f"{problem.dimension}: not for this one")


def test_every_strategy_has_a_trial_unless_it_declines() -> None:
    problem, held_out = scene()
    trials, declined = run_trials(problem, held_out, problem.reference[:1000], {**STRATEGIES, "shy": decline})
    assert [t.strategy for t in trials] == [s for s in STRATEGIES if s != "latent_shift"]
    assert [d.strategy for d in declined] == ["latent_shift", "shy"]
    assert "not for this one" in declined[1].reason
    assert all(isinstance(t.model, FactorModel) for t in trials)


def test_scores_tell_a_faithful_fit_from_bad_ones() -> None:
    by_name = {t.strategy: t for t in tried()}
    best = by_name["max_entropy_shrunk"]
    assert best.held_out_js is not None
    assert best.marginal_tv < 0.01
    assert best.one_way_tv < 0.02
    for name in ("linear_pool", "naive_bayes", "raw_product"):
        other = by_name[name].held_out_js
        assert other is not None
        assert other.low > best.held_out_js.high, name
    assert by_name["raw_product"].diversity < best.diversity <= 1.01
    assert {m.role for m in best.maps} == {"base", "one_way", "held_out"}
    assert best.maps[0].test.effect < 0.03 < by_name["raw_product"].maps[0].test.effect
    assert by_name["linear_pool"].projection_tv > 0
    assert best.projection_tv == 0


def test_held_out_maps_are_shown_to_no_strategy() -> None:
    problem, held_out = scene()
    uniform = [replace(m, p=np.full_like(m.p, 0.5)) for m in held_out]
    with_truth = run_trials(problem, held_out, problem.reference, STRATEGIES)[0]
    with_lies = run_trials(problem, uniform, problem.reference, STRATEGIES)[0]
    for a, b in zip(with_truth, with_lies, strict=True):
        assert all((f.values == g.values).all() for f, g in zip(a.model.factors, b.model.factors, strict=True))


def test_the_lowest_divergence_wins_if_it_separates() -> None:
    choice = choose("d", tried())
    assert choice.winner.strategy in ("max_entropy", "max_entropy_shrunk")
    assert choice.runner_up is not None
    assert "naive_bayes" not in choice.tied
    assert choice.winner.strategy == choice.tied[0]
    assert choice.margin is not None


def test_of_those_tied_the_simplest_wins() -> None:
    # One parent: whatever follows its map gives the same rows, and following the strongest parent is simplest.
    problem, _ = scene()
    alone = replace(
        problem, parents=("x",), sizes=(3,), maps=problem.maps[:1], reference=problem.reference[:, :1].copy()
    )
    choice = choose("d", run_trials(alone, [], alone.reference, STRATEGIES)[0])
    assert choice.winner.strategy == "strongest_parent"
    assert "max_entropy" in choice.tied
    assert "none being held out" in choice.reason


def test_a_dimension_without_parents_ships_its_base() -> None:
    problem, _ = scene()
    root = replace(problem, parents=(), sizes=(), maps=(), reference=np.empty((500, 0), dtype=np.uint8))
    assert choose("d", run_trials(root, [], root.reference, STRATEGIES)[0]).winner.strategy == "base_only"


def test_controls_are_never_chosen() -> None:
    trials = [t for t in tried() if t.strategy in ("base_only", "raw_product", "linear_pool")]
    assert choose("d", trials).winner.strategy == "linear_pool"


def test_who_strays_from_the_given_maps_takes_no_part() -> None:
    trials = {t.strategy: t for t in tried()}
    stray = replace(trials["max_entropy"], marginal_tv=0.03, judged=np.zeros_like(trials["max_entropy"].judged))
    assert choose("d", [stray, trials["max_entropy_shrunk"]]).winner.strategy == "max_entropy_shrunk"
    nearest = choose("d", [stray, trials["naive_bayes"], trials["raw_product"]])
    assert nearest.winner.strategy in ("max_entropy", "naive_bayes")


def test_a_marginal_a_little_off_weighs_less_than_maps_that_are_not_kept() -> None:
    trials = {t.strategy: t for t in tried()}
    close = replace(trials["max_entropy"], marginal_tv=0.0155)
    loose = replace(trials["naive_bayes"], marginal_tv=0.01, one_way_tv=0.11, two_way_tv=0.3)
    assert choose("d", [loose, close]).winner.strategy == "max_entropy"
    off = replace(close, marginal_tv=0.05)
    assert choose("d", [replace(loose, one_way_tv=0.05, two_way_tv=0.05), off]).winner.strategy == "naive_bayes"


def test_an_override_is_shown_with_its_reason_or_is_an_error() -> None:
    trials = tried()
    choice = choose("d", trials, ("naive_bayes", "for the sake of it"))
    assert choice.winner.strategy == "naive_bayes"
    assert choice.override == "for the sake of it"
    assert "the rule would have chosen max_entropy" in choice.reason
    with pytest.raises(CombinationError, match="d: override 'astrology' was not tried here: choose one of base_only"):
        choose("d", trials, ("astrology", "stars"))


def test_the_interval_of_a_tie_reaches_zero() -> None:
    trials = {t.strategy: t for t in tried()}
    choice = choose("d", list(trials.values()))
    best = min((t for t in trials.values() if t.strategy in choice.tied), key=lambda t: float(t.judged[0]))
    for name in choice.tied:
        assert np.percentile((trials[name].judged - best.judged)[1:], 2.5) <= 0
