"""Taking Batch output files into an edition: what another machine or a Batch endpoint answered.

Belongs here: which lines are kept and which only told. Does not belong here: the line format (`batch`), reading the
edition (`record`), answers that arrive one by one (`journal`).

What is kept is the line itself, byte for byte. Answers are; so are failures that the books need, because the line tells
what they took. All other failures (expired, refused, an HTTP error, another model's answer) are told and left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.elicitation.batch import Failure, read_lines, write_whole
from pipeline.elicitation.endpoint import same_model
from pipeline.elicitation.keys import repeats_key
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Completion, one_line
from pipeline.elicitation.record import Record, edition_files, unknown_id
from pipeline.prompts.reask import base_id
from warehouse.errors import CorpusError


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import found: completions taken in, failures, lines that the edition already had, files without a line,
    and the custom ids of requests that no stored answer exists for. `booked` counts the failures that were kept.
    """

    completions: tuple[Completion, ...]
    failures: tuple[Failure, ...]
    booked: int
    repeated: int
    empty: tuple[Path, ...]
    missing: tuple[str, ...]


def import_output(
    paths: Sequence[Path], record: Record, member_of: Mapping[str, Member], keys: Collection[str] = ()
) -> ImportReport:
    """Take the lines of Batch output (and error) files into the recorded folder of an edition, as one new file.

    Files may be partial, mixed and in any order; a line is stored once: importing a file again adds nothing.
    `member_of` has the member of every request of the edition, `keys` are API keys: a line that repeats one is told and
    left out, and so is an answer of another model than the member's. A damaged line, impossible books or an unknown
    custom id raise `CorpusError` naming file and line, and then nothing is stored at all.
    """
    stored = {digest for digests in record.digests().values() for digest in digests.lines}
    answers = Counter({base: len(digests.answers) for base, digests in record.digests().items()})
    completions: list[Completion] = []
    failures: list[Failure] = []
    empty: list[Path] = []
    fresh: list[bytes] = []
    booked = repeated = 0
    for path in paths:
        line = None
        for line in read_lines(path):
            base = base_id(line.custom_id)
            if keys and repeats_key(line.rewritten, keys):  # before anything of the line can be told
                failures.append(Failure(base if base in member_of else "", line.where, "the line repeats an API key"))
                continue
            if base not in member_of:
                raise unknown_id(line.where, line.custom_id)
            answer, call = line.content, line.call_by(member_of[base])
            if call is not None and (call.outcome == "answered") != isinstance(answer, Completion):
                raise CorpusError(
                    f"{line.where}: call.outcome is '{one_line(call.outcome, 40)}', which the response is not: "
                    "restore the line"
                )
            if isinstance(answer, Completion) and (reason := _of_another(answer, member_of[base])):
                failures.append(Failure(line.custom_id, line.where, reason))
                continue
            known = line.digest in stored
            repeated += known and isinstance(answer, Completion)
            if isinstance(answer, Failure):
                failures.append(answer)
            if known or (isinstance(answer, Failure) and call is None):
                continue
            stored.add(line.digest)
            fresh.append(line.raw + b"\n")
            if isinstance(answer, Completion):
                answers[base] += 1
                completions.append(replace(answer, custom_id=base, attempt=answers[base]))
            else:
                booked += 1
        if line is None:
            empty.append(path)
    if fresh:
        write_whole(_next_file(record.recorded), b"".join(fresh))
    missing = tuple(custom_id for custom_id in member_of if not answers[custom_id])
    return ImportReport(tuple(completions), tuple(failures), booked, repeated, tuple(empty), missing)


def _of_another(answer: Completion, member: Member) -> str | None:
    """Why an answer is none of this member's, if so. Recorded members have no model but themselves."""
    asked = member.model or member.id
    if same_model(asked, answer.model):
        return None
    return f"the answer is of the model {one_line(answer.model, 80)}, not of {asked}"


def _next_file(edition: Path) -> Path:
    taken = [int(m[1]) for path in edition_files(edition) if (m := re.match(r"zz-import-(\d{4})\.", path.name))]
    return edition / f"zz-import-{max(taken, default=0) + 1:04d}.jsonl"
