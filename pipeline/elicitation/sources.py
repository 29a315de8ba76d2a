"""Which source answers for a panel member. Only that choice belongs here; the sources stand beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.catalogue.models import Dimension
from pipeline.elicitation.asking import Job, ask_in_turn
from pipeline.elicitation.batch import (
    ResponseFormat,
    drop_unfinished_line,
    json_schema_format,
    output_line,
    read_lines,
)
from pipeline.elicitation.panel import Endpoint, Member
from pipeline.elicitation.protocol import Completion, Source
from pipeline.elicitation.recorded import RecordedSource
from pipeline.elicitation.tokens import Expected
from warehouse.errors import CorpusError, ElicitationError

if TYPE_CHECKING:
    from pipeline.prompts.render import Request


def source_for(
    member: Member,
    *,
    corpus: Path,
    live: Path,
    known: Collection[str],
    dimension_of: Callable[[str], Dimension],
) -> Source:
    """The source that answers for this member.

    Args:
        member: the panel member.
        corpus: folder of the recorded edition.
        live: folder in which live answers are kept as they arrive, in the same format.
        known: custom ids of all requests of the edition.
        dimension_of: the catalogue's look-up, for the answer schema.
    """
    if member.source == "recorded":
        return RecordedSource(corpus, known)
    if member.endpoint is None:
        raise ElicitationError(f"panel member '{member.id}' is live but has no endpoint: name one in panel.toml")
    structured = member.structured_output == "json_schema"
    endpoint = AskedSource(member.endpoint, member, json_schema_format(dimension_of) if structured else None)
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", member.id)
    return KeptSource(endpoint, live / f"{name}.jsonl")


@dataclass(frozen=True, slots=True)
class AskedSource:
    """A member that is asked at its endpoint."""

    endpoint: Endpoint
    member: Member
    response_format: ResponseFormat | None

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield answers as they arrive; attempts without one are raised as one error at the end."""
        job = Job(self.endpoint, self.member, requests, _expected, response_format=self.response_format)
        for asked in ask_in_turn([job]):
            if isinstance(asked.result, Completion):
                yield asked.result


def _expected(request: Request) -> Expected:
    """A prompt has about a token for four characters; an answer, for want of better, as many as its prompt."""
    tokens = sum(len(m["content"]) for m in request.messages) // 4
    return Expected(tokens, tokens)


@dataclass(frozen=True, slots=True)
class KeptSource:
    """A live source whose answers are written down as they arrive; only what is not yet written is asked for.

    So nobody pays twice for an answer, whatever interrupts the run, and what was answered live is read back by
    the same path as a recorded edition.
    """

    endpoint: Source
    record: Path

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield the answers kept earlier, then those that arrive now."""
        drop_unfinished_line(self.record)
        kept = {c.custom_id: c for c in self._kept()}
        wanted = {r.custom_id for r in requests}
        yield from (c for i, c in kept.items() if i in wanted)
        missing = [r for r in requests if r.custom_id not in kept]
        if not missing:
            return
        try:
            self.record.parent.mkdir(parents=True, exist_ok=True)
            with self.record.open("a", encoding="utf-8") as file:
                for completion in self.endpoint.complete(missing):
                    file.write(output_line(completion) + "\n")
                    file.flush()
                    yield completion
        except OSError as error:
            raise CorpusError(f"{self.record}: cannot be written ({error.strerror}): free space or move it") from error

    def _kept(self) -> Iterator[Completion]:
        if self.record.exists():
            for line in read_lines(self.record):
                if isinstance(line.content, Completion):
                    yield line.content
