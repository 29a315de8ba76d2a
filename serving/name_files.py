"""Reading the name files of a snapshot into arrays, and checking that they know the snapshot's categories.

Here belongs what stands between the files and `serving.names`. What stands in them is said in `warehouse.names.files`.
Columns stay as narrow as they are stored: tables of a hundred thousand names are wide, and only a part of them is
needed at a time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.name_mixture import Told
from warehouse.errors import SnapshotError
from warehouse.names.files import EVERYBODY, FILES, HERITAGE_UNIT, METADATA, PEOPLE, REST, SHARE_UNIT

NOBODY = 1e-12
"""Share of a combination that is ruled out: who is given it all the same has a name of the ethnicity."""

CODED = ("ethnicity", "nativity", "heritage")  # columns of PEOPLE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Shares = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class NameFile:
    """One file of names: `columns`, Arrow arrays by name, of `rows` rows; `facts`, its metadata."""

    columns: Mapping[str, Any]
    rows: int
    facts: Mapping[str, Any]

    def numbers(self, column: str) -> npt.NDArray[Any]:
        """A column of numbers, as it is stored."""
        return np.from_dlpack(self.columns[column])

    def lists(self, column: str) -> tuple[npt.NDArray[np.uint8], Ints]:
        """The values of a column of lists one after the other, and the row of each."""
        lists = self.columns[column]
        lengths = np.diff(np.from_dlpack(lists.offsets))
        return np.asarray(np.from_dlpack(lists.flatten()), dtype=np.uint8), np.repeat(np.arange(len(lengths)), lengths)

    def shares(self, ethnicity: str) -> Shares:
        """P(ethnicity | name) by row in units of 1/SHARE_UNIT; all of it for everybody.

        Raises SnapshotError if there is no such ethnicity.
        """
        if f"share_{ethnicity}" in self.columns:
            return self.numbers(f"share_{ethnicity}").astype(np.uint16, copy=False)
        if ethnicity == EVERYBODY:
            return np.full(self.rows, SHARE_UNIT, dtype=np.uint16)
        if ethnicity != REST:
            raise SnapshotError(f"the snapshot has no names for ethnicity {ethnicity!r}: export it again")
        rest = np.full(self.rows, SHARE_UNIT, dtype=np.int64)
        for column in self.columns:
            if column.startswith("share_"):
                rest -= self.numbers(column)
        return np.maximum(rest, 0).astype(np.uint16)  # each is rounded

    def told(self, heritages: Sequence[str]) -> Told:
        """The heritage tags of all rows, with codes in the order of `heritages`; SnapshotError if these are others."""
        match("heritage", self.facts["heritages"], heritages)
        codes = np.array([list(heritages).index(heritage) for heritage in self.facts["heritages"]])
        stored, row = self.lists("heritage")
        share, _ = self.lists("heritage_share")
        heritage = codes[stored]
        order = np.lexsort((row, heritage))
        return Told(row[order], heritage[order], share[order] / HERITAGE_UNIT)


def read_file(path: Path, coded: Sequence[str] = ()) -> NameFile:
    """Read a file of names; columns of texts that are `coded` come as codes and a dictionary."""
    with _opened(path, coded) as file:
        facts = json.loads(file.schema_arrow.metadata[METADATA])
        return NameFile(_columns(file), file.metadata.num_rows, facts)


def read_people(
    source: Any, ethnicities: Sequence[str], nativities: Sequence[str], heritages: Sequence[str]
) -> dict[int, Floats]:
    """By cohort P(ethnicity, heritage, nativity); SnapshotError for a category that not both sides know."""
    with _opened(source, CODED) as file:
        people = _columns(file)
    codes = []
    for name, wanted in (("ethnicity", ethnicities), ("heritage", heritages), ("nativity", nativities)):
        known = people[name].dictionary.to_pylist()
        match(name, known, wanted)
        place = {category: code for code, category in enumerate(wanted)}
        codes.append(np.array([place[category] for category in known])[np.from_dlpack(people[name].indices)])
    cohort, share = (np.from_dlpack(people[name]) for name in ("cohort", "share"))
    found = {}
    for first_year in np.unique(cohort).tolist():
        of = cohort == first_year
        found[first_year] = np.full((len(ethnicities), len(heritages), len(nativities)), NOBODY)
        found[first_year][tuple(code[of] for code in codes)] = np.maximum(share[of].astype(np.float64), NOBODY)
    return found


def check_names(contents: Mapping[str, bytes], **categories: Sequence[str]) -> str | None:
    """Raise SnapshotError if these name files, by file name, do not know just these categories.

    The keywords are those of `Names.load`. Of the names themselves only metadata are read. Returns the dimension whose
    categories tell a person's faith; None where names do not differ by it.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    dimension = None
    for name in FILES:
        source = pa.BufferReader(contents[name])
        try:
            if name == PEOPLE:
                read_people(source, categories["ethnicities"], categories["nativities"], categories["heritages"])
            else:
                facts = json.loads(pq.read_schema(source).metadata[METADATA])
                match("heritage", facts["heritages"], categories["heritages"])
                dimension = str(facts["faiths"]["dimension"]) if "faiths" in facts else None
        except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
            raise SnapshotError(f"{name} cannot be read ({type(error).__name__}); export the snapshot again") from None
    return dimension


def match(dimension: str, known: Collection[str], wanted: Collection[str]) -> None:
    """Raise SnapshotError unless the categories that the files know of a dimension are those of the snapshot."""
    if missing := [category for category in wanted if category not in known]:
        raise SnapshotError(f"the snapshot has no names for {dimension} {missing[0]!r}: export it again")
    if gone := [category for category in known if category not in wanted]:
        raise SnapshotError(f"the snapshot has names for the unknown {dimension} {min(gone)!r}: export it again")


def _opened(source: Any, coded: Sequence[str]) -> Any:
    import pyarrow.parquet as pq  # noqa: PLC0415  # keeps `import serving` light

    # Not `pq.read_table`, which imports pandas where it is installed; nor `to_numpy` anywhere. Unbuffered, as buffering
    # starts threads, see `serving.snapshot`.
    return pq.ParquetFile(source, read_dictionary=list(coded), pre_buffer=False)


def _columns(file: Any) -> dict[str, Any]:
    """One column after the other, giving back what reading it took: at once they take four times as much memory."""
    import pyarrow as pa  # noqa: PLC0415

    columns = {}
    for name in file.schema_arrow.names:
        columns[name] = file.read([name], use_threads=False)[name].combine_chunks()
        pa.default_memory_pool().release_unused()
    return columns
