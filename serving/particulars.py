"""Drawing what a category leaves open: a place within the region, a job title within the occupation, a denomination
within the religion.

Here belong reading such a file of a snapshot and the draws from it, of which one may depend on another's;
`warehouse.particulars` says what stands in it. A draw has a stream of its own (`derived:...`), influences nothing else,
and is the same on every machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from serving.arrow import numbers, texts
from serving.counter import Seed, uniforms
from warehouse.errors import SnapshotError
from warehouse.particulars import DETAIL_FILES, JOB_TITLE, METADATA, PLACES, TITLES, TWINS, WITHIN, column_of

if TYPE_CHECKING:
    import pyarrow as pa

FIELDS: Mapping[str, str] = {"city": PLACES, "job_title": TITLES, **DETAIL_FILES}
"""The fields drawn here, and the file of each."""

Codes = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def stream_of(field: str) -> str:
    """The stream that a field is drawn from."""
    return f"derived:{TWINS.get(field, field)}"


BLOCK = 4_096
"""Combinations of classes up to which the factors of several givens are multiplied beforehand."""

CHUNK = 16_384
"""Personas whose weights are worked out at a time."""


@dataclass(frozen=True, slots=True)
class _Given:
    """Combinations of the categories of these dimensions, those with the same factors for all names in one class:
    `of` has the class of each combination, of `count` in all.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    of: Ints
    count: int


@dataclass(frozen=True, slots=True)
class _Block:
    """Some givens and the products of their factors, f64 (combinations of classes, names of one category)."""

    givens: tuple[_Given, ...]
    factors: Floats

    def of(self, codes: Mapping[str, Any]) -> Floats:
        """Products for each persona, (n, names), of codes (n,); for one persona, (names,), of single codes."""
        number: Any = 0
        for given in self.givens:
            cell: Any = 0
            for name, size in zip(given.names, given.sizes, strict=True):
                cell = cell * size + codes[name]
            number = number * given.count + given.of[cell]
        found: Floats = self.factors[number]
        return found


@dataclass(frozen=True, slots=True)
class _Group:
    """The names of one category: the place of the first, running sums of the shares, and the factors in blocks, the
    first of which has the shares in it.
    """

    first: int
    shares: Floats
    blocks: tuple[_Block, ...]

    def draw(self, codes: Mapping[str, Codes], uniforms: Floats) -> Ints:
        """Rows of the file, (n,)."""
        weights = self.blocks[0].of(codes)
        for block in self.blocks[1:]:
            weights *= block.of(codes)
        running = np.cumsum(weights, axis=1)
        running[running[:, -1] == 0] = self.shares
        below: Ints = (running <= (uniforms * running[:, -1])[:, None]).sum(axis=1)
        return self.first + below

    def draw_one(self, codes: Mapping[str, int], uniform: float) -> int:
        """`draw` for one persona."""
        weights = self.blocks[0].of(codes)
        for block in self.blocks[1:]:
            weights = weights * block.of(codes)
        running = weights.cumsum()
        if running.item(-1) == 0:
            running = self.shares
        return self.first + int(running.searchsorted(uniform * running.item(-1), side="right"))


class Particulars:
    """The names of one file and the draws from them; safe to share between threads.

    Attributes:
        within: the dimension whose categories have names.
        named: of each of its categories, whether it has any, bool (categories,).
        needs: the dimensions that a name depends on, and `job_title` if it does so too.
        names: by row, and None after all of them, object array (rows + 1,).
    """

    def __init__(self, table: pa.Table, categories: Mapping[str, Sequence[str]]) -> None:
        """`categories` are those of the snapshot's dimensions and of `job_title`; raises SnapshotError if they are not
        those of the file.
        """
        told = json.loads(table.schema.metadata[METADATA])
        self.within, givens = str(told["within"]), [tuple(given) for given in told["givens"]]
        self.needs = tuple(dict.fromkeys([self.within, *(name for given in givens for name in given)]))
        if JOB_TITLE in self.needs and JOB_TITLE not in categories:
            raise SnapshotError(f"it goes by job titles, and there is no {TITLES}")
        for name in self.needs:
            if list(categories.get(name, ())) != told["categories"][name]:
                raise SnapshotError(f"the categories of {name!r} are not those that its rows are given by")
        self._texts = table["name"].combine_chunks().to_pylist()
        if not all(isinstance(text, str) and text for text in self._texts):
            raise SnapshotError("it has rows without a name")
        self.names = np.array([*self._texts, None], dtype=object)
        self._share: Floats = np.asarray(np.from_dlpack(table["share"].combine_chunks()), dtype=np.float64)
        order = list(categories[self.within])
        group = np.array([order.index(category) for category in table["within"].to_pylist()])
        if (np.diff(group) < 0).any() or not (np.isfinite(self._share) & (self._share > 0)).all():
            raise SnapshotError("its rows are not in order, or have no share")
        self._start = np.searchsorted(group, np.arange(len(order) + 1))
        self.named = np.diff(self._start) > 0
        self._groups: dict[int, _Group | None] = {}
        self._factors: list[tuple[tuple[str, ...], tuple[int, ...], Floats]] = []
        for given in givens:
            sizes = tuple(len(categories[name]) for name in given)
            column = table[column_of(given)].combine_chunks()
            if column.null_count:
                raise SnapshotError(f"it has rows without factors by {column_of(given)}")
            stored = np.from_dlpack(column.values)  # not flatten(), which imports pyarrow.compute and takes 50 ms
            factors = np.asarray(stored, dtype=np.float64).reshape(len(group), math.prod(sizes))
            if not (np.isfinite(factors) & (factors >= 0)).all():
                raise SnapshotError(f"its factors by {column_of(given)} are no numbers from 0")
            self._factors.append((given, sizes, factors))

    @classmethod
    def read(cls, content: bytes, name: str, categories: Mapping[str, Sequence[str]]) -> Particulars:
        """Read a file; raises SnapshotError if it cannot be read, is another one, or does not fit the snapshot's
        categories.
        """
        import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
                found = cls(file.read(use_threads=False), categories)
            if found.within != WITHIN.get(name, found.within):
                raise SnapshotError(f"its names are within {found.within!r}, not {WITHIN[name]!r}")
            return found
        except SnapshotError as error:
            raise SnapshotError(f"{name}: {error}; export the snapshot again") from None
        except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SnapshotError(f"{name} cannot be read ({reason}); export the snapshot again") from None

    def draw_rows(self, seed: Seed, field: str, index: npt.NDArray[np.uint64], codes: Mapping[str, Codes]) -> Ints:
        """Rows for `names`, int64 (n,); of who has no name the row after all others.

        `codes` are those of `needs`, (n,), those of `job_title` being rows of its file. A row depends on its own index
        and codes alone.
        """
        rows = np.full(len(index), len(self._texts), dtype=np.int64)
        some = np.flatnonzero(self.named[codes[self.within]])  # of many fields they are few
        drawn, within = uniforms(seed, stream_of(field), index[some]), codes[self.within][some]
        order = np.argsort(within, kind="stable")
        ends = np.cumsum(np.bincount(within, minlength=len(self._start) - 1))
        for number, (low, high) in enumerate(pairwise([0, *ends.tolist()])):
            if low < high and (group := self._group(number)) is not None:
                for first in range(low, high, CHUNK):
                    places = order[first : min(first + CHUNK, high)]
                    these = some[places]
                    rows[these] = group.draw({name: codes[name][these] for name in self.needs}, drawn[places])
        return rows

    def draw_one(self, uniform: float, codes: Mapping[str, int]) -> int:
        """The row of one persona, as `draw_rows` gives it; `uniform` is that of `stream_of`."""
        group = self._group(codes[self.within])
        return len(self._texts) if group is None else group.draw_one(codes, uniform)

    def __len__(self) -> int:
        """The categories that names are within."""
        return len(self._start) - 1

    def names_within(self, number: int) -> list[str]:
        """The names of one category."""
        names: list[str] = self._texts[self._rows(number)]
        return names

    def weights(self, number: int) -> Floats:
        """The weights of the names of one category in each combination of the other `needs`, (names, categories of
        each); where all names are ruled out they are the shares. For files in which no dimension is in two givens.
        """
        rows = self._rows(number)
        shares = self._share[rows]
        found = shares
        for _, sizes, factors in self._factors:
            found = found[..., None] * factors[rows].reshape(len(shares), *[1] * (found.ndim - 1), math.prod(sizes))
        shares = shares.reshape(-1, *[1] * (found.ndim - 1))
        return np.where(found.sum(axis=0) > 0, found, shares)

    def foremost(self, given: str) -> dict[tuple[int, str], int]:
        """By category and name, the last category of an ordinal given that tells for the name at least half as much as
        the one that tells most, against the other names; empty without such a given.
        """
        factors = next((factors for names, _, factors in self._factors if names == (given,)), None)
        if factors is None:
            return {}
        within = np.searchsorted(self._start, np.arange(len(self._texts)), side="right") - 1
        named = zip(within.tolist(), self._texts, strict=True)
        tells = factors >= factors.max(axis=1, keepdims=True) / 2
        last = tells.shape[1] - 1 - tells[:, ::-1].argmax(axis=1)
        return dict(zip(named, last.tolist(), strict=True))

    def spelt(self, rows: Ints) -> pa.Array:
        """Names of rows as an Arrow array of strings, null for who has none."""
        return self._spellings.take(numbers(rows))

    @cached_property
    def _spellings(self) -> pa.Array:
        import pyarrow as pa  # noqa: PLC0415

        return pa.concat_arrays([texts(self._texts), pa.nulls(1, pa.string())])

    def _group(self, number: int) -> _Group | None:
        """What is drawn from in one category, made when it is first wanted; None if it has no names."""
        if number not in self._groups:
            self._groups[number] = self._made(self._rows(number))
        return self._groups[number]

    def _rows(self, number: int) -> slice:
        return slice(*self._start[number : number + 2].tolist())

    def _made(self, rows: slice) -> _Group | None:
        if rows.start == rows.stop:
            return None
        shares = self._share[rows]
        blocks: list[_Block] = []
        for names, sizes, factors in self._factors:
            columns, of = np.unique(factors[rows], axis=1, return_inverse=True)
            given = _Given(names, sizes, of.reshape(-1), columns.shape[1])  # which numpy 2.0 gives another shape
            last = blocks[-1] if blocks else _Block((), shares[None, :])
            if len(last.factors) * given.count > BLOCK and last.givens:
                blocks.append(_Block((given,), np.ascontiguousarray(columns.T)))
            else:
                products = (last.factors[:, None, :] * columns.T[None, :, :]).reshape(-1, len(shares))
                blocks[-1:] = [_Block((*last.givens, given), products)]
        return _Group(int(rows.start), np.cumsum(shares), tuple(blocks))
