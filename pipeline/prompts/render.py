"""Rendering requests: from (population, dimension, given, variant) to the exact messages a model is asked.

Rendering is a pure function of catalogue, panel and parts; asking, storing and reading answers happen elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.catalogue.models import Catalogue, Dimension, Given, StructuralZero
from pipeline.elicitation.panel import Member
from pipeline.prompts.schema import answer_shape
from pipeline.prompts.variants import fill, parse_variant


@dataclass(frozen=True, slots=True)
class Request:
    """One rendered prompt for one panel member.

    `custom_id` is a stable hash of (population, dimension, given, prompt text, model, sampling settings): the same
    request always has the same id, and anything that could change its answer changes the id.
    """

    custom_id: str
    population: str
    edition: str
    dimension: str
    given: Given
    variant: str
    model: str
    messages: tuple[dict[str, str], ...]
    settings: dict[str, Any]
    number_format: str


def render_request(catalogue: Catalogue, edition: str, dimension: Dimension, given: Given, member: Member) -> Request:
    """Render one request. Raises `ElicitationError` for an unknown variant or a broken text part."""
    variant = parse_variant(member.variant)
    parents = [catalogue.dimension(g) for g in given]
    content = fill(
        "request",
        population=catalogue.population.label,
        year=str(catalogue.population.year),
        label=dimension.label,
        dimension=dimension.id,
        definition=_definition(dimension, catalogue),
        order=", in order" if dimension.ordinal else "",
        categories=_categories(dimension),
        given="".join(_given(parent, catalogue) for parent in parents),
        task=_task(dimension, parents, catalogue),
        structure=_structure(dimension, parents),
        coherence=_coherence(parents),
        granularity=fill(f"granularity/{variant.granularity}", conditions=_conditions(parents)),
        number_format=fill(f"number_format/{variant.number_format}", width=str(len(dimension.categories))),
        shape=answer_shape(dimension, parents, variant.number_format),
    )
    messages = (
        {"role": "system", "content": fill(f"framing/{variant.framing}")},
        {"role": "user", "content": content},
    )
    identity = [
        catalogue.population.id,
        dimension.id,
        list(given),
        list(messages),
        member.id,
        member.sent,
    ]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
    return Request(
        custom_id=f"{catalogue.population.id}-{digest[:24]}",
        population=catalogue.population.id,
        edition=edition,
        dimension=dimension.id,
        given=given,
        variant=variant.id,
        model=member.id,
        messages=messages,
        settings=member.sent,
        number_format=variant.number_format,
    )


def render_corpus(catalogue: Catalogue, edition: str, panel: Sequence[Member]) -> Iterator[Request]:
    """Every request of an edition: for each member and dimension base, one-way, two-way, then held-out maps."""
    for member in panel:
        for dimension in catalogue.dimensions:
            for given in dimension.asked:
                yield render_request(catalogue, edition, dimension, given, member)


def _definition(dimension: Dimension, catalogue: Catalogue) -> str:
    """The definition as the catalogue has it, with the currency where the categories are amounts."""
    if any("$" in c.label or "£" in c.label for c in dimension.categories):
        return f"{dimension.definition} In {catalogue.population.year} {catalogue.population.currency}."
    return dimension.definition


def _categories(dimension: Dimension) -> str:
    return "\n".join(f"- {c.id}: {c.label}" for c in dimension.categories)


def _given(parent: Dimension, catalogue: Catalogue) -> str:
    definition = _definition(parent, catalogue)
    return f"\nGiven: {parent.label} (id: {parent.id})\nDefinition: {definition}\nCategories:\n{_categories(parent)}\n"


def _task(dimension: Dimension, parents: Sequence[Dimension], catalogue: Catalogue) -> str:
    target = f"the distribution of {dimension.label} among {catalogue.population.label}"
    if not parents:
        return f"{target}, all of them together"
    names = " and ".join(p.label for p in parents)
    each = "category" if len(parents) == 1 else "combination of categories"
    return f"{target}, separately for each {each} of {names}: P({dimension.label} | {names})"


def _structure(dimension: Dimension, parents: Sequence[Dimension]) -> str:
    """The structural zeros that this given can see, as sentences; empty when there are none."""
    seen = {p.id: p for p in parents}
    lines = [_zero(zero, seen, dimension) for zero in dimension.zeros if set(zero.given) <= set(seen)]
    return "\nBy definition\n" + "\n".join(lines) + "\n" if lines else ""


def _zero(zero: StructuralZero, parents: dict[str, Dimension], dimension: Dimension) -> str:
    condition = " and ".join(f"{p} is {' or '.join(values)}" for p, values in zero.given.items())
    allowed = [c for c in dimension.category_ids if c not in zero.never]
    if len(allowed) < len(zero.never):
        return f"- If {condition}, only {' or '.join(allowed)} is possible. {zero.reason}"
    return f"- If {condition}, {' and '.join(zero.never)} cannot be. {zero.reason}"


def _coherence(parents: Sequence[Dimension]) -> str:
    if not parents:
        return ""
    return (
        "\n- The rows belong together: weighted by the size of the groups, they average to the distribution "
        "in the whole population."
    )


def _conditions(parents: Sequence[Dimension]) -> str:
    if not parents:
        return "everyone"
    if len(parents) == 1:
        return f"each of the {len(parents[0].categories)} categories of {parents[0].label}"
    first, second = parents
    count = len(first.categories) * len(second.categories)
    return f"each of the {count} combinations, {second.label} nested within {first.label}"
