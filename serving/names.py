"""Drawing names: first name by heritage, ethnicity, sex, birth and birthplace, surname by heritage and ethnicity.

Here belongs what reads the name files of a snapshot, makes the tables of a cell when it is first needed, and draws from
them. What stands in the files is decided by `warehouse.names.export`; how the names of a cell are shared out over
heritages is `serving.name_mixture`. Names are drawn last, from streams of their own (`name:...`), and influence
nothing.

P(name | sex, cohort, ethnicity) is proportional to births(name, sex, cohort) * P(ethnicity | name), which is
Bayes' rule with ethnicity and cohort independent given the name (the assumption of Imai & Khanna 2016,
"Improving ecological inference by predicting individual ethnicity from voter registration records"); the
surname likewise, with bearers for births. A draw is the same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.alias import AliasTables
from serving.counter import Seed, uniforms
from serving.name_mixture import Told, mix, route, spread, total
from warehouse.errors import SnapshotError
from warehouse.names.files import (
    BANDS,
    EVERYBODY,
    EVERYONE,
    FILES,
    FOREIGN,
    HERITAGE_UNIT,
    MARKED,
    METADATA,
    PEOPLE,
    REST,
    SHARE_UNIT,
)

FIRST_STREAM, LAST_STREAM = "name:first", "name:last"
TOLD_STREAM = "name:told"  # whose names: one chance for both, so that they come from the same people
NOBODY = 1e-12
"""Share of a combination that is ruled out: who is given it all the same has a name of the ethnicity."""
ONE_PEOPLE, DOUBTFUL = 0.8, 2.0
"""If so much of a name is of one heritage, then among its bearers born abroad an ethnicity has at most DOUBTFUL times
the share that this leaves to it: more is the smoothing of the sources, and no African is called Mamoru."""

COMMON, UNASKED = 0.5, 0.1
"""Of those born abroad without a name of their heritage, the shares that have one like those born here, and one from
abroad that nobody was asked about. Whose the latter are is not known: by the weights alone they would be a third. The
others have one from abroad that is shared by many heritages. An assumption, as KEPT is."""

LAST_PLACE = 1 - 2.0**-40
"""Below 1 by more than a sum with the number of a cell is rounded by."""

Codes = npt.NDArray[np.integer[Any]]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]
Rows = npt.NDArray[np.uint32]


class Names:
    """The name tables of one snapshot, and the draws from them.

    Attributes:
        cohorts: first years of the birth cohorts of the native, ascending; a year outside them counts to the nearest.
    """

    def __init__(
        self,
        first: Any,
        last: Any,
        people: Any,
        *,
        sexes: Sequence[str],
        ethnicities: Sequence[str],
        nativities: Sequence[str],
        heritages: Sequence[str],
    ) -> None:
        births = [c for c in first.column_names if c.startswith("births_")]
        sex = np.array(first["sex"].to_pylist())
        for known in sexes:
            if not (sex == known).any():
                raise SnapshotError(f"the snapshot has no first names for sex {known!r}: export it again")
        self._files = first, last
        self.cohorts = np.array([int(c.removeprefix("births_")) for c in births])
        self._cohorts = len(births) + len(BANDS)  # of the foreign-born they are bands
        self._births = [_column(first, c) for c in births]
        self._foreign = _column(first, "foreign")
        self._here = _by_band(self._births, self.cohorts)
        self._born = _born(first, self._foreign, self._here)
        self._sex = [sex == known for known in sexes]
        facts = json.loads(first.schema.metadata[METADATA])
        tilts = facts["native_tilt"]
        shares = {ethnicity: _share(first, ethnicity) for ethnicity in tilts[sexes[0]]}
        self._tilted = [[(shares[ethnicity], tilt) for ethnicity, tilt in tilts[known].items()] for known in sexes]
        everybody = EVERYBODY in ethnicities and EVERYBODY not in tilts[sexes[0]]
        self._everybody = list(ethnicities).index(EVERYBODY) if everybody else -1
        self._as_born_here = [facts["as_born_here"].get(ethnicity, 0.0) for ethnicity in ethnicities]
        self._bearers = _column(last, "bearers")
        self._abroad = np.array([nativity == FOREIGN for nativity in nativities])
        self._near = np.array([MARKED.get(nativity, 1.0) > 1 for nativity in nativities])
        self._ethnicities = len(ethnicities)
        cells = len(sexes) * self._cohorts * len(ethnicities)
        by_cohort = _people(people, ethnicities, nativities, heritages)
        self._everyone = by_cohort[EVERYONE]
        self._natives = [by_cohort[cohort] for cohort in self.cohorts.tolist()]
        self._first = _Kind(first, cells, ethnicities, nativities, heritages)
        self._last = _Kind(last, len(ethnicities), ethnicities, nativities, heritages)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        sexes: Sequence[str],
        ethnicities: Sequence[str],
        nativities: Sequence[str],
        heritages: Sequence[str],
    ) -> Names | None:
        """Read the name files of a snapshot folder; None if it has none.

        The sequences are the categories of the dimensions in code order. Hashes are the snapshot's business. Raises
        SnapshotError for unreadable files and for a category without names.
        """
        import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light

        paths = [folder / name for name in FILES]
        if not any(path.is_file() for path in paths):
            return None
        try:
            first, last, people = (_read(path) for path in paths)
            return cls(
                first, last, people, sexes=sexes, ethnicities=ethnicities, nativities=nativities, heritages=heritages
            )
        except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SnapshotError(f"the names in {folder} cannot be read ({reason}); export the snapshot again") from None

    @cached_property
    def first(self) -> Objects:
        """First names by row, object array of str; a name that both sexes bear has two rows."""
        return _texts(self._files[0], "name")

    @cached_property
    def last(self) -> Objects:
        """Surnames by row, object array of str."""
        return _texts(self._files[1], "name")

    @cached_property
    def spellings(self) -> tuple[Objects, Objects]:
        """`first` and `last`, and after all of these the same as their bearers write them: José and Nguyễn."""
        found = []
        for table, plain in zip(self._files, (self.first, self.last), strict=True):
            accented = _texts(table, "accented")
            found.append(np.concatenate([plain, np.where(accented == "", plain, accented)]))
        return found[0], found[1]

    @cached_property
    def arrow_spellings(self) -> tuple[Any, Any]:
        """`spellings` as Arrow arrays."""
        import pyarrow as pa  # noqa: PLC0415

        first, last = (pa.array(texts.tolist(), type=pa.string()) for texts in self.spellings)
        return first, last

    @property
    def _kinds(self) -> tuple[_Kind, _Kind]:
        return self._first, self._last

    @property
    def nbytes(self) -> int:
        """Bytes of the tables made so far."""
        return self._first.tables.nbytes + self._last.tables.nbytes

    def draw(self, seed: Seed, index: npt.NDArray[np.uint64], **codes: Any) -> tuple[Objects, Objects]:
        """First names and surnames, object arrays of str of the shape (n,) that all arguments have; see `draw_rows`."""
        rows = self.draw_rows(seed, index, **codes)
        return self.spellings[0][rows[0]], self.spellings[1][rows[1]]

    def draw_rows(
        self,
        seed: Seed,
        index: npt.NDArray[np.uint64],
        *,
        heritage: Codes,
        ethnicity: Codes,
        sex: Codes,
        birth_year: Codes,
        nativity: Codes,
        accents: bool = False,
    ) -> tuple[Rows, Rows]:
        """Rows of `spellings`, two uint32 arrays of shape (n,).

        `accents` changes how names are written and not whose they are: José and Nguyễn for those born abroad and their
        children, if the name is one of their heritage. Later generations have mostly lost the marks.

        All but `birth_year` hold codes in the order given to `load`. A name depends on its own index and arguments
        alone, whatever else is in the batch.
        """
        here = np.searchsorted(self.cohorts[1:], birth_year, side="right")
        abroad = len(self.cohorts) + np.searchsorted(BANDS[1:], birth_year, side="right")
        cohort = np.where(self._abroad[nativity], abroad, here)
        of = ethnicity.astype(np.int64)
        cell = (sex.astype(np.int64) * self._cohorts + cohort) * self._ethnicities + of
        for missing in self._first.missing(cell):
            self._add_first(missing)
        for missing in self._last.missing(of):
            self._last.add(missing, self._bearers, self._everyone, self._everyone[missing])
        own = heritage.astype(np.int64), nativity.astype(np.int64)
        told = uniforms(seed, TOLD_STREAM, index)
        first = self._first.draw(told, uniforms(seed, FIRST_STREAM, index), cell, *own)
        last = self._last.draw(told, uniforms(seed, LAST_STREAM, index), of, *own)
        if accents:
            near = self._near[nativity]
            for kind, rows, texts in zip(self._kinds, (first, last), (self.first, self.last), strict=True):
                rows[near & kind.own(rows, heritage)] += len(texts)
        return first, last

    def _add_first(self, cell: int) -> None:
        """Make the tables of a cell of first names."""
        rest, ethnicity = divmod(cell, self._ethnicities)
        sex, cohort = divmod(rest, self._cohorts)
        band = cohort - len(self.cohorts)
        if band < 0:
            weights = self._births[cohort] * self._sex[sex]
            if ethnicity != self._everybody:
                weights /= sum((share * tilt[cohort] for share, tilt in self._tilted[sex]), np.zeros(len(weights)))
            self._first.add(cell, weights, self._everyone, self._natives[cohort][ethnicity])
        else:
            weights, here = self._names_abroad(sex, band, ethnicity)
            self._first.add(cell, weights, self._everyone, self._everyone[ethnicity] * self._abroad, common=here)

    def _names_abroad(self, sex: int, band: int, ethnicity: int) -> tuple[Floats, Floats]:
        """Weights of the names of the foreign-born, a part of whom have names like those born here in these years; and
        of those born here.
        """
        foreign = self._foreign * self._born[band] * self._sex[sex]
        here = self._here[band] * self._sex[sex]
        share, part = self._first.shares[ethnicity], self._as_born_here[ethnicity]
        both: Floats = foreign * ((1 - part) / total(foreign * share)) + here * (part / total(here * share))
        return both, here


def check_names(contents: Mapping[str, bytes], **categories: Sequence[str]) -> None:
    """Raise SnapshotError if these name files, by file name, do not know just these categories.

    The keywords are those of `Names.load`. Of the names themselves only metadata are read.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    for name in FILES:
        try:
            if name == PEOPLE:
                people = _read(pa.BufferReader(contents[name]))
                _people(people, categories["ethnicities"], categories["nativities"], categories["heritages"])
            else:
                facts = json.loads(pq.read_schema(pa.BufferReader(contents[name])).metadata[METADATA])
                _match("heritage", facts["heritages"], categories["heritages"])
        except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
            raise SnapshotError(f"{name} cannot be read ({type(error).__name__}); export the snapshot again") from None


class _Kind:
    """First names, or surnames: what is known of each, and the tables of the cells that were needed so far.

    The number of a cell modulo that of the ethnicities is the ethnicity.

    Attributes:
        shares: P(ethnicity | name) by row, for each ethnicity.
        tables: a list for each cell and heritage, and before these the pool.
    """

    def __init__(
        self,
        table: Any,
        cells: int,
        ethnicities: Sequence[str],
        nativities: Sequence[str],
        heritages: Sequence[str],
    ) -> None:
        facts = json.loads(table.schema.metadata[METADATA])
        _match("heritage", facts["heritages"], heritages)
        self._told = _told(table, [list(heritages).index(heritage) for heritage in facts["heritages"]])
        self.shares = [_share(table, ethnicity) for ethnicity in ethnicities]
        self._asked = np.bincount(self._told.row, minlength=table.num_rows) > 0
        self._of_one = np.zeros(table.num_rows, dtype=np.bool_)
        self._of_one[self._told.row[self._told.share >= ONE_PEOPLE]] = True
        self._strength = np.array([MARKED[nativity] for nativity in nativities])
        self._lists = len(heritages) + 1
        self.tables = AliasTables(cells, self._lists)
        self._own = np.zeros((cells, len(heritages), len(nativities)))
        # Of those with a name that is not of their own heritage, the shares up to and with each list, beside the cell.
        self._others = np.repeat(np.arange(cells) + 1.0, self._lists)
        self._made = np.zeros(cells, dtype=np.bool_)

    @cached_property
    def told_of(self) -> Ints:
        """row * lists + heritage of every tag: which names were told to be of which heritage."""
        return self._told.row * self._lists + self._told.heritage

    def own(self, rows: Rows, heritage: Codes) -> Flags:
        """Whether each of these rows was told to be a name of the heritage beside it, bool (n,)."""
        found: Flags = np.isin(rows.astype(np.int64) * self._lists + heritage, self.told_of)
        return found

    def missing(self, cells: Ints) -> list[int]:
        """Those of the cells whose tables are not made yet."""
        if self._made[cells].all():
            return []
        found = np.unique(cells)
        return [int(cell) for cell in found[~self._made[found]]]

    def add(
        self, cell: int, weights: Floats, everyone: Floats, people: Floats, *, common: Floats | None = None
    ) -> None:
        """Make the tables of a cell.

        Args:
            cell: its number.
            weights: of all names, by row, for all ethnicities together.
            everyone: P(ethnicity, heritage, nativity).
            people: the cell's people, (heritages, nativities), in any unit.
            common: if given, the weights are inferred and not counted, and give way to the heritages; and who has no
                name of a heritage has one by these weights or one that is shared by many, see COMMON.
        """
        ethnicity = cell % len(self.shares)
        share = self.shares[ethnicity]
        weighed = weights * share
        possible = np.flatnonzero(weighed)
        if not len(possible):
            raise SnapshotError("the snapshot has no names for some sex, cohort and ethnicity: export it again")
        asked = self._asked[possible]
        rows = possible[asked]
        by_ethnicity = np.cumsum(everyone, axis=2)[:, :, -1]
        share_of = by_ethnicity[ethnicity] / np.cumsum(by_ethnicity, axis=0)[-1]
        routing = route(self._told.of(rows, len(weights)), len(rows), share_of, total(by_ethnicity[ethnicity]))
        if common is not None:
            doubtful = np.minimum(1, DOUBTFUL * routing.expected / share[rows])
            weighed[rows] *= np.where(self._of_one[rows], doubtful, 1)
        weighed /= total(weighed[possible])
        people = people / total(people.ravel())
        mixture = mix(weighed[rows], routing, np.cumsum(people, axis=1)[:, -1], exact=common is None)
        special = np.flatnonzero(mixture.special)
        if common is None:
            pool = weighed
            pool[rows] = mixture.pool
        else:
            part = np.ones(len(weights))
            part[rows] = routing.free
            # The more a name from abroad is of other ethnicities, the less of it is for anybody of this one.
            near = weighed * part * share * share
            pool = _joined(
                (common * share * part, COMMON),
                (near * (self._asked & ~self._of_one), 1 - COMMON - UNASKED),
                (near * ~self._asked, UNASKED),
            )
        free = np.flatnonzero(pool)
        self.tables.add(
            cell,
            np.concatenate([free, rows[routing.row[special]]]),
            np.concatenate([pool[free], mixture.special[special]]),
            np.append(len(free), np.bincount(routing.heritage[special], minlength=self._lists - 1)),
        )
        upto = np.cumsum(np.append(total(pool[free]), mixture.lent))
        self._others[cell * self._lists : (cell + 1) * self._lists - 1] = cell + upto[:-1] / upto[-1]
        self._own[cell] = spread(mixture.told, people, self._strength)
        self._made[cell] = True

    def draw(self, told: Floats, uniform: Floats, cell: Ints, heritage: Ints, nativity: Ints) -> Rows:
        """A row for each, uint32 (n,); the cells' tables must be made.

        `told` decides for each whose names its own is of: those of its heritage, the pool's, or, last, those that one
        of the other heritages lends; `uniform` which of them.
        """
        _, heritages, nativities = self._own.shape
        own = np.take(self._own, (cell * heritages + heritage) * nativities + nativity)
        place = cell + np.minimum((told - own) / np.maximum(1 - own, NOBODY), LAST_PLACE)
        first = cell * self._lists
        number = np.where(told < own, heritage + 1, 0)
        lent = np.flatnonzero(
            (told >= own) & (place >= np.take(self._others, first))
        )  # few: the others have the pool's
        number[lent] = np.searchsorted(self._others, place[lent], side="right") - first[lent]
        return self.tables.draw(cell, number, uniform)


def _joined(*parts: tuple[Floats, float]) -> Floats:
    """Sum of weights of which each is first brought to the total beside it; one that is 0 throughout is left out."""
    found = [weights * (size / whole) for weights, size in parts if (whole := total(weights)) > 0]
    return sum(found, np.zeros(len(parts[0][0])))


def _read(path: Any) -> Any:
    import pyarrow.parquet as pq  # noqa: PLC0415

    # Not `pq.read_table`, which imports pandas where it is installed; nor `to_numpy` below. Unbuffered, as buffering
    # starts threads, see `serving.snapshot`.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        return file.read(use_threads=False).combine_chunks()


def _texts(table: Any, name: str) -> Objects:
    return np.array(table[name].to_pylist(), dtype=object)


def _column(table: Any, name: str) -> Floats:
    return np.from_dlpack(table[name].chunk(0)).astype(np.float64)


def _lists(table: Any, name: str) -> tuple[Ints, Ints]:
    """The values of a column of lists one after the other, and the row of each."""
    lists = table[name].chunk(0)
    lengths = np.diff(np.from_dlpack(lists.offsets))
    return np.from_dlpack(lists.flatten()).astype(np.int64), np.repeat(np.arange(len(lengths)), lengths)


def _share(table: Any, ethnicity: str) -> Floats:
    """P(ethnicity | name) by row; 1 for everybody. Raises SnapshotError if there is no such ethnicity."""
    if f"share_{ethnicity}" in table.column_names:
        return _column(table, f"share_{ethnicity}") / SHARE_UNIT
    if ethnicity == EVERYBODY:
        return np.ones(table.num_rows)
    if ethnicity == REST:
        others = [_column(table, c) for c in table.column_names if c.startswith("share_")]
        rest: Floats = np.maximum(SHARE_UNIT - sum(others, np.zeros(table.num_rows)), 0) / SHARE_UNIT  # 7 roundings
        return rest
    raise SnapshotError(f"the snapshot has no names for ethnicity {ethnicity!r}: export it again")


def _told(table: Any, codes: Sequence[int]) -> Told:
    """The heritage tags of all rows; `codes` are those of the heritages in the order of the file."""
    stored, row = _lists(table, "heritage")
    share, _ = _lists(table, "heritage_share")
    heritage = np.array(codes, dtype=np.int64)[stored]
    order = np.lexsort((row, heritage))
    return Told(row[order], heritage[order], share[order] / HERITAGE_UNIT)


def _by_band(births: Sequence[Floats], cohorts: Ints) -> list[Floats]:
    """Births by row in the cohorts of each of BANDS."""
    band_of = np.searchsorted(BANDS[1:], cohorts, side="right")
    none = np.zeros(len(births[0]))
    return [sum((births[c] for c in np.flatnonzero(band_of == band).tolist()), none) for band in range(len(BANDS))]


def _born(first: Any, foreign: Floats, here: Sequence[Floats]) -> list[Floats]:
    """For each of BANDS and each row how much more of its foreign-born bearers are of it than of all.

    Where it was not told, they are taken to be of an age with the bearers born here, the more so the more of these
    there are: nobody of ninety is called Daxton, wherever they come from.
    """
    stored, row = _lists(first, "born")
    curves, rows = stored.reshape(-1, len(BANDS)) / HERITAGE_UNIT, row[:: len(BANDS)]
    weights = foreign[rows]
    ever = sum(here, np.zeros(len(foreign)))
    abroad = foreign / np.maximum(foreign + ever, 1)
    born = []
    for band, curve in zip(here, curves.T, strict=True):
        usual = total(band) / max(total(ever), 1)
        more = abroad + (1 - abroad) * band / np.maximum(ever * usual, NOBODY)
        if (weights * curve).any():
            more[rows] = curve * (total(weights) / total(weights * curve))
        born.append(more)
    return born


def _people(
    people: Any, ethnicities: Sequence[str], nativities: Sequence[str], heritages: Sequence[str]
) -> dict[int, Floats]:
    """By cohort P(ethnicity, heritage, nativity); SnapshotError for a category that not both sides know."""
    codes = []
    for name, wanted in (("ethnicity", ethnicities), ("heritage", heritages), ("nativity", nativities)):
        stored = people[name].to_pylist()
        _match(name, set(stored), wanted)
        code = {category: place for place, category in enumerate(wanted)}
        codes.append(np.array([code[category] for category in stored]))
    cohort, share = _column(people, "cohort").astype(np.int64), _column(people, "share")
    shape = len(ethnicities), len(heritages), len(nativities)
    found = {}
    for first_year in np.unique(cohort).tolist():
        of = cohort == first_year
        found[first_year] = np.full(shape, NOBODY)
        found[first_year][tuple(code[of] for code in codes)] = np.maximum(share[of], NOBODY)
    return found


def _match(dimension: str, known: Collection[str], wanted: Collection[str]) -> None:
    if missing := [category for category in wanted if category not in known]:
        raise SnapshotError(f"the snapshot has no names for {dimension} {missing[0]!r}: export it again")
    if gone := [category for category in known if category not in wanted]:
        raise SnapshotError(f"the snapshot has names for the unknown {dimension} {min(gone)!r}: export it again")
