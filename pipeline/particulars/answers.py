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

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from pipeline.particulars.requests import NONE, Kind, Settings
from pipeline.prompts.parsing import AnswerError, Reason, canonical, parse_answer, quote

if TYPE_CHECKING:
    from pipeline.catalogue.models import Catalogue

OFF, SHARES_OFF = 0.05, 0.1
"""How far the kinds of surroundings of a place, and the shares of up to forty places or titles, may be off their sum;
they are scaled to it.
"""

ROOM = 1.5
"""How many times more, or fewer, places or titles may be named than were asked for."""

LISTED = (80.0, 105.0)
"""What the industries that are listed of a title may sum to, in percent."""


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
        _check_ids(name, industries, known)
        total = sum(industries.values())
        if not LISTED[0] <= total <= LISTED[1]:
            raise AnswerError(Reason.BAD_SUM, f"the industries of {quote(name)} sum to {total:g}")
        parts = {industry: value / max(total, 100) for industry, value in industries.items()}
        found.append(Title(name, share, women / 100, degree / 100, pay, parts))
    return tuple(found)


def read(kind: Kind, text: str, catalogue: Catalogue, settings: Settings) -> tuple[Place, ...] | tuple[Title, ...]:
    """What an answer names; raises `AnswerError` with the reason if it cannot be used."""
    reader = read_places if kind == "place" else read_titles
    return reader(text, catalogue, settings)


_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=60)]
_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Percent = Annotated[float, Field(ge=0, le=100)]
_Multiple = Annotated[float, Field(ge=0, le=1000)]
_Pay = Annotated[float, Field(ge=1000, le=5_000_000)]
_NO_NAME = re.compile(r"[^\w .,'’&+#-]|^\W|^\d+$")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _is_list(cls, value: Any) -> Any:
        if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
            raise ValueError("expected a list of arrays")
        return value


_Shape = TypeVar("_Shape", bound=_Answer)


class _Places(_Answer):
    places: list[tuple[_Name, _Share, list[_Number], dict[str, _Multiple]]]


class _Titles(_Answer):
    titles: list[tuple[_Name, _Share, _Percent, _Percent, tuple[_Pay, _Pay], dict[str, _Percent]]]


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
    seen = set[str]()
    for name in names:
        if _NO_NAME.search(name):
            raise AnswerError(Reason.WRONG_SHAPE, f"{quote(name)} is no plain name")
        if canonical(name) in seen:
            raise AnswerError(Reason.DUPLICATE_KEY, f"{quote(name)} stands twice")
        seen.add(canonical(name))


def _check_ids(name: str, told: Iterable[str], known: Collection[str]) -> None:
    if unknown := [one for one in told if one not in known]:
        raise AnswerError(Reason.UNKNOWN_CATEGORY, f"{quote(name)}: {', '.join(map(quote, unknown))}")


def _scaled(what: str, values: Sequence[float], whole: float, off: float) -> list[float]:
    total = sum(values)
    if not whole * (1 - off) <= total <= whole * (1 + off):
        raise AnswerError(Reason.BAD_SUM, f"{what} sum to {total:g}, not to {whole:g}")
    return [value / total for value in values]
