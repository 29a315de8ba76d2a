"""Drawing names: first name by heritage, ethnicity, sex, birth and birthplace, surname by heritage and ethnicity;
both by the religion of childhood in some heritages.

Here belongs who bears the names of a cell, and the draws. Files are read by `serving.name_files`, and what stands in
them is decided by `warehouse.names.export`; a cell's tables are `serving.name_cells`, how its names are shared out over
heritages `serving.name_mixture`. Names are drawn last, from streams of their own (`name:...`), and influence
nothing.

P(name | sex, cohort, ethnicity) is proportional to births(name, sex, cohort) * P(ethnicity | name), which is
Bayes' rule with ethnicity and cohort independent given the name (the assumption of Imai & Khanna 2016,
"Improving ecological inference by predicting individual ethnicity from voter registration records"); the
surname likewise, with bearers for births. A draw is the same on every machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.arrow import numbers, texts
from serving.counter import Seed, uniforms
from serving.name_cells import Bearers, NameCells
from serving.name_files import NOBODY, NameFile, read_file, read_people
from serving.name_forms import Forms
from serving.name_mixture import Told, total
from warehouse.errors import SnapshotError
from warehouse.names.files import (
    BANDS,
    EVERYBODY,
    EVERYONE,
    FILES,
    FOREIGN,
    HERITAGE_UNIT,
    MARKED,
    SHARE_UNIT,
)

FIRST_STREAM, LAST_STREAM = "name:first", "name:last"
TOLD_STREAM = "name:told"  # whose names: one chance for both, so that they come from the same people

Codes = npt.NDArray[np.integer[Any]]
Counts = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]
Rows = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Generation:
    """The first names of one sex and cohort, whatever the ethnicity: `rows` and their tags, see `Bearers`.

    Of those born here `weights` are births, and `tilted` the same for a single ethnicity. Of those born abroad
    `weights` are theirs, and `here` those of people of their age who were born here.
    """

    rows: Ints
    told: Told
    weights: Floats
    tilted: Floats | None = None
    here: Floats | None = None


class Names:
    """The name tables of one snapshot, and the draws from them.

    Attributes:
        cohorts: first years of the birth cohorts of the native, ascending; a year outside them counts to the nearest.
    """

    def __init__(
        self,
        first: NameFile,
        last: NameFile,
        people: dict[int, Floats],
        *,
        sexes: Sequence[str],
        ethnicities: Sequence[str],
        nativities: Sequence[str],
        heritages: Sequence[str],
        religions: Sequence[str] = (),
    ) -> None:
        births = [c for c in first.columns if c.startswith("births_")]
        sex = first.columns["sex"]
        of_sex, known_sexes = np.from_dlpack(sex.indices), sex.dictionary.to_pylist()
        for known in sexes:
            if known not in known_sexes:
                raise SnapshotError(f"the snapshot has no first names for sex {known!r}: export it again")
        self._sex = [of_sex == known_sexes.index(known) for known in sexes]
        self._files = first, last
        self.cohorts = np.array([int(c.removeprefix("births_")) for c in births])
        self._here_from, self._abroad_from = self.cohorts[1:].tolist(), list(BANDS[1:])
        self._cohorts = len(births) + len(BANDS)  # of the foreign-born they are bands
        self._births: list[Counts] = [first.numbers(c) for c in births]
        self._foreign: Counts = first.numbers("foreign")
        tilts = first.facts["native_tilt"]
        tilted = [(first.shares(ethnicity), ethnicity) for ethnicity in tilts[sexes[0]]]
        self._tilted = [[(share, tilts[known][ethnicity]) for share, ethnicity in tilted] for known in sexes]
        everybody = EVERYBODY in ethnicities and EVERYBODY not in tilts[sexes[0]]
        self._everybody = list(ethnicities).index(EVERYBODY) if everybody else -1
        self._as_born_here = [first.facts["as_born_here"].get(ethnicity, 0.0) for ethnicity in ethnicities]
        self._abroad = np.array([nativity == FOREIGN for nativity in nativities])
        self._near = np.array([MARKED.get(nativity, 1.0) > 1 for nativity in nativities])
        self._ethnicities = len(ethnicities)
        self._everyone, self._natives = people[EVERYONE], [people[cohort] for cohort in self.cohorts.tolist()]
        self._generation = lru_cache(maxsize=2)(self._find_generation)  # cells are made in their order
        categories = {"ethnicities": ethnicities, "nativities": nativities, "heritages": heritages}
        categories["religions"] = religions
        cells = len(sexes) * self._cohorts * len(ethnicities)
        self._first = NameCells(first, cells, self._everyone, self._with_first_name, **categories)
        self._last = NameCells(last, len(ethnicities), self._everyone, self._with_surname, **categories)
        self._forms = Forms(
            last, self._last.told, sexes=sexes, heritages=heritages, nativities=nativities, religions=religions
        )

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        sexes: Sequence[str],
        ethnicities: Sequence[str],
        nativities: Sequence[str],
        heritages: Sequence[str],
        religions: Sequence[str] = (),
    ) -> Names | None:
        """Read the name files of a snapshot folder; None if it has none.

        The sequences are the categories of the dimensions in code order; without `religions` nobody's names differ by
        faith. Hashes are the snapshot's business. Raises SnapshotError for unreadable files and for a category without
        names.
        """
        import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light

        paths = [folder / name for name in FILES]
        if not any(path.is_file() for path in paths):
            return None
        categories = {"ethnicities": ethnicities, "nativities": nativities, "heritages": heritages}
        try:
            first, last = read_file(paths[0], ["sex"]), read_file(paths[1])
            people = read_people(paths[2], **categories)
            return cls(first, last, people, sexes=sexes, **categories, religions=religions)
        except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SnapshotError(f"the names in {folder} cannot be read ({reason}); export the snapshot again") from None

    @property
    def first(self) -> Objects:
        """First names by row, object array of str; a name that both sexes bear has two rows."""
        return _objects(self._files[0].columns["name"])

    @property
    def last(self) -> Objects:
        """Surnames by row, object array of str."""
        return _objects(self._files[1].columns["name"])

    @property
    def nbytes(self) -> int:
        """Bytes of the tables made so far."""
        return self._first.nbytes + self._last.nbytes

    def draw(self, seed: Seed, index: npt.NDArray[np.uint64], **codes: Any) -> tuple[Objects, Objects]:
        """First names and surnames, object arrays of str of the shape (n,) that all arguments have; see `draw_rows`."""
        first, last = self.draw_rows(seed, index, **codes)
        return _objects(self.spelt(0, first)), _objects(self.spelt(1, last))

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
        religion: Codes | None = None,
        accents: bool = False,
    ) -> tuple[Rows, Rows]:
        """Rows for `spelt`, two uint32 arrays of shape (n,).

        A surname that one sex of a people bears in a form of its own has a row for that.

        `accents` changes how names are written and not whose they are: José and Nguyễn for those born abroad and their
        children, if the name is one of their heritage. Later generations have mostly lost the marks.

        All but `birth_year` hold codes in the order given to `load`; without `religion` nobody's names differ by faith.
        A name depends on its own index and arguments alone, whatever else is in the batch.
        """
        here = np.searchsorted(self._here_from, birth_year, side="right")
        abroad = len(self.cohorts) + np.searchsorted(self._abroad_from, birth_year, side="right")
        cohort = np.where(self._abroad[nativity], abroad, here)
        of = ethnicity.astype(np.int64)
        cell = (sex.astype(np.int64) * self._cohorts + cohort) * self._ethnicities + of
        own = heritage.astype(np.int64), nativity.astype(np.int64), religion
        told = uniforms(seed, TOLD_STREAM, index)
        first = self._first.draw(told, uniforms(seed, FIRST_STREAM, index), cell, *own)
        last = self._last.draw(told, uniforms(seed, LAST_STREAM, index), of, *own)
        forms = self._forms.taken(last, sex, heritage, nativity, religion)
        if accents:
            near = self._near[nativity]
            for cells, file, rows in zip((self._first, self._last), self._files, (first, last), strict=True):
                rows[near & cells.of_heritage(rows, heritage)] += file.rows
        for who, plain, accented in forms:
            last[who] = np.where(last[who] < self._files[1].rows, plain, accented)
        return first, last

    def draw_one(
        self,
        told: float,
        of_first: float,
        of_last: float,
        *,
        heritage: int,
        ethnicity: int,
        sex: int,
        birth_year: int,
        nativity: int,
        religion: int | None = None,
        accents: bool = False,
    ) -> tuple[str, str]:
        """First name and surname of one persona, as `draw` gives them, at the cost of a few numbers instead of arrays.

        The uniforms are those of `TOLD_STREAM`, `FIRST_STREAM` and `LAST_STREAM`.
        """
        if self._abroad[nativity]:
            cohort = len(self._births) + bisect_right(self._abroad_from, birth_year)
        else:
            cohort = bisect_right(self._here_from, birth_year)
        cell = (sex * self._cohorts + cohort) * self._ethnicities + ethnicity
        first = self._first.draw_one(told, of_first, cell, heritage, nativity, religion)
        last = self._last.draw_one(told, of_last, ethnicity, heritage, nativity, religion)
        near = accents and self._near[nativity]
        accented = [
            bool(near) and cells.one_of_heritage(row, heritage)
            for cells, row in ((self._first, first), (self._last, last))
        ]
        form = self._forms.of_one(last, sex, heritage, nativity, religion)
        return (
            self._written(0, first, accented=accented[0]),
            self._written(1, last, accented=accented[1]) if form is None else form[accented[1]],
        )

    def spelt(self, kind: int, rows: Rows) -> Any:
        """First names (0) or surnames (1) of rows as `draw_rows` gives them: an Arrow array of strings, (n,)."""
        file = self._files[kind]
        last = int(rows.max(initial=0))
        if last >= 2 * file.rows and not ((rows >= file.rows) & (rows < 2 * file.rows)).any():
            return self._formed.take(numbers(np.where(rows < file.rows, rows, rows - np.uint32(file.rows))))
        if last >= file.rows:
            return self._spellings[kind].take(numbers(rows))
        return file.columns["name"].take(numbers(rows)).cast("string")

    def listed(self, kind: int, rows: Rows) -> Rows:
        """Rows of the names as they stand in the file, of rows with accents or in the form of one sex, (n,)."""
        size = self._files[kind].rows
        found = np.where(rows < 2 * size, rows % size, 0)
        formed = np.flatnonzero(rows >= 2 * size)
        if len(formed):
            found[formed] = np.array(self._forms.of)[rows[formed] - 2 * size]
        return np.asarray(found, dtype=np.uint32)

    @cached_property
    def _formed(self) -> Any:
        """Surnames by row, as an Arrow array of strings, and after all of these the forms of one sex."""
        import pyarrow as pa  # noqa: PLC0415

        return pa.concat_arrays([self._files[1].columns["name"].cast("string"), texts(self._forms.texts)])

    @cached_property
    def _spellings(self) -> tuple[Any, Any]:
        """Names by row, as Arrow arrays of strings, after all of these the same as their bearers write them, and after
        those the forms of one sex.
        """
        found = []
        for file in self._files:
            plain, accented = (file.columns[name].to_pylist() for name in ("name", "accented"))
            written = [other or name for name, other in zip(plain, accented, strict=True)]
            found.append(plain + written)
        return texts(found[0]), texts(found[1] + self._forms.texts)

    def _written(self, kind: int, row: int, *, accented: bool) -> str:
        columns = self._files[kind].columns
        text: str = (accented and columns["accented"][row].as_py()) or columns["name"][row].as_py()
        return text

    def _with_surname(self, ethnicity: int) -> Bearers:
        file = self._files[1]
        weights = file.numbers("bearers").astype(np.float64)
        return Bearers(np.arange(file.rows), self._last.told, weights, self._everyone[ethnicity])

    def _with_first_name(self, cell: int) -> Bearers:
        rest, ethnicity = divmod(cell, self._ethnicities)
        sex, cohort = divmod(rest, self._cohorts)
        of = self._generation(sex, cohort)
        if of.here is None:
            weights = of.weights if ethnicity == self._everybody or of.tilted is None else of.tilted
            return Bearers(of.rows, of.told, weights, self._natives[cohort][ethnicity])
        # A part of the foreign-born have names like those born here in these years.
        share, part = self._first.shares(ethnicity, of.rows), self._as_born_here[ethnicity]
        weights = of.weights * ((1 - part) / total(of.weights * share))
        weights += of.here * (part / total(of.here * share))
        return Bearers(of.rows, of.told, weights, self._everyone[ethnicity] * self._abroad, of.here)

    def _find_generation(self, sex: int, cohort: int) -> _Generation:
        band = cohort - len(self._births)
        if band < 0:
            rows = np.flatnonzero(self._sex[sex] & (self._births[cohort] > 0))
            weights = self._births[cohort][rows].astype(np.float64)
            tilt = np.zeros(len(rows))
            for share, tilts in self._tilted[sex]:
                tilt += share[rows] / SHARE_UNIT * tilts[cohort]
            told = self._first.told.of(rows, self._files[0].rows)
            return _Generation(rows, told, weights, tilted=weights / tilt)
        here, foreign = self._in_band(band), self._foreign * self._born[band]
        rows = np.flatnonzero(self._sex[sex] & ((here > 0) | (foreign > 0)))
        return _Generation(rows, self._first.told.of(rows, self._files[0].rows), foreign[rows], here=here[rows])

    def _in_band(self, band: int) -> Floats:
        """Births by row in the cohorts of one of BANDS."""
        births = np.zeros(len(self._foreign))
        for cohort in np.flatnonzero(np.searchsorted(BANDS[1:], self.cohorts, side="right") == band).tolist():
            births += self._births[cohort]
        return births

    @cached_property
    def _born(self) -> list[Floats]:
        """For each of BANDS and each row how much more of its foreign-born bearers are of it than of all.

        Where it was not told, they are taken to be of an age with the bearers born here, the more so the more of these
        there are: nobody of ninety is called Daxton, wherever they come from.
        """
        stored, row = self._files[0].lists("born")
        curves, rows = stored.reshape(-1, len(BANDS)) / HERITAGE_UNIT, row[:: len(BANDS)]
        foreign, here = self._foreign.astype(np.float64), [self._in_band(band) for band in range(len(BANDS))]
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


def _objects(texts: Any) -> Objects:
    return np.array(texts.to_pylist(), dtype=object)
