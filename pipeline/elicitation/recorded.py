"""The source `recorded`: completions from an edition folder of OpenAI Batch output, the default of every
build.

Belongs here: reading an edition as a whole and telling clearly what it lacks. Does not belong here: the line
format (`batch`), judging answers (`prompts.validation`).

An edition is a folder of `*.jsonl` and `*.jsonl.gz` files. Files count in the order of their names, lines in
their order; of several answers to one request the later ones are later attempts. All attempts are kept, text
verbatim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.elicitation.batch import Failure, Line, edition_files, read_lines, unknown_id
from pipeline.elicitation.protocol import Completion
from warehouse.errors import CorpusError

if TYPE_CHECKING:
    from pipeline.prompts.render import Request


@dataclass(slots=True)
class RecordedSource:
    """Completions of one recorded edition.

    `known` are the custom ids of all requests of the edition; without it, those passed to `complete` are
    taken for all. Give it whenever only a part is asked for, otherwise the rest of the edition counts as
    unknown.
    """

    edition: Path
    known: Collection[str] | None = None
    _lines: tuple[Line, ...] | None = field(default=None, init=False, repr=False)

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield every recorded attempt at these requests, in the order of the record.

        The edition is read once and checked before the first completion is yielded. Raises `CorpusError` if
        it is missing or damaged, holds an answer to an unknown request, or lacks an answer to one of these.
        """
        wanted = {request.custom_id for request in requests}
        known = wanted if self.known is None else frozenset(self.known)
        found: list[Completion] = []
        attempts: Counter[str] = Counter()
        for line in self._read():
            if line.content.custom_id not in known:
                raise unknown_id(line)
            if isinstance(line.content, Failure) or line.content.custom_id not in wanted:
                continue
            attempts[line.content.custom_id] += 1
            found.append(replace(line.content, attempt=attempts[line.content.custom_id]))
        missing = [request.custom_id for request in requests if request.custom_id not in attempts]
        if missing:
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise CorpusError(
                f"{self.edition} lacks answers to {len(missing)} of {len(requests)} requests ({shown}): "
                "export these, have them answered and import the output, or restore the edition"
            )
        yield from found

    def _read(self) -> tuple[Line, ...]:
        if self._lines is None:
            if not self.edition.is_dir():
                raise CorpusError(f"{self.edition} is no folder: restore the edition or name another one")
            files = edition_files(self.edition)
            if not files:
                raise CorpusError(f"{self.edition} holds no .jsonl or .jsonl.gz file: restore the edition")
            self._lines = tuple(line for path in files for line in read_lines(path))
        return self._lines
