from __future__ import annotations

import numpy as np

from pipeline.combination.log_pool import log_pool
from tests.support.problems import BY_A, BY_B, CODES, A, B, certain, make


def test_maps_enter_as_a_geometric_mean() -> None:
    found = log_pool(make(A, B)).probabilities(CODES)
    expected = np.sqrt(BY_A[0] * BY_B[1])
    assert np.allclose(found[1], expected / expected.sum())


def test_a_map_repeated_under_another_parent_changes_nothing() -> None:
    found = log_pool(make(A, certain(("b",), BY_A))).probabilities(CODES)
    assert np.allclose(found[0], BY_A[0])
    assert np.allclose(found[3], BY_A[1])
