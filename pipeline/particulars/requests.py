"""Rendering requests about particulars: which places a region has and which titles an occupation, and then, about the
names that were accepted, which places are parts of a city and who holds the titles.

Rendering is a pure function of the catalogue, the population's settings, the names and the member. What holds of an
answer is the business of `answers`. The wording is `system.j2` and a template for each kind; what differs by population
lies in `populations`.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.catalogue.models import Catalogue
from pipeline.elicitation.panel import Member
from pipeline.templates import templates_of
from warehouse.errors import CatalogueError

Kind = Literal["place", "title", "part", "holder"]
WITHIN: dict[Kind, str] = {"place": "region", "title": "occupation", "part": "region", "holder": "occupation"}
"""What is asked about, and the dimension that it is within."""

ABOUT: dict[Kind, Kind] = {"part": "place", "holder": "title"}
"""The kinds that ask about names, and the kind whose accepted answers have these."""

NONE = "none"
"""The category of occupation and industry for people without a job."""

WITHOUT: dict[Kind, str] = {"holder": "not_applicable"}
"""The category that the kind's list leaves out, where it is another: that of people without a field of study."""

RECORDED = Member(id="recorded-particulars", source="recorded", variant="plain")
"""A large language model whose answers about particulars are recorded; it is no member of the panel."""

_FOLDER = Path(__file__).parent / "populations"


class Settings(BaseModel):
    """What is asked of one population: how many places and titles (from, to), which categories of education count as
    a degree, and counsel on the choice of places. `country` is its ISO code, by which a gazetteer knows it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: str
    places: tuple[int, int]
    titles: tuple[int, int]
    degree: tuple[str, ...]
    counsel: str

    def number(self, kind: Kind) -> tuple[int, int]:
        """How many of a kind are asked for, from and to."""
        return self.places if kind == "place" else self.titles


@dataclass(frozen=True, slots=True)
class ParticularRequest:
    """One rendered prompt about the places of a region or the titles of an occupation, `category`; `names` are those
    that it asks about.

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


def has_settings(population: str) -> bool:
    """Whether a population is asked about at all."""
    return (_FOLDER / f"{population}.toml").is_file()


def load_settings(catalogue: Catalogue) -> Settings:
    """What is asked of a population; raises `CatalogueError` naming file and field where it is wrong."""
    path = _FOLDER / f"{catalogue.population.id}.toml"
    try:
        settings = Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"particulars of '{catalogue.population.id}': {path.name}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CatalogueError(f"{path.name}: field '{place}': {first['msg']}: correct it there") from None
    for category in settings.degree:
        if category not in catalogue.dimension("education").category_ids:
            raise CatalogueError(f"{path.name}: degree: '{category}' is no category of education: correct it there")
    return settings


def particular_requests(
    catalogue: Catalogue, kind: Kind, names: Mapping[str, Sequence[str]] | None = None, member: Member = RECORDED
) -> tuple[ParticularRequest, ...]:
    """Every request of a kind, in catalogue order; `names`, where given, has the categories and those of each that are
    asked about.
    """
    categories = catalogue.dimension(WITHIN[kind]).category_ids
    return tuple(
        _request(catalogue, kind, category, tuple(names[category]) if names else (), member)
        for category in categories
        if category != NONE and (names is None or category in names)
    )


def _request(
    catalogue: Catalogue, kind: Kind, category: str, names: tuple[str, ...], member: Member
) -> ParticularRequest:
    population, wording = catalogue.population.id, messages_about(catalogue, kind, category)
    identity = [population, kind, category, list(wording), member.id, member.sent]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
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
    settings, within = load_settings(catalogue), catalogue.dimension(WITHIN[kind])
    education = catalogue.dimension("education")
    user = (
        templates_of("pipeline.particulars")
        .get_template(f"{kind}.j2")
        .render(
            population=catalogue.population,
            dimension=within,
            category=next(one for one in within.categories if one.id == category),
            least=settings.number(kind)[0],
            most=settings.number(kind)[1],
            counsel=settings.counsel,
            degree=[one.label for one in education.categories if one.id in settings.degree],
            urbanicity=catalogue.dimension("urbanicity"),
            heritage=catalogue.dimension("heritage"),
            industry=catalogue.dimension("industry"),
            education=education,
            age=catalogue.dimension("age"),
            field=catalogue.dimension("field_of_study"),
            names=names,
            without=WITHOUT.get(kind, NONE),
            why=why,
        )
    )
    system = templates_of("pipeline.particulars").get_template("system.j2").render()
    return ({"role": "system", "content": system}, {"role": "user", "content": user.rstrip("\n")})
