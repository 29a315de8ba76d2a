"""The numpy engine: batches of personas, bit-identical to `serving.reference`.

Here belongs how codes are drawn fast. The request that says which is `serving.sampler`, conditions on them are
`serving.conditions`; chance itself is `serving.counter`.

How it is fast, on one core: personas go through in blocks that stay in the cache, dimension by dimension. The
base and the first factors are multiplied into one table when the snapshot is loaded, as long as it stays
small: being a prefix of the product, it has the same bits. Rows are gathered whole (`np.take` along axis 0
copies a row at once, twice as fast as one gather per category) and multiplied in place; running sums and
comparisons then go category by category over contiguous vectors. Nothing is allocated per dimension.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.counter import Seed, stream_start, uniforms_into, weyl
from serving.reference import SMALLEST_TOTAL, deciders, no_category_left
from serving.snapshot import Factor, Snapshot, SnapshotDimension

BLOCK = 16_384
MERGED_CELLS = 16_384

Codes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.uint64]
Drawn = dict[int, npt.NDArray[np.uint8]]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Gather:
    """Where to look up: a table (rows, categories) and the positions and sizes that make up the row index."""

    table: Floats
    parents: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to draw one dimension: a merged prefix, then the remaining factors in stored order."""

    position: int
    id: str
    width: int
    prefix: _Gather
    rest: tuple[_Gather, ...]
    deciders: tuple[str, ...]
    cumulative: Floats | None  # of a dimension without parents: its one row of running sums


class Engine:
    """Draws codes from a snapshot; holds no state but lookup tables, so one can be shared by threads."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._position = {dimension.id: dimension.position for dimension in snapshot.dimensions}
        self._plans = tuple(_compile(dimension, self._position) for dimension in snapshot.dimensions)

    def draw(self, indices: Indices, seed: Seed, wanted: Iterable[int], fixed: Mapping[int, int | Codes]) -> Drawn:
        """Draw the wanted dimensions, positions, of the personas of these indices.

        Args:
            indices: uint64 (n,), in any order; a persona depends on its own alone.
            seed: checked before.
            wanted: positions of the dimensions to return; what these do not depend on is not drawn.
            fixed: position -> code or codes (n,) that are not drawn but set.

        Returns codes, uint8 (n,), by position, for all that is wanted. Raises SamplingError if no category of
        some dimension is possible together with the fixed ones.
        """
        return self._run(indices, seed, set(wanted), fixed, likelihoods={}, weights=None)

    def weigh(
        self, indices: Indices, seed: Seed, likelihoods: Mapping[int, Floats], fixed: Mapping[int, int | Codes]
    ) -> tuple[Drawn, Floats]:
        """Draw dimensions by P(category | parents) * likelihood, and all that they depend on as ever.

        Args:
            indices, seed, fixed: as for `draw`.
            likelihoods: position -> f64 (categories,), from 0 to 1, of the dimensions to weigh.

        Returns codes by position, of everything drawn, and weights (n,): the product over the weighed dimensions of
        sum P(category | parents) * likelihood. Weighted so, the draws follow the conditional distribution. Codes of
        weight 0 mean nothing.
        """
        weights = np.ones(len(indices))
        return self._run(indices, seed, set(likelihoods), fixed, likelihoods=likelihoods, weights=weights), weights

    def _run(
        self,
        indices: Indices,
        seed: Seed,
        wanted: set[int],
        fixed: Mapping[int, int | Codes],
        *,
        likelihoods: Mapping[int, Floats],
        weights: Floats | None,
    ) -> Drawn:
        n = len(indices)
        plans, parents = self._closure(wanted, fixed)
        result = {plan.position: np.empty(n, dtype=np.uint8) for plan in plans}
        streams = {plan.position: stream_start(seed, plan.id) for plan in plans}
        for position, code in fixed.items():
            if position in result:
                result[position][:] = code

        size = min(n, BLOCK)
        scratch = _Scratch(size, max((plan.width for plan in plans), default=1))
        # Row indices must be intp, or np.take converts them again for each table.
        as_rows = {position: np.empty(size, dtype=np.intp) for position in sorted(parents)}
        for low in range(0, n, BLOCK):
            count = min(BLOCK, n - low)
            block = scratch.cut(count)
            np.copyto(block.sequence, weyl(indices[low : low + count]))
            weight = None if weights is None else weights[low : low + count]
            for plan in plans:
                out = result[plan.position][low : low + count]
                if plan.position not in fixed:
                    uniforms_into(streams[plan.position], block.sequence, block.threshold, block.bits_1, block.bits_2)
                    _draw_dimension(plan, as_rows, block, out, likelihood=likelihoods.get(plan.position), weight=weight)
                if plan.position in as_rows:
                    as_rows[plan.position][:count] = out
        return result if weights is not None else {p: codes for p, codes in result.items() if p in wanted}

    def _closure(self, wanted: set[int], fixed: Mapping[int, int | Codes]) -> tuple[list[_Plan], set[int]]:
        """Plans to run, in order, and the positions used as parents: what is not needed is not drawn."""
        needed, parents = set(wanted), set[int]()
        for plan in reversed(self._plans):
            if plan.position in needed and plan.position not in fixed:
                for gather in (plan.prefix, *plan.rest):
                    parents.update(gather.parents)
                needed |= parents
        return [plan for plan in self._plans if plan.position in needed], parents


class _Scratch:
    """Work arrays of one call, reused for every dimension and block."""

    def __init__(self, size: int, width: int) -> None:
        self.size = size
        self.sequence = np.empty(size, dtype=np.uint64)
        self.bits_1 = np.empty(size, dtype=np.uint64)
        self.bits_2 = np.empty(size, dtype=np.uint64)
        self.threshold = np.empty(size)
        self.rows = np.empty(size, dtype=np.intp)
        self.mask = np.empty(size, dtype=np.bool_)
        self._weights = np.empty(size * width)
        self._gathered = np.empty(size * width)
        self._cumulative = np.empty(size * width)

    def cut(self, count: int) -> _Scratch:
        """The same arrays, shortened for the last block."""
        if count == self.size:
            return self
        part = object.__new__(_Scratch)
        part.size = count
        for name in ("sequence", "bits_1", "bits_2", "threshold", "rows", "mask"):
            setattr(part, name, getattr(self, name)[:count])
        part._weights, part._gathered, part._cumulative = self._weights, self._gathered, self._cumulative
        return part

    def weights(self, width: int) -> Floats:
        """Array (size, width) for the running product."""
        return self._weights[: self.size * width].reshape(self.size, width)

    def gathered(self, width: int) -> Floats:
        """Array (size, width) for the rows of one factor."""
        return self._gathered[: self.size * width].reshape(self.size, width)

    def cumulative(self, width: int) -> Floats:
        """Array (width, size), a contiguous vector per category."""
        return self._cumulative[: self.size * width].reshape(width, self.size)


def _draw_dimension(
    plan: _Plan,
    as_rows: Mapping[int, Rows],
    block: _Scratch,
    out: Codes,
    *,
    likelihood: Floats | None = None,
    weight: Floats | None = None,
) -> None:
    """Draw one dimension of one block into `out`; `block.threshold` holds its uniforms and is overwritten.

    With a likelihood, `weight` is multiplied by the part of the probability that it leaves.
    """
    if plan.cumulative is not None and likelihood is None:
        np.multiply(block.threshold, plan.cumulative[-1], out=block.threshold)
        out[:] = np.searchsorted(plan.cumulative, block.threshold, side="right")
        return

    weights = block.weights(plan.width)
    _take(plan.prefix, as_rows, block, weights)
    if plan.rest:
        gathered = block.gathered(plan.width)
        for gather in plan.rest:
            _take(gather, as_rows, block, gathered)
            np.multiply(weights, gathered, out=weights)

    cumulative = block.cumulative(plan.width)
    _add_up(weights, cumulative)
    total = cumulative[-1]
    if total.min() < SMALLEST_TOTAL and (weight is None or ((total < SMALLEST_TOTAL) & (weight > 0)).any()):
        raise no_category_left(plan.id, plan.deciders)
    if likelihood is not None and weight is not None:
        weight /= np.maximum(total, SMALLEST_TOTAL)
        np.multiply(weights, likelihood, out=weights)
        _add_up(weights, cumulative)
        np.multiply(weight, total, out=weight)
    np.multiply(block.threshold, total, out=block.threshold)
    # The count of running sums at most the threshold; the last never is, see `serving.counter.SCALE`.
    out.fill(0)
    for category in range(plan.width - 1):
        np.less_equal(cumulative[category], block.threshold, out=block.mask)
        np.add(out, block.mask.view(np.uint8), out=out)


def _add_up(weights: Floats, cumulative: Floats) -> None:
    """Running sums over the categories, from left to right as the definition has it."""
    cumulative[0] = weights[:, 0]
    for category in range(1, len(cumulative)):
        np.add(cumulative[category - 1], weights[:, category], out=cumulative[category])


def _take(gather: _Gather, as_rows: Mapping[int, Rows], block: _Scratch, out: Floats) -> None:
    if not gather.parents:
        out[:] = gather.table
        return
    rows = as_rows[gather.parents[0]][: block.size]
    for parent, size in zip(gather.parents[1:], gather.sizes[1:], strict=True):
        np.multiply(rows, size, out=block.rows)
        rows = np.add(block.rows, as_rows[parent][: block.size], out=block.rows)
    # mode="clip" because the default, "raise", gathers into a buffer first; indices are in range by
    # construction.
    np.take(gather.table, rows, axis=0, out=out, mode="clip")


def _compile(dimension: SnapshotDimension, position: Mapping[str, int]) -> _Plan:
    prefix, used = _merge_prefix(dimension.factors)
    return _Plan(
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


def _gather(factor: Factor, position: Mapping[str, int]) -> _Gather:
    return _Gather(np.ascontiguousarray(factor.table), tuple(position[parent] for parent in factor.given), factor.sizes)


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
