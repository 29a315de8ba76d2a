"""API keys: made, listed and revoked in a file, and looked up in it while the API runs.

Here belongs the file and what a key is; that a request needs one is `serving.api.admission`. Nothing here needs the
extra `serve`.

A key is `pg_`, 8 hex digits that name it, and 256 random bits. The file holds its SHA-256 and not the key. A slow or
salted hash would add nothing: those protect secrets that people think up, of which there are few enough to try them
all; of these there are 2**256.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from warehouse.errors import KeyFileError

FORMAT = 1
PREFIX = "pg"
LONGEST_NAME = 100
NOBODY = "0" * 64  # the digest of no key that anybody knows

log = logging.getLogger("personagen.api")


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key: its id, whom it was made for, when (UTC, ISO 8601), and its SHA-256 in hex."""

    id: str
    name: str
    created: str
    sha256: str


def create_key(path: Path, name: str) -> str:
    """Make a key and add it to the file, which is made with mode 600 if it is not there; returns the key itself.

    Raises KeyFileError if the name is empty, too long or taken, or the file cannot be used.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise KeyFileError(f"{name[:LONGEST_NAME]!r} is no name for a key: give 1 to {LONGEST_NAME} printable letters")
    with _locked(path):
        keys = read_keys(path) if path.exists() else []
        if any(key.name == name for key in keys):
            raise KeyFileError(f"there is a key named {name!r} in {path}: choose another name, or revoke it first")
        taken = {key.id for key in keys}
        identifier = next(one for one in iter(lambda: secrets.token_hex(4), "") if one not in taken)
        key = f"{PREFIX}_{identifier}_{secrets.token_hex(32)}"
        _write(path, [*keys, Key(identifier, name, datetime.now(UTC).isoformat(timespec="seconds"), _digest(key))])
    return key


def revoke_key(path: Path, which: str) -> Key:
    """Take the key of this id or name out of the file; KeyFileError lists what there is if there is none."""
    with _locked(path):
        keys = read_keys(path)
        found = [key for key in keys if which in (key.id, key.name)]
        if not found:
            known = ", ".join(f"{key.id} ({key.name})" for key in keys) or "none"
            raise KeyFileError(f"no key {which!r} in {path}: there is {known}")
        _write(path, [key for key in keys if key is not found[0]])
    return found[0]


def read_keys(path: Path) -> list[Key]:
    """The keys of a file, oldest first; KeyFileError if it is missing or no file of keys."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        keys = [Key(**key) for key in body["keys"]]
        if body["format"] != FORMAT or not all(isinstance(text, str) for key in keys for text in asdict(key).values()):
            raise ValueError
    except FileNotFoundError:
        raise KeyFileError(f"there is no key file {path}: make it with 'personagen keys create NAME'") from None
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {path}: {error.strerror or error}; mend that") from None
    except (ValueError, KeyError, TypeError):
        raise KeyFileError(f"{path} is no key file: name another one, or move it away and make new keys") from None
    return keys


class Keyring:
    """The keys of a file, read again whenever it has changed."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises KeyFileError if it cannot be."""
        self._path = path
        self._seen = self._state()
        self._digests = _digests(read_keys(path))

    def holder(self, key: str) -> str | None:
        """Id of the key if it is good, else None. While the file is missing or damaged, no key is."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            try:
                self._digests = _digests(read_keys(self._path))
                log.info("%d API keys read from %s", len(self._digests), self._path)
            except KeyFileError as error:
                self._digests = {}
                log.error("no API key is good now: %s", error)
        identifier = key[len(PREFIX) + 1 :].partition("_")[0]
        good = hmac.compare_digest(_digest(key), self._digests.get(identifier, NOBODY))
        return identifier if good else None

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _digests(keys: list[Key]) -> dict[str, str]:
    return {key.id: key.sha256 for key in keys}


def _write(path: Path, keys: list[Key]) -> None:
    """Replace the file in one step, readable by its owner alone."""
    text = json.dumps({"format": FORMAT, "keys": [asdict(key) for key in keys]}, indent=2, ensure_ascii=False) + "\n"
    target = path.resolve()
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise KeyFileError(f"cannot write the key file {path}: {error.strerror or error}; name another") from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held while the file is changed, so that of two changes at once none is lost."""
    import fcntl  # noqa: PLC0415  # which not every system has; a server only reads

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise KeyFileError(
            f"cannot write beside the key file {path}: {error.strerror or error}; name another"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
