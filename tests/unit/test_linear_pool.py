from __future__ import annotations

import numpy as np

from pipeline.combination.linear_pool import linear_pool
from pipeline.combination.problem import ElicitedMap, Problem

CODES = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.uint8)
BASE = np.array([0.5, 0.3, 0.2])
BY_A = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3]])
BY_B = np.array([[0.6, 0.2, 0.2], [0.4, 0.4, 0.2]])


def make(*maps: ElicitedMap, allowed: tuple[tuple[tuple[str, ...], np.ndarray], ...] = ()) -> Problem:
    parents = ("a", "b")
    base = ElicitedMap((), BASE, np.zeros(3))
    return Problem("target", False, ("x", "y", "z"), parents, (2, 2), base, maps, CODES, allowed)


def certain(given: tuple[str, ...], p: np.ndarray) -> ElicitedMap:
    return ElicitedMap(given, p, np.zeros(p.shape))


A, B = certain(("a",), BY_A), certain(("b",), BY_B)
FORBID = ((("a",), np.array([[True, True, False], [True, True, True]])),)


def test_without_maps_the_base_is_returned() -> None:
    assert np.allclose(linear_pool(make()).probabilities(CODES), BASE)


def test_structural_zeros_are_exact() -> None:
    found = linear_pool(make(A, B, allowed=FORBID)).probabilities(CODES)
    assert (found[:2, 2] == 0).all()
    assert (found[2:] > 0).all()
    assert np.allclose(found.sum(axis=1), 1)


def test_zeros_over_both_parents_hold_without_a_map_of_both() -> None:
    both = np.ones((2, 2, 3), dtype=np.bool_)
    both[1, 1, :2] = False
    found = linear_pool(make(A, B, allowed=((("b", "a"), both),))).probabilities(CODES)
    assert np.allclose(found[3], [0, 0, 1])
    assert (found[:3] > 0).all()


def test_maps_are_averaged_equally() -> None:
    found = linear_pool(make(A, B)).probabilities(CODES)
    assert np.allclose(found[1], (BY_A[0] + BY_B[1]) / 2)


def test_two_way_maps_join_the_average() -> None:
    pair = certain(("b", "a"), np.array([[[0.1, 0.1, 0.8], [0.2, 0.2, 0.6]], [[0.3, 0.3, 0.4], [0.4, 0.4, 0.2]]]))
    found = linear_pool(make(A, B, pair)).probabilities(CODES)
    assert np.allclose(found[2], (BY_A[1] + BY_B[0] + pair.p[0, 1]) / 3)
