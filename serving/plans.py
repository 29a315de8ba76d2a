"""How each dimension of a snapshot is drawn: which tables are looked up, where, and in which order.

Here belongs what is worked out once, when a snapshot is loaded. The base and the first factors are multiplied into one
table as long as it stays small: being a prefix of the product, it has the same bits. The loops that read the tables are
`serving.numpy_kernel` and `serving.numba_kernel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.reference import SMALLEST_TOTAL, deciders, no_category_left
from serving.snapshot import Factor, SnapshotDimension

MERGED_CELLS = 4_096  # more of them save multiplications, and leave the cache

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gather:
    """Where to look up: a table (rows, categories) and the positions and sizes that make up the row index."""

    table: Floats
    parents: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to draw one dimension: a merged prefix, then the remaining factors in stored order."""

    position: int
    id: str
    width: int
    prefix: Gather
    rest: tuple[Gather, ...]
    deciders: tuple[str, ...]
    cumulative: Floats | None  # of a dimension without parents: its one row of running sums


@dataclass(frozen=True, slots=True)
class Order:
    """What to draw for single personas, made ready: all that does not depend on seed and index.

    `positions` are drawn, parents before children, and `codes`, uint8 (dimensions,), hold those that are set. `keys`,
    uint64, are the `serving.counter.mixed_key` of the positions' streams, and of other streams behind them whose
    uniforms are wanted as well.
    """

    positions: npt.NDArray[np.uint64]
    keys: npt.NDArray[np.uint64]
    codes: npt.NDArray[np.uint8]


def compile_plan(dimension: SnapshotDimension, position: Mapping[str, int]) -> Plan:
    """The plan of a dimension; `position` has the place of each dimension in the order of sampling."""
    prefix, used = _merge_prefix(dimension.factors)
    return Plan(
        position=dimension.position,
        id=dimension.id,
        width=len(dimension.categories),
        prefix=_gather(prefix, position),
        rest=tuple(_gather(factor, position) for factor in dimension.factors[used:]),
        deciders=deciders(dimension),
        cumulative=None if prefix.given or used < len(dimension.factors) else _running_sum(dimension.id, prefix),
    )


def _running_sum(name: str, base: Factor) -> Floats:
    cumulative = np.cumsum(base.table[0])
    if cumulative[-1] < SMALLEST_TOTAL:
        raise no_category_left(name, ())
    return cumulative


def _gather(factor: Factor, position: Mapping[str, int]) -> Gather:
    return Gather(np.ascontiguousarray(factor.table), tuple(position[parent] for parent in factor.given), factor.sizes)


def _merge_prefix(factors: tuple[Factor, ...]) -> tuple[Factor, int]:
    """Multiply the first factors into one table over all their parents, while it stays small.

    Returns the merged factor and how many were merged. ((base * f1) * f2) is what the definition computes
    first, so the bits do not change; factors further on cannot be merged with each other, only behind this
    prefix.
    """
    merged = factors[0]
    width = merged.table.shape[1]
    for used, factor in enumerate(factors[1:], start=1):
        sizes = dict(zip(merged.given, merged.sizes, strict=True)) | dict(zip(factor.given, factor.sizes, strict=True))
        given, shape = tuple(sizes), tuple(sizes.values())
        if np.prod(shape, dtype=np.int64) * width > max(MERGED_CELLS, factor.table.size):
            return merged, used
        left = merged.table.reshape(*merged.sizes, *(1,) * (len(given) - len(merged.given)), width)
        # Axes of the factor in the order of the merged parents, size 1 where it does not depend on one.
        order = sorted(range(len(factor.given)), key=lambda axis: given.index(factor.given[axis]))
        right = factor.table.reshape(*factor.sizes, width).transpose(*order, len(order))
        right = right.reshape(*(sizes[name] if name in factor.given else 1 for name in given), width)
        table = np.broadcast_to(left, (*shape, width)) * right
        merged = Factor(given, shape, table.reshape(-1, width))
    return merged, len(factors)
