"""The arithmetic bound: how many personas a second one core could draw if it did nothing but multiply.

A persona needs so many multiplications of factors; a loop over as many independent products as there are registers
tells what one core can multiply. Looking rows up, adding up, comparing and chance come on top: the bound is one that
no sampler of these tables reaches.
"""

from __future__ import annotations

import time

import numpy as np
from numba import njit

from serving.plans import compile_plan
from serving.snapshot import Snapshot

LENGTH, PASSES, ROUNDS = 256, 200_000, 5


def multiplications(snapshot: Snapshot) -> tuple[int, int]:
    """Per persona: as the definition has it, and as the plans have it, some factors being multiplied when loaded."""
    position = {dimension.id: dimension.position for dimension in snapshot.dimensions}
    plans = [compile_plan(dimension, position) for dimension in snapshot.dimensions]
    defined = sum(len(d.categories) * (len(d.factors) - 1) for d in snapshot.dimensions)
    return defined, sum(plan.width * len(plan.rest) for plan in plans)


@njit(error_model="numpy")  # type: ignore[untyped-decorator]
def _multiply(a: np.ndarray, b: np.ndarray, passes: int) -> None:
    for _ in range(passes):
        for i in range(len(a)):
            a[i] *= b[i]


def multiplications_per_second() -> float:
    """Of f64 that stand in the nearest cache, the best of several rounds."""
    a, b = np.ones(LENGTH), np.ones(LENGTH)
    _multiply(a, b, 1)
    best = 0.0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        _multiply(a, b, PASSES)
        best = max(best, LENGTH * PASSES / (time.perf_counter() - start))
    return best
