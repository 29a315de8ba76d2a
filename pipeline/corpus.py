"""Work on a recorded edition as a whole: what is missing, exporting requests, importing answers.

Belongs here: joining plan, batch files and validation. The file format is `elicitation.batch`, the verdict on an answer
`prompts.validation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.elicitation.batch import (
    ImportReport,
    edition_files,
    export_requests,
    import_output,
    json_schema_format,
    read_lines,
    unknown_id,
)
from pipeline.elicitation.protocol import Completion
from pipeline.plan import Plan
from pipeline.prompts.render import Request
from pipeline.prompts.validation import Outcome, validate_all
from warehouse.errors import ElicitationError


def all_requests(plan: Plan, model: str | None = None) -> list[Request]:
    """Every request of the plan, or those of one panel member; `ElicitationError` for an unknown member."""
    known = [m.id for m in plan.panel]
    if model is not None and model not in known:
        raise ElicitationError(f"unknown panel member '{model}': choose one of {', '.join(known)}")
    return [r for (_, _, m), rs in plan.requests.items() for r in rs if model in (None, m)]


def judged(plan: Plan) -> dict[str, Outcome]:
    """Validate all answers of the edition, by panel member; requests without any answer count as unanswered."""
    answers = list(_answers(plan))
    outcomes = {}
    for member in plan.panel:
        requests = all_requests(plan, member.id)
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


def exported(plan: Plan, target: Path, *, only_missing: bool, model: str | None) -> tuple[Path, ...]:
    """Write requests as Batch input files; with `only_missing` those without an accepted answer."""
    requests = all_requests(plan, model)
    if only_missing:
        missing = {i for outcome in judged(plan).values() for i in outcome.unanswered}
        requests = [r for r in requests if r.custom_id in missing]
    if not requests:
        return ()
    schema = {p: json_schema_format(c.dimension) for p, c in plan.catalogues.items()}
    return export_requests(requests, target, response_format=lambda r: schema[r.population](r))


def imported(plan: Plan, files: Sequence[Path]) -> ImportReport:
    """Take Batch output files into the edition."""
    return import_output(files, all_requests(plan), plan.corpus)


def _answers(plan: Plan) -> Iterator[Completion]:
    known = {r.custom_id for r in all_requests(plan)}
    attempts: Counter[str] = Counter()
    for path in edition_files(plan.corpus):
        for line in read_lines(path):
            if line.content.custom_id not in known:
                raise unknown_id(line)
            if isinstance(line.content, Completion):
                attempts[line.content.custom_id] += 1
                yield replace(line.content, attempt=attempts[line.content.custom_id])
