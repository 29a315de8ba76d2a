"""The enrichment as a whole: its requests, the record of their answers, the verdict on it, and what is to ask next.

Belongs here: joining requests, record and validation, and asking again. Does not belong here: the verdict on one name
(`validation`), wording (`requests`), tables (`frames`), Batch files (`elicitation`).

A rejected name is asked again with the reason quoted, up to a hundred such names to a request, whatever requests they
stood in. The id of such a request leads back to that of its first name, under which the record files its answers; the
names in an answer tell the rest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from pipeline.elicitation.batch import export_requests, request_body
from pipeline.elicitation.intake import ImportReport, import_output
from pipeline.elicitation.keys import keys_of
from pipeline.elicitation.panel import Member, load_panel
from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.record import Record
from pipeline.names.candidates import KINDS, PER_REQUEST, Kind
from pipeline.names.census import known, ruled_out
from pipeline.names.faith_answers import FaithEstimate, FaithJudge
from pipeline.names.faiths import PER_REQUEST as FAITHS_PER_REQUEST
from pipeline.names.faiths import faith_messages, faith_requests
from pipeline.names.requests import RECORDED, NameRequest, messages_about, name_requests
from pipeline.names.validation import Estimate, Judge, NameEstimate, NameReason, NameRejection, Reader
from pipeline.prompts.reask import REASKS

if TYPE_CHECKING:
    from pipeline.catalogue.models import Catalogue

Messages = Callable[..., tuple[dict[str, str], ...]]
"""Renders the messages about names, as `messages_about` does."""

FOLDER = "names"
"""The folder of the recorded answers within the corpus."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with the custom id that it was asked under, that of a later asking where it was one; `completion` has
    that of the request that it is filed under.
    """

    asked_as: str
    completion: Completion


@dataclass(frozen=True, slots=True)
class NameOutcome(Generic[Estimate]):
    """What became of the names of one kind, asked one thing about.

    At most one estimate a name, in the order the names are asked; every rejected entry, in the order of the answers;
    the requests that have no answer at all.
    """

    estimates: tuple[Estimate, ...]
    rejections: tuple[NameRejection, ...]
    unanswered: tuple[NameRequest, ...]


@dataclass(frozen=True)
class Enrichment:
    """The enrichment of one population's names; `folder` holds the record and may be missing."""

    catalogue: Catalogue
    folder: Path
    member: Member = RECORDED

    @cached_property
    def requests(self) -> dict[Kind, tuple[NameRequest, ...]]:
        """All requests, without later askings, by kind."""
        return {kind: tuple(name_requests(self.catalogue, kind, self.member)) for kind in KINDS}

    @cached_property
    def faith_requests(self) -> dict[Kind, tuple[NameRequest, ...]]:
        """The same for what is asked of faiths."""
        return {kind: tuple(faith_requests(self.catalogue, kind, self.member)) for kind in KINDS}

    @cached_property
    def member_of(self) -> dict[str, Member]:
        """The member of every request, by custom id."""
        every = (*self.requests.values(), *self.faith_requests.values())
        return {r.custom_id: self.member for requests in every for r in requests}

    @property
    def record(self) -> Record:
        """The answers."""
        return Record(self.folder, known=self.member_of.keys())

    def answers(self, kind: Kind) -> list[Answer]:
        """The answers about one kind, in the order of attempts; raises `CorpusError` for a damaged record."""
        return self._answers(self.requests[kind])

    def _answers(self, requests: Sequence[NameRequest]) -> list[Answer]:
        attempts = self.record.attempts({r.custom_id for r in requests})
        return [Answer(a.asked_as, a.result) for a in attempts if isinstance(a.result, Completion)]

    def judge(self, kind: Kind) -> Judge:
        """What answers about one kind are held against."""
        return Judge(self.catalogue.dimension("heritage"), known(kind), ruled_out(self.catalogue))

    def outcome(self, kind: Kind) -> NameOutcome[NameEstimate]:
        """The verdict on the record of one kind."""
        return outcome_of(self.requests[kind], self.answers(kind), self.judge(kind))

    def faith_outcome(self, kind: Kind) -> NameOutcome[FaithEstimate]:
        """The verdict on what the record tells of faiths."""
        requests = self.faith_requests[kind]
        return outcome_of(requests, self._answers(requests), FaithJudge())

    def left(self, kind: Kind) -> list[NameRequest]:
        """What is still to be asked of one kind: requests without an answer, and rejected names again."""
        return asked_next(self.catalogue, self.requests[kind], self.outcome(kind))

    def faith_left(self, kind: Kind) -> list[NameRequest]:
        """The same of what is asked of faiths."""
        return asked_next(
            self.catalogue, self.faith_requests[kind], self.faith_outcome(kind), faith_messages, FAITHS_PER_REQUEST
        )

    def exported(self, target: Path, *, only_missing: bool, model: str | None = None) -> tuple[Path, ...]:
        """Write requests as Batch input into the folder `target`, and return the files; `model` is the name at the
        endpoint. Raises `CorpusError` for a file that is there already.
        """
        asked = [r for kind in KINDS for r in (self.left(kind) if only_missing else self.requests[kind])]
        asked += [r for kind in KINDS for r in (self.faith_left(kind) if only_missing else self.faith_requests[kind])]
        return export_requests(asked, target, body_of=lambda request: request_body(request, model=model))

    def imported(self, files: Sequence[Path]) -> ImportReport:
        """Take Batch output files into the record; raises `CorpusError` for a line of another request."""
        return import_output(files, self.record, self.member_of, keys_of(load_panel()))


def outcome_of(
    requests: Sequence[NameRequest], answers: Iterable[Answer], judge: Reader[Estimate]
) -> NameOutcome[Estimate]:
    """Judge all answers to these requests, which are of one kind; of several accepted entries of a name the last
    counts. Answers to other requests are passed over.
    """
    by_id = {r.custom_id: r for r in requests}
    alike = {born: [name for r in requests if r.born == born for name in r.names] for born in (True, False)}
    accepted: dict[str, Estimate] = {}
    rejections = []
    answered = set()
    for answer in answers:
        request = by_id.get(answer.completion.custom_id)
        if request is None:
            continue
        again = answer.asked_as != request.custom_id
        if not again:
            answered.add(request.custom_id)
        names = alike[request.born] if again else request.names
        for verdict in judge.verdicts(request, answer.completion, names, again=again):
            if isinstance(verdict, NameRejection):
                rejections.append(verdict)
            else:
                accepted[verdict.key] = verdict
    by_name = {estimate.name: estimate for estimate in accepted.values()}
    return NameOutcome(
        estimates=tuple(by_name[name] for r in requests for name in r.names if name in by_name),
        rejections=tuple(rejections),
        unanswered=tuple(r for r in requests if r.custom_id not in answered),
    )


def asked_next(
    catalogue: Catalogue,
    requests: Sequence[NameRequest],
    outcome: NameOutcome[Any],
    messages: Messages = messages_about,
    per_request: int = PER_REQUEST,
) -> list[NameRequest]:
    """What to ask next, in order: requests without an answer as they are, then the names whose last entry was rejected
    and that may be asked again, `per_request` to a request, in the words of `messages`.
    """
    accepted = {estimate.name for estimate in outcome.estimates}
    times = Counter(rejection.name for rejection in outcome.rejections)
    last = {rejection.name: rejection for rejection in outcome.rejections}
    waiting = {
        born: [
            (request, last[name])
            for request in requests
            if request.born == born
            for name in request.names
            if name in last and name not in accepted and times[name] <= REASKS
        ]
        for born in (False, True)
    }
    following = list(outcome.unanswered)
    for rejected in waiting.values():
        following += [
            _again(rejected[start : start + per_request], times, partial(messages, catalogue))
            for start in range(0, len(rejected), per_request)
        ]
    return following


def _again(rejected: Sequence[tuple[NameRequest, NameRejection]], times: Counter[str], about: Messages) -> NameRequest:
    """One request for names that were rejected, each with its request and rejection."""
    request = rejected[0][0]
    names = tuple(rejection.name for _, rejection in rejected)
    why = [(rejection.name, _why(rejection)) for _, rejection in rejected]
    messages = about(request.kind, names, born=request.born, again=why)
    digest = hashlib.sha256(messages[-1]["content"].encode("utf-8", "surrogatepass")).hexdigest()
    n = 1 + max(times[name] for name in names)
    return replace(request, custom_id=f"{request.custom_id}.r{n}-{digest[:8]}", names=names, messages=messages)


def _why(rejection: NameRejection) -> str:
    if rejection.reason is NameReason.MISSING_NAME:
        return "it had no entry"
    return f"{rejection.reason}: {rejection.detail}"
