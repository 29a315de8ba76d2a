"""Drawing what a category leaves open: a place within the region, a job title within the occupation.

Here belong reading such a file of a snapshot and the draws from it; `warehouse.particulars` says what stands in it. A
draw has a stream of its own (`derived:...`), influences nothing, and is the same on every machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from serving.alias import AliasTables
from serving.arrow import numbers, texts
from serving.counter import Seed, uniforms
from warehouse.errors import SnapshotError
from warehouse.particulars import METADATA, PLACES, TITLES, column_of

if TYPE_CHECKING:
    import pyarrow as pa

FIELDS: Mapping[str, str] = {"city": PLACES, "job_title": TITLES}
"""The fields drawn here, and the file of each."""

Codes = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def stream_of(field: str) -> str:
    """The stream that a field is drawn from."""
    return f"derived:{field}"


@dataclass(frozen=True, slots=True)
class _Classes:
    """The combinations of categories of one given, those with the same factors for all rows in one class.

    `factors` are (rows, classes), `of` the class of each combination.
    """

    given: tuple[str, ...]
    sizes: tuple[int, ...]
    factors: Floats
    of: Ints

    @property
    def count(self) -> int:
        """How many classes there are."""
        return int(self.factors.shape[1])


class Particulars:
    """The names of one file and the draws from them; safe to share between threads.

    Attributes:
        needs: the dimensions that a name depends on.
        names: by row, and None after all of them, object array (rows + 1,).
    """

    def __init__(self, table: pa.Table, categories: Mapping[str, Sequence[str]]) -> None:
        """`categories` are those of the snapshot; raises SnapshotError if they are not those of the file."""
        told = json.loads(table.schema.metadata[METADATA])
        self._within, givens = str(told["within"]), [tuple(given) for given in told["givens"]]
        self.needs = tuple(dict.fromkeys([self._within, *(name for given in givens for name in given)]))
        for name in self.needs:
            if list(categories.get(name, ())) != told["categories"][name]:
                raise SnapshotError(f"the categories of {name!r} are not those that places and titles are given by")
        self._texts = table["name"].combine_chunks().to_pylist()
        self.names = np.array([*self._texts, None], dtype=object)
        self._share: Floats = np.asarray(np.from_dlpack(table["share"].combine_chunks()), dtype=np.float64)
        order = list(categories[self._within])
        group = np.array([order.index(category) for category in table["within"].to_pylist()])
        if (np.diff(group) < 0).any() or not (self._share > 0).all():
            raise SnapshotError("places and titles are not in order, or have no share")
        self._start = np.searchsorted(group, np.arange(len(order) + 1))
        self._has = np.diff(self._start) > 0
        self._factors: list[tuple[tuple[str, ...], tuple[int, ...], Floats]] = []
        for given in givens:
            sizes = tuple(len(categories[name]) for name in given)
            column = table[column_of(given)].combine_chunks()
            if column.null_count:
                raise SnapshotError(f"places and titles have rows without factors by {column_of(given)}")
            stored = np.from_dlpack(column.values)  # not flatten(), which imports pyarrow.compute and takes 50 ms
            factors = np.asarray(stored, dtype=np.float64).reshape(len(group), math.prod(sizes))
            if not (np.isfinite(factors) & (factors >= 0)).all():
                raise SnapshotError(f"the factors of places and titles by {column_of(given)} are no numbers from 0")
            self._factors.append((given, sizes, factors))

    @classmethod
    def read(cls, content: bytes, name: str, categories: Mapping[str, Sequence[str]]) -> Particulars:
        """Read a file; raises SnapshotError if it cannot be read or does not fit the snapshot's categories."""
        import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
                return cls(file.read(use_threads=False), categories)
        except SnapshotError as error:
            raise SnapshotError(f"{name}: {error}; export the snapshot again") from None
        except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SnapshotError(f"{name} cannot be read ({reason}); export the snapshot again") from None

    def draw_rows(self, seed: Seed, field: str, index: npt.NDArray[np.uint64], codes: Mapping[str, Codes]) -> Ints:
        """Rows for `names`, int64 (n,); of who has no name the row after all others.

        `codes` are those of `needs`, (n,). A row depends on its own index and codes alone.
        """
        rows = np.full(len(index), len(self._texts), dtype=np.int64)
        somebody = np.flatnonzero(np.take(self._has, codes[self._within]))
        group = np.take(codes[self._within], somebody).astype(np.int64)
        for present in np.flatnonzero(np.bincount(group, minlength=len(self._has))).tolist():
            self._make(present)
        number = np.zeros(len(somebody), dtype=np.int64)
        for one in self._classes:
            cell = np.zeros(len(somebody), dtype=np.int64)
            for name, size in zip(one.given, one.sizes, strict=True):
                cell = cell * size + np.take(codes[name], somebody)
            number = number * one.count + np.take(one.of, cell)
        drawn = uniforms(seed, stream_of(field), np.take(index, somebody))
        rows[somebody] = self._tables.draw(group, number, drawn)
        return rows

    def draw_one(self, uniform: float, codes: Mapping[str, int]) -> str | None:
        """The name of one persona, as `draw_rows` gives it; `uniform` is that of `stream_of`."""
        group = codes[self._within]
        if not self._has[group]:
            return None
        self._make(group)
        number = 0
        for one in self._classes:
            cell = 0
            for name, size in zip(one.given, one.sizes, strict=True):
                cell = cell * size + codes[name]
            number = number * one.count + one.of.item(cell)
        found: str = self._texts[self._tables.draw_one(group, number, uniform)]
        return found

    def spelt(self, rows: Ints) -> pa.Array:
        """Names of rows as an Arrow array of strings, null for who has none."""
        return self._spellings.take(numbers(rows))

    @cached_property
    def _classes(self) -> list[_Classes]:
        classes = []
        for given, sizes, factors in self._factors:
            columns, of = np.unique(factors, axis=1, return_inverse=True)
            classes.append(_Classes(given, sizes, columns, of.reshape(-1)))  # which numpy 2.0 gives another shape
        return classes

    @cached_property
    def _tables(self) -> AliasTables:
        return AliasTables(len(self._has), math.prod(one.count for one in self._classes))

    @cached_property
    def _spellings(self) -> pa.Array:
        import pyarrow as pa  # noqa: PLC0415

        return pa.concat_arrays([texts(self._texts), pa.nulls(1, pa.string())])

    def _make(self, group: int) -> None:
        """Make the tables of one category, a list for each combination of what the givens tell apart."""
        if self._tables.made[group]:
            return
        rows = np.arange(self._start[group], self._start[group + 1])
        weights = self._share[rows][:, None]
        for one in self._classes:
            weights = (weights[:, :, None] * one.factors[rows][:, None, :]).reshape(len(rows), -1)
        weights = np.where(weights.max(axis=0) > 0, weights, self._share[rows][:, None]).T
        some = weights > 0
        self._tables.add(group, np.broadcast_to(rows, some.shape)[some], weights[some], some.sum(axis=1))
