"""Chi-square of a drawn batch: right where it holds, tiny effect, loud where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from pipeline.combination.goodness import chi_square, draw
from tests.support.problems import certain

P = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])


def batch(p: np.ndarray, seed: int, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    conditions = np.random.default_rng(seed + 100).integers(0, 2, n)
    return conditions, draw(p[conditions], seed)


def test_a_batch_of_the_map_passes_at_the_stated_rate() -> None:
    p_values = [chi_square(certain(("a",), P), *batch(P, seed)).p_value for seed in range(200)]
    assert 2 <= sum(p < 0.05 for p in p_values) <= 20  # 10 expected


def test_another_batch_fails_and_the_effect_says_how_badly() -> None:
    other = np.array([[0.4, 0.4, 0.2], [0.2, 0.2, 0.6]])
    found = chi_square(certain(("a",), P), *batch(other, 1))
    assert found.p_value < 1e-6
    assert found.freedom == 4
    assert found.effect == pytest.approx(np.sqrt(0.5 * (0.01 / 0.5 + 0.01 / 0.3)), rel=0.15)


def test_the_statistic_is_scipys() -> None:
    conditions, drawn = batch(P, 3)
    rows = [np.bincount(drawn[conditions == c], minlength=3) for c in (0, 1)]
    want = sum(chisquare(r, P[c] * r.sum()).statistic for c, r in enumerate(rows))
    assert chi_square(certain(("a",), P), conditions, drawn).statistic == pytest.approx(want)


def test_thin_cells_are_merged_and_empty_tables_are_no_test() -> None:
    thin = np.array([[0.9, 0.0999, 0.0001], [0.9, 0.0999, 0.0001]])
    conditions, drawn = batch(thin, 5, 2000)
    assert chi_square(certain(("a",), thin), conditions, drawn).freedom == 2
    nothing = chi_square(certain(("a",), P), np.zeros(2, dtype=int), np.zeros(2, dtype=np.uint8))
    assert nothing.freedom == 0
    assert np.isnan(nothing.p_value)
