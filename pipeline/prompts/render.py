"""Rendering requests: from (population, dimension, given, variant) to the exact messages a model is asked.

Rendering is a pure function of catalogue, panel and parts; asking, storing and reading answers happen elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pipeline.catalogue.models import Catalogue, Dimension, Given, StructuralZero
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import identity_digest
from pipeline.prompts.alignment import Condition
from pipeline.prompts.schema import answer_shape
from pipeline.prompts.variants import fill, parse_variant
from warehouse.errors import ElicitationError


@dataclass(frozen=True, slots=True)
class Request:
    """One rendered prompt for one panel member.

    `custom_id` is a stable hash of (population, dimension, given, prompt text, model, sampling settings): the same
    request always has the same id, and anything that could change its answer changes the id. `condition` is None where
    the whole map is asked for, else the one row.
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
    condition: Condition | None = None


def requests_for(
    catalogue: Catalogue, edition: str, dimension: Dimension, given: Given, member: Member
) -> tuple[Request, ...]:
    """The requests that together ask one member for one map: a single one, or one per row if its variant is by row.

    Rows in catalogue order. A condition under which structural zeros leave nothing possible is not asked about.
    """
    if not parse_variant(member.variant).by_row:
        return (render_request(catalogue, edition, dimension, given, member),)
    parents = [catalogue.dimension(g) for g in given]
    return tuple(
        render_request(catalogue, edition, dimension, given, member, condition=condition)
        for condition in product(*(p.category_ids for p in parents))
        if {c for zero in _zeros(dimension, parents, condition) for c in zero.never} < set(dimension.category_ids)
    )


def render_request(
    catalogue: Catalogue,
    edition: str,
    dimension: Dimension,
    given: Given,
    member: Member,
    *,
    condition: Condition | None = None,
) -> Request:
    """Render one request; `condition` names the row where the member's variant asks by row (see `requests_for`).

    Raises `ElicitationError` for an unknown variant, a broken text part, or a condition with a variant that asks for
    whole maps and the other way round.
    """
    variant = parse_variant(member.variant)
    if variant.by_row != (condition is not None):
        wanted = "a condition" if variant.by_row else "no condition"
        raise ElicitationError(f"prompt variant '{variant.id}' takes {wanted}: render with requests_for")
    parents = [catalogue.dimension(g) for g in given]
    asked = parents if condition is None else []  # whose categories nest in the answer
    content = fill(
        "request",
        population=catalogue.population.label,
        year=str(catalogue.population.year),
        label=dimension.label,
        dimension=dimension.id,
        definition=_definition(dimension, catalogue),
        order=", in order" if dimension.ordinal else "",
        categories=_categories(dimension),
        given="".join(
            _given(parent, catalogue, None if condition is None else condition[i]) for i, parent in enumerate(parents)
        ),
        task=_task(dimension, parents, catalogue, condition),
        structure=_structure(dimension, parents, condition),
        coherence=_coherence(parents, condition),
        granularity=fill(f"granularity/{variant.granularity}", conditions=_conditions(parents, condition)),
        number_format=fill(f"number_format/{variant.number_format}", width=str(len(dimension.categories))),
        shape=answer_shape(dimension, asked, variant.number_format),
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
    digest = identity_digest(identity)
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
        condition=condition,
    )


def render_corpus(catalogue: Catalogue, edition: str, panel: Sequence[Member]) -> Iterator[Request]:
    """Every request of an edition: for each member and dimension base, one-way, two-way, then held-out maps."""
    for member in panel:
        for dimension in catalogue.dimensions:
            for given in dimension.asked:
                yield from requests_for(catalogue, edition, dimension, given, member)


def _definition(dimension: Dimension, catalogue: Catalogue) -> str:
    """The definition as the catalogue has it, with the currency where the categories are amounts."""
    if any("$" in c.label or "£" in c.label for c in dimension.categories):
        return f"{dimension.definition} In {catalogue.population.year} {catalogue.population.currency}."
    return dimension.definition


def _categories(dimension: Dimension) -> str:
    return "\n".join(f"- {c.id}: {c.label}" for c in dimension.categories)


def _given(parent: Dimension, catalogue: Catalogue, asked: str | None) -> str:
    """What a parent means, with its categories or the one category that is asked about."""
    head = f"\nGiven: {parent.label} (id: {parent.id})\nDefinition: {_definition(parent, catalogue)}\n"
    if asked is None:
        return f"{head}Categories:\n{_categories(parent)}\n"
    return f"{head}Asked about: {_label(parent, asked)} (id: {asked})\n"


def _task(dimension: Dimension, parents: Sequence[Dimension], catalogue: Catalogue, condition: Condition | None) -> str:
    target = f"the distribution of {dimension.label} among {catalogue.population.label}"
    if not parents:
        return f"{target}, all of them together"
    names = " and ".join(p.label for p in parents)
    if condition is not None:
        group = ", ".join(f"{p.id} = {c}" for p, c in zip(parents, condition, strict=True))
        return f"{target}, within one group only ({_group(parents, condition)}): P({dimension.label} | {group})"
    each = "category" if len(parents) == 1 else "combination of categories"
    return f"{target}, separately for each {each} of {names}: P({dimension.label} | {names})"


def _structure(dimension: Dimension, parents: Sequence[Dimension], condition: Condition | None) -> str:
    """The structural zeros that this given, or this condition, can see, as sentences; empty when there are none."""
    lines = [_zero(zero, dimension) for zero in _zeros(dimension, parents, condition)]
    return "\nBy definition\n" + "\n".join(lines) + "\n" if lines else ""


def _zeros(dimension: Dimension, parents: Sequence[Dimension], condition: Condition | None) -> Iterator[StructuralZero]:
    """The structural zeros that speak of these parents alone; with a condition, those that hold under it."""
    ids = [p.id for p in parents]
    held = None if condition is None else dict(zip(ids, condition, strict=True))
    for zero in dimension.zeros:
        if set(zero.given) <= set(ids) and (
            held is None or all(held[parent] in values for parent, values in zero.given.items())
        ):
            yield zero


def _zero(zero: StructuralZero, dimension: Dimension) -> str:
    condition = " and ".join(f"{p} is {' or '.join(values)}" for p, values in zero.given.items())
    allowed = [c for c in dimension.category_ids if c not in zero.never]
    if len(allowed) < len(zero.never):
        return f"- If {condition}, only {' or '.join(allowed)} is possible. {zero.reason}"
    return f"- If {condition}, {' and '.join(zero.never)} cannot be. {zero.reason}"


def _coherence(parents: Sequence[Dimension], condition: Condition | None) -> str:
    if not parents:
        return ""
    if condition is not None:
        return (
            "\n- The group is one of many, each asked about by itself: what sets it apart from the population as a "
            "whole shows in its row."
        )
    return (
        "\n- The rows belong together: weighted by the size of the groups, they average to the distribution "
        "in the whole population."
    )


def _conditions(parents: Sequence[Dimension], condition: Condition | None) -> str:
    if not parents:
        return "everyone"
    if condition is not None:
        return f"this one group ({_group(parents, condition)})"
    if len(parents) == 1:
        return f"each of the {len(parents[0].categories)} categories of {parents[0].label}"
    first, second = parents
    count = len(first.categories) * len(second.categories)
    return f"each of the {count} combinations, {second.label} nested within {first.label}"


def _group(parents: Sequence[Dimension], condition: Condition) -> str:
    """The group in words: `Age: 25 to 34; Sex: Female`."""
    return "; ".join(f"{p.label}: {_label(p, c)}" for p, c in zip(parents, condition, strict=True))


def _label(dimension: Dimension, category: str) -> str:
    return next(c.label for c in dimension.categories if c.id == category)
