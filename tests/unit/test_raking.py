from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.combination.raking import Margin, Nesting, rake

NONE = np.zeros(())


def implied(weights: np.ndarray, table: np.ndarray, cells: np.ndarray, count: int) -> np.ndarray:
    total = np.zeros((count, table.shape[1]))
    np.add.at(total, cells, weights[:, np.newaxis] * table)
    return total / np.bincount(cells, weights, count)[:, np.newaxis]


def scene(seed: int, rows: int = 60, k: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weights, two columns of conditions (3 and 4 values, all used) and a table that defines feasible margins."""
    rng = np.random.default_rng(seed)
    a = np.concatenate([np.arange(12) // 4, rng.integers(0, 3, rows - 12)])
    b = np.concatenate([np.arange(12) % 4, np.minimum(a[12:] + rng.integers(0, 2, rows - 12), 3)])
    return rng.dirichlet(np.ones(rows)), a, b, rng.dirichlet(np.ones(k), rows)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_feasible_margins_are_met_and_the_result_is_the_product_of_the_factors(seed: int) -> None:
    weights, a, b, truth = scene(seed)
    margins = [Margin(a, implied(weights, truth, a, 3), NONE), Margin(b, implied(weights, truth, b, 4), NONE)]
    start = np.full(truth.shape, 0.25)
    fit = rake(weights, start, margins, max_iterations=5000, tolerance=1e-9)
    assert fit.converged
    assert np.allclose(fit.table.sum(axis=1), 1)
    for margin, count in zip(margins, (3, 4), strict=True):
        assert np.allclose(implied(weights, fit.table, margin.cells, count), margin.target, atol=1e-4)
    product = np.exp(fit.logs[0][a] + fit.logs[1][b])
    assert np.allclose(product / product.sum(axis=1, keepdims=True), fit.table, atol=1e-9)


def test_two_by_two_table_has_the_textbook_solution() -> None:
    # Rows of mass one half, uniform start, column margin 0.7: both rows become the column margin.
    fit = rake(np.array([0.5, 0.5]), np.ones((2, 2)), [Margin(np.zeros(2, int), np.array([[0.7, 0.3]]), NONE)])
    assert np.allclose(fit.table, [[0.7, 0.3], [0.7, 0.3]])


def test_odds_ratio_of_the_start_survives() -> None:
    start = np.array([[0.6, 0.4], [0.2, 0.8]])
    fit = rake(np.array([0.5, 0.5]), start, [Margin(np.zeros(2, int), np.array([[0.5, 0.5]]), NONE)], tolerance=1e-12)
    odds = fit.table[:, 0] / fit.table[:, 1]
    assert odds[0] / odds[1] == pytest.approx(6.0)
    assert fit.table.mean(axis=0) == pytest.approx([0.5, 0.5])


def test_zeros_of_the_start_and_of_targets_stay_exact() -> None:
    start = np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    target = np.array([[0.0, 0.5, 0.5], [0.6, 0.0, 0.4]])
    fit = rake(np.array([0.5, 0.5]), start, [Margin(np.arange(2), target, NONE)])
    assert np.allclose(fit.table, target)
    assert fit.table[0, 0] == 0
    assert fit.table[1, 1] == 0
    assert fit.logs[0][1, 1] == -np.inf
    assert fit.logs[0][0, 0] == 0


def test_contradictory_margins_are_reported_not_hidden() -> None:
    cells = np.arange(2)
    margins = [
        Margin(cells, np.array([[0.9, 0.1], [0.9, 0.1]]), NONE),
        Margin(np.zeros(2, int), np.array([[0.5, 0.5]]), NONE),
    ]
    fit = rake(np.array([0.5, 0.5]), np.ones((2, 2)), margins, max_iterations=20)
    assert not fit.converged
    assert fit.iterations == 20
    assert fit.residual == pytest.approx(0.4, abs=1e-6)


def test_slack_ends_at_the_documented_balance() -> None:
    weights, a, b, truth = scene(3)
    base = (weights @ truth)[np.newaxis]
    slack = 0.3
    margins = [
        Margin(np.zeros_like(a), base, NONE),
        Margin(a, implied(weights, truth, a, 3), np.full((3, 4), slack)),
        Margin(b, implied(weights, truth, b, 4), np.full((4, 4), slack)),
    ]
    nestings = [Nesting(0, 1, np.zeros(3, int)), Nesting(0, 2, np.zeros(4, int))]
    fit = rake(weights, np.ones(truth.shape), margins, nestings, max_iterations=2000, tolerance=1e-10)
    assert fit.converged
    assert fit.iterations < 200
    assert np.allclose(weights @ fit.table, base[0], atol=1e-8)
    for margin, log, count in zip(margins[1:], fit.logs[1:], (3, 4), strict=True):
        found = implied(weights, fit.table, margin.cells, count)
        assert np.allclose(found, margin.target * (1 - slack * log), atol=1e-6)


def test_slack_converges_although_nested_targets_disagree() -> None:
    weights, a, b, truth = scene(4)
    pair = a * 4 + b
    seen = np.flatnonzero(np.bincount(pair, minlength=12))
    rng = np.random.default_rng(0)
    fine_target = rng.dirichlet(np.full(4, 5.0), 12)
    margins = [
        Margin(np.zeros_like(a), (weights @ truth)[np.newaxis], NONE),
        Margin(a, implied(weights, truth, a, 3), np.full((3, 4), 0.05)),
        Margin(pair, fine_target, np.full((12, 4), 0.2)),
    ]
    nestings = [Nesting(1, 2, np.arange(12) // 4), Nesting(0, 1, np.zeros(3, int))]
    fit = rake(weights, np.ones(truth.shape), margins, nestings, max_iterations=1000, tolerance=1e-8)
    assert len(seen) == 12
    assert fit.converged
    product = np.exp(fit.logs[0][np.zeros_like(a)] + fit.logs[1][a] + fit.logs[2][pair])
    assert np.allclose(product / product.sum(axis=1, keepdims=True), fit.table, atol=1e-9)
