"""The record of an edition: the one reader of its lines, for whoever wants answers, calls or only digests.

Belongs here: which files an edition has, which request a line belongs to, and the numbering of attempts. Does not
belong here: the line format (`batch`), adding to the record (`journal`, `intake`, `prune`), judging answers
(`prompts.validation`).

An edition is one folder of `*.jsonl` and `*.jsonl.gz` files, or two: one that was recorded and does not change, and the
live one, in which answers are kept as they arrive. The live folder comes last; within a folder files count in the order
of their names, lines in their order. Of several answers to one request, re-asks included, the later ones are later
attempts. Failures are lines too, and never answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from pipeline.elicitation.batch import Failure, Line, read_lines
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Completion, one_line
from pipeline.prompts.reask import base_id
from warehouse.errors import CorpusError


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of the record, filed under the request that it belongs to.

    `asked_as` is the custom id that was sent, that of a re-ask where it was one. `number` counts the request's lines
    from 1, failures included; `result.attempt` of a completion counts answers only.
    """

    custom_id: str
    asked_as: str
    number: int
    result: Completion | Failure
    line: Line = field(repr=False)


@dataclass(frozen=True, slots=True)
class Digests:
    """What a request's lines are, without what they say: sha256 (hex) of its answers, and of all its lines."""

    answers: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """An edition's lines. `known` are the custom ids of all its requests; a line of another one is an error."""

    recorded: Path
    live: Path | None = None
    known: Collection[str] = field(default=(), repr=False)

    def files(self) -> list[tuple[Path, bool]]:
        """The files in the order of attempts, each with whether it may be growing; none if there is no folder."""
        folders = [self.recorded] if self.live in (None, self.recorded) else [self.recorded, self.live]
        return [(path, folder == self.live) for folder in folders if folder for path in edition_files(folder)]

    def state(self) -> tuple[object, ...]:
        """Something that differs whenever a file was changed, cheaper than reading it."""
        return tuple(_state(path) for path, _ in self.files())

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Every line with the custom id of its request; raises `CorpusError` at one that belongs to none."""
        for path, growing in self.files():
            for line in read_lines(path, growing=growing):
                base = base_id(line.custom_id)
                if base not in self.known:
                    raise unknown_id(line.where, line.custom_id)
                yield base, line

    def attempts(self, wanted: Collection[str]) -> Iterator[Attempt]:
        """Every attempt at these requests, in order; lines of other requests are not even decoded."""
        numbers: Counter[str] = Counter()
        answers: Counter[str] = Counter()
        for base, line in self.lines():
            if base not in wanted:
                continue
            numbers[base] += 1
            result = line.content
            if isinstance(result, Completion):
                answers[base] += 1
                result = replace(result, custom_id=base, attempt=answers[base])
            yield Attempt(base, line.custom_id, numbers[base], result, line)

    def digests(self) -> dict[str, Digests]:
        """The digests of the lines of every request that has one; files that did not change are not read again."""
        answers: dict[str, list[str]] = {}
        lines: dict[str, list[str]] = {}
        for path, growing in self.files():
            for number, custom_id, digest, answered in _scan(path, growing, _state(path)):
                base = base_id(custom_id)
                if base not in self.known:
                    raise unknown_id(f"{path} line {number}", custom_id)
                lines.setdefault(base, []).append(digest)
                if answered:
                    answers.setdefault(base, []).append(digest)
        return {base: Digests(tuple(answers.get(base, ())), tuple(found)) for base, found in lines.items()}

    def spent(self, member_of: Mapping[str, Member]) -> Decimal:
        """US dollars that the edition's calls have cost; `member_of` has the member of every known request."""
        total = Decimal(0)
        for base, line in self.lines():
            if (call := line.call_by(member_of[base])) is not None:
                total += Decimal(str(call.usd))
        return total


def edition_files(folder: Path) -> list[Path]:
    """List a folder's files of answers by name, which is the order of attempts; none if there is no folder."""
    files = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")], key=lambda path: path.name)
    twice = [path for path in files if path.with_name(f"{path.name}.gz") in files]
    if twice:
        raise CorpusError(f"{twice[0]} stands beside its own .gz: remove one of the two")
    return files


def completions_of(attempts: Iterable[Attempt]) -> list[Completion]:
    """The answers among these attempts."""
    return [attempt.result for attempt in attempts if isinstance(attempt.result, Completion)]


@lru_cache(maxsize=256)
def _scan(path: Path, growing: bool, state: object) -> tuple[tuple[int, str, str, bool], ...]:
    """Number, custom id and digest of each line, and whether it is an answer; `state` is there for the cache."""
    return tuple((n.number, n.custom_id, n.digest, n.answered) for n in read_lines(path, growing=growing))


def _state(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror or error}") from None
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns


def unknown_id(where: str, custom_id: str) -> CorpusError:
    """Say that a line belongs to no request of the edition."""
    return CorpusError(
        f"{where}: no request has the custom_id {one_line(custom_id, 80)}: the catalogue, the prompts or the members "
        "changed since, or the file is of another edition; restore it, or take such lines out with "
        "`personagen corpus prune`"
    )
