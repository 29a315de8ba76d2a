"""Single personas as JSON, at the cost of a few dozen microseconds: what an API or a game asks for again and again.

Here belongs the way from one (seed, index) to the line that `Batch.to_jsonl` gives for it, in plain Python numbers:
arrays cost more than they save for one persona. What a derived field is, `serving.derived` says for whole arrays; this
module repeats it for one value. Conditions other than `do`, and prose, are for `Sampler.sample`.
"""

from __future__ import annotations

import json
import operator
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

from serving import ages, derived, incomes
from serving.counter import LARGEST_INDEX, Seed, check_seed
from serving.derived import Bands
from serving.engine import Engine
from serving.incomes import INCOME
from serving.particulars import FIELDS, stream_of
from serving.snapshot import NAMED_BY, Snapshot
from warehouse.errors import SamplingError

if TYPE_CHECKING:
    from serving.batch import Selection
    from serving.particulars import Particulars

NAMES = ("first_name", "last_name")
HINT, CROSSED = "gender_identity", "transgender"  # a trans woman bears a woman's name
_GENERATIONS = [f'"{name}"' for name in derived.GENERATIONS]
_GENERATIONS_FROM = list(derived.GENERATIONS.values())
_SIGNS = [f'"{name}"' for name in derived.STAR_SIGNS]
_SIGNS_FROM = [month * 100 + day for month, day in derived.STAR_SIGNS.values()]
_STREAMS = ("derived:age_years", "derived:birth_date", "derived:height_cm")
_AGELESS = {"height_cm", INCOME, *FIELDS}


class Lines:
    """A request for personas made ready, so that each costs as little as it can; safe to share between threads."""

    def __init__(
        self,
        snapshot: Snapshot,
        engine: Engine,
        selection: Selection,
        *,
        fixed: Mapping[int, int],
        as_of: date,
        accents: bool,
        at_risk: Iterable[str] = (),
        otherwise: Callable[[Seed, int], bytes],
    ) -> None:
        """`fixed` are the codes that are set, by position, and leave `at_risk` perhaps without a category: whoever is
        of these has the line of `otherwise`. The other arguments are those of `serving.batch.Batch`.
        """
        position = {dimension.id: dimension.position for dimension in snapshot.dimensions}
        self._engine = engine
        self._middle = f', "snapshot_id": {json.dumps(snapshot.id)}'.encode()
        self._coded = [
            (position[name], [_encoded(name, encode_basestring(c)) for c in snapshot.dimension(name).categories])
            for name in selection.fields
            if name in position
        ]
        places = {name: place for place, name in enumerate(selection.fields) if name not in position}
        self._details = _Details(snapshot, places, position, as_of, accents=accents) if places else None
        streams = self._details.streams if self._details else ()
        self._otherwise = otherwise
        wanted = {position[name] for name in (*selection.needed_dimensions, *at_risk)}
        self._order = engine.order(wanted, fixed, streams)

    def line(self, seed: Seed, index: int) -> bytes:
        """One JSON object in UTF-8, without line end.

        Raises SamplingError for what is no seed or no index, and if nobody can have what `do` sets.
        """
        head = _head(seed)
        if type(index) is not int:  # else as it is: this is asked for every persona
            try:
                index = operator.index(index)
            except TypeError:
                raise SamplingError(f"index must be an integer, not {index!r}") from None
        if not 0 <= index <= LARGEST_INDEX:
            raise SamplingError(f"index must be from 0 to 2**63 - 1, not {index}")
        drawn = self._engine.one(self._order, seed, index)
        if drawn is None:
            return self._otherwise(seed, index)
        codes, uniforms = drawn
        parts = [fragments[codes[position]] for position, fragments in self._coded]
        if self._details:
            for place, part in self._details.written(codes, uniforms):
                parts.insert(place, part)
        return b"%b%d%b%b}" % (head, index, self._middle, b"".join(parts))


class _Details:
    """The derived fields of one persona.

    Attributes:
        streams: whose uniforms `written` takes.
    """

    def __init__(
        self, snapshot: Snapshot, places: Mapping[str, int], position: Mapping[str, int], as_of: date, *, accents: bool
    ) -> None:
        """`places` has the wanted fields and their places in the line, in ascending order."""
        self._places = [(place, _encoded(name, ""), name) for name, place in places.items()]
        self._position = position
        self._as_of = as_of
        self.streams: tuple[str, ...] = _STREAMS
        self._ages = self._heights = self._incomes = self._months = self._names = None
        self._aged_by: Cells = ()
        self._paid_by: Cells = ()
        self._own: tuple[int, list[bool]] | None = None
        if not places.keys() <= _AGELESS:
            self._ages = _Values(ages.bands_of(snapshot))
            self._aged_by = _cells(snapshot, ages.needs(snapshot))
        if not places.keys() <= {"age_years", *_AGELESS}:
            self._months = derived.months_of(snapshot.dimension("birth_month").categories).tolist()
        if "height_cm" in places:
            self._heights = _Values(derived.height_bands(snapshot.dimension("height").categories))
        if not places.keys().isdisjoint(NAMES):
            self._names = _Naming(snapshot, position, accents=accents)
            self.streams += self._names.streams
        if INCOME in places:
            self._incomes = _Values(incomes.bands_of(snapshot))
            self._paid_by = _cells(snapshot, incomes.banded_by(snapshot))
            if incomes.LIVING in incomes.needs(snapshot):
                own = incomes.own_household(snapshot)
                living = snapshot.dimension(incomes.LIVING)
                self._own = living.position, [code in own for code in range(len(living.categories))]
            self.streams += (incomes.STREAM,)
        self._particulars = [_Particular.of(f, one, position) for f, one in _drawn_from(snapshot, places).items()]
        self.streams += tuple(stream_of(one.field) for one in self._particulars)

    def written(self, codes: list[int], uniforms: list[float]) -> list[tuple[int, bytes]]:
        """Each field's place in the line and what stands there; `uniforms` are those of `streams`."""
        values: dict[str, str] = {}
        age = 0
        if self._heights is not None:
            values["height_cm"] = str(self._heights.at(codes[self._position["height"]], uniforms[2]))
        rows: dict[str, int] = {}
        for place, one in enumerate(self._particulars, start=-len(self._particulars)):
            rows[one.field], values[one.field] = one.drawn(uniforms[place], codes, rows)
        if self._incomes is not None:
            drawn = uniforms[-len(self._particulars) - 1]
            cell = _cell(self._paid_by, codes)
            if self._own:
                living, own = self._own
                cell = 2 * cell + own[codes[living]]
            values[INCOME] = str(self._incomes.at(cell, drawn))
        if self._ages is not None:
            age = self._ages.at(_cell(self._aged_by, codes), uniforms[0])
            values["age_years"] = str(age)
        if self._months is not None:
            month = self._months[codes[self._position["birth_month"]]]
            year, day = _birth(age, month, self._as_of, uniforms[1])
            values["birth_date"] = f'"{year:04d}-{month:02d}-{day:02d}"'
            values["generation"] = _GENERATIONS[max(bisect_right(_GENERATIONS_FROM, year) - 1, 0)]
            values["star_sign"] = _SIGNS[bisect_right(_SIGNS_FROM, month * 100 + day) - 1]
            if self._names is not None:
                names = self._names.of(uniforms[len(_STREAMS) : len(_STREAMS) + 3], codes, year)
                values["first_name"], values["last_name"] = names
        return [(place, prefix + values[name].encode()) for place, prefix, name in self._places]


@dataclass(frozen=True, slots=True)
class _Particular:
    """A field drawn by `serving.particulars`: the position of its dimension, of whose categories some are `named`;
    those of all dimensions that it needs; and the fields that it needs besides. `texts` are JSON, by row.
    """

    field: str
    particulars: Particulars
    within: int
    named: list[bool]
    positions: list[tuple[str, int]]
    fields: list[str]
    texts: list[str]

    @classmethod
    def of(cls, field: str, particulars: Particulars, position: Mapping[str, int]) -> _Particular:
        return cls(
            field,
            particulars,
            position[particulars.within],
            particulars.named.tolist(),
            [(name, position[name]) for name in particulars.needs if name in position],
            [name for name in particulars.needs if name not in position],
            ["null" if name is None else encode_basestring(name) for name in particulars.names],
        )

    def drawn(self, uniform: float, codes: list[int], rows: Mapping[str, int]) -> tuple[int, str]:
        """The row, and its text; `rows` are those of the fields before it."""
        if not self.named[codes[self.within]]:  # of most fields most people
            return len(self.texts) - 1, "null"
        known = {name: codes[place] for name, place in self.positions}
        for name in self.fields:
            known[name] = rows[name]
        row = self.particulars.draw_one(uniform, known)
        return row, self.texts[row]


class _Naming:
    """Both names of one persona, as JSON strings."""

    def __init__(self, snapshot: Snapshot, position: Mapping[str, int], *, accents: bool) -> None:
        from serving.names import FIRST_STREAM, LAST_STREAM, TOLD_STREAM  # noqa: PLC0415  # only where there are names

        names = snapshot.names
        assert names is not None  # else the fields could not be selected
        self.streams = TOLD_STREAM, FIRST_STREAM, LAST_STREAM
        self._names, self._accents = names, accents
        self._by = {name: position[name] for name in NAMED_BY.values()}
        if snapshot.named_by_faith:
            self._by["religion"] = position[snapshot.named_by_faith]
        self._crossed = -1, -1
        known = snapshot.dimension(HINT).code_of.get(CROSSED) if HINT in snapshot else None
        if known is not None and len(snapshot.dimension("sex").categories) == 2:
            self._crossed = position[HINT], known

    def of(self, uniforms: list[float], codes: list[int], year: int) -> tuple[str, str]:
        """First name and surname of somebody born in that year; `uniforms` are those of `streams`."""
        by = {name: codes[position] for name, position in self._by.items()}
        where, crossed = self._crossed
        if where >= 0 and codes[where] == crossed:
            by["sex"] = 1 - by["sex"]
        first, last = self._names.draw_one(*uniforms, birth_year=year, accents=self._accents, **by)
        return encode_basestring(first), encode_basestring(last)


class _Values:
    """`serving.derived.Bands`, one value at a time."""

    def __init__(self, bands: Bands) -> None:
        self._values, self._edges = bands.values.tolist(), bands.edges.tolist()
        self._base, self._total = bands.base.tolist(), bands.total.tolist()

    def at(self, code: int, uniform: float) -> int:
        """A value inside the band of this code."""
        threshold = self._base[code] + int(uniform * self._total[code])
        value: int = self._values[bisect_right(self._edges, threshold)]
        return value


Cells = tuple[tuple[int, int], ...]
"""Positions of dimensions, and how many categories each has."""


def _drawn_from(snapshot: Snapshot, wanted: Collection[str]) -> dict[str, Particulars]:
    """What these fields are drawn from, each after what it depends on itself."""
    found: dict[str, Particulars] = {}
    for field in FIELDS:
        if field in wanted and (particulars := snapshot.particulars(FIELDS[field])):
            before = {one: snapshot.particulars(FIELDS[one]) for one in particulars.needs if one in FIELDS}
            found |= {one: needed for one, needed in before.items() if needed} | {field: particulars}
    return found


def _cells(snapshot: Snapshot, names: tuple[str, ...]) -> Cells:
    return tuple((snapshot.dimension(name).position, len(snapshot.dimension(name).categories)) for name in names)


def _cell(cells: Cells, codes: list[int]) -> int:
    """The place of a persona's combination in `np.ravel_multi_index`."""
    place = 0
    for position, size in cells:
        place = place * size + codes[position]
    return place


def _birth(age: int, month: int, as_of: date, uniform: float) -> tuple[int, int]:
    """Year and day of `serving.derived.birth_dates`."""
    year = as_of.year - age - (month > as_of.month)
    until, after = monthrange(year, month)[1], 0
    if month == as_of.month:
        after = max(monthrange(year - 1, month)[1] - as_of.day, 0)
        until = min(until, as_of.day)
    day = int(uniform * (until + after))
    return (year, day + 1) if day < until else (year - 1, day - until + as_of.day + 1)


def _encoded(name: str, value: str) -> bytes:
    return f", {json.dumps(name)}: {value}".encode()


@lru_cache(maxsize=1_000, typed=True)  # 1 and True are equal, but not written alike
def _head(seed: Seed) -> bytes:
    seed = check_seed(seed)
    return f'{{"seed": {json.dumps(seed)}, "index": '.encode()
