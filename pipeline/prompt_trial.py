"""A prompt trial: a fixed sample of maps, asked with every variant, and what is stored of it.

Belongs here: which maps, which requests, which of them are answered, and the file of chosen variants. Does not belong
here: scoring (`prompts.trial`), asking (the elicitation's sources), telling the outcome (`pages.prompt_trial`).

Answers to a trial lie in a folder of their own, as Batch output like those of an edition, and never become part of one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path

from pipeline.catalogue.models import Catalogue, Dimension, Given
from pipeline.elicitation.batch import edition_files, read_lines
from pipeline.elicitation.panel import DEFAULT_VARIANT, VARIANTS_FILE, Member, load_choices, load_panel
from pipeline.elicitation.protocol import Completion
from pipeline.prompts.render import Request, requests_for
from pipeline.prompts.validation import MAY_BE_UNIFORM
from pipeline.prompts.variants import Variant, all_variants
from warehouse.errors import ElicitationError

EDITION = "prompt-trial"
ANSWERS = Path(__file__).parent.parent / "warehouse" / "corpus" / EDITION
MAPS = 4

RECORDED = Member(id="recorded-trial", source="recorded", variant=DEFAULT_VARIANT)
"""A large language model whose answers to every variant are recorded; it is in trials only, not in the panel."""

CATEGORIES = range(4, 11)
CONDITIONS = {0: range(1, 2), 1: range(3, 7), 2: range(6, 13)}
"""How many conditions a map of the sample has, by the number of dimensions that it is given."""

SLOTS: tuple[tuple[int, int | None], ...] = ((0, None), (1, 2), (1, 3), (2, None))
"""What every four maps of the sample are: (dimensions given, tier of the dimension or None for any)."""


def trial_members() -> dict[str, Member]:
    """Everybody who can be in a trial, by id: the recorded model, then the panel but for what only editions hold."""
    return {m.id: m for m in (RECORDED, *(m for m in load_panel() if m.source != "recorded"))}


def trial_maps(catalogue: Catalogue, count: int = MAPS) -> tuple[tuple[Dimension, Given], ...]:
    """The first `count` maps of the sample: base, one-way, one-way and two-way by turns, each dimension once.

    The order within a kind is that of a hash of the names, so that nobody picked them and more maps contain the fewer.
    Raises `ElicitationError` where the catalogue has not that many.
    """
    waiting = sorted(
        ((d, g) for d in catalogue.dimensions for g in d.asked if _suits(catalogue, d, g)),
        key=lambda one: hashlib.sha256(f"{one[0].id}|{','.join(one[1])}".encode()).hexdigest(),
    )
    found: list[tuple[Dimension, Given]] = []
    while len(found) < count:
        ways, tier = SLOTS[len(found) % len(SLOTS)]
        used = {d.id for d, _ in found}
        fitting = (m for m in waiting if m[0].id not in used and len(m[1]) == ways and tier in (None, m[0].tier))
        following = next(fitting, None)
        if following is None:
            raise ElicitationError(f"a prompt trial has at most {len(found)} maps: ask for fewer than {count}")
        found.append(following)
    return tuple(found)


def trial_variants(patterns: Sequence[str] = ()) -> tuple[Variant, ...]:
    """The variants whose id matches one of these patterns (`*.one_row.*`), or all of them.

    Raises `ElicitationError` for a pattern that nothing matches.
    """
    known = all_variants()
    for pattern in patterns:
        if not any(fnmatchcase(v.id, pattern) for v in known):
            raise ElicitationError(f"no prompt variant matches '{pattern}': write it like analyst.*.percent_keyed")
    return tuple(v for v in known if not patterns or any(fnmatchcase(v.id, p) for p in patterns))


def trial_requests(
    catalogue: Catalogue, member: Member, maps: Iterable[tuple[Dimension, Given]], variants: Iterable[Variant]
) -> tuple[Request, ...]:
    """The requests of one member's trial, variant by variant; custom ids differ between variants as the prompts do."""
    maps = tuple(maps)
    return tuple(
        request
        for variant in variants
        for dimension, given in maps
        for request in requests_for(
            catalogue, EDITION, dimension, given, member.model_copy(update={"variant": variant.id})
        )
    )


def stored_answers(folder: Path) -> Iterator[Completion]:
    """Every answer that the trial's folder holds, in the order of attempts; none if there is no folder."""
    for path in edition_files(folder):
        for line in read_lines(path):
            if isinstance(line.content, Completion):
                yield line.content


def without_answer(requests: Iterable[Request], answers: Iterable[Completion]) -> tuple[Request, ...]:
    """The requests that nothing stored answers."""
    answered = {a.custom_id for a in answers}
    return tuple(r for r in requests if r.custom_id not in answered)


def write_choices(chosen: dict[str, str], path: Path = VARIANTS_FILE) -> None:
    """Write the chosen variants; those of members that this trial did not decide on stay."""
    choices = {**load_choices(path), **chosen}
    lines = [
        "# The variant that a prompt trial chose for a member; `personagen prompts trial --write` writes this file.",
        '# It is what `variant = "by_trial"` in panel.toml stands for.',
        "",
        *(f"{json.dumps(member)} = {json.dumps(choices[member])}" for member in sorted(choices)),
    ]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ElicitationError(f"{path} cannot be written ({error.strerror}): make it writable") from error


def _suits(catalogue: Catalogue, dimension: Dimension, given: Given) -> bool:
    """Whether a map is small enough for a trial, and says something that could be got wrong."""
    conditions = prod(len(catalogue.dimension(g).categories) for g in given)
    return (
        dimension.id not in MAY_BE_UNIFORM
        and len(dimension.categories) in CATEGORIES
        and conditions in CONDITIONS[len(given)]
    )
