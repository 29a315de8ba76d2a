"""OpenAI Batch files: requests written as Batch input, Batch output read line by line and taken into an
edition.

Belongs here: the two line formats and the import of files that another machine or a Batch endpoint produced.
Does not belong here: sending anything (`live`), choosing among attempts (`prompts.validation`).

A line of output is an answer or a failure. Failures (a Batch error file, lines with an HTTP error, a body
that is no chat completion) are reported and never stored. What is stored is the line itself, byte for byte.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.elicitation.protocol import Completion, one_line, to_completion
from pipeline.prompts.schema import answer_schema
from warehouse.errors import CorpusError

if TYPE_CHECKING:
    from pipeline.catalogue.models import Dimension
    from pipeline.prompts.render import Request

MAX_REQUESTS = 50_000
"""Requests per Batch input file, the endpoint's limit."""

MAX_BYTES = 190_000_000
"""Bytes per Batch input file; the endpoint's limit is 200 MB."""

ResponseFormat = Callable[["Request"], Mapping[str, Any]]
"""What to send as `response_format` with a request."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer: where that is written, and why, on one line."""

    custom_id: str
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import found: completions taken in, failures not stored, lines that the edition already had,
    and the custom ids that no stored answer exists for, in the order of the requests.
    """

    completions: tuple[Completion, ...]
    failures: tuple[Failure, ...]
    repeated: int
    missing: tuple[str, ...]


def request_body(request: Request, response_format: ResponseFormat | None = None) -> dict[str, Any]:
    """Build the body of a chat completion call, the same for every way of asking."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [dict(message) for message in request.messages],
        **request.settings,
    }
    if response_format is not None:
        body["response_format"] = dict(response_format(request))
    return body


def json_schema_format(dimension_of: Callable[[str], Dimension]) -> ResponseFormat:
    """Ask for structured output: the answer schema as a strict `response_format` of type `json_schema`."""

    def response_format(request: Request) -> dict[str, Any]:
        parents = [dimension_of(parent) for parent in request.given] if request.condition is None else []
        schema = answer_schema(dimension_of(request.dimension), parents, request.number_format)
        return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}

    return response_format


def export_requests(
    requests: Iterable[Request],
    folder: Path,
    *,
    response_format: ResponseFormat | None = None,
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
) -> tuple[Path, ...]:
    """Write requests as Batch input files into `folder`, and return the files.

    A Batch takes one model and a limited size, so each model has files of its own: `<model>-001.jsonl`, ...
    An existing file is never overwritten; that and a folder that cannot be written raise `CorpusError`.
    """
    chunks: dict[str, list[list[bytes]]] = {}
    sizes: dict[str, int] = {}
    for request in requests:
        call = {
            "custom_id": request.custom_id,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": request_body(request, response_format),
        }
        line = json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        mine = chunks.setdefault(request.model, [[]])
        size = sizes.get(request.model, 0)
        if mine[-1] and (len(mine[-1]) >= max_requests or size + len(line) > max_bytes):
            mine.append([])
            size = 0
        mine[-1].append(line)
        sizes[request.model] = size + len(line)
    files = {
        folder / f"{name}-{number:03d}.jsonl": lines
        for name, model in _file_names(chunks).items()
        for number, lines in enumerate(chunks[model], start=1)
    }
    for path in files:
        if path.exists():
            raise CorpusError(f"{path} exists already: remove it or export into another folder")
    for path, lines in files.items():
        _write_whole(path, b"".join(lines))
    return tuple(files)


def import_output(paths: Sequence[Path], requests: Sequence[Request], edition: Path) -> ImportReport:
    """Take the answers in Batch output (and error) files into the edition folder, as one new file.

    Lines are stored byte for byte, once: importing a file again adds nothing. A damaged line or an unknown
    custom id raises `CorpusError` naming file and line, and then nothing is stored at all.
    """
    known = {request.custom_id for request in requests}
    stored: set[bytes] = set()
    answered: Counter[str] = Counter()
    for path in edition_files(edition):
        for line in read_lines(path):
            stored.add(line.raw)
            if isinstance(line.content, Completion):
                answered[line.content.custom_id] += 1
    completions: list[Completion] = []
    failures: list[Failure] = []
    fresh: list[bytes] = []
    repeated = 0
    for path in paths:
        for line in read_lines(path):
            if line.content.custom_id not in known:
                raise unknown_id(line)
            if isinstance(line.content, Failure):
                failures.append(line.content)
            elif line.raw in stored:
                repeated += 1
            else:
                stored.add(line.raw)
                fresh.append(line.raw + b"\n")
                answered[line.content.custom_id] += 1
                completions.append(replace(line.content, attempt=answered[line.content.custom_id]))
    if fresh:
        _write_whole(_next_file(edition), b"".join(fresh))
    missing = tuple(request.custom_id for request in requests if not answered[request.custom_id])
    return ImportReport(tuple(completions), tuple(failures), repeated, missing)


def output_line(completion: Completion) -> str:
    """Write a completion as a line of Batch output, without line end; `read_lines` reads it back."""
    identity = completion.received.get("id")
    # ASCII, because a body may hold half a surrogate pair, which JSON can escape but UTF-8 cannot encode.
    call = {
        "id": f"{completion.custom_id}-{completion.attempt}",
        "custom_id": completion.custom_id,
        "response": {"status_code": 200, "request_id": identity, "body": completion.received},
        "error": None,
    }
    return json.dumps(call, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of Batch output: its bytes without line end, where it stands, and what it says."""

    raw: bytes
    path: Path
    number: int
    content: Completion | Failure


def read_lines(path: Path) -> Iterator[Line]:
    """Read a Batch output file, plain or gzipped by its name; blank lines are passed over.

    Raises `CorpusError` naming file and line where the file is cut off, not JSON or not Batch output.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, ended in enumerate(file, start=1):
                raw = ended.rstrip(b"\r\n")
                if raw.strip():
                    yield Line(raw, path, number, _content(raw, f"{path} line {number}"))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise CorpusError(f"{path} is damaged after line {number}: restore the file from its source") from None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror or error}") from None


def drop_unfinished_line(path: Path) -> None:
    """Cut off a last line without line end, which an interrupted append leaves; a missing file is left alone.

    Only for plain files that answers are appended to line by line. Raises `CorpusError` if it cannot be done.
    """
    try:
        if not path.exists():
            return
        with path.open("r+b") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    except OSError as error:
        raise CorpusError(f"{path} cannot be mended: {error.strerror or error}; remove its last line") from None


def edition_files(edition: Path) -> list[Path]:
    """List an edition's files by name, which is the order of attempts; none if there is no folder."""
    files = sorted([*edition.glob("*.jsonl"), *edition.glob("*.jsonl.gz")], key=lambda path: path.name)
    twice = [path for path in files if path.with_name(f"{path.name}.gz") in files]
    if twice:
        raise CorpusError(f"{twice[0]} stands beside its own .gz: remove one of the two")
    return files


def unknown_id(line: Line) -> CorpusError:
    """Say that a line answers no known request."""
    return CorpusError(
        f"{line.path} line {line.number}: no request has the custom_id "
        f"{one_line(line.content.custom_id, 80)}: the catalogue or the prompts changed since, or the file is "
        "of another edition; restore it or record anew"
    )


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Response(_Seen):
    status_code: int
    body: Any = None


class _OutputLine(_Seen):
    custom_id: str
    response: _Response | None = None
    error: Any = None


def _content(raw: bytes, where: str) -> Completion | Failure:
    try:
        seen = _OutputLine.model_validate(json.loads(raw))
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise CorpusError(f"{where} is not JSON: restore or remove the line") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "line"
        raise CorpusError(f"{where} is not Batch output ({place}: {first['msg']}): restore the line") from None
    except RecursionError:
        raise CorpusError(f"{where} is nested too deeply: remove the line") from None
    if seen.response is None or seen.error:
        return Failure(seen.custom_id, where, one_line(seen.error or "no response"))
    if seen.response.status_code != 200:
        reason = f"HTTP {seen.response.status_code}: {_message(seen.response.body)}"
        return Failure(seen.custom_id, where, reason)
    try:
        return to_completion(seen.custom_id, seen.response.body)
    except ValueError as error:
        return Failure(seen.custom_id, where, str(error))


def _message(body: object) -> str:
    return one_line(body.get("error", body) if isinstance(body, Mapping) else body)


def _file_names(models: Iterable[str]) -> dict[str, str]:
    """Names that are safe in a path, unique even for models that differ only in other characters."""
    names: dict[str, str] = {}
    for model in models:
        base = name = re.sub(r"[^a-z0-9._-]+", "_", model.lower()).strip("._") or "model"
        count = 1
        while name in names:
            count += 1
            name = f"{base}_{count}"
        names[name] = model
    return names


def _next_file(edition: Path) -> Path:
    taken = [int(m[1]) for path in edition_files(edition) if (m := re.match(r"zz-import-(\d{4})\.", path.name))]
    return edition / f"zz-import-{max(taken, default=0) + 1:04d}.jsonl"


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise CorpusError(f"{path} cannot be written: {error.strerror or error}") from None
