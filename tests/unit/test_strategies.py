"""What every strategy must do, whichever it is: keep the base without maps, and hold structural zeros exactly."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.combination.strategies import STRATEGIES
from tests.support.problems import BASE, CODES, FORBID, A, B, make

EVERY = pytest.mark.parametrize("name", list(STRATEGIES))


@EVERY
def test_without_maps_the_base_is_returned(name: str) -> None:
    assert np.allclose(STRATEGIES[name](make()).probabilities(CODES), BASE)


@EVERY
def test_structural_zeros_are_exact(name: str) -> None:
    found = STRATEGIES[name](make(A, B, allowed=FORBID)).probabilities(CODES)
    assert (found[:2, 2] == 0).all()
    assert (found[2:] > 0).all()
    assert np.allclose(found.sum(axis=1), 1)


@EVERY
def test_zeros_over_both_parents_hold_without_a_map_of_both(name: str) -> None:
    both = np.ones((2, 2, 3), dtype=np.bool_)
    both[1, 1, :2] = False
    found = STRATEGIES[name](make(A, B, allowed=((("b", "a"), both),))).probabilities(CODES)
    assert np.allclose(found[3], [0, 0, 1])
    assert (found[:3] > 0).all()
