"""The numpy engine: batches of personas, bit-identical to `serving.reference`.

Here belongs how codes are drawn fast, and the request that says which. What a batch can be turned into is
`serving.batch`; chance itself is `serving.counter`.

How it is fast, on one core: personas go through in blocks that stay in the cache, dimension by dimension. The
base and the first factors are multiplied into one table when the snapshot is loaded, as long as it stays
small: being a prefix of the product, it has the same bits. Rows are gathered whole (`np.take` along axis 0
copies a row at once, twice as fast as one gather per category) and multiplied in place; running sums and
comparisons then go category by category over contiguous vectors. Nothing is allocated per dimension.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt

from serving.batch import Batch, select_fields
from serving.counter import Seed, check_seed, stream_start, uniforms_into, weyl
from serving.reference import SMALLEST_TOTAL, deciders, no_category_left
from serving.snapshot import Factor, Snapshot, SnapshotDimension
from warehouse.errors import SamplingError

BLOCK = 16_384
MERGED_CELLS = 16_384
LARGEST_INDEX = 2**63 - 1

Codes = npt.NDArray[np.uint8]
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


class Sampler:
    """Draws personas from a snapshot; holds no state but lookup tables, so one can be shared by threads."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._position = {dimension.id: dimension.position for dimension in snapshot.dimensions}
        self._plans = tuple(_compile(dimension, self._position) for dimension in snapshot.dimensions)

    def sample(
        self,
        n: int,
        seed: Seed = 0,
        start: int = 0,
        do: Mapping[str, str] | None = None,
        *,
        fields: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        as_of: date | None = None,
        accents: bool = False,
    ) -> Batch:
        """Draw the personas of the indices `start` to `start + n - 1`.

        Args:
            n: how many, 0 or more.
            seed: any integer (0 is as good as another) or string.
            start: first index; sample(10) is sample(5) followed by sample(5, start=5).
            do: dimension id -> category id, set whatever its causes say; its consequences follow, and all
                dimensions that do not depend on it keep the value they had without it.
            fields: names of dimensions and derived fields to carry, in this order; None for all.
            exclude: names to leave out; `sensitive` stands for all sensitive dimensions.
            as_of: date at which exact ages hold; None for the snapshot's own date, never today.
            accents: whether names are written as José and Nguyễn rather than Jose and Nguyen.

        Raises SamplingError for an unknown name or category, a negative count, or values set by `do` that
        leave no possible category for another dimension.
        """
        seed = check_seed(seed)
        n, start = _check_range(n, start)
        pinned = {
            self._position[name]: self.snapshot.dimension(name).code(category)
            for name, category in (do or {}).items()
            if self.snapshot.dimension(name)
        }
        selection = select_fields(self.snapshot, fields, exclude)
        wanted = {self._position[name] for name in selection.needed_dimensions}
        codes = self._draw(n, seed, start, pinned, wanted)
        return Batch(
            snapshot=self.snapshot,
            seed=seed,
            start=start,
            as_of=self.snapshot.as_of if as_of is None else _check_date(as_of),
            accents=accents,
            selection=selection,
            codes={self.snapshot.dimensions[position].id: values for position, values in codes.items()},
            size=n,
        )

    def _draw(self, n: int, seed: Seed, start: int, pinned: Mapping[int, int], wanted: set[int]) -> dict[int, Codes]:
        plans, parents = self._closure(wanted, pinned)
        result = {plan.position: np.empty(n, dtype=np.uint8) for plan in plans}
        streams = {plan.position: stream_start(seed, plan.id) for plan in plans}
        for position, code in pinned.items():
            if position in result:
                result[position].fill(code)

        size = min(n, BLOCK)
        scratch = _Scratch(size, max((plan.width for plan in plans), default=1))
        # Row indices must be intp, or np.take converts them again for each table.
        as_rows = {position: np.empty(size, dtype=np.intp) for position in sorted(parents)}
        for position, code in pinned.items():
            if position in as_rows:
                as_rows[position].fill(code)
        for low in range(0, n, BLOCK):
            count = min(BLOCK, n - low)
            block = scratch.cut(count)
            first = start + low
            np.copyto(block.sequence, weyl(np.arange(first, first + count, dtype=np.uint64)))
            for plan in plans:
                if plan.position in pinned:
                    continue
                uniforms_into(streams[plan.position], block.sequence, block.threshold, block.bits_1, block.bits_2)
                out = result[plan.position][low : low + count]
                _draw_dimension(plan, as_rows, block, out)
                if plan.position in as_rows:
                    as_rows[plan.position][:count] = out
        return {position: values for position, values in result.items() if position in wanted}

    def _closure(self, wanted: set[int], pinned: Mapping[int, int]) -> tuple[list[_Plan], set[int]]:
        """Plans to run, in order, and the positions used as parents: what is not needed is not drawn."""
        needed, parents = set(wanted), set[int]()
        for plan in reversed(self._plans):
            if plan.position in needed and plan.position not in pinned:
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


def _draw_dimension(plan: _Plan, as_rows: Mapping[int, Rows], block: _Scratch, out: Codes) -> None:
    """Draw one dimension of one block into `out`; `block.threshold` holds its uniforms and is overwritten."""
    if plan.cumulative is not None:
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
    cumulative[0] = weights[:, 0]
    for category in range(1, plan.width):
        np.add(cumulative[category - 1], weights[:, category], out=cumulative[category])
    total = cumulative[-1]
    if total.min() < SMALLEST_TOTAL:
        raise no_category_left(plan.id, plan.deciders)
    np.multiply(block.threshold, total, out=block.threshold)
    # The count of running sums at most the threshold; the last never is, see `serving.counter.SCALE`.
    out.fill(0)
    for category in range(plan.width - 1):
        np.less_equal(cumulative[category], block.threshold, out=block.mask)
        np.add(out, block.mask.view(np.uint8), out=out)


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


def _check_date(as_of: object) -> date:
    if isinstance(as_of, datetime):
        return as_of.date()
    if not isinstance(as_of, date):
        raise SamplingError(f"as_of must be a date, not {as_of!r}: give datetime.date(2026, 11, 1) or the like")
    return as_of


def _check_range(n: object, start: object) -> tuple[int, int]:
    numbers = []
    for name, value in (("n", n), ("start", start)):
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise SamplingError(f"{name} must be an integer, not {value!r}") from None
        if number < 0:
            raise SamplingError(f"{name} must be 0 or more, not {number}")
        numbers.append(number)
    if sum(numbers) > LARGEST_INDEX:
        raise SamplingError(f"start + n must stay below 2**63, not {sum(numbers)}: lower one of them")
    return numbers[0], numbers[1]
