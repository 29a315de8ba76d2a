from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.combination.problem import CombinationError, ElicitedMap
from pipeline.combination.scores import implied_map, jensen_shannon, map_score, map_scores, one_hot, total_variation

CODES = np.array([[0, 1], [0, 0], [1, 0], [1, 0]], dtype=np.uint8)
DRAWN = np.array([0, 1, 1, 1], dtype=np.uint8)


def test_known_distances() -> None:
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.2, 0.5, 0.3])
    assert total_variation(p, q) == pytest.approx(0.3)
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(np.log(2))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_distances_are_symmetric_bounded_and_vanish_on_equals(seed: int, k: int) -> None:
    p, q = np.random.default_rng(seed).dirichlet(np.full(k, 0.2), 2)
    for distance, most in ((total_variation, 1.0), (jensen_shannon, np.log(2))):
        assert distance(p, q) == pytest.approx(float(distance(q, p)))
        assert 0 <= distance(p, q) <= most + 1e-12
        assert distance(p, p) == pytest.approx(0)


def test_implied_map_counts_draws() -> None:
    table, mass = implied_map(CODES, one_hot(DRAWN, 2), (0,), (3,))
    assert np.allclose(table, [[0.5, 0.5], [0, 1], [0, 0]])
    assert np.allclose(mass, [0.5, 0.5, 0])


def test_implied_map_weighs_rows_and_orders_axes() -> None:
    weights = np.array([3.0, 1.0, 2.0, 2.0])
    table, mass = implied_map(CODES, one_hot(DRAWN, 2), (1, 0), (2, 2), weights)
    assert table.shape == (2, 2, 2)
    assert np.allclose(table[1, 0], [1, 0])
    assert np.allclose(mass, [[0.125, 0.5], [0.375, 0]])
    base, total = implied_map(CODES, one_hot(DRAWN, 2), (), (), weights)
    assert np.allclose(base, [0.375, 0.625])
    assert total == pytest.approx(1)


def test_score_weighs_rows_by_mass_and_names_the_worst() -> None:
    elicited = ElicitedMap(("x",), np.array([[0.5, 0.5], [0.3, 0.7], [0.9, 0.1]]), np.zeros((3, 2)))
    score = map_score(elicited, CODES, one_hot(DRAWN, 2), ("x", "y"))
    assert score.tv == pytest.approx(0.5 * 0 + 0.5 * 0.3)
    assert score.worst_tv == pytest.approx(0.3)
    assert score.worst_condition == (1,)
    assert score.worst_mass == pytest.approx(0.5)
    assert 0 < score.js < score.tv


def test_base_score_is_the_marginal_distance() -> None:
    base = ElicitedMap((), np.array([0.5, 0.5]), np.zeros(2))
    (score,) = map_scores([base], CODES, one_hot(DRAWN, 2), ("x", "y"))
    assert score.tv == pytest.approx(0.25)
    assert score.worst_condition == ()


def test_a_batch_without_the_parent_is_refused() -> None:
    elicited = ElicitedMap(("z",), np.array([[1.0]]), np.zeros((1, 1)))
    with pytest.raises(CombinationError, match="no column z"):
        map_score(elicited, CODES, one_hot(DRAWN, 2), ("x", "y"))
