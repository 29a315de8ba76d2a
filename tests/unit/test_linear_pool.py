from __future__ import annotations

import numpy as np

from pipeline.combination.linear_pool import linear_pool
from tests.support.problems import BY_A, BY_B, CODES, A, B, certain, make


def test_maps_are_averaged_equally() -> None:
    found = linear_pool(make(A, B)).probabilities(CODES)
    assert np.allclose(found[1], (BY_A[0] + BY_B[1]) / 2)


def test_two_way_maps_join_the_average() -> None:
    pair = certain(("b", "a"), np.array([[[0.1, 0.1, 0.8], [0.2, 0.2, 0.6]], [[0.3, 0.3, 0.4], [0.4, 0.4, 0.2]]]))
    found = linear_pool(make(A, B, pair)).probabilities(CODES)
    assert np.allclose(found[2], (BY_A[1] + BY_B[0] + pair.p[0, 1]) / 3)
