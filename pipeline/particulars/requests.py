"""Rendering requests about particulars: which places a region has, which titles an occupation and which first names a
heritage, how low the lowest incomes are, and what other categories leave open; and then, about the places and titles
that were accepted, which places are parts of a city, in what people live there and how they get about, who holds the
titles, where and on what terms they work, and what exactly they studied.

Rendering is a pure function of the catalogue, the population's settings, the names and the member. What holds of an
answer is the business of `answers`. The wording is `system.j2` and a template for each kind; what differs by population
lies in `populations`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.catalogue.models import Catalogue, Category, Dimension
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import identity_digest
from pipeline.templates import templates_of
from serving.incomes import lowest_end
from warehouse.errors import CatalogueError
from warehouse.particulars import DETAILS, INCOME_PARTS, TWINS

Kind = Literal["place", "title", "name", "income", "detail", "part", "home", "holder", "arrangement", "study"]
WITHIN: dict[Kind, str] = {
    **{"place": "region", "title": "occupation", "name": "heritage", "income": "employment"},
    **{"part": "region", "home": "region", "holder": "occupation", "arrangement": "occupation", "study": "occupation"},
}
"""What is asked about, and the dimension that it is within; that of a `detail` is told by its field."""

ABOUT: dict[Kind, Kind] = {
    "part": "place",
    "home": "place",
    "holder": "title",
    "arrangement": "title",
    "study": "title",
}
"""The kinds that ask about names, and the kind whose accepted answers have these."""

NONE = "none"
"""The category of occupation and industry for people without a job."""

WITHOUT: dict[Kind, str] = {"holder": "not_applicable", "arrangement": "not_applicable"}
"""The category that the kind's list leaves out, where it is another: that of people without a field of study, or
without a place of work.
"""

RECORDED = Member(id="recorded-particulars", source="recorded", variant="plain")
"""A large language model whose answers about particulars are recorded; it is no member of the panel."""

AT_WORK = ("full_time", "part_time", "self_employed")
"""The categories of employment of people with a job."""

_FOLDER = Path(__file__).parent / "populations"


class FirstNames(BaseModel):
    """First names to ask for: how many of each heritage, and the years of birth, each span from and to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: dict[str, int] = {}
    born: tuple[tuple[int, int], ...] = ()


class Details(BaseModel):
    """Names to ask for that categories of a dimension leave open: what they are called, examples, the words that each
    is said after, how many (from, to), the dimensions by which they differ, the categories, and which of these are what
    the others leave, so that the others have to be told with them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    examples: str
    after: str
    number: tuple[int, int]
    by: tuple[str, ...]
    categories: tuple[str, ...]
    rest: tuple[str, ...] = ()


class Settings(BaseModel):
    """What is asked of one population: how many places and titles (from, to), which categories of education count as
    a degree, counsel on the choice of places, of whom first names are asked, and details by field. `country` is its
    ISO code, by which a gazetteer knows it. `faiths` are not asked: they say of titles which religions can hold them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: str
    places: tuple[int, int]
    titles: tuple[int, int]
    degree: tuple[str, ...]
    counsel: str
    first_names: FirstNames = FirstNames()
    details: dict[str, Details] = {}
    faiths: dict[str, tuple[str, ...]] = {}

    def number(self, kind: Kind) -> tuple[int, int]:
        """How many of a kind are asked for, from and to."""
        return self.places if kind == "place" else self.titles


@dataclass(frozen=True, slots=True)
class Group:
    """People whose first names are asked for: a heritage and sex, born in the country from `first` to `last`."""

    heritage: Category
    sex: Category
    first: int
    last: int
    number: int

    @property
    def key(self) -> str:
        """What stands for the group in a custom id."""
        return f"{self.heritage.id}.{self.sex.id}.{self.first}"


@dataclass(frozen=True, slots=True)
class Detail:
    """A category of which it is asked what it leaves open; `by` are the dimensions that names may differ by."""

    field: str
    dimension: Dimension
    category: Category
    by: tuple[Dimension, ...]
    asked: Details

    @property
    def key(self) -> str:
        """What stands for it in a custom id."""
        return f"{self.field}.{self.category.id}"


@dataclass(frozen=True, slots=True)
class ParticularRequest:
    """One rendered prompt about the places of a region, the titles of an occupation, the first names of a group or the
    details of a category; `category` is its id or key, `names` are those that it asks about.

    `custom_id` tells population, kind, category, member and variant, and ends in a hash of prompt and settings without
    the names that are asked about: an answer about other names is told by its names, and asked for again.
    """

    custom_id: str
    population: str
    kind: Kind
    category: str
    variant: str
    model: str
    messages: tuple[dict[str, str], ...]
    settings: dict[str, Any]
    names: tuple[str, ...] = ()


def plural(kind: Kind) -> str:
    """A kind as people count it."""
    return "studies" if kind == "study" else f"{kind}s"


def has_settings(population: str) -> bool:
    """Whether a population is asked about at all."""
    return (_FOLDER / f"{population}.toml").is_file()


def load_settings(catalogue: Catalogue) -> Settings:
    """What is asked of a population; raises `CatalogueError` naming file and field where it is wrong."""
    path = _FOLDER / f"{catalogue.population.id}.toml"
    try:
        settings = _parsed(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"particulars of '{catalogue.population.id}': {path.name}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CatalogueError(f"{path.name}: field '{place}': {first['msg']}: correct it there") from None
    named: dict[str, tuple[str, Collection[str]]] = {
        "degree": ("education", settings.degree),
        "first_names": ("heritage", settings.first_names.number),
        **{f"faiths, {title}": ("religion", religions) for title, religions in settings.faiths.items()},
    }
    for field, asked in settings.details.items():
        if field not in DETAILS or field in TWINS:
            raise CatalogueError(f"{path.name}: details: there is no field '{field}' to ask for: correct it there")
        named[f"details.{field}"] = (DETAILS[field], asked.categories)
        if unknown := [name for name in asked.by if name not in catalogue.by_id]:
            raise CatalogueError(f"{path.name}: details.{field}: '{unknown[0]}' is no dimension: correct it there")
    for field, (dimension, categories) in named.items():
        for category in categories:
            if category not in catalogue.dimension(dimension).category_ids:
                raise CatalogueError(
                    f"{path.name}: {field}: '{category}' is no category of {dimension}: correct it there"
                )
    return settings


@lru_cache(maxsize=8)
def _parsed(text: str) -> Settings:  # which takes a millisecond, and is asked for by every request
    return Settings.model_validate(tomllib.loads(text))


def arrangements(catalogue: Catalogue) -> tuple[str, ...]:
    """The work arrangements of people with a job, in catalogue order."""
    ids = catalogue.dimension("work_arrangement").category_ids
    return tuple(one for one in ids if one != WITHOUT["arrangement"])


def lowest_incomes(catalogue: Catalogue) -> tuple[tuple[int, int], ...]:
    """The parts of the lowest band of `personal_income` that people are asked to be spread over, each from and to:
    nothing, and equal parts of the rest.
    """
    end = lowest_end(catalogue.dimension("personal_income").category_ids)
    starts = range(0, end, end // INCOME_PARTS)
    return ((0, 0), *((max(start, 1), start + end // INCOME_PARTS - 1) for start in starts))


def groups(catalogue: Catalogue) -> dict[str, Group]:
    """Whose first names are asked for, by key, in catalogue order."""
    asked = load_settings(catalogue).first_names
    found = [
        Group(heritage, sex, first, last, asked.number[heritage.id])
        for heritage in catalogue.dimension("heritage").categories
        if heritage.id in asked.number
        for sex in catalogue.dimension("sex").categories
        for first, last in asked.born
    ]
    return {group.key: group for group in found}


def details(catalogue: Catalogue) -> dict[str, Detail]:
    """The categories of which it is asked what they leave open, by key, in the order of the settings."""
    found = [
        Detail(field, within, category, tuple(catalogue.dimension(name) for name in asked.by), asked)
        for field, asked in load_settings(catalogue).details.items()
        for within in [catalogue.dimension(DETAILS[field])]
        for category in within.categories
        if category.id in asked.categories
    ]
    return {detail.key: detail for detail in found}


def _keys(catalogue: Catalogue, kind: Kind) -> Iterable[str]:
    """What a kind can be asked about."""
    match kind:
        case "name":
            return groups(catalogue)
        case "detail":
            return details(catalogue)
        case _:
            return catalogue.dimension(WITHIN[kind]).category_ids


def particular_requests(
    catalogue: Catalogue, kind: Kind, names: Mapping[str, Sequence[str]] | None = None, member: Member = RECORDED
) -> tuple[ParticularRequest, ...]:
    """Every request of a kind, in catalogue order; `names`, where given, has the categories and those of each that are
    asked about.
    """
    return tuple(
        _request(catalogue, kind, category, tuple(names[category]) if names else (), member)
        for category in _keys(catalogue, kind)
        if category != NONE and (names is None or category in names)
    )


def _request(
    catalogue: Catalogue, kind: Kind, category: str, names: tuple[str, ...], member: Member
) -> ParticularRequest:
    population, wording = catalogue.population.id, messages_about(catalogue, kind, category)
    identity = [population, kind, category, list(wording), member.id, member.sent]
    digest = identity_digest(identity)
    return ParticularRequest(
        custom_id=f"{population}.{kind}.{category}.{member.id}.{member.variant}-{digest[:8]}",
        population=population,
        kind=kind,
        category=category,
        variant=member.variant,
        model=member.id,
        messages=messages_about(catalogue, kind, category, names),
        settings=member.sent,
        names=names,
    )


def messages_about(
    catalogue: Catalogue, kind: Kind, category: str, names: Sequence[str] = (), why: str = ""
) -> tuple[dict[str, str], ...]:
    """System and user message about one category; `why` says why an answer before could not be used."""
    settings = load_settings(catalogue)
    detail = details(catalogue)[category] if kind == "detail" else None
    within = detail.dimension if detail else catalogue.dimension(WITHIN[kind])
    education, employment = catalogue.dimension("education"), catalogue.dimension("employment")
    arrangement = catalogue.dimension("work_arrangement")
    user = (
        templates_of("pipeline.particulars")
        .get_template(f"{kind}.j2")
        .render(
            population=catalogue.population,
            dimension=within,
            category=detail.category if detail else next((c for c in within.categories if c.id == category), None),
            group=groups(catalogue)[category] if kind == "name" else None,
            detail=detail,
            least=settings.number(kind)[0],
            most=settings.number(kind)[1],
            counsel=settings.counsel,
            degree=[one.label for one in education.categories if one.id in settings.degree],
            urbanicity=catalogue.dimension("urbanicity"),
            dwelling=catalogue.dimension("dwelling"),
            heritage=catalogue.dimension("heritage"),
            industry=catalogue.dimension("industry"),
            education=education,
            age=catalogue.dimension("age"),
            field=catalogue.dimension("field_of_study"),
            employment=employment,
            terms=[one for one in employment.categories if one.id in AT_WORK],
            arrangement=arrangement,
            income=catalogue.dimension("personal_income"),
            parts=lowest_incomes(catalogue),
            places=[one for one in arrangement.categories if one.id in arrangements(catalogue)],
            names=names,
            without=WITHOUT.get(kind, NONE),
            why=why,
        )
    )
    system = templates_of("pipeline.particulars").get_template("system.j2").render()
    return ({"role": "system", "content": system}, {"role": "user", "content": user.rstrip("\n")})
