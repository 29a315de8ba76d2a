"""The definition of a draw, in plain Python: no numpy, no chunks, no tricks.

Every other engine must give bit-identical codes. Here belongs the one function that says what a persona is;
anything that makes it fast belongs in `serving.sampler`.

A persona's weight for a category is the product of the factors in stored order; the category drawn is the
number of running sums that are at most `u * total`. A structural zero is a factor of 0: it leaves the running
sum as it was, and so can never be the first to exceed the threshold.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from serving.counter import Seed, stream_start, uniform
from serving.snapshot import Factor, Snapshot, SnapshotDimension
from warehouse.errors import SamplingError

# Below the smallest normal f64, `u * total < total` is no longer certain.
SMALLEST_TOTAL = sys.float_info.min


class ReferenceSampler:
    """One persona at a time from a snapshot, in plain Python floats."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._tables = {
            dimension.id: [factor.table.tolist() for factor in dimension.factors] for dimension in snapshot.dimensions
        }

    def draw(self, index: int, seed: Seed = 0, do: Mapping[str, str] | None = None) -> dict[str, int]:
        """Codes of one persona by dimension id; `do` sets dimensions to category ids.

        Raises SamplingError if `do` leaves no possible category for some dimension.
        """
        pinned = {name: self.snapshot.dimension(name).code(category) for name, category in (do or {}).items()}
        codes: dict[str, int] = {}
        for dimension in self.snapshot.dimensions:
            if dimension.id in pinned:
                codes[dimension.id] = pinned[dimension.id]
            else:
                u = uniform(stream_start(seed, dimension.id), index)
                codes[dimension.id] = self._draw_category(dimension, codes, u)
        return codes

    def _draw_category(self, dimension: SnapshotDimension, codes: Mapping[str, int], u: float) -> int:
        weights = [1.0] * len(dimension.categories)
        for factor, table in zip(dimension.factors, self._tables[dimension.id], strict=True):
            row = 0
            for parent, size in zip(factor.given, factor.sizes, strict=True):
                row = row * size + codes[parent]
            for category, value in enumerate(table[row]):
                weights[category] *= value

        cumulative, total = [], 0.0
        for weight in weights:
            total += weight
            cumulative.append(total)
        if total < SMALLEST_TOTAL:
            raise no_category_left(dimension.id, deciders(dimension))
        threshold = u * total
        return sum(value <= threshold for value in cumulative)


def deciders(dimension: SnapshotDimension) -> tuple[str, ...]:
    """The parents whose values can rule categories of a dimension out."""
    return tuple(dict.fromkeys(parent for factor in ruling(dimension) for parent in factor.given))


def ruling(dimension: SnapshotDimension) -> tuple[Factor, ...]:
    """The factors of a dimension that rule categories out."""
    return tuple(factor for factor in dimension.factors if (factor.table == 0).any())


def no_category_left(dimension: str, parents: tuple[str, ...]) -> SamplingError:
    """The error of all engines when every category of a dimension has weight zero."""
    on = f"; it depends on {' and '.join(parents)}: see that these fit" if parents else ""
    return SamplingError(
        f"no category of {dimension!r} is possible together with the values set: change or drop one of them{on}",
        argument="do",
    )
