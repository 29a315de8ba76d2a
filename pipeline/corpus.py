"""Work on an edition's record as a whole: what is missing, exporting requests, importing answers, pruning.

Belongs here: joining plan, record and validation. The file format is `elicitation.batch`, the verdict on an answer
`prompts.validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.answer_frames import calls_frame
from pipeline.elicitation.batch import export_requests, request_body, response_format_of
from pipeline.elicitation.intake import ImportReport, import_output
from pipeline.elicitation.journal import held
from pipeline.elicitation.keys import keys_of
from pipeline.elicitation.panel import load_panel
from pipeline.elicitation.prune import Pruned, orphans, prune
from pipeline.elicitation.record import Attempt, completions_of
from pipeline.plan import Plan
from pipeline.prompts.reask import next_requests
from pipeline.prompts.render import Request
from pipeline.prompts.validation import Outcome, validate_all
from warehouse.errors import ElicitationError


@dataclass(frozen=True, slots=True)
class Status:
    """How an edition stands: the verdicts by panel member, its calls (columns of the table `calls`), and files of the
    record that hold no line.
    """

    outcomes: dict[str, Outcome]
    calls: pl.DataFrame
    empty: tuple[Path, ...]


def all_requests(plan: Plan, model: str | None = None, population: str | None = None) -> list[Request]:
    """Every request of the plan, or those of one panel member or population; `ElicitationError` for an unknown member,
    or one that is not asked about the population.
    """
    known = [m.id for m in (plan.panel if population is None else plan.panels[population])]
    if model is not None and model not in known:
        raise ElicitationError(f"unknown panel member '{model}': choose one of {', '.join(known)}")
    return [
        r
        for (people, _, member), rs in plan.requests.items()
        if model in (None, member) and population in (None, people)
        for r in rs
    ]


def status(plan: Plan, population: str | None = None) -> Status:
    """Read the whole record, and judge it, or what it says of one population."""
    attempts = _attempts(plan)
    told = {attempt.line.path for attempt in attempts}
    empty = tuple(path for path, _ in plan.record.files() if path not in told)
    requests = {r.custom_id: r for r in all_requests(plan, population=population)}
    attempts = [attempt for attempt in attempts if attempt.custom_id in requests]
    return Status(judged(plan, attempts, population), calls_frame(attempts, requests, plan.member_of), empty)


def judged(plan: Plan, attempts: Iterable[Attempt] | None = None, population: str | None = None) -> dict[str, Outcome]:
    """The verdict on these answers, by default all of the record, by member; requests without one, of one population
    if that is given, are unanswered.
    """
    answers = completions_of(_attempts(plan) if attempts is None else attempts)
    outcomes = {}
    for member in plan.panel if population is None else plan.panels[population]:
        requests = all_requests(plan, member.id, population)
        by_population: dict[str, list[Request]] = {}
        for request in requests:
            by_population.setdefault(request.population, []).append(request)
        parts = [validate_all(rs, answers, plan.catalogues[p].dimension) for p, rs in by_population.items()]
        outcomes[member.id] = Outcome(
            estimates=tuple(e for part in parts for e in part.estimates),
            rejections=tuple(r for part in parts for r in part.rejections),
            unanswered=tuple(u for part in parts for u in part.unanswered),
        )
    return outcomes


def left(plan: Plan, requests: Sequence[Request]) -> list[Request]:
    """What is still to be put of these: those without an answer, and re-asks of rejected ones as far as these go."""
    answers = completions_of(_attempts(plan))
    return [
        following
        for population, catalogue in plan.catalogues.items()
        for following in next_requests(
            (r for r in requests if r.population == population), answers, catalogue.dimension
        )
    ]


def exported(
    plan: Plan, target: Path, *, only_missing: bool, model: str | None, population: str | None = None
) -> tuple[Path, ...]:
    """Write requests as Batch input files, each member's for its own model and kind of structured output.

    With `only_missing` they are those without an answer, and the re-asks of those whose answers were rejected.
    """
    requests = all_requests(plan, model, population)
    if only_missing:
        requests = left(plan, requests)
    formats = {
        (population, member.id): response_format_of(member, catalogue.dimension)
        for population, catalogue in plan.catalogues.items()
        for member in plan.panel
    }
    names = {member.id: member.model for member in plan.panel}

    def body_of(request: Request) -> dict[str, Any]:
        return request_body(request, formats[request.population, request.model], names[request.model])

    return export_requests(requests, target, body_of=body_of)


def imported(plan: Plan, files: Sequence[Path]) -> ImportReport:
    """Take Batch output files into the edition, which nobody may be asking into."""
    with held(plan.live) if plan.live else nullcontext():
        return import_output(files, plan.record, plan.member_of, keys_of(load_panel()))


def prunable(plan: Plan) -> list[Pruned]:
    """Count the lines in each file of the record whose request no longer exists."""
    return [found for folder in _folders(plan) for found in orphans(folder, plan.member_of)]


def pruned(plan: Plan) -> list[Path]:
    """Move those lines out of the record, which nobody may be asking into; returns the files that hold them now."""
    targets = []
    for folder in _folders(plan):
        with held(folder) if folder == plan.live else nullcontext():
            targets.append(prune(folder, plan.member_of))
    return [target for target in targets if target is not None]


def _attempts(plan: Plan) -> list[Attempt]:
    return list(plan.record.attempts(plan.member_of))


def _folders(plan: Plan) -> list[Path]:
    return [folder for folder in dict.fromkeys((plan.corpus, plan.live)) if folder is not None and folder.is_dir()]
