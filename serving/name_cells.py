"""The cells of first names, or of surnames: their tables, made when one is first needed, and the draw from them.

Here belongs the way from the bearers of a cell's names to alias tables by heritage, and from uniforms to rows. A cell
is all people who share what a name depends on besides heritage and nativity, see `serving.name_mixture`; who these are,
`serving.names` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.alias import AliasTables
from serving.name_faiths import NameFaiths
from serving.name_files import NOBODY, NameFile
from serving.name_mixture import Told, mix, route, spread, total
from warehouse.errors import SnapshotError
from warehouse.names.files import MARKED, SHARE_UNIT

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
Rows = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Bearers:
    """Who bears the names of a cell.

    Attributes:
        rows: the names, ascending; all that are missing have no weight.
        told: the heritage tags of these rows, numbered by their place.
        weights: of these names, for all ethnicities together.
        people: the cell's people, (heritages, nativities), in any unit.
        common: if given, the weights are inferred and not counted, and give way to the heritages; and who has no name
            of a heritage has one by these weights or one that is shared by many, see COMMON.
    """

    rows: Ints
    told: Told
    weights: Floats
    people: Floats
    common: Floats | None = None


class NameCells:
    """First names, or surnames: what is known of each, and the tables of the cells that were needed so far.

    The number of a cell modulo that of the ethnicities is the ethnicity.
    """

    def __init__(
        self,
        file: NameFile,
        cells: int,
        everyone: Floats,
        bearers: Callable[[int], Bearers],
        *,
        ethnicities: Sequence[str],
        nativities: Sequence[str],
        heritages: Sequence[str],
        religions: Sequence[str] = (),
    ) -> None:
        """`everyone` is P(ethnicity, heritage, nativity); `bearers` tells those of a cell, by its number."""
        self.told = file.told(heritages)
        self._shares = [file.shares(ethnicity) for ethnicity in ethnicities]
        self._asked = np.bincount(self.told.row, minlength=file.rows) > 0
        self._of_one = np.zeros(file.rows, dtype=np.bool_)
        self._of_one[self.told.row[self.told.share >= ONE_PEOPLE]] = True
        self._strength = np.array([MARKED[nativity] for nativity in nativities])
        self._bearers = bearers
        self._by_ethnicity = np.cumsum(everyone, axis=2)[:, :, -1]
        self._lists = len(heritages) + 1
        self._faiths = NameFaiths(file, heritages, religions) if religions and "faiths" in file.facts else None
        # A list for each heritage, before these the pool, and after them what some heritages have by faith.
        more = self._faiths.lists if self._faiths else 0
        self._tables = AliasTables(cells, self._lists + more)
        if self._faiths:
            whole, number = np.arange(1, self._lists)[:, None], self._faiths.number
            self._number = np.where(number < 0, whole, self._lists + number)
        self._own = np.zeros((cells, len(heritages), len(nativities)))
        # Of those with a name that is not of their own heritage, the shares up to and with each list, beside the cell.
        self._others = np.repeat(np.arange(cells) + 1.0, self._lists)

    @property
    def nbytes(self) -> int:
        """Bytes of the tables made so far."""
        return self._tables.nbytes

    def shares(self, ethnicity: int, rows: Ints) -> Floats:
        """P(ethnicity | name) of these rows."""
        return self._shares[ethnicity][rows] / SHARE_UNIT

    def draw(  # noqa: PLR0917
        self, told: Floats, uniform: Floats, cell: Ints, heritage: Ints, nativity: Ints, religion: Codes | None = None
    ) -> Rows:
        """A row for each, uint32 (n,).

        `told` decides for each whose names its own is of: those of its heritage, by faith where `religion` is given and
        names differ by it, the pool's, or, last, those that one of the other heritages lends; `uniform` which of them.
        """
        for missing in np.flatnonzero(np.bincount(cell, minlength=len(self._own)) * ~self._tables.made).tolist():
            self._make(missing)
        _, heritages, nativities = self._own.shape
        own = np.take(self._own, (cell * heritages + heritage) * nativities + nativity)
        place = cell + np.minimum((told - own) / np.maximum(1 - own, NOBODY), LAST_PLACE)
        first = cell * self._lists
        number = np.where(told < own, self._own_list(heritage, religion), 0)
        lent = np.flatnonzero(
            (told >= own) & (place >= np.take(self._others, first))
        )  # few: the others have the pool's
        number[lent] = np.searchsorted(self._others, place[lent], side="right") - first[lent]
        return self._tables.draw(cell, number, uniform)

    def _own_list(self, heritage: Ints, religion: Codes | None) -> Ints:
        if self._faiths is None or religion is None:
            return heritage + 1
        number: Ints = np.take(self._number, heritage * self._number.shape[1] + religion)
        return number

    def draw_one(  # noqa: PLR0917
        self, told: float, uniform: float, cell: int, heritage: int, nativity: int, religion: int | None = None
    ) -> int:
        """`draw` for one, at the cost of a few numbers instead of arrays."""
        if not self._tables.made.item(cell):
            self._make(cell)
        own = self._own.item(cell, heritage, nativity)
        if told < own:
            number = heritage + 1
            if self._faiths and religion is not None:
                number = self._number.item(heritage, religion)
        else:
            number, first = 0, cell * self._lists
            place = cell + min((told - own) / max(1 - own, NOBODY), LAST_PLACE)
            if place >= self._others.item(first):
                number = int(np.searchsorted(self._others, place, side="right")) - first
        return self._tables.draw_one(cell, number, uniform)

    def of_heritage(self, rows: Rows, heritage: Codes) -> Flags:
        """Whether each of these rows was told to be a name of the heritage beside it, bool (n,)."""
        found: Flags = np.isin(rows.astype(np.int64) * self._lists + heritage, self._tags)
        return found

    def one_of_heritage(self, row: int, heritage: int) -> bool:
        """`of_heritage` for one."""
        tag = row * self._lists + heritage
        place = int(np.searchsorted(self._tags, tag))
        return place < len(self._tags) and self._tags.item(place) == tag

    @cached_property
    def _tags(self) -> Ints:
        return np.sort(self.told.row * self._lists + self.told.heritage)

    def _make(self, cell: int) -> None:
        """Make the tables of a cell."""
        of = self._bearers(cell)
        ethnicity = cell % len(self._shares)
        share = self.shares(ethnicity, of.rows)
        weighed = of.weights * share
        possible = np.flatnonzero(weighed)
        if not len(possible):
            raise SnapshotError("the snapshot has no names for some sex, cohort and ethnicity: export it again")
        asked = self._asked[of.rows]
        rows = possible[asked[possible]]
        mass = self._by_ethnicity[ethnicity]
        share_of = mass / np.cumsum(self._by_ethnicity, axis=0)[-1]
        routing = route(of.told.of(rows, len(of.rows)), len(rows), share_of, total(mass))
        if of.common is not None:
            doubtful = np.minimum(1, DOUBTFUL * routing.expected / share[rows])
            weighed[rows] *= np.where(self._of_one[of.rows[rows]], doubtful, 1)
        weighed /= total(weighed)
        people = of.people / total(of.people.ravel())
        mixture = mix(weighed[rows], routing, np.cumsum(people, axis=1)[:, -1], exact=of.common is None)
        special = np.flatnonzero(mixture.special)
        if of.common is None:
            pool = weighed
            pool[rows] = mixture.pool
        else:
            part = np.ones(len(of.rows))
            part[rows] = routing.free
            # The more a name from abroad is of other ethnicities, the less of it is for anybody of this one.
            near = weighed * part * share * share
            pool = _joined(
                (of.common * share * part, COMMON),
                (near * (asked & ~self._of_one[of.rows]), 1 - COMMON - UNASKED),
                (near * ~asked, UNASKED),
            )
        free = np.flatnonzero(pool)
        upto = np.cumsum(np.append(total(pool[free]), mixture.lent))
        self._others[cell * self._lists : (cell + 1) * self._lists - 1] = cell + upto[:-1] / upto[-1]
        self._own[cell] = spread(mixture.told, people, self._strength)
        named, weights = of.rows[rows[routing.row[special]]], mixture.special[special]
        counts = np.append(len(free), np.bincount(routing.heritage[special], minlength=self._lists - 1))
        listed, parts = [of.rows[free], named], [pool[free], weights]
        if self._faiths:
            which, part, sizes = self._faiths.lists_of(named, routing.heritage[special], weights)
            listed, parts, counts = [*listed, named[which]], [*parts, part], np.append(counts, sizes)
        self._tables.add(cell, np.concatenate(listed), np.concatenate(parts), counts)


def _joined(*parts: tuple[Floats, float]) -> Floats:
    """Sum of weights of which each is first brought to the total beside it; one that is 0 throughout is left out."""
    found = [weights * (size / whole) for weights, size in parts if (whole := total(weights)) > 0]
    return sum(found, np.zeros(len(parts[0][0])))
