"""The lock that keeps builds in one folder apart. It is the kernel's: it goes with the process that holds it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warehouse.errors import WarehouseError

LOCK_FILE = "build.lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; `WarehouseError` if another process holds it, `OSError` if the file cannot be made."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WarehouseError(
                f"another build is running in {folder}: wait for it, or choose another folder with --home"
            ) from None
        yield


def is_held(folder: Path) -> bool:
    """Whether a build is running in the folder."""
    if not (folder / LOCK_FILE).is_file():
        return False
    try:
        with held(folder):
            return False
    except WarehouseError:
        return True
