"""The asking about particulars as a whole: requests, the record of their answers, the verdict, and what is to ask next.

Belongs here: joining requests, record and verdict. Does not belong here: the verdict on one answer (`answers`), wording
(`requests`), what is made of the rows (`factors`), Batch files (`elicitation`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pipeline.elicitation.batch import export_requests
from pipeline.elicitation.intake import ImportReport, import_output
from pipeline.elicitation.keys import keys_of
from pipeline.elicitation.panel import Member, load_panel
from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.record import Record
from pipeline.particulars.answers import Place, read
from pipeline.particulars.requests import (
    ABOUT,
    RECORDED,
    Kind,
    ParticularRequest,
    load_settings,
    messages_about,
    particular_requests,
)
from pipeline.prompts.parsing import AnswerError
from pipeline.prompts.reask import REASKS

if TYPE_CHECKING:
    from pipeline.catalogue.models import Catalogue

KINDS: tuple[Kind, ...] = get_args(Kind)
FOLDER = "particulars"
"""The folder of the recorded answers within the corpus; they belong to no edition."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An answer that was not used: the category that it is about, which answer to its request it is, and why."""

    category: str
    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the requests of one kind: the rows of the last accepted answer about each category, in catalogue
    order; every rejected answer; how often each category was answered.
    """

    rows: dict[str, tuple[Any, ...]]
    rejected: tuple[Rejected, ...]
    answers: dict[str, int]

    @property
    def metadata(self) -> dict[str, list[str]]:
        """What an asset tells of it."""
        return {
            "without an accepted answer": [one for one in self.answers if one not in self.rows],
            "rejected answers": [f"{one.category}: {one.why}" for one in self.rejected],
        }


@dataclass(frozen=True)
class Enrichment:
    """What one population is asked about particulars; `folder` holds the record and may be missing."""

    catalogue: Catalogue
    folder: Path
    member: Member = RECORDED

    def requests(self, kind: Kind) -> tuple[ParticularRequest, ...]:
        """All requests of a kind, without later askings; about names, one for each category that has accepted ones.

        Raises `CorpusError` for a damaged record.
        """
        if kind not in ABOUT:
            return self._requests(kind)
        told = self.outcome(ABOUT[kind]).rows
        return self._requests(kind, {category: [row.name for row in rows] for category, rows in told.items()})

    @cached_property
    def member_of(self) -> dict[str, Member]:
        """The member of every request that can be, by custom id."""
        return {one: self.member for kind in KINDS for one in self.ids(kind)}

    def ids(self, kind: Kind) -> tuple[str, ...]:
        """The custom ids of all requests of a kind that can be."""
        return tuple(r.custom_id for r in self._requests(kind))

    @property
    def record(self) -> Record:
        """The answers about this population."""
        own = self.folder / self.catalogue.population.id
        return Record(own, known=self.member_of.keys())

    def places(self) -> dict[str, tuple[Place, ...]]:
        """The places of each region that has an accepted answer."""
        return self.outcome("place").rows

    def outcome(self, kind: Kind) -> Outcome:
        """The verdict on the record of one kind; raises `CorpusError` for a damaged record."""
        settings = load_settings(self.catalogue)
        by_id = {r.custom_id: r for r in self.requests(kind)}
        rows: dict[str, tuple[Any, ...]] = {}
        rejected, answers = [], dict.fromkeys((r.category for r in by_id.values()), 0)
        for attempt in self.record.attempts(by_id.keys()):
            if isinstance(attempt.result, Completion):
                request = by_id[attempt.custom_id]
                answers[request.category] += 1
                try:
                    rows[request.category] = read(request, attempt.result.text or "", self.catalogue, settings)
                except AnswerError as error:
                    rejected.append(Rejected(request.category, attempt.result.attempt, str(error)))
        return Outcome({one: rows[one] for one in answers if one in rows}, tuple(rejected), answers)

    def _requests(self, kind: Kind, names: Mapping[str, Sequence[str]] | None = None) -> tuple[ParticularRequest, ...]:
        return particular_requests(self.catalogue, kind, names, self.member)

    def left(self, kind: Kind) -> list[ParticularRequest]:
        """What is still to be asked of one kind: requests without an answer, and those of rejected ones with the reason
        quoted, at most `REASKS` times.
        """
        outcome = self.outcome(kind)
        why = {one.category: one.why for one in outcome.rejected}
        return [
            self._again(request, why[request.category], times + 1) if times else request
            for request in self.requests(kind)
            for times in [outcome.answers[request.category]]
            if request.category not in outcome.rows and times <= REASKS
        ]

    def _again(self, request: ParticularRequest, why: str, n: int) -> ParticularRequest:
        messages = messages_about(self.catalogue, request.kind, request.category, request.names, why)
        digest = hashlib.sha256(messages[-1]["content"].encode("utf-8", "surrogatepass")).hexdigest()
        return replace(request, custom_id=f"{request.custom_id}.r{n}-{digest[:8]}", messages=messages)

    def exported(self, target: Path, *, only_missing: bool) -> tuple[Path, ...]:
        """Write requests as Batch input into the folder `target`, and return the files. Raises `CorpusError` for a file
        that is there already.
        """
        return export_requests(
            [r for kind in KINDS for r in (self.left(kind) if only_missing else self.requests(kind))], target
        )

    def imported(self, files: Sequence[Path]) -> ImportReport:
        """Take Batch output files into the record; raises `CorpusError` for a line of another request."""
        return import_output(files, self.record, self.member_of, keys_of(load_panel()))
