"""Taking lines out of an edition whose requests no longer exist: the catalogue, the prompts or the members changed.

Only that belongs here. Nothing is lost: the lines go into `pruned/pruned-<n>.jsonl.gz` within their folder, which no
reader of the edition looks into.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pipeline.elicitation.batch import Line, read_lines, write_whole
from pipeline.elicitation.record import edition_files
from pipeline.prompts.reask import base_id
from warehouse.errors import CorpusError

PRUNED = "pruned"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one file holds: lines that stay, and those whose request no longer exists."""

    path: Path
    kept: int
    gone: int


def orphans(folder: Path, known: Collection[str]) -> list[Pruned]:
    """Count, file by file, the lines that answer none of the requests in `known`."""
    found = []
    for path in edition_files(folder):
        lines = [base_id(line.custom_id) in known for line in read_lines(path, growing=True)]
        found.append(Pruned(path, sum(lines), len(lines) - sum(lines)))
    return found


def prune(folder: Path, known: Collection[str]) -> Path | None:
    """Move such lines out of the folder's files; returns the file that they are in now, None if there were none.

    They are written down there before any file loses them, and each file is replaced whole, so that an interruption
    leaves every line somewhere. A file that keeps no line goes. Raises `CorpusError` where a file cannot be written.
    """
    changed = [found.path for found in orphans(folder, known) if found.gone]
    if not changed:
        return None
    gone: list[Line] = []
    kept: dict[Path, list[Line]] = {path: [] for path in changed}
    for path in changed:
        for line in read_lines(path, growing=True):
            (kept[path] if base_id(line.custom_id) in known else gone).append(line)
    target = _next_file(folder / PRUNED)
    write_whole(target, _packed(gone))
    for path, lines in kept.items():
        if lines:
            write_whole(path, _packed(lines) if path.suffix == ".gz" else _content(lines))
            continue
        try:
            path.unlink()
        except OSError as error:
            raise CorpusError(f"{path} cannot be removed: {error.strerror or error}") from None
    return target


def _content(lines: list[Line]) -> bytes:
    return b"".join(line.raw + b"\n" for line in lines)


def _packed(lines: list[Line]) -> bytes:
    """Gzip without a time in it, so that equal lines are equal files."""
    return gzip.compress(_content(lines), mtime=0)


def _next_file(folder: Path) -> Path:
    taken = [int(m[1]) for path in folder.glob("pruned-*.jsonl.gz") if (m := re.match(r"pruned-(\d+)\.", path.name))]
    return folder / f"pruned-{max(taken, default=0) + 1:03d}.jsonl.gz"
