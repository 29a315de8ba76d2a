"""Rendering requests about names: a hundred names to a request, in the words of `prompts/parts/names`.

Rendering is a pure function of the catalogue, the asked names and the member; which names are asked is the business of
`candidates`, what holds of an answer that of `validation`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.catalogue.models import Catalogue
from pipeline.elicitation.panel import Member
from pipeline.names.candidates import Kind, asked
from pipeline.prompts.variants import fill

RECORDED = Member(id="recorded-names", source="recorded", variant="plain")
"""A large language model whose answers about names are recorded; it is no member of the panel."""

BORN = ("before_1950", "1950_1969", "1970_1989", "1990_on")
"""Bands of birth years that a cohort curve has, in order."""

_WORDS = {"first": "first names", "last": "surnames"}
_TASKS = {"female": "which sex its bearers have", "heritage": "which ancestry they have", "born": "when they were born"}


@dataclass(frozen=True, slots=True)
class NameRequest:
    """One rendered prompt about up to a hundred names, for one member.

    `names` are the names as shown, in order. `born` says that a cohort curve is asked for. `custom_id` tells kind,
    number, member and variant, and ends in a hash of prompt and settings: what could change the answer changes it.
    """

    custom_id: str
    population: str
    kind: Kind
    number: int
    variant: str
    model: str
    names: tuple[str, ...]
    born: bool
    messages: tuple[dict[str, str], ...]
    settings: dict[str, Any]


def name_requests(catalogue: Catalogue, kind: Kind, member: Member) -> Iterator[NameRequest]:
    """Every request of a kind, in order."""
    for (number,), rows in asked(kind).group_by("request", maintain_order=True):
        assert isinstance(number, int)
        yield render(catalogue, kind, number, rows["name"].to_list(), member, born=not rows["births"][0])


def render(
    catalogue: Catalogue, kind: Kind, number: int, names: Sequence[str], member: Member, *, born: bool
) -> NameRequest:
    """Render one request; `born` asks for cohort curves too."""
    heritage = catalogue.dimension("heritage")
    fields = fields_of(kind, born=born)
    content = fill(
        "names/request",
        population=catalogue.population.label,
        year=str(catalogue.population.year),
        kind=_WORDS[kind],
        count=str(len(names)),
        task=_listed([_TASKS[field] for field in fields if field in _TASKS]),
        heritages="\n".join(f"- {c.id}: {c.label}" for c in heritage.categories),
        definition=heritage.definition,
        fields="What to give for each name\n" + "\n".join(fill(f"names/{field}") for field in fields),
        shape=_shape(fields),
        names="\n".join(names),
    )
    messages = (
        {"role": "system", "content": fill("names/framing")},
        {"role": "user", "content": content},
    )
    identity = [catalogue.population.id, kind, list(messages), member.id, member.sent]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
    stem = f"{catalogue.population.id}.name.{kind}.{number:04d}.{member.id}.{member.variant}"
    return NameRequest(
        custom_id=f"{stem}-{digest[:8]}",
        population=catalogue.population.id,
        kind=kind,
        number=number,
        variant=member.variant,
        model=member.id,
        names=tuple(names),
        born=born,
        messages=messages,
        settings=member.sent,
    )


def fields_of(kind: Kind, *, born: bool) -> tuple[str, ...]:
    """What an answer tells of a name, in order; `spelling` may be left out."""
    sex = ("female",) if kind == "first" else ()
    return (*sex, "heritage", *(("born",) if born else ()), "spelling")


def _listed(parts: Sequence[str]) -> str:
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last


def _shape(fields: Sequence[str]) -> str:
    """The shape of an answer without figures, by a name that nobody bears."""
    parts: Mapping[str, str] = {
        "female": '"female": …',
        "heritage": '"heritage": {"…": …, "…": …}',
        "born": f'"born": {{{", ".join(f"{chr(34)}{band}{chr(34)}: …" for band in BORN)}}}',
    }
    entry = ", ".join(parts[field] for field in fields if field in parts)
    return f'{{"…": {{{entry}}},\n "…": {{{entry}, "spelling": "…"}}, …}}'
