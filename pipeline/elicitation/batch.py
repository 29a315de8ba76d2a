"""OpenAI Batch files: requests written as Batch input, Batch output written and read line by line.

Belongs here: the two line formats. Does not belong here: sending anything, what an edition's lines are to its requests
(`record`), taking files into an edition (`intake`), choosing among attempts (`prompts.validation`).

A line of output is an answer or a failure (a Batch error file, an HTTP error, a body that is no chat completion), never
both. Lines written here carry one more key than a Batch endpoint's, `call`: what the books say of the call.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipeline.elicitation.protocol import Call, Completion, count, one_line, to_completion, usage_of
from pipeline.prompts.schema import answer_schema
from warehouse.errors import CorpusError

if TYPE_CHECKING:
    from pipeline.catalogue.models import Dimension
    from pipeline.elicitation.panel import Member
    from pipeline.prompts.render import Request

MAX_REQUESTS = 50_000
"""Requests per Batch input file, the endpoint's limit."""

MAX_BYTES = 190_000_000
"""Bytes per Batch input file; the endpoint's limit is 200 MB."""

ResponseFormat = Callable[["Request"], Mapping[str, Any]]
"""What to send as `response_format` with a request."""


class Askable(Protocol):
    """What any request has, whatever it asks about."""

    @property
    def custom_id(self) -> str: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def messages(self) -> tuple[dict[str, str], ...]: ...  # noqa: D102
    @property
    def settings(self) -> dict[str, Any]: ...  # noqa: D102


AnyRequest = TypeVar("AnyRequest", bound=Askable)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer: where that is written, and why, on one line."""

    custom_id: str
    where: str
    reason: str


def request_body(
    request: AnyRequest,
    response_format: Callable[[AnyRequest], Mapping[str, Any]] | None = None,
    model: str | None = None,
) -> dict[str, Any]:
    """Build the body of a chat completion call, the same for every way of asking.

    `model` is the name at the endpoint; without it that of the panel member stands there.
    """
    body: dict[str, Any] = {
        "model": model or request.model,
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


def response_format_of(member: Member, dimension_of: Callable[[str], Dimension]) -> ResponseFormat | None:
    """What a member's requests carry as `response_format`, by the structured output that it supports."""
    if member.structured_output == "json_schema":
        return json_schema_format(dimension_of)
    return (lambda request: {"type": "json_object"}) if member.structured_output == "json_object" else None


def export_requests(
    requests: Iterable[AnyRequest],
    folder: Path,
    *,
    body_of: Callable[[AnyRequest], Mapping[str, Any]] = request_body,
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
) -> tuple[Path, ...]:
    """Write requests as Batch input files into `folder`, and return the files.

    A Batch takes one model and a limited size, so each panel member has files of its own: `<member>-001.jsonl`, ...
    An existing file is never overwritten; that and a folder that cannot be written raise `CorpusError`.
    """
    chunks: dict[str, list[list[bytes]]] = {}
    sizes: dict[str, int] = {}
    for request in requests:
        call = {
            "custom_id": request.custom_id,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body_of(request),
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
        write_whole(path, b"".join(lines))
    return tuple(files)


def output_line(result: Completion | Failure, call: Call) -> bytes:
    """Write what a call brought as a line of Batch output, line end included; `read_lines` reads it back."""
    if isinstance(result, Completion):
        response = {"status_code": 200, "request_id": result.received.get("id"), "body": result.received}
        error = None
    else:
        response, error = None, {"code": call.outcome, "message": result.reason}
    written = {
        "id": result.custom_id,
        "custom_id": result.custom_id,
        "response": response,
        "error": error,
        "call": asdict(call),
    }
    # ASCII, because a body may hold half a surrogate pair, which JSON can escape but UTF-8 cannot encode.
    return json.dumps(written, separators=(",", ":")).encode("ascii") + b"\n"


@dataclass(frozen=True)
class Line:
    """One line of Batch output: its bytes without line end, where it stands, and its custom id as written.

    The rest is read on demand and once: many lines are only counted or compared. Where it turns out not to be Batch
    output, `content` and `call_by` raise `CorpusError` naming file and line.
    """

    raw: bytes = field(repr=False)
    path: Path
    number: int
    custom_id: str

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.path} line {self.number}"

    @property
    def digest(self) -> str:
        """Sha256 (hex) of the line."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def answered(self) -> bool:
        """Whether the line is an answer; of lines written here that is told without reading all of them."""
        if (found := self._call_at_end) is not None:
            return found.startswith(b'{"outcome":"answered"')
        return isinstance(self.content, Completion)

    @property
    def rewritten(self) -> str:
        """The whole line as `json.dumps` writes it, so that a text is found in it however it was spelled.

        Pairs stand in place of mappings: of two with one name, a mapping would lose the first.
        """
        try:
            return json.dumps(json.loads(self.raw, object_pairs_hook=list))
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise CorpusError(f"{self.where} is not JSON: restore or remove the line") from None
        except RecursionError:
            raise CorpusError(f"{self.where} is nested too deeply: remove the line") from None

    @cached_property
    def content(self) -> Completion | Failure:
        """The answer, or why there is none."""
        seen = self.output
        if seen.response is None or seen.error:
            return Failure(self.custom_id, self.where, one_line(seen.error or "no response"))
        if seen.response.status_code != 200:
            reason = f"HTTP {seen.response.status_code}: {_message(seen.response.body)}"
            return Failure(self.custom_id, self.where, reason)
        try:
            return to_completion(self.custom_id, seen.response.body)
        except ValueError as error:
            return Failure(self.custom_id, self.where, str(error))

    def call_by(self, member: Member) -> Call | None:
        """What the books say of this call of `member`; None where nobody knows what it took, as of recorded answers.

        A line of a Batch endpoint has no `call`; its books are made from the usage in the body, tokens times the
        member's prices. Discounts for Batch are not known here: what was paid may be less, commonly half.
        """
        if (found := self._call_at_end) is not None:
            return _call(json.loads(found), self.where)
        if not _MAY_HAVE_BOOKS.search(self.raw):
            return None
        if self.output.call is not None:
            return _call(self.output.call, self.where)
        body = self.output.response.body if self.output.response else None
        return usage_call(body, member, "answered" if isinstance(self.content, Completion) else "failed")

    @cached_property
    def output(self) -> OutputLine:
        """The line decoded."""
        return _decoded(self.raw, self.where)

    @property
    def _call_at_end(self) -> bytes | None:
        """The call as `output_line` writes it; its key cannot stand within a text, where quotes are escaped."""
        found = _CALL_AT_END.search(self.raw, max(0, len(self.raw) - _CALL_LENGTH))
        return found[1] if found else None


def read_lines(path: Path, *, growing: bool = False) -> Iterator[Line]:
    """Read a Batch output file, plain or gzipped by its name; blank lines are passed over.

    Raises `CorpusError` naming file and line where the file is cut off, not JSON or not Batch output. In a `growing`
    file the last line may be unfinished, and is then passed over.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, ended in enumerate(file, start=1):
                raw = ended.rstrip(b"\r\n")
                if not raw.strip():
                    continue
                whole = ended.endswith(b"\n")
                head = _HEAD.match(raw) if whole and raw.endswith(b"}") else None
                try:
                    name = head[1].decode() if head else _decoded(raw, f"{path} line {number}").custom_id
                except CorpusError:
                    if growing and not whole:
                        return
                    raise
                yield Line(raw, path, number, name)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise CorpusError(f"{path} is damaged after line {number}: restore the file from its source") from None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror or error}") from None


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Response(_Seen):
    status_code: int
    body: Any = None


class OutputLine(_Seen):
    """A line of Batch output as far as anything here reads it."""

    custom_id: str
    response: _Response | None = None
    error: Any = None
    call: dict[str, Any] | None = None


_HEAD = re.compile(rb'\{\s*(?:"id"\s*:\s*"[^"\\]*"\s*,\s*)?"custom_id"\s*:\s*"([ !#-\[\]-~]+)"')
_CALL_AT_END = re.compile(rb',"call":(\{"outcome":"[a-z_]+","started":[^{}]*\})\}$')
_CALL_LENGTH = 1000
_MAY_HAVE_BOOKS = re.compile(rb'"(?:usage|call)"')
_CALL = TypeAdapter(Call)


def _decoded(raw: bytes, where: str) -> OutputLine:
    try:
        return OutputLine.model_validate(json.loads(raw))
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise CorpusError(f"{where} is not JSON: restore or remove the line") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "line"
        raise CorpusError(f"{where} is not Batch output ({place}: {first['msg']}): restore the line") from None
    except RecursionError:
        raise CorpusError(f"{where} is nested too deeply: remove the line") from None


def _call(value: object, where: str) -> Call:
    try:
        call = _CALL.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CorpusError(f"{where}: call.{place}: {first['msg']}: restore the line") from None
    if not (math.isfinite(call.usd) and call.usd >= 0):
        raise CorpusError(f"{where}: call.usd is no amount of money: restore the line")
    for name, told in (("tokens_in", call.tokens_in), ("tokens_out", call.tokens_out)):
        if told is not None and count(told) is None:
            raise CorpusError(f"{where}: call.{name} is no number of tokens: restore the line")
    return call


def usage_call(body: object, member: Member, outcome: str = "answered") -> Call | None:
    """The books' entry for a response that nobody timed, from the usage in its body; None where that has no tokens."""
    usage = usage_of(body)
    read, written = usage.tokens_in, usage.tokens_out
    if not isinstance(body, Mapping) or read is None or written is None:
        return None
    usd = (read * (member.price_in or 0.0) + written * (member.price_out or 0.0)) / 1e6
    priced = member.price_in is not None or member.price_out is not None
    return Call(outcome, _moment(body.get("created")), None, read, written, usd, "tokens" if priced else "free")


def _moment(created: object) -> str | None:
    """Unix time as the endpoint reported it, in UTC."""
    if (seconds := count(created)) is None or seconds > _LATEST:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat()


_LATEST = 253_402_300_799  # the end of the year 9999, the last second that a date can hold


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


def write_whole(path: Path, content: bytes) -> None:
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
