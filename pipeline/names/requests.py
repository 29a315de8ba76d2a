"""Rendering requests about names: a hundred names to a request, first time or again.

Rendering is a pure function of the catalogue, the asked names and the member. Which names are asked is the business of
`candidates`, what holds of an answer that of `validation`. The wording is `system.j2` and `request.j2`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.catalogue.models import Catalogue
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import identity_digest
from pipeline.names.candidates import Kind, asked
from pipeline.templates import templates_of

RECORDED = Member(id="recorded-names", source="recorded", variant="plain")
"""A large language model whose answers about names are recorded; it is no member of the panel."""

BORN = ("before_1950", "1950_1969", "1970_1989", "1990_on")
"""Bands of birth years that a cohort curve has, in order."""


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


def name_requests(catalogue: Catalogue, kind: Kind, member: Member = RECORDED) -> Iterator[NameRequest]:
    """Every request of a kind, in order."""
    population = catalogue.population.id
    for (number,), rows in asked(kind).group_by("request", maintain_order=True):
        assert isinstance(number, int)
        names, born = tuple(rows["name"]), not rows["births"][0]
        messages = messages_about(catalogue, kind, names, born=born)
        yield name_request(population, "name", kind, number, names, messages, member, born=born)


def name_request(  # noqa: PLR0917
    population: str,
    about: str,
    kind: Kind,
    number: int,
    names: tuple[str, ...],
    messages: tuple[dict[str, str], ...],
    member: Member,
    *,
    born: bool = False,
) -> NameRequest:
    """A request for one member, with its custom id; `about` tells there what of the names is asked for."""
    identity = [population, kind, list(messages), member.id, member.sent]
    digest = identity_digest(identity)
    return NameRequest(
        custom_id=f"{population}.{about}.{kind}.{number:04d}.{member.id}.{member.variant}-{digest[:8]}",
        population=population,
        kind=kind,
        number=number,
        variant=member.variant,
        model=member.id,
        names=names,
        born=born,
        messages=messages,
        settings=member.sent,
    )


def messages_about(
    catalogue: Catalogue, kind: Kind, names: Sequence[str], *, born: bool, again: Sequence[tuple[str, str]] = ()
) -> tuple[dict[str, str], ...]:
    """System and user message about these names; `again` says, name by name, why an answer before could not be used."""
    template = templates_of("pipeline.names").get_template("request.j2")
    user = template.render(
        population=catalogue.population,
        heritage=catalogue.dimension("heritage"),
        kind=kind,
        names=names,
        born=born,
        bands=BORN,
        again=again,
    )
    system = templates_of("pipeline.names").get_template("system.j2").render()
    return ({"role": "system", "content": system}, {"role": "user", "content": user.rstrip("\n")})
