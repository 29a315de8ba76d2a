"""What a draw gives: a batch of personas, lazy about formats, and the single persona.

Here belong the choice of fields, the derived columns of a batch, and its conversion to frames, dicts and
lines. Where the codes come from is `serving.sampler`; how a derived field is computed is `serving.derived`.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from itertools import product
from json.encoder import encode_basestring
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from serving import ages, derived, incomes
from serving.arrow import coded, numbers, repeated
from serving.conditions import Support
from serving.counter import Seed
from serving.files import duckdb_writer, parquet_writer
from serving.incomes import INCOME
from serving.lines import CROSSED, HINT, NAMES
from serving.particulars import FIELDS
from serving.snapshot import Snapshot, suggest
from warehouse.errors import SamplingError
from warehouse.particulars import DETAILS, TITLES

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from serving.names import Names
    from serving.particulars import Particulars
    from serving.rendering import Person

COMBINATIONS = 1_000  # of values whose texts are kept joined

ECHO = ("seed", "index", "snapshot_id")
SENSITIVE = "sensitive"
SUMMARY = "summary"

# Derived field -> dimensions that it needs; it exists where the snapshot has them.
_NAME_NEEDS = ("sex", "ethnicity", "nativity", "heritage", "age", "birth_month")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "first_name": _NAME_NEEDS,
    "last_name": _NAME_NEEDS,
    "age_years": ("age",),
    "birth_date": ("age", "birth_month"),
    "generation": ("age", "birth_month"),
    "star_sign": ("age", "birth_month"),
    "height_cm": ("height",),
    INCOME: ("personal_income",),
}

# Derived fields that tell dimensions anew: whoever leaves one of these out does not want the field either.
_TELLS: Mapping[str, tuple[str, ...]] = {
    INCOME: ("personal_income",),
    **{field: (dimension,) for field, dimension in DETAILS.items()},
    "diet_plan": (DETAILS["diet_plan"], "religion", "chronic_condition"),  # halal, diabetic
}

Value = str | int | date | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which fields a batch carries, in order, and what must be drawn for them.

    `prose` are the fields that the summary is written from, if there is one.
    """

    fields: tuple[str, ...]
    prose: tuple[str, ...]
    needed_dimensions: frozenset[str]


def derived_needs(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Derived fields that this snapshot can give, in display order, and the dimensions that each needs."""
    consulted = tuple(one for one in (HINT, snapshot.named_by_faith) if one and one in snapshot)
    hints = dict.fromkeys(NAMES, consulted) | {INCOME: incomes.needs(snapshot)}
    aged = ages.needs(snapshot)
    # Snapshots from before there were titles keep the fields that they had.
    carried = dict.fromkeys(NAMES, snapshot.has_names) | {INCOME: snapshot.particulars(TITLES) is not None}
    known = {
        name: tuple(dict.fromkeys([*parents, *(aged if ages.AGE in parents else ()), *hints.get(name, ())]))
        for name, parents in _NEEDS.items()
        if all(parent in snapshot for parent in parents) and carried.get(name, True)
    }
    told: dict[str, tuple[str, ...]] = {}
    for field, file in FIELDS.items():
        if found := snapshot.particulars(file):
            told[field] = tuple(dict.fromkeys(one for name in found.needs for one in told.get(name, (name,))))
    return known | told


def refuse_derived(snapshot: Snapshot, name: str, remedy: str) -> None:
    """SamplingError for a derived field where a dimension is wanted; it says which dimensions the field comes from."""
    if name not in snapshot and (needs := derived_needs(snapshot).get(name)):
        derived = f"{name!r} is no dimension but derived from {', '.join(needs)}"
        raise SamplingError(f"{derived}: {remedy}", about=name, allowed=needs)


def select_fields(
    snapshot: Snapshot, fields: Iterable[str] | None = None, exclude: Iterable[str] | None = None
) -> Selection:
    """Resolve `fields` and `exclude` against a snapshot; SamplingError for an unknown name.

    All fields means derived fields, then dimensions in sampling order; the prose `summary` only on request.
    Excluded dimensions are not mentioned in prose; derived fields, names among them, stay unless excluded
    too. The figure of the income goes with its band, and a detail, such as the denomination, with its dimension; a
    diet also with the religion and the condition that it would tell.
    """
    needs = derived_needs(snapshot)
    everything = (*needs, *(dimension.id for dimension in snapshot.dimensions))
    known = (*everything, SUMMARY)
    for argument, names in (("fields", fields), ("exclude", exclude)):
        if isinstance(names, str):
            raise SamplingError(f"{argument} must be a list of names, not the string {names!r}", argument=argument)
        if names is not None and not (isinstance(names, Collection) and all(isinstance(one, str) for one in names)):
            raise SamplingError(f"{argument} must be a list of names, not {names!r}", argument=argument)
    left_out = set[str]()
    for name in exclude or ():
        if name == SENSITIVE:
            left_out.update(snapshot.sensitive)
        else:
            left_out.add(_known(name, (*known, SENSITIVE), "exclude"))
    left_out.update([name for name, told in _TELLS.items() if not left_out.isdisjoint(told)])
    chosen = everything
    if fields is not None:
        chosen = tuple(dict.fromkeys(_known(name, (*known, *ECHO), "fields") for name in fields))
    visible = tuple(name for name in chosen if name not in left_out and name not in ECHO)

    prose = tuple(name for name in everything if name not in left_out) if SUMMARY in visible else ()
    needed = {dimension for name in (*visible, *prose) for dimension in needs.get(name, (name,))} - {SUMMARY}
    return Selection(visible, prose, frozenset(needed))


def _known(name: str, known: tuple[str, ...], argument: str) -> str:
    if name not in known:
        raise SamplingError(f"unknown field {name!r}{suggest(name, list(known))}", argument=argument, allowed=known)
    return name


@dataclass(frozen=True, eq=False)  # no slots: with them, setting an unknown attribute is a TypeError in 3.11
class Persona:
    """One persona: its fields as attributes, `persona.education`, and `persona["education"]` alike.

    Dimensions hold category ids. `values` is read-only; two personas are equal if all their fields are.
    """

    seed: Seed
    index: int
    values: Mapping[str, Value]
    snapshot: Snapshot

    def __getattr__(self, name: str) -> Value:
        if name == "values" or name.startswith("_"):  # while being copied or unpickled
            raise AttributeError(name)
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(f"persona has no field {name!r}{suggest(name, list(self.values))}") from None

    def __getitem__(self, name: str) -> Value:
        return self.to_dict()[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Persona) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.seed, self.index, self.snapshot_id))

    def __reduce__(self) -> tuple[Callable[..., Persona], tuple[object, ...]]:
        return _persona, (self.seed, self.index, dict(self.values), self.snapshot)

    def __repr__(self) -> str:
        return f"Persona(seed={self.seed!r}, index={self.index}, snapshot_id={self.snapshot_id!r}, ...)"

    @property
    def snapshot_id(self) -> str:
        """Id of the snapshot that it was drawn from."""
        return self.snapshot.id

    def to_dict(self) -> dict[str, Value]:
        """Plain dict, beginning with seed, index and snapshot id."""
        return {"seed": self.seed, "index": self.index, "snapshot_id": self.snapshot_id, **self.values}

    def to_prompt(self, person: Person = "second") -> str:
        """Prose from the fields carried, in the second person, as a system prompt needs it, or the third."""
        from serving.rendering import render  # noqa: PLC0415  # words are loaded when prose is asked for

        return render(self.snapshot, self.values, person)


def _persona(seed: Seed, index: int, values: dict[str, Value], snapshot: Snapshot) -> Persona:
    """A persona whose values nobody can change any more; also how one is unpickled."""
    return Persona(seed, index, MappingProxyType(values), snapshot)


class Batch:
    """Personas of ascending indices. Holds codes; everything else is made when asked for.

    Attributes:
        snapshot, seed, as_of, accents: what it was drawn with.
        indices: index of each persona, uint64 (n,).
        support: how well the evidence, if any, is supported.
        fields: names carried besides seed, index and snapshot id, in order.
    """

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        seed: Seed,
        indices: npt.NDArray[np.uint64],
        as_of: date,
        accents: bool,
        selection: Selection,
        codes: Mapping[str, npt.NDArray[np.uint8]],
        support: Support,
        years: ages.Spans = (),
    ) -> None:
        self.snapshot = snapshot
        self.seed = seed
        self.indices = indices
        self.as_of = as_of
        self.accents = accents
        self.support = support
        self._years = years
        self.fields = selection.fields
        self._selection = selection
        self._codes = codes
        self._rows: dict[str, npt.NDArray[np.int64]] = {}
        self._size = len(indices)
        indices.flags.writeable = False
        for values in codes.values():
            values.flags.writeable = False

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        first = f", first index {self.indices[0]}" if self._size else ""
        return f"Batch({self._size} personas of {self.snapshot.id}, seed={self.seed!r}{first})"

    def codes(self, dimension: str) -> npt.NDArray[np.uint8]:
        """Category codes of one dimension, uint8 (n,), read-only; a code is a place in its categories."""
        self.snapshot.dimension(dimension)
        try:
            return self._codes[dimension]
        except KeyError:
            raise SamplingError(f"dimension {dimension!r} was not drawn: add it to fields") from None

    @cached_property
    def _ages(self) -> npt.NDArray[np.int64]:
        bands = ages.bands_of(self.snapshot)
        if self._years:
            bands = bands.within(self._years)
        cells = self._cells(*ages.needs(self.snapshot))
        return derived.exact_ages(self.seed, self.indices, cells, bands)

    def _cells(self, *names: str) -> npt.NDArray[np.intp]:
        """The combination of these dimensions that everybody has, a place in `np.ravel_multi_index`, (n,)."""
        sizes = tuple(len(self.snapshot.dimension(name).categories) for name in names)
        return np.ravel_multi_index(tuple(self.codes(name).astype(np.intp) for name in names), sizes)

    @cached_property
    def _births(self) -> npt.NDArray[np.datetime64]:
        months = derived.months_of(self.snapshot.dimension("birth_month").categories)
        return derived.birth_dates(self.seed, self.indices, self._ages, months[self.codes("birth_month")], self.as_of)

    @property
    def _height_bands(self) -> derived.Bands:
        return derived.height_bands(self.snapshot.dimension("height").categories)

    @cached_property
    def _heights(self) -> npt.NDArray[np.int64]:
        return derived.heights_cm(self.seed, self.indices, self.codes("height"), self._height_bands)

    @cached_property
    def _incomes(self) -> npt.NDArray[np.int64]:
        cells = self._cells(*incomes.banded_by(self.snapshot))
        if incomes.LIVING in incomes.needs(self.snapshot):
            cells = 2 * cells + np.isin(self.codes(incomes.LIVING), incomes.own_household(self.snapshot))
        return incomes.bands_of(self.snapshot).draw(self.seed, incomes.STREAM, self.indices, cells)

    @cached_property
    def _names(self) -> Names:
        names = self.snapshot.names
        if names is None:
            raise SamplingError(f"snapshot {self.snapshot.id} has no names: leave them out")
        return names

    @cached_property
    def _name_rows(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        years = self._births.astype("datetime64[Y]").astype(np.int64) + 1970
        sex = self.codes("sex")
        # `sex` is the one recorded at birth; a trans woman bears a woman's name.
        crossed = self._is(HINT, CROSSED)
        if crossed is not None and len(self.snapshot.dimension("sex").categories) == 2:
            sex = np.where(crossed, 1 - sex, sex)
        by_faith = self.snapshot.named_by_faith
        return self._names.draw_rows(
            self.seed,
            self.indices,
            accents=self.accents,
            heritage=self.codes("heritage"),
            ethnicity=self.codes("ethnicity"),
            sex=sex,
            birth_year=years,
            nativity=self.codes("nativity"),
            religion=None if by_faith is None else self.codes(by_faith),
        )

    def _particulars_of(self, field: str) -> tuple[Particulars, npt.NDArray[np.int64]]:
        """The names that a field is drawn from, and everybody's row in them."""
        found = self.snapshot.particulars(FIELDS[field])
        if found is None:
            raise SamplingError(f"snapshot {self.snapshot.id} has no {field!r}: leave it out")
        if field not in self._rows:
            codes = {
                name: self._particulars_of(name)[1] if name in FIELDS else self.codes(name) for name in found.needs
            }
            self._rows[field] = found.draw_rows(self.seed, field, self.indices, codes)
        return found, self._rows[field]

    def _is(self, dimension: str, category: str) -> npt.NDArray[np.bool_] | None:
        """Who has a category, bool (n,); None if the snapshot does not know it."""
        if dimension not in self.snapshot:
            return None
        code = self.snapshot.dimension(dimension).code_of.get(category)
        return None if code is None else self.codes(dimension) == code

    def _coded(self, name: str) -> tuple[tuple[str, ...], npt.NDArray[np.uint8]] | None:
        """Categories and codes of a field that has a fixed set of values, else None."""
        if name in self.snapshot:
            return self.snapshot.dimension(name).categories, self.codes(name)
        if name == "generation":
            return tuple(derived.GENERATIONS), derived.generation_codes(self._births)
        if name == "star_sign":
            return tuple(derived.STAR_SIGNS), derived.star_sign_codes(self._births)
        return None

    def values(self, name: str) -> list[Value]:
        """One field as plain Python values: strings, integers, or `datetime.date` for birth dates; None for the job
        title of who has no job.
        """
        listed = self._listed(name)
        if listed is not None:
            known, places = listed
            values: list[Value] = np.array(known, dtype=object)[places].tolist()
            return values
        if name == INCOME:
            return list(self._incomes.tolist())
        if name == "birth_date":
            return list(self._births.astype(object).tolist())
        if name in NAMES:
            kind = NAMES.index(name)
            return list(self._names.spelt(kind, self._name_rows[kind]).to_pylist())
        if name == SUMMARY:
            return list(self._prose(self._selection.prose, "third"))
        raise SamplingError(f"unknown field {name!r}{suggest(name, list(self.fields))}")

    def __iter__(self) -> Iterator[Persona]:
        columns = [self.values(name) for name in self.fields]
        for place in range(self._size):
            values = {name: column[place] for name, column in zip(self.fields, columns, strict=True)}
            yield _persona(self.seed, int(self.indices[place]), values, self.snapshot)

    @overload
    def __getitem__(self, place: int) -> Persona: ...

    @overload
    def __getitem__(self, place: slice) -> Batch: ...

    def __getitem__(self, place: int | slice) -> Persona | Batch:
        """The persona at a place of the batch, 0 to n - 1, or a batch of those in a slice.

        Negative places count from the end.
        """
        if isinstance(place, slice):
            return self._part(place)
        at = range(self._size)[place]
        return next(iter(self._part(slice(at, at + 1))))

    def _part(self, places: slice) -> Batch:
        return Batch(
            snapshot=self.snapshot,
            seed=self.seed,
            indices=self.indices[places],
            as_of=self.as_of,
            accents=self.accents,
            selection=self._selection,
            codes={name: values[places] for name, values in self._codes.items()},
            support=self.support,
            years=self._years,
        )

    def to_prompts(self, person: Person = "second") -> list[str]:
        """Prose of each persona from the fields carried, as `Persona.to_prompt`."""
        return self._prose([name for name in self.fields if name != SUMMARY], person)

    def _prose(self, names: Iterable[str], person: Person) -> list[str]:
        from serving.rendering import renderer_for  # noqa: PLC0415  # words are loaded when prose is asked for

        render = renderer_for(self.snapshot)
        columns = {name: self.values(name) for name in names}
        return [
            render({name: column[place] for name, column in columns.items()}, person) for place in range(self._size)
        ]

    def to_dicts(self) -> list[dict[str, Value]]:
        """A list of plain dicts, each beginning with seed, index and snapshot id."""
        return [persona.to_dict() for persona in self]

    def to_jsonl(self) -> Iterator[str]:
        """One JSON object per persona, without line ends; dates as ISO strings."""
        head = f'{{"seed": {json.dumps(self.seed)}, "index": '
        middle = f', "snapshot_id": {json.dumps(self.snapshot.id)}'
        columns = self._encoded({name: f", {json.dumps(name)}: " for name in self.fields}, _json)
        indices = self.indices.tolist()
        rows = zip(*columns, strict=True) if columns else (() for _ in indices)
        for index, row in zip(indices, rows, strict=True):
            yield f"{head}{index}{middle}{''.join(row)}}}"

    def to_csv(self, *, header: bool = True) -> Iterator[str]:
        """CSV lines (RFC 4180 quoting) without line ends, the header first unless it is not wanted."""
        if header:
            yield ",".join(_csv(name) for name in (*ECHO, *self.fields))
        seed, snapshot_id = _csv(self.seed), _csv(self.snapshot.id)
        columns = self._encoded(dict.fromkeys(self.fields, ","), _csv)
        indices = self.indices.tolist()
        rows = zip(*columns, strict=True) if columns else (() for _ in indices)
        for index, row in zip(indices, rows, strict=True):
            yield f"{seed},{index},{snapshot_id}{''.join(row)}"

    def _encoded(self, prefixes: Mapping[str, str], encode: Callable[[Value], str]) -> list[list[str]]:
        """Columns of text whose rows, joined, are the lines without their heads; `prefixes` are by field, in order.

        What has few values is encoded once per value, not per persona, and neighbours among such fields share a
        column as long as few combinations of their values are possible.
        """
        columns: list[list[str]] = []
        group: tuple[tuple[str, tuple[Value, ...]], ...] = ()
        places, size = np.zeros(self._size, dtype=np.intp), 1

        def close() -> None:
            if group:
                columns.append(_fragments(group, encode)[places].tolist())

        for name, prefix in prefixes.items():
            known = self._listed(name)
            if known is None or (group and size * len(known[0]) > COMBINATIONS):
                close()
                group, size = (), 1
            if known is None:
                columns.append([prefix + encode(value) for value in self.values(name)])
                continue
            values, codes = known
            places = places * len(values) + codes if group else codes.astype(np.intp)
            group, size = (*group, (prefix, values)), size * len(values)
        close()
        return columns

    def _listed(self, name: str) -> tuple[tuple[Value, ...], npt.NDArray[np.integer[Any]]] | None:
        """Values, and places in them, of a field that has few."""
        if name == "age_years":
            return tuple(range(ages.bands_of(self.snapshot).values[-1] + 1)), self._ages
        if name == "height_cm":
            return tuple(range(self._height_bands.values[-1] + 1)), self._heights
        if name in FIELDS:
            particulars, rows = self._particulars_of(name)
            return tuple(particulars.names.tolist()), rows
        return self._coded(name)

    def to_arrow(self) -> pa.Table:
        """Arrow table; dimensions are dictionary-encoded with uint8 indices, without copying the codes."""
        import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light

        seed = self.seed
        columns: dict[str, pa.Array] = {
            "seed": numbers(np.full(self._size, seed)) if _fits_int64(seed) else repeated(str(seed), self._size),
            "index": numbers(self.indices.view(np.int64)),
            "snapshot_id": repeated(self.snapshot.id, self._size),
        }
        for name in self.fields:
            known = self._coded(name)
            if known is not None:
                categories, codes = known
                columns[name] = coded(codes, categories)
            elif name == "birth_date":
                columns[name] = numbers(self._births.astype(np.int64).astype(np.int32), pa.date32())
            elif name in NAMES:
                kind = NAMES.index(name)
                columns[name] = self._names.spelt(kind, self._name_rows[kind])
            elif name in FIELDS:
                particulars, rows = self._particulars_of(name)
                columns[name] = particulars.spelt(rows)
            elif name == INCOME:
                columns[name] = numbers(self._incomes.astype(np.int32))
            elif name == "age_years":
                columns[name] = numbers(self._ages.astype(np.int16))
            elif name == "height_cm":
                columns[name] = numbers(self._heights.astype(np.int16))
            else:
                columns[name] = pa.array(self.values(name), type=pa.string())
        return pa.table(columns)

    def to_polars(self) -> pl.DataFrame:
        """Polars frame; dimensions are Enum columns in the order of their categories."""
        import polars as pl  # noqa: PLC0415

        plain = [name for name in self.fields if self._coded(name) is None]
        frame = pl.DataFrame(self.to_arrow().select([*ECHO, *plain]))
        columns = []
        for name in self.fields:
            coded = self._coded(name)
            if coded is None:
                columns.append(frame[name])
            else:
                categories, codes = coded
                columns.append(pl.Series(name, codes).cat.to(pl.Enum(categories)))
        return frame.select(ECHO).with_columns(columns)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write a Parquet file; dimensions are dictionary-encoded, see `serving.files.parquet_writer`."""
        with parquet_writer(path) as write:
            write(self)

    def to_duckdb(self, path: str | os.PathLike[str], table: str = "personas") -> None:
        """Add the personas to a table of a DuckDB file, which is made if it is not there.

        Dimensions are ENUM columns. Raises SamplingError, and adds nothing, if there is a table whose columns differ
        in name or type, as that of `seed` does if it was text there and is an integer here.
        """
        with duckdb_writer(path, table) as write:
            write(self)


@lru_cache(maxsize=1_000)
def _fragments(
    fields: tuple[tuple[str, tuple[Value, ...]], ...], encode: Callable[[Value], str]
) -> npt.NDArray[np.object_]:
    """What stands in a line for each combination of values of these fields, given by prefix and values."""
    each = [[prefix + encode(value) for value in values] for prefix, values in fields]
    return np.array(["".join(parts) for parts in product(*each)], dtype=object)


def _fits_int64(seed: Seed) -> bool:
    return isinstance(seed, int) and -(2**63) <= seed < 2**63


def _json(value: Value) -> str:
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) else encode_basestring(str(value))


def _csv(value: Value) -> str:
    text = "" if value is None else str(value)
    if not any(character in text for character in ',"\r\n'):
        return text
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text])
    return line.getvalue()
