"""Taking Batch output files into an edition: what another machine or a Batch endpoint answered.

Belongs here: which lines are kept and which only told. Does not belong here: the line format (`batch`), reading the
edition (`record`), answers that arrive one by one (`journal`).

What is kept is the line itself, byte for byte. Answers are; so are failures that the books need, because the line tells
what they took. All other failures (expired, refused, an HTTP error) are told and left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.elicitation.batch import Failure, read_lines, write_whole
from pipeline.elicitation.keys import repeats_key
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.record import Record, edition_files, unknown_id
from pipeline.prompts.reask import base_id


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
    `member_of` has the member of every request of the edition, `keys` are API keys that no line may repeat. A damaged
    line or an unknown custom id raises `CorpusError` naming file and line, and then nothing is stored at all.
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
            if base not in member_of:
                raise unknown_id(line.where, line.custom_id)
            answer = line.content
            told = isinstance(answer, Completion) and keys and repeats_key(json.dumps(line.output.model_dump()), keys)
            if told:
                failures.append(Failure(line.custom_id, line.where, "the response repeats an API key"))
                continue
            known = line.digest in stored
            repeated += known and isinstance(answer, Completion)
            if isinstance(answer, Failure):
                failures.append(answer)
            if known or (isinstance(answer, Failure) and line.call_by(member_of[base]) is None):
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


def _next_file(edition: Path) -> Path:
    taken = [int(m[1]) for path in edition_files(edition) if (m := re.match(r"zz-import-(\d{4})\.", path.name))]
    return edition / f"zz-import-{max(taken, default=0) + 1:04d}.jsonl"
