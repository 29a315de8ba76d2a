"""A small problem whose answers can be worked out by hand: two parents of two categories, a target of three."""

from __future__ import annotations

import numpy as np

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
