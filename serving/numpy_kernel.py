"""The numpy kernel: whole batches at a time, bit-identical to `serving.reference`.

Here belongs the loop over blocks and categories. What is drawn for a request is `serving.engine`, tables are
`serving.plans`, chance itself is `serving.counter`.

How it is fast, on one core: personas go through in blocks that stay in the cache, dimension by dimension. Rows are
gathered whole (`np.take` along axis 0 copies a row at once, twice as fast as one gather per category) and multiplied in
place; running sums and comparisons then go category by category over contiguous vectors. Nothing is allocated per
dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from serving.counter import uniforms_into, weyl
from serving.plans import Gather, Plan
from serving.reference import SMALLEST_TOTAL

BLOCK = 8_192

Codes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


class NumpyKernel:
    """Draws by numpy; `serving.engine.Kernel` says what `run` does."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._plans = plans

    def run(
        self,
        indices: npt.NDArray[np.uint64],
        starts: Mapping[int, int],
        likelihoods: Mapping[int, Floats],
        codes: Codes,
        weights: Floats,
    ) -> int:
        """See `serving.engine.Kernel`."""
        n = len(indices)
        plans = [self._plans[position] for position in starts]
        size = min(n, BLOCK)
        scratch = _Scratch(size, max((plan.width for plan in plans), default=1))
        parents = {p for plan in plans for gather in (plan.prefix, *plan.rest) for p in gather.parents}
        # Row indices must be intp, or np.take converts them again for each table.
        as_rows = {position: np.empty(size, dtype=np.intp) for position in parents}
        for low in range(0, n, BLOCK):
            count = min(BLOCK, n - low)
            block = scratch.cut(count)
            np.copyto(block.sequence, weyl(indices[low : low + count]))
            for position in parents - starts.keys():
                as_rows[position][:count] = codes[position, low : low + count]
            for plan in plans:
                uniforms_into(starts[plan.position], block.sequence, block.threshold, block.bits_1, block.bits_2)
                out, weight = codes[plan.position, low : low + count], weights[low : low + count]
                if not _draw_dimension(plan, as_rows, block, out, weight, likelihoods.get(plan.position)):
                    return plan.position
                if plan.position in as_rows:
                    as_rows[plan.position][:count] = out
        return -1


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


def _draw_dimension(  # noqa: PLR0917
    plan: Plan,
    as_rows: Mapping[int, Rows],
    block: _Scratch,
    out: Codes,
    weight: Floats,
    likelihood: Floats | None,
) -> bool:
    """Draw one dimension of one block into `out`; `block.threshold` holds its uniforms and is overwritten.

    With a likelihood, `weight` is multiplied by the part of the probability that it leaves, 0 where nothing is possible
    anyway. Returns whether everybody of positive weight has a possible category, which is asked without one only.
    """
    if plan.cumulative is not None and likelihood is None:
        np.multiply(block.threshold, plan.cumulative[-1], out=block.threshold)
        out[:] = np.searchsorted(plan.cumulative, block.threshold, side="right")
        return True

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
    if likelihood is None and total.min() < SMALLEST_TOTAL and ((total < SMALLEST_TOTAL) & (weight > 0)).any():
        return False
    if likelihood is not None:
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
    return True


def _add_up(weights: Floats, cumulative: Floats) -> None:
    """Running sums over the categories, from left to right as the definition has it."""
    cumulative[0] = weights[:, 0]
    for category in range(1, len(cumulative)):
        np.add(cumulative[category - 1], weights[:, category], out=cumulative[category])


def _take(gather: Gather, as_rows: Mapping[int, Rows], block: _Scratch, out: Floats) -> None:
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
