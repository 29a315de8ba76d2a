"""Personas to standard output or to a file, which appears whole or not at all.

Here belongs writing. What a line looks like is `serving.batch`, columns and tables are `serving.files`.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from warehouse.errors import PersonaGenError

if TYPE_CHECKING:
    from serving.batch import Batch

CHUNK = 50_000  # personas drawn and written at a time
TERMINATED = 143  # exit code, as shells have it: 128 + SIGTERM
FORMATS = ("prose", "prompt", "json", "jsonl", "csv", "parquet", "duckdb")


def format_of(output: str | None) -> str:
    """The format that a file's name tells, prose by default."""
    suffix = Path(output).suffix.lstrip(".") if output else ""
    return suffix if suffix in FORMATS else "prose"


def lines(batches: Iterator[Batch], form: str, person: Any) -> Iterator[str]:
    """Personas as lines of text, in a format that has lines."""
    first = True
    for batch in batches:
        if form == "csv":
            yield from batch.to_csv(header=first)
        elif form in ("prose", "prompt"):
            for text in batch.to_prompts(person or ("second" if form == "prompt" else "third")):
                yield from ([text] if first else ["", text])
                first = False
        elif form == "json":
            for line in batch.to_jsonl():
                yield ("[\n  " if first else ",\n  ") + line
                first = False
        else:
            yield from batch.to_jsonl()
        first = first and len(batch) == 0
    if form == "json":
        yield "[]" if first else "\n]"


def write_lines(lines: Iterable[str], stream: IO[str]) -> None:
    """One after another, as they come."""
    for line in lines:
        stream.write(line + "\n")


def write_parquet(batches: Iterator[Batch], target: Path) -> None:
    """A file with a row for each persona."""
    from serving.files import parquet_writer  # noqa: PLC0415

    with parquet_writer(target) as write:
        for batch in batches:
            write(batch)


def write_duckdb(batches: Iterator[Batch], target: Path, table: str) -> None:
    """Rows of a table, which is made if it is not there."""
    from serving.files import duckdb_writer  # noqa: PLC0415

    with duckdb_writer(target, table) as write:
        for batch in batches:
            write(batch)


def with_progress(batches: Iterator[Batch], number: int, *, to_terminal: bool) -> Iterator[Batch]:
    """Show a bar on stderr while much is drawn for a terminal's user, unless the personas appear there themselves."""
    if number <= CHUNK or to_terminal or not sys.stderr.isatty():
        yield from batches
        return
    with click.progressbar(length=number, label="personas", file=sys.stderr) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


@contextmanager
def ended_orderly() -> Iterator[None]:
    """Within this block SIGTERM interrupts as Ctrl-C does, so that nothing half written stays, and gives exit code 143.

    Where somebody has said already what the signal is to do, that holds.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        if ended:
            raise click.exceptions.Exit(TERMINATED) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _descriptor(target: Path) -> int | None:
    """The number of what is open under this name, if it is such a name."""
    standard = {"/dev/stdout": 1, "/dev/stderr": 2}
    found = re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", str(target))
    return int(found[1]) if found else standard.get(str(target))


@contextmanager
def _told_of(target: Path) -> Iterator[None]:
    """What goes wrong while writing, but for a closed pipe, as an error that names the target and the remedy."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        remedy = "free some space" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "choose another file"
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PersonaGenError(f"cannot write {target}: {reason}; {remedy}") from None


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path beside the target to write to; it takes the target's place only if everything was written.

    What is no regular file, a device or a pipe, is written to as it is; a link stays and its target is replaced. What
    is open already, as /dev/stdout is, gets it all at the end, behind what stands there.
    """
    if (descriptor := _descriptor(target)) is not None:
        with _told_of(target), tempfile.TemporaryDirectory() as folder:
            yield (part := Path(folder) / "part")
            with part.open("rb") as content, os.fdopen(os.dup(descriptor), "wb") as there:
                shutil.copyfileobj(content, there)
        return
    target = target.resolve()
    if not target.name or target.is_dir():
        raise PersonaGenError(f"cannot write {target}: it is a folder; name a file")
    whole = not target.exists() or target.is_file()
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part") if whole else target
    try:
        with _told_of(target):
            yield part
            if whole:
                part.replace(target)
    finally:
        if whole:
            part.unlink(missing_ok=True)
