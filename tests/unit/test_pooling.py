from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.combination.pooling import DEFAULT_SPREAD, UNANIMOUS_FLOOR, ZERO_FLOOR, pool
from pipeline.combination.problem import CombinationError


def noisy(truth: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    seen = truth * np.exp(rng.normal(0, noise, truth.shape))
    return seen / seen.sum(axis=-1, keepdims=True)


def test_two_models_give_the_geometric_mean() -> None:
    a, b = np.array([0.8, 0.2]), np.array([0.5, 0.5])
    expected = np.sqrt(a * b) / np.sqrt(a * b).sum()
    assert np.allclose(pool((), [a, b]).p, expected)


def test_weights_pull_towards_the_heavier_model() -> None:
    a, b = np.array([0.8, 0.2]), np.array([0.5, 0.5])
    expected = a**0.75 * b**0.25
    assert np.allclose(pool((), [a, b], [3.0, 1.0]).p, expected / expected.sum())


def test_one_model_is_kept_with_the_default_spread() -> None:
    a = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    pooled = pool(("age",), [a])
    assert np.allclose(pooled.p, a)
    assert np.allclose(pooled.spread, DEFAULT_SPREAD)
    assert pooled.support == 1


def test_one_models_zero_is_no_veto() -> None:
    pooled = pool((), [np.array([0.6, 0.4, 0.0]), np.array([0.5, 0.4, 0.1])])
    assert pooled.p[2] == pytest.approx(np.sqrt(0.1 * ZERO_FLOOR), rel=0.1)


def test_a_zero_that_all_models_see_stays_small_but_possible() -> None:
    pooled = pool((), [np.array([0.6, 0.4, 0.0]), np.array([0.5, 0.5, 0.0])])
    assert pooled.p[2] == pytest.approx(UNANIMOUS_FLOOR, rel=0.05)


def test_structural_zeros_are_exact_and_certain_rows_have_no_spread() -> None:
    allowed = np.array([[True, True, False], [False, False, True]])
    answers = [np.array([[0.5, 0.4, 0.1], [0.1, 0.1, 0.8]]), np.array([[0.6, 0.3, 0.1], [0.0, 0.0, 1.0]])]
    pooled = pool(("age",), answers, allowed=allowed)
    assert (pooled.p[~allowed] == 0).all()
    assert pooled.p[1, 2] == 1
    assert (pooled.spread[1] == 0).all()
    assert pooled.spread[0, 2] == 0
    assert (pooled.spread[0, :2] > 0).all()


def test_one_bad_model_of_four_hardly_moves_the_pool() -> None:
    rng = np.random.default_rng(5)
    truth = np.sort(rng.dirichlet(np.ones(5), 8), axis=1)
    good = [noisy(truth, 0.1, rng) for _ in range(3)]
    bad = truth[:, ::-1]
    with_bad, without = pool(("age",), [*good, bad]), pool(("age",), good)
    plain = np.exp(np.mean([np.log(m) for m in (*good, bad)], axis=0))
    plain /= plain.sum(axis=1, keepdims=True)
    moved = np.abs(with_bad.p - without.p).sum(axis=1).mean()
    assert moved < 0.1 * np.abs(plain - without.p).sum(axis=1).mean()
    assert with_bad.spread.mean() < 0.25


def test_spread_follows_the_disagreement_and_is_steadied_across_cells() -> None:
    rng = np.random.default_rng(6)
    truth = rng.dirichlet(np.full(6, 5.0), 30)
    means = []
    for noise in (0.05, 0.2, 0.4):
        answers = [noisy(truth, noise, rng) for _ in range(2)]
        raw = np.abs(np.log(answers[0] / answers[1])) / np.sqrt(2)
        spread = pool(("age",), answers).spread
        means.append(spread.mean())
        assert spread.mean() == pytest.approx(noise, rel=0.3)
        assert spread.std() < 0.3 * raw.std()
    assert means == sorted(means)


def test_a_model_of_weight_zero_is_not_there_at_all() -> None:
    a, b, out = np.array([0.7, 0.3, 0.0]), np.array([0.6, 0.4, 0.0]), np.array([0.1, 0.1, 0.8])
    with_it, without = pool((), [a, out, b], [1.0, 0.0, 1.0]), pool((), [a, b])
    assert (with_it.p == without.p).all()
    assert (with_it.spread == without.spread).all()
    assert with_it.support == without.support


def test_rows_that_a_model_left_out_come_from_the_others() -> None:
    a, b = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.6, 0.4], [np.nan, np.nan]])
    pooled = pool(("sex",), [a, b])
    assert np.allclose(pooled.p[1], a[1])
    assert pooled.support == 1


@pytest.mark.parametrize(
    ("answers", "weights", "allowed", "message"),
    [
        ([], None, None, "one shape"),
        ([[0.5, 0.5], [0.2, 0.3, 0.5]], None, None, "one shape"),
        ([[1.5, -0.5]], None, None, "negative"),
        ([[0.5, 0.5]], [0.0], None, "weight"),
        ([[0.5, 0.5]], [1.0, 1.0], None, "weight"),
        ([[np.nan, np.nan]], None, None, "no model answered"),
        ([[1.0, 0.0]], None, [False, True], "forbidden"),
        ([[0.5, 0.5]], None, [True], "shape"),
    ],
)
def test_bad_input_is_refused_by_name(
    answers: list[list[float]], weights: list[float] | None, allowed: list[bool] | None, message: str
) -> None:
    mask = None if allowed is None else np.array(allowed)
    with pytest.raises(CombinationError, match=message) as error:
        pool((), [np.array(a) for a in answers], weights, mask)
    assert "map base" in str(error.value)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 4), st.integers(2, 6))
def test_a_pool_is_a_distribution_whatever_the_order_of_models(seed: int, models: int, rows: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    answers = [rng.dirichlet(np.full(k, 0.3), rows) for _ in range(models)]
    weights = rng.uniform(0.1, 2, models)
    order = rng.permutation(models)
    one = pool(("age",), answers, weights.tolist())
    other = pool(("age",), [answers[i] for i in order], weights[order].tolist())
    assert np.allclose(one.p.sum(axis=1), 1)
    assert (one.p > 0).all()
    assert np.allclose(one.p, other.p)
    assert np.allclose(one.spread, other.spread)
    assert 1 <= one.support <= models + 1e-9
