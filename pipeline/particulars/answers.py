"""From an answer about particulars to rows that can be used, or one named reason why not.

Belongs here: what makes an answer usable. Does not belong here: finding JSON in text (`prompts.parsing`), which answer
of several counts (`enrichment`), what is made of the rows (`factors`).

An answer is accepted or rejected as a whole: the shares of its rows are shares of each other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from pipeline.particulars.requests import (
    AT_WORK,
    NONE,
    WITHOUT,
    Detail,
    ParticularRequest,
    Settings,
    arrangements,
    details,
    groups,
    lowest_incomes,
)
from pipeline.prompts.parsing import AnswerError, Reason, canonical, parse_answer, quote

if TYPE_CHECKING:
    from pipeline.catalogue.models import Catalogue

OFF, SHARES_OFF = 0.05, 0.1
"""How far the kinds of surroundings of a place, and the shares of up to forty places or titles, may be off their sum;
they are scaled to it.
"""

OF = 10_000
"""Of how many people the first names of a group are told."""

ROOM = 1.5
"""How many times more, or fewer, places or titles may be named than were asked for."""

COVERED = (0.3, 1.0)
"""What the first names of a list may come to together, of all that were given."""

LISTED = (80.0, 105.0)
"""What the industries or fields of study that are listed of a title may sum to, in percent."""

LISTED_SUBJECTS = (50.0, 105.0)
"""What the subjects that are listed of a title and field may sum to, in percent."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a region: its share of the region's adults, the shares of the kinds of surroundings among its own, in
    catalogue order, and how many times as common as in the region heritages are, for those of which it was told.
    """

    name: str
    share: float
    kinds: tuple[float, ...]
    multiples: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Title:
    """A job title of an occupation: its share of these people, the shares of women and of people with a degree among
    its own, quartiles of full-time pay a year, and the shares of the industries that were listed, at most 1 in all.
    """

    name: str
    share: float
    women: float
    degree: float
    pay: tuple[float, float]
    industries: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Named:
    """A name that a category leaves open: its share of these people, and how many times as common as among them it is
    in categories of other dimensions, by dimension, for those of which it was told.
    """

    name: str
    share: float
    multiples: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Part:
    """A place that is told by what it is a part of."""

    name: str
    of: str


@dataclass(frozen=True, slots=True)
class Home:
    """How people of a place live: shares of the kinds of `dwelling`, in catalogue order; of those in a household
    without a vehicle; and, of who goes out to work, by public transport, on foot or by bicycle, and otherwise.
    """

    name: str
    dwelling: tuple[float, ...]
    without_vehicle: float
    ways: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds a title: shares by `education` and by `age`, in catalogue order, and the shares of the fields of study
    that were listed, at most 1 in all, among those who have one.
    """

    name: str
    education: tuple[float, ...]
    age: tuple[float, ...]
    fields: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FirstName:
    """A first name and its share of those who were born in a group."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class LowIncomes:
    """How people whose income is in the lowest band are spread over `requests.lowest_incomes`: shares that sum to 1."""

    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a title's work is done: shares of the arrangements that work can have, in catalogue order, and of
    `AT_WORK`.
    """

    name: str
    arrangement: tuple[float, ...]
    employment: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Studies:
    """What the holders of a title studied: by field of study, shares of the subjects that were listed, at most 1 in
    all.
    """

    name: str
    subjects: Mapping[str, Mapping[str, float]]


def read_places(text: str, catalogue: Catalogue, settings: Settings) -> tuple[Place, ...]:
    """The places that an answer names; raises `AnswerError` with the reason if it cannot be used."""
    rows = _parsed(text, _Places).places
    _check_names([row[0] for row in rows], settings.number("place"))
    shares = _scaled("the shares", [row[1] for row in rows], 1000, SHARES_OFF)
    kinds = catalogue.dimension("urbanicity").category_ids
    known = catalogue.dimension("heritage").category_ids
    found = []
    for (name, _, told, multiples), share in zip(rows, shares, strict=True):
        if len(told) != len(kinds):
            detail = f"{quote(name)} has {len(told)} kinds of surroundings, not {len(kinds)}"
            raise AnswerError(Reason.WRONG_SHAPE, detail)
        _check_ids(name, multiples, known)
        found.append(Place(name, share, tuple(_scaled(quote(name), told, 100, OFF)), multiples))
    return tuple(found)


def read_titles(text: str, catalogue: Catalogue, settings: Settings) -> tuple[Title, ...]:
    """The job titles that an answer names; raises `AnswerError` with the reason if it cannot be used."""
    rows = _parsed(text, _Titles).titles
    _check_names([row[0] for row in rows], settings.number("title"))
    shares = _scaled("the shares", [row[1] for row in rows], 1000, SHARES_OFF)
    known = [one for one in catalogue.dimension("industry").category_ids if one != NONE]
    found = []
    for (name, _, women, degree, pay, industries), share in zip(rows, shares, strict=True):
        if pay[0] >= pay[1]:
            raise AnswerError(
                Reason.WRONG_SHAPE, f"{quote(name)}: the lower quartile of pay is not below the upper one"
            )
        parts = _listed(name, industries, known, "the industries")
        found.append(Title(name, share, women / 100, degree / 100, pay, parts))
    return tuple(found)


def read_details(text: str, detail: Detail) -> tuple[Named, ...]:
    """What a category leaves open; raises `AnswerError` with the reason if the answer cannot be used."""
    rows = _parsed(text, _Details).details
    _check_names([row[0] for row in rows], detail.asked.number)
    shares = _scaled("the shares", [row[1] for row in rows], 1000, SHARES_OFF)
    known = {dimension.id: dimension.category_ids for dimension in detail.by}
    found = []
    for (name, _, multiples), share in zip(rows, shares, strict=True):
        _check_ids(name, multiples, known)
        for dimension, told in multiples.items():
            _check_ids(name, told, known[dimension])
        found.append(Named(name, share, multiples))
    return tuple(found)


def read_parts(text: str, names: Sequence[str]) -> tuple[Part, ...]:
    """Which of the places that were asked about are parts of what; raises `AnswerError` if it cannot be used."""
    told = _parsed(text, _Parts).parts
    for name in told.values():
        _check_plain(name)
    of = _by_name(told, names)
    return tuple(Part(name, of[name]) for name in names if name in of)


def read_homes(text: str, catalogue: Catalogue, names: Sequence[str]) -> tuple[Home, ...]:
    """How people of the places asked about live, in their order; raises `AnswerError` if it cannot be used."""
    by_name = _each(_parsed(text, _Homes).homes, names)
    found = []
    for name in names:
        dwelling, without, told = by_name[name]
        public, on_foot, other = _scaled(f"the ways to work of {quote(name)}", told, 100, OFF)
        found.append(Home(name, _row(name, "dwelling", dwelling, catalogue), without / 100, (public, on_foot, other)))
    return tuple(found)


def read_holders(text: str, catalogue: Catalogue, names: Sequence[str]) -> tuple[Holders, ...]:
    """Who holds the titles that were asked about, in their order; raises `AnswerError` if it cannot be used."""
    by_name = _each(_parsed(text, _Holders).holders, names)
    fields = [one for one in catalogue.dimension("field_of_study").category_ids if one != WITHOUT["holder"]]
    found = []
    for name in names:
        *arrays, told = by_name[name]
        education, age = (
            _row(name, dimension, array, catalogue)
            for dimension, array in zip(("education", "age"), arrays, strict=True)
        )
        found.append(Holders(name, education, age, _listed(name, told, fields, "the fields of study")))
    return tuple(found)


def read_first_names(text: str, number: int) -> tuple[FirstName, ...]:
    """The first names that an answer gives, of about so many; raises `AnswerError` if it cannot be used."""
    rows = _parsed(text, _Names).names
    _check_names([row[0] for row in rows], (number, number))
    total = sum(row[1] for row in rows) / OF
    if not COVERED[0] <= total <= COVERED[1]:
        raise AnswerError(Reason.BAD_SUM, f"the names come to {total * OF:g} of {OF:,} together")
    return tuple(FirstName(name, figure / OF) for name, figure in rows)


def read_low_incomes(text: str, catalogue: Catalogue) -> tuple[LowIncomes, ...]:
    """How low the lowest incomes are, one row; raises `AnswerError` if it cannot be used."""
    people, wanted = _parsed(text, _Incomes).people, len(lowest_incomes(catalogue))
    if len(people) != wanted:
        raise AnswerError(Reason.WRONG_SHAPE, f"{len(people)} numbers, not {wanted}")
    return (LowIncomes(tuple(_scaled("the people", people, 1000, OFF))),)


def read_terms(text: str, catalogue: Catalogue, names: Sequence[str]) -> tuple[Terms, ...]:
    """How the titles that were asked about are done, in their order; raises `AnswerError` if it cannot be used."""
    by_name = _each(_parsed(text, _Arrangements).arrangements, names)
    places = len(arrangements(catalogue))
    found = []
    for name in names:
        rows = by_name[name]
        for what, row, wanted in zip(("arrangement", "terms"), rows, (places, len(AT_WORK)), strict=True):
            if len(row) != wanted:
                raise AnswerError(Reason.WRONG_SHAPE, f"{quote(name)} has {len(row)} numbers for {what}, not {wanted}")
        arrangement, terms = (tuple(_scaled(quote(name), row, 100, OFF)) for row in rows)
        found.append(Terms(name, arrangement, terms))
    return tuple(found)


def read_studies(text: str, catalogue: Catalogue, names: Sequence[str]) -> tuple[Studies, ...]:
    """What holders of the titles asked about studied, in their order; raises `AnswerError` if it cannot be used."""
    by_name = _each(_parsed(text, _Studies).studies, names)
    fields = [one for one in catalogue.dimension("field_of_study").category_ids if one != WITHOUT["holder"]]
    found = []
    for name in names:
        (told,) = by_name[name]
        _check_ids(name, told, fields)
        subjects = {}
        for field, shares in told.items():
            for subject in shares:
                _check_plain(subject)
            _check_once(shares)
            subjects[field] = _shares(f"the subjects of {quote(name)} in {field}", shares, LISTED_SUBJECTS)
        found.append(Studies(name, subjects))
    return tuple(found)


def read(request: ParticularRequest, text: str, catalogue: Catalogue, settings: Settings) -> tuple[Any, ...]:
    """The rows of an answer, of the type of its kind; raises `AnswerError` with the reason if it cannot be used."""
    found: tuple[Any, ...]
    match request.kind:
        case "place":
            found = read_places(text, catalogue, settings)
        case "title":
            found = read_titles(text, catalogue, settings)
        case "name":
            found = read_first_names(text, groups(catalogue)[request.category].number)
        case "income":
            found = read_low_incomes(text, catalogue)
        case "detail":
            found = read_details(text, details(catalogue)[request.category])
        case "part":
            found = read_parts(text, request.names)
        case "home":
            found = read_homes(text, catalogue, request.names)
        case "holder":
            found = read_holders(text, catalogue, request.names)
        case "arrangement":
            found = read_terms(text, catalogue, request.names)
        case "study":
            found = read_studies(text, catalogue, request.names)
    return found


_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=60)]
_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Percent = Annotated[float, Field(ge=0, le=100)]
_Multiple = Annotated[float, Field(ge=0, le=1000)]
_Pay = Annotated[float, Field(ge=1000, le=5_000_000)]
_NO_NAME = re.compile(r"[^\w .,'’&+#-]|^\W|^\d+$")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _is_list(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise ValueError("expected a list of arrays")
    return value


_ROWS = BeforeValidator(_is_list)
_Shape = TypeVar("_Shape", bound=_Answer)


class _Places(_Answer):
    places: Annotated[list[tuple[_Name, _Share, list[_Number], dict[str, _Multiple]]], _ROWS]


class _Titles(_Answer):
    titles: Annotated[list[tuple[_Name, _Share, _Percent, _Percent, tuple[_Pay, _Pay], dict[str, _Percent]]], _ROWS]


class _Details(_Answer):
    details: Annotated[list[tuple[_Name, _Share, dict[str, dict[str, _Multiple]]]], _ROWS]


class _Studies(_Answer):
    studies: Annotated[list[tuple[_Name, dict[str, dict[_Name, _Percent]]]], _ROWS]


class _Parts(_Answer):
    parts: dict[_Name, _Name]


class _Homes(_Answer):
    homes: Annotated[list[tuple[_Name, list[_Number], _Percent, tuple[_Number, _Number, _Number]]], _ROWS]


class _Names(_Answer):
    names: Annotated[list[tuple[_Name, _Share]], _ROWS]


class _Incomes(_Answer):
    people: list[_Number]


class _Arrangements(_Answer):
    arrangements: Annotated[list[tuple[_Name, list[_Number], list[_Number]]], _ROWS]


class _Holders(_Answer):
    holders: Annotated[list[tuple[_Name, list[_Number], list[_Number], dict[str, _Percent]]], _ROWS]


def _parsed(text: str, shape: type[_Shape]) -> _Shape:
    try:
        return shape.model_validate(parse_answer(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise AnswerError(Reason.WRONG_SHAPE, f"{place}: {first['msg']}, found {quote(first['input'])}") from None


def _check_names(names: Sequence[str], asked: tuple[int, int]) -> None:
    least, most = asked
    if not least / ROOM <= len(names) <= most * ROOM:
        raise AnswerError(Reason.WRONG_SHAPE, f"{len(names)} are named, {least} to {most} were asked for")
    for name in names:
        _check_plain(name)
    _check_once(names)


def _check_plain(name: str) -> None:
    if _NO_NAME.search(name):
        raise AnswerError(Reason.WRONG_SHAPE, f"{quote(name)} is no plain name")


def _check_once(names: Iterable[str]) -> None:
    seen = set[str]()
    for name in names:
        if canonical(name) in seen:
            raise AnswerError(Reason.DUPLICATE_KEY, f"{quote(name)} stands twice")
        seen.add(canonical(name))


_Told = TypeVar("_Told")


def _by_name(told: Mapping[str, _Told], names: Sequence[str]) -> dict[str, _Told]:
    """What was told, by the names as they were asked about; raises `AnswerError` for another name."""
    asked = {canonical(name): name for name in names}
    if unknown := [name for name in told if canonical(name) not in asked]:
        raise AnswerError(Reason.UNKNOWN_CONDITION, f"{', '.join(map(quote, unknown))}: was not asked about")
    return {asked[canonical(name)]: value for name, value in told.items()}


def _each(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """What each row tells of its place or title, by the names as they were asked about; raises `AnswerError` if one is
    missing, stands twice or was not asked about.
    """
    _check_once([row[0] for row in rows])
    by_name = _by_name({row[0]: row[1:] for row in rows}, names)
    if missing := [name for name in names if name not in by_name]:
        raise AnswerError(Reason.MISSING_CONDITION, ", ".join(map(quote, missing)))
    return by_name


def _listed(name: str, told: Mapping[str, float], known: Collection[str], what: str) -> dict[str, float]:
    """Percentages of what was listed as shares, the rest being that of what was not."""
    _check_ids(name, told, known)
    return _shares(f"{what} of {quote(name)}", told, LISTED)


def _shares(what: str, told: Mapping[str, float], listed: tuple[float, float]) -> dict[str, float]:
    """Percentages as shares, if they sum to what was listed."""
    total = sum(told.values())
    if not listed[0] <= total <= listed[1]:
        raise AnswerError(Reason.BAD_SUM, f"{what} sum to {total:g}")
    return {one: value / max(total, 100) for one, value in told.items()}


def _check_ids(name: str, told: Iterable[str], known: Collection[str]) -> None:
    if unknown := [one for one in told if one not in known]:
        raise AnswerError(Reason.UNKNOWN_CATEGORY, f"{quote(name)}: {', '.join(map(quote, unknown))}")


def _row(name: str, dimension: str, array: Sequence[float], catalogue: Catalogue) -> tuple[float, ...]:
    wanted = len(catalogue.dimension(dimension).categories)
    if len(array) != wanted:
        raise AnswerError(Reason.WRONG_SHAPE, f"{quote(name)} has {len(array)} numbers for {dimension}, not {wanted}")
    return tuple(_scaled(f"{dimension} of {quote(name)}", array, 100, OFF))


def _scaled(what: str, values: Sequence[float], whole: float, off: float) -> list[float]:
    total = sum(values)
    if not whole * (1 - off) <= total <= whole * (1 + off):
        raise AnswerError(Reason.BAD_SUM, f"{what} sum to {total:g}, not to {whole:g}")
    return [value / total for value in values]
