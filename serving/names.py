"""Drawing names: first name by sex, birth cohort, ethnicity and birthplace, surname by ethnicity.

Here belongs what reads the name files of a snapshot and draws from them. What stands in the files is decided
by `warehouse.names`. Names are drawn last, from streams of their own (`name:first`, `name:last`), and
influence nothing else.

P(name | sex, cohort, ethnicity) is proportional to births(name, sex, cohort) * P(ethnicity | name), which is
Bayes' rule with ethnicity and cohort independent given the name (the assumption of Imai & Khanna 2016,
"Improving ecological inference by predicting individual ethnicity from voter registration records"); the
surname likewise, with bearers for births. Weights are whole numbers, so their sums are exact; where the two
origins are mixed they are summed from left to right. Either way a draw is the same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.counter import Seed, uniforms
from warehouse.errors import SnapshotError

FIRST_FILE, LAST_FILE = "names_first.parquet", "names_last.parquet"
FIRST_STREAM, LAST_STREAM = "name:first", "name:last"
EVERYBODY = "other"
SEXES = ("female", "male")
ETHNICITIES = (
    "white",
    "black",
    "hispanic",
    "asian",
    "native_american",
    "pacific_islander",
    "two_or_more",
    EVERYBODY,
)

Codes = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.uint32]


class Names:
    """The name tables of one snapshot, and the draws from them.

    Attributes:
        first: first names by row, object array of str; a name that both sexes bear has two rows.
        last: surnames by row, object array of str.
        cohorts: first years of the birth cohorts, ascending; a year outside them counts to the nearest.
    """

    def __init__(self, first: Any, last: Any, sexes: Sequence[str], ethnicities: Sequence[str]) -> None:
        stored = [c.removeprefix("share_") for c in first.column_names if c.startswith("share_")]
        for ethnicity in ethnicities:
            if ethnicity not in (*stored, EVERYBODY):
                raise SnapshotError(f"the snapshot has no names for ethnicity {ethnicity!r}: export it again")
        births = [c for c in first.column_names if c.startswith("births_")]
        sex = np.array(first["sex"].to_pylist())
        for known in sexes:
            if not (sex == known).any():
                raise SnapshotError(f"the snapshot has no first names for sex {known!r}: export it again")
        self.first: npt.NDArray[np.object_] = np.array(first["name"].to_pylist(), dtype=object)
        self.last: npt.NDArray[np.object_] = np.array(last["name"].to_pylist(), dtype=object)
        self.cohorts = np.array([int(c.removeprefix("births_")) for c in births])
        self._births = np.stack([_column(first, c) for c in births])
        self._foreign = _column(first, "foreign")
        self._of_sex = [np.flatnonzero(sex == known).astype(np.uint32) for known in sexes]
        self._bearers = _column(last, "bearers")
        self._first_share = [_shares(first, ethnicity) for ethnicity in ethnicities]
        self._last_share = [_shares(last, ethnicity) for ethnicity in ethnicities]
        abroad = json.loads(first.schema.metadata[b"personagen"])["foreign_born"]
        self._abroad = [float(abroad.get(ethnicity, 0.0)) for ethnicity in ethnicities]
        self._first_cells: dict[int, tuple[Rows, Floats]] = {}
        self._last_cells: dict[int, tuple[Rows, Floats]] = {}

    @classmethod
    def load(cls, folder: Path, sexes: Sequence[str] = SEXES, ethnicities: Sequence[str] = ETHNICITIES) -> Names | None:
        """Read the name files of a snapshot folder; None if it has none.

        `sexes` and `ethnicities` are the categories of the dimensions in code order. Hashes are the
        snapshot's business. Raises SnapshotError for unreadable files and for a category without names.
        """
        import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light

        paths = folder / FIRST_FILE, folder / LAST_FILE
        if not any(path.is_file() for path in paths):
            return None
        try:
            first, last = (_read(path) for path in paths)
            return cls(first, last, sexes, ethnicities)
        except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SnapshotError(f"the names in {folder} cannot be read ({reason}); export the snapshot again") from None

    def draw(
        self,
        seed: Seed,
        index: npt.NDArray[np.uint64],
        *,
        ethnicity: Codes,
        sex: Codes,
        birth_year: Codes,
        foreign_born: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
        """First names and surnames, object arrays of str of the shape (n,) that all arguments have.

        See `draw_rows`.
        """
        first, last = self.draw_rows(
            seed, index, ethnicity=ethnicity, sex=sex, birth_year=birth_year, foreign_born=foreign_born
        )
        return self.first[first], self.last[last]

    def draw_rows(
        self,
        seed: Seed,
        index: npt.NDArray[np.uint64],
        *,
        ethnicity: Codes,
        sex: Codes,
        birth_year: Codes,
        foreign_born: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[Rows, Rows]:
        """Rows of `first` and of `last`, two uint32 arrays of shape (n,), as indices of Arrow dictionaries.

        `ethnicity` and `sex` hold codes in the order given to `load`. `foreign_born` chooses between the
        names of US births and those that no US birth explains; without it the two are mixed in the
        proportion of the ethnicity's adults.
        A name depends on its own index and arguments alone, whatever else is in the batch.
        """
        cohort = np.searchsorted(self.cohorts, birth_year, side="right") - 1
        cohort = np.clip(cohort, 0, len(self.cohorts) - 1)
        origin = np.full(cohort.shape, 2) if foreign_born is None else foreign_born.astype(np.int64)
        cohort = np.where(origin == 1, 0, cohort)  # of the foreign-born no cohort is known
        cell = sex.astype(np.int64) * len(self._first_share) + ethnicity
        cell = (cell * len(self.cohorts) + cohort) * 3 + origin
        first = _draw(self._first_cell, cell, uniforms(seed, FIRST_STREAM, index))
        last = _draw(self._last_cell, ethnicity.astype(np.int64), uniforms(seed, LAST_STREAM, index))
        return first, last

    def _first_cell(self, cell: int) -> tuple[Rows, Floats]:
        if cell not in self._first_cells:
            rest, origin = divmod(cell, 3)
            rest, cohort = divmod(rest, len(self.cohorts))
            sex, ethnicity = divmod(rest, len(self._first_share))
            rows, share = self._of_sex[sex], self._first_share[ethnicity]
            native, foreign = self._births[cohort][rows] * share[rows], self._foreign[rows] * share[rows]
            weights = (native, foreign)[origin] if origin < 2 else _mixed(native, foreign, self._abroad[ethnicity])
            self._first_cells[cell] = _cumulative(rows, weights)
        return self._first_cells[cell]

    def _last_cell(self, ethnicity: int) -> tuple[Rows, Floats]:
        if ethnicity not in self._last_cells:
            rows = np.arange(len(self.last), dtype=np.uint32)
            self._last_cells[ethnicity] = _cumulative(rows, self._bearers * self._last_share[ethnicity])
        return self._last_cells[ethnicity]


def _read(path: Path) -> Any:
    import pyarrow.parquet as pq  # noqa: PLC0415

    # Not `pq.read_table`, which imports pandas where it is installed; nor `to_numpy` below. Unbuffered, as buffering
    # starts threads, see `serving.snapshot`.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        return file.read(use_threads=False).combine_chunks()


def _column(table: Any, name: str) -> Floats:
    return np.from_dlpack(table[name].chunk(0)).astype(np.float64)


def _shares(table: Any, ethnicity: str) -> Floats:
    if ethnicity == EVERYBODY:
        return np.ones(table.num_rows)
    return _column(table, f"share_{ethnicity}")


def _mixed(native: Floats, foreign: Floats, abroad: float) -> Floats:
    """Weights of both together, the second having the share `abroad` of the whole."""
    mixed: Floats = native * ((1 - abroad) * foreign.cumsum()[-1]) + foreign * (abroad * native.cumsum()[-1])
    return mixed


def _cumulative(rows: Rows, weights: Floats) -> tuple[Rows, Floats]:
    """Rows that can be drawn at all, and their weights added up from left to right."""
    possible = np.flatnonzero(weights)
    if not len(possible):
        raise SnapshotError("the snapshot has no names for some sex, cohort and ethnicity: export it again")
    return rows[possible], np.cumsum(weights[possible])


def _draw(cell_of: Callable[[int], tuple[Rows, Floats]], cells: npt.NDArray[np.int64], uniform: Floats) -> Rows:
    """For each person, the row where its uniform falls among the cumulative weights of its cell."""
    drawn = np.empty(cells.shape, dtype=np.uint32)
    order = np.argsort(cells.astype(np.uint16), kind="stable")
    bounds = np.flatnonzero(np.diff(cells[order], prepend=-1, append=-1))
    for start, stop in pairwise(bounds):
        members = order[start:stop]
        rows, cumulative = cell_of(int(cells[members[0]]))
        drawn[members] = rows[np.searchsorted(cumulative, uniform[members] * cumulative[-1], side="right")]
    return drawn
