from __future__ import annotations

import numpy as np

from pipeline.grounding.counted import PRIOR_PEOPLE, Counted, counted_map

CODES = np.array([[0, 0]] * 60 + [[0, 1]] * 20 + [[1, 1]] * 20, dtype=np.uint8)
TARGET = np.array([0] * 60 + [1] * 20 + [0, 1] * 10, dtype=np.uint8)
PEOPLE = Counted(("a", "b"), (2, 2), 2, CODES, TARGET)


def test_maps_are_shares_among_the_people() -> None:
    assert np.allclose(counted_map(PEOPLE, ()).p, [0.7, 0.3], atol=0.01)
    assert np.allclose(counted_map(PEOPLE, ("a",)).p, [[0.75, 0.25], [0.5, 0.5]], atol=0.01)
    assert (counted_map(PEOPLE, ("b",)).spread == 0).all()


def test_what_nobody_was_is_rare_and_no_veto() -> None:
    row = counted_map(PEOPLE, ("b",)).p[0]
    assert 0 < row[1] < 0.01


def test_a_thin_row_of_two_givens_leans_on_its_two_one_way_rows() -> None:
    pair = counted_map(PEOPLE, ("a", "b")).p
    first, second = counted_map(PEOPLE, ("a",)).p, counted_map(PEOPLE, ("b",)).p
    product = first[1] * second[0] / counted_map(PEOPLE, ()).p
    assert np.allclose(pair[1, 0], product / product.sum(), atol=1e-3)  # nobody has both
    assert np.allclose(pair[0, 1], [0.0, 1.0], atol=PRIOR_PEOPLE / (20 + PRIOR_PEOPLE))
    assert 0.2 < pair[1, 1, 1] < 0.7
