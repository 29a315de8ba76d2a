"""A prompt trial: a fixed sample of maps, asked with every variant, and what is stored of it.

Belongs here: which maps, which requests, which of them are answered, and the file of chosen variants. Does not belong
here: scoring (`prompts.trial`), calling endpoints (an `Asker`), telling the outcome (`pages.prompt_trial`).

Answers to a trial lie in a folder of their own, as Batch output like those of an edition, and never become part of one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path
from typing import Any

from pipeline.catalogue.models import Catalogue, Dimension, Given
from pipeline.elicitation.batch import export_requests, read_lines, request_body, response_format_of
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.journal import journal
from pipeline.elicitation.keys import keys_of
from pipeline.elicitation.panel import DEFAULT_VARIANT, VARIANTS_FILE, Member, load_choices, load_panel
from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.record import edition_files
from pipeline.elicitation.sources import Asker, Order, require_budget
from pipeline.prompts.render import Request, requests_for
from pipeline.prompts.trial import MapKey, PartScore, VariantScore, first_answers, part_scores, variant_scores
from pipeline.prompts.validation import MAY_BE_UNIFORM
from pipeline.prompts.variants import Variant, all_variants
from warehouse.errors import ElicitationError

EDITION = "prompt-trial"
ANSWERS = Path(__file__).parent.parent / "warehouse" / "corpus" / EDITION

RECORDED = Member(id="recorded-trial", source="recorded", variant=DEFAULT_VARIANT)
"""A large language model whose answers to every variant are recorded; it is in trials only, not in the panel."""

CATEGORIES = range(4, 11)
CONDITIONS = {0: range(1, 2), 1: range(3, 7), 2: range(6, 13)}
"""How many conditions a map of the sample has, by the number of dimensions that it is given."""

FIRST = (
    ("alcohol", ()),
    ("dwelling", ("urbanicity",)),
    ("general_health", ("body_mass",)),
    ("sleep", ("sex", "caregiving")),
)
"""The maps that every sample begins with, chosen by hand before anything was answered; answers to them are recorded."""

SLOTS: tuple[tuple[int, int | None], ...] = ((0, None), (1, 2), (1, 3), (2, None))
"""What every four maps of the sample are: (dimensions given, tier of the dimension or None for any)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of a prompt trial.

    `requests` and `missing` count, by member, what was to be asked and what of it nothing answers; `passed_over` counts
    stored answers to prompts that are none of these.
    """

    maps: tuple[MapKey, ...]
    scores: tuple[VariantScore, ...]
    parts: tuple[PartScore, ...]
    requests: Mapping[str, int]
    missing: Mapping[str, int]
    passed_over: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What a trial asks of every member: some maps, with some variants."""

    catalogue: Catalogue
    maps: tuple[tuple[Dimension, Given], ...]
    variants: tuple[Variant, ...]

    @staticmethod
    def of(catalogue: Catalogue, maps: int, patterns: Sequence[str] = ()) -> Sample:
        """The first `maps` maps of the catalogue's sample, with the variants that match a pattern, all by default."""
        return Sample(catalogue, trial_maps(catalogue, maps), trial_variants(patterns))

    def requests(self, member: Member) -> tuple[Request, ...]:
        """One member's requests, variant by variant; custom ids differ between variants because the prompts do."""
        return tuple(
            request
            for variant in self.variants
            for dimension, given in self.maps
            for request in requests_for(
                self.catalogue, EDITION, dimension, given, member.model_copy(update={"variant": variant.id})
            )
        )


def trial_members(names: Sequence[str] = ()) -> tuple[Member, ...]:
    """The members of these ids, or everybody who can be in a trial: the recorded model, and the panel but for passes.

    Raises `ElicitationError` for an unknown id.
    """
    known = {m.id: m for m in (RECORDED, *(m for m in load_panel() if m.source != "recorded"))}
    unknown = [n for n in names if n not in known]
    if unknown:
        raise ElicitationError(f"'{unknown[0]}' cannot be in a prompt trial: choose one of {', '.join(known)}")
    return tuple(known[n] for n in names or known)


def trial_maps(catalogue: Catalogue, count: int) -> tuple[tuple[Dimension, Given], ...]:
    """The first `count` maps of the sample: base, one-way, one-way and two-way by turns, each dimension once.

    After those of `FIRST` the order within a kind is that of a hash of the names, so that nobody picked them and more
    maps contain the fewer. Raises `ElicitationError` where the catalogue has not that many.
    """
    waiting = sorted(
        ((d, g) for d in catalogue.dimensions for g in d.asked if _suits(catalogue, d, g)),
        key=lambda one: hashlib.sha256(f"{one[0].id}|{','.join(one[1])}".encode()).hexdigest(),
    )
    found = [(d, g) for one, given in FIRST[:count] for d, g in waiting if (d.id, g) == (one, given)]
    while len(found) < count:
        ways, tier = SLOTS[len(found) % len(SLOTS)]
        used = {d.id for d, _ in found}
        fitting = (m for m in waiting if m[0].id not in used and len(m[1]) == ways and tier in (None, m[0].tier))
        following = next(fitting, None)
        if following is None:
            raise ElicitationError(f"a prompt trial has at most {len(found)} maps: ask for no more")
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


def stored_answers(folder: Path) -> Iterator[Completion]:
    """Every answer that the trial's folder holds, in the order of attempts; none if there is no folder."""
    for path in edition_files(folder):
        for line in read_lines(path, growing=path.suffix == ".jsonl"):
            if isinstance(line.content, Completion):
                yield line.content


def without_answer(requests: Iterable[Request], answers: Iterable[Completion]) -> tuple[Request, ...]:
    """The requests that nothing stored answers."""
    answered = {a.custom_id for a in answers}
    return tuple(r for r in requests if r.custom_id not in answered)


def exported(sample: Sample, members: Sequence[Member], folder: Path, target: Path) -> tuple[Path, ...]:
    """Write what the folder has no answer to as Batch input files into `target`, and return the files."""
    by_id = {m.id: m for m in members}

    def body_of(request: Request) -> dict[str, Any]:
        member = by_id[request.model]
        return request_body(request, response_format_of(member, sample.catalogue.dimension), member.model)

    requests = (r for m in members for r in sample.requests(m))
    return export_requests(without_answer(requests, stored_answers(folder)), target, body_of=body_of)


def asked_now(
    sample: Sample, members: Sequence[Member], folder: Path, asker: Asker, budget: Decimal | None = None
) -> Counter[str]:
    """Ask the members for what the folder has no answer to, and keep each answer there; returns answers by member id.

    A bad answer is not followed up: the trial is about first answers. `budget` bounds what this run may spend, in US
    dollars. Raises `ElicitationError` for a member that charges if there is none, and after all that could be had for
    what went wrong.
    """
    catalogues = {sample.catalogue.population.id: sample.catalogue}
    arrived: Counter[str] = Counter()
    with journal(folder, keys_of(members)) as book:
        stored = tuple(stored_answers(folder))
        missing = {m.id: without_answer(sample.requests(m), stored) for m in members}
        orders = [Order(m, missing[m.id], lambda request, answer: None, catalogues) for m in members if missing[m.id]]
        require_budget(orders, budget)
        for order in orders:
            book.ready(order.member.id)
        for one in asker(orders, Budget(budget)) if orders else ():
            arrived[one.request.model] += book.write(one.request.model, one.result, one.call)
    return arrived


def trial(sample: Sample, members: Iterable[Member], folder: Path, count_tokens: Callable[[str], int]) -> Trial:
    """Score what the folder holds of these members' trials.

    `count_tokens` counts the tokens of a text where the endpoint reported none. Raises `ElicitationError` if no map is
    answered in full by anybody.
    """
    stored = tuple(stored_answers(folder))
    requests = {m.id: sample.requests(m) for m in members}
    missing = {member: without_answer(asked, stored) for member, asked in requests.items()}
    taking_part = {member: asked for member, asked in requests.items() if len(missing[member]) < len(asked)}
    asked = [r for rs in taking_part.values() for r in rs]
    answers = first_answers(asked, stored, sample.catalogue.dimension, count_tokens)
    if not answers:
        raise ElicitationError(f"{folder} holds no answers to this trial: have requests answered (--export or --ask)")
    known = {r.custom_id for rs in requests.values() for r in rs}
    return Trial(
        maps=tuple((d.id, g) for d, g in sample.maps),
        scores=variant_scores(answers),
        parts=part_scores(answers),
        requests={member: len(rs) for member, rs in taking_part.items()},
        missing={member: len(missing[member]) for member in taking_part},
        passed_over=sum(a.custom_id not in known for a in stored),
    )


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
