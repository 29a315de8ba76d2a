"""Writing calls down as they end: the live part of an edition's record, which no interruption may cost an answer.

Belongs here: appending, and keeping two runs from asking for one edition at once. Does not belong here: reading back
(`record`), and who is asked what (`sources`).

A line is handed to the operating system whole, in one write, before the next answer is looked at: an answer that
arrived survives ctrl-C and kill -9. Half a line that a dying machine may leave is passed over by the reader and dropped
before the next line is added.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from pipeline.elicitation.batch import Failure, output_line
from pipeline.elicitation.keys import repeats_key
from pipeline.elicitation.protocol import Call, Completion
from warehouse.errors import CorpusError

LOCK_FILE = "asking.lock"
WITHHELD_FILE = "withheld.usd"
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Journal:
    """The live folder of an edition, held for writing: a file per panel member."""

    folder: Path
    keys: Collection[str]
    _files: dict[str, int] = field(default_factory=dict, repr=False)
    _open: ExitStack = field(default_factory=ExitStack, repr=False)

    def write(self, member: str, result: Completion | Failure, call: Call) -> bool:
        """Write down what a call brought; returns whether an answer was kept.

        An answer that repeats an API key is none: what is kept of it is a failure. Raises `CorpusError` if the line
        cannot be written; nothing of it stays then.
        """
        line = output_line(result, call)
        if repeats_key(line.decode("ascii"), self.keys):
            result = Failure(result.custom_id, "", "the response repeats the API key")
            line = output_line(result, replace(call, outcome="repeats_key"))
        try:
            _append(self._file(member), line)
        except OSError as error:
            raise _unwritable(journal_file(self.folder, member), error) from error
        return isinstance(result, Completion)

    def ready(self, member: str) -> None:
        """Open the member's file, before anything is paid for that it could not take; raises `CorpusError`."""
        try:
            self._file(member)
        except OSError as error:
            raise _unwritable(journal_file(self.folder, member), error) from error

    @property
    def withheld(self) -> Decimal:
        """US dollars that calls may have cost which earlier runs sent and nobody knows the end of."""
        try:
            return Decimal((self.folder / WITHHELD_FILE).read_text(encoding="ascii").strip() or 0)
        except FileNotFoundError:
            return Decimal(0)
        except (OSError, ValueError, ArithmeticError) as error:
            raise CorpusError(f"{self.folder / WITHHELD_FILE} is damaged: write an amount such as 0 into it") from error

    def withhold(self, amount: Decimal) -> None:
        """Note what calls in flight or lost may be charged, before they are sent: kill -9 must not free a budget."""
        path = self.folder / WITHHELD_FILE
        try:
            if WITHHELD_FILE not in self._files:
                file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                self._open.callback(os.close, file)
                self._files[WITHHELD_FILE] = file
            os.pwrite(self._files[WITHHELD_FILE], f"{amount:<40f}\n".encode("ascii"), 0)
        except OSError as error:
            raise _unwritable(path, error) from error

    def _file(self, member: str) -> int:
        if member not in self._files:
            self._files[member] = _opened(journal_file(self.folder, member), self._open)
        return self._files[member]


def _unwritable(path: Path, error: OSError) -> CorpusError:
    return CorpusError(f"{path}: cannot be written ({error.strerror}): make it writable or free space, and run again")


@contextmanager
def journal(folder: Path, keys: Collection[str] = ()) -> Iterator[Journal]:
    """Hold an edition's live folder for asking; `keys` are the API keys that no line may repeat.

    Raises `CorpusError` if another run holds it: with two, nobody could tell what is missing or what is spent.
    """
    with held(folder), ExitStack() as files:
        yield Journal(folder, keys, _open=files)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from adding to this live folder, or changing it, meanwhile."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_FILE).open("w")
    except OSError as error:
        raise CorpusError(f"{folder}: cannot be written ({error.strerror}): choose another folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusError(f"another run is asking into {folder}: wait for its end, or stop it") from None
        yield


def journal_file(folder: Path, member: str) -> Path:
    """The file of one member, whose id cannot lead out of the folder."""
    return folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', member)}.jsonl"


def drop_unfinished_line(file: int) -> None:
    """Cut off a last line without line end, which an interrupted append leaves; only the file's end is read."""
    size = end = os.fstat(file).st_size
    while end:
        start = max(0, end - _BLOCK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)


def _opened(path: Path, stack: ExitStack) -> int:
    packed = path.with_name(f"{path.name}.gz")
    if packed.exists():
        raise CorpusError(f"{packed} is packed, and answers are to be added to it: unpack it with gunzip first")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    stack.callback(os.close, file)
    drop_unfinished_line(file)
    return file


def _append(file: int, line: bytes) -> None:
    """One write; should the disk take a part of the line only, that part is taken back."""
    written = os.write(file, line)
    if written < len(line):
        os.ftruncate(file, os.fstat(file).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
