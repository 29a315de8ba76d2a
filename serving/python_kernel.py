"""The Python kernel: a few personas, without the overhead that arrays have; bit-identical to `serving.reference`.

Here belongs the loop over dimensions in plain Python, over the tables of `serving.plans` as lists. It draws a persona
in a fraction of the time that a numpy call per table and dimension takes, and loses to numpy from some twenty on.

How it is fast: factors are multiplied and summed up by the iterators of the standard library, which are compiled, and
running sums never fall, so that the count of those at most a threshold is a binary search.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import mul

import numpy as np
import numpy.typing as npt

from serving.counter import Seed, stream_starts, uniforms_at
from serving.plans import Gather, Order, Plan
from serving.reference import SMALLEST_TOTAL

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Rows = list[list[float]]


class PythonKernel:
    """Draws by lists of floats; holds a copy of all tables."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._steps = [_step(plan) for plan in plans]

    def run(
        self,
        indices: npt.NDArray[np.uint64],
        starts: Mapping[int, int],
        likelihoods: Mapping[int, Floats],
        codes: Codes,
        weights: Floats,
    ) -> int:
        """See `serving.engine.Kernel`; there may be no likelihoods."""
        streams = np.fromiter(starts.values(), dtype=np.uint64, count=len(starts))
        for place, index in enumerate(indices.tolist()):
            person: list[int] = codes[:, place].tolist()
            failed = self._draw(starts, uniforms_at(streams, index).tolist(), person)
            if failed >= 0:
                return failed
            codes[:, place] = person
        return -1

    def one(self, order: Order, seed: Seed, index: int) -> tuple[list[int], list[float], int]:
        """See `serving.engine.OnePerson`."""
        codes = order.codes.tolist()
        uniforms: list[float] = uniforms_at(stream_starts(seed, order.keys), index).tolist()
        failed = self._draw(order.positions, uniforms, codes)
        return codes, uniforms[len(order.positions) :], failed

    def _draw(self, positions: Iterable[int], uniforms: Iterable[float], codes: list[int]) -> int:
        """Fill in the codes of these positions; returns the first one without a possible category, or -1."""
        for position, uniform in zip(positions, uniforms, strict=False):  # more uniforms than positions in `one`
            cumulative, tables = self._steps[position]
            if cumulative is None:
                weights: Iterable[float] | None = None
                for rows, first, others in tables:
                    row = 0 if first < 0 else codes[first]
                    for parent, size in others:
                        row = row * size + codes[parent]
                    weights = rows[row] if weights is None else map(mul, weights, rows[row])
                assert weights is not None
                cumulative = list(accumulate(weights))
                if cumulative[-1] < SMALLEST_TOTAL:
                    return position
            codes[position] = bisect_right(cumulative, uniform * cumulative[-1])
        return -1


_Table = tuple[Rows, int, tuple[tuple[int, int], ...]]  # rows, first parent or -1, others with their sizes
_Step = tuple[list[float] | None, tuple[_Table, ...]]


def _step(plan: Plan) -> _Step:
    if plan.cumulative is not None:
        return plan.cumulative.tolist(), ()
    return None, tuple(_table(gather) for gather in (plan.prefix, *plan.rest))


def _table(gather: Gather) -> _Table:
    first = gather.parents[0] if gather.parents else -1
    return gather.table.tolist(), first, tuple(zip(gather.parents[1:], gather.sizes[1:], strict=True))
