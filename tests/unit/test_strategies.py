"""What every strategy must do, whichever it is: keep the base without maps, and hold structural zeros exactly."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.combination.problem import Combined, Problem
from pipeline.combination.strategies import STRATEGIES
from tests.support.problems import BASE, CODES, FORBID, A, B, make

EVERY = pytest.mark.parametrize("name", list(STRATEGIES))


def fit(name: str, problem: Problem) -> Combined:
    """What the strategy makes of the problem, told to be ordinal so that none declines."""
    return STRATEGIES[name](replace(problem, ordinal=True))


def test_there_are_fifteen_and_each_names_its_source() -> None:
    assert len(STRATEGIES) == 15
    for name, strategy in STRATEGIES.items():
        assert strategy.__name__ == name
        assert re.search(r"\b(19|20)\d\d\b", strategy.__doc__ or ""), name


@EVERY
def test_without_maps_the_base_is_returned(name: str) -> None:
    assert np.allclose(fit(name, make()).probabilities(CODES), BASE)


@EVERY
def test_structural_zeros_are_exact(name: str) -> None:
    found = fit(name, make(A, B, allowed=FORBID)).probabilities(CODES)
    assert (found[:2, 2] == 0).all()
    assert (found[2:] > 0).all()
    assert np.allclose(found.sum(axis=1), 1)


@EVERY
def test_zeros_over_both_parents_hold_without_a_map_of_both(name: str) -> None:
    both = np.ones((2, 2, 3), dtype=np.bool_)
    both[1, 1, :2] = False
    found = fit(name, make(A, B, allowed=((("b", "a"), both),))).probabilities(CODES)
    assert np.allclose(found[3], [0, 0, 1])
    assert (found[:3] > 0).all()
