from __future__ import annotations

import numpy as np

from pipeline.combination.naive_bayes import naive_bayes
from tests.support.problems import BASE, BY_A, BY_B, CODES, A, B, certain, make


def test_lifts_are_multiplied() -> None:
    found = naive_bayes(make(A, B)).probabilities(CODES)
    expected = BY_A[0] * BY_B[1] / BASE
    assert np.allclose(found[1], expected / expected.sum())


def test_a_two_way_map_replaces_its_one_way_maps() -> None:
    rng = np.random.default_rng(0)
    pair = rng.dirichlet(np.ones(3), (2, 2))
    found = naive_bayes(make(A, B, certain(("a", "b"), pair))).probabilities(CODES)
    assert np.allclose(found.reshape(2, 2, 3), pair)


def test_a_lone_two_way_map_is_reproduced() -> None:
    pair = np.random.default_rng(1).dirichlet(np.ones(3), (2, 2))
    found = naive_bayes(make(certain(("b", "a"), pair))).probabilities(CODES)
    assert np.allclose(found[1], pair[1, 0])
