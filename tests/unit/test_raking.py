from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.combination.raking import Margin, rake


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
    margins = [Margin(a, implied(weights, truth, a, 3)), Margin(b, implied(weights, truth, b, 4))]
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
    fit = rake(np.array([0.5, 0.5]), np.ones((2, 2)), [Margin(np.zeros(2, int), np.array([[0.7, 0.3]]))])
    assert np.allclose(fit.table, [[0.7, 0.3], [0.7, 0.3]])


def test_odds_ratio_of_the_start_survives() -> None:
    start = np.array([[0.6, 0.4], [0.2, 0.8]])
    fit = rake(np.array([0.5, 0.5]), start, [Margin(np.zeros(2, int), np.array([[0.5, 0.5]]))], tolerance=1e-12)
    odds = fit.table[:, 0] / fit.table[:, 1]
    assert odds[0] / odds[1] == pytest.approx(6.0)
    assert fit.table.mean(axis=0) == pytest.approx([0.5, 0.5])


def test_zeros_of_the_start_and_of_targets_stay_exact() -> None:
    start = np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    target = np.array([[0.0, 0.5, 0.5], [0.6, 0.0, 0.4]])
    fit = rake(np.array([0.5, 0.5]), start, [Margin(np.arange(2), target)])
    assert np.allclose(fit.table, target)
    assert fit.table[0, 0] == 0
    assert fit.table[1, 1] == 0
    assert fit.logs[0][1, 1] == -np.inf
    assert fit.logs[0][0, 0] == 0


def test_contradictory_margins_are_reported_not_hidden() -> None:
    cells = np.arange(2)
    margins = [
        Margin(cells, np.array([[0.9, 0.1], [0.9, 0.1]])),
        Margin(np.zeros(2, int), np.array([[0.5, 0.5]])),
    ]
    fit = rake(np.array([0.5, 0.5]), np.ones((2, 2)), margins, max_iterations=20)
    assert not fit.converged
    assert fit.iterations == 20
    assert fit.residual == pytest.approx(0.4, abs=1e-6)
