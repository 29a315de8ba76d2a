"""One call of one OpenAI-compatible endpoint, through the openai client, and what became of it.

Belongs here: sending one request, bounding the answer in size and time, and naming its outcome. Does not belong here:
whether to send, wait or send again (`asking`), what a call costs (`pricing`), storing, or judging an answer's text.

The key is read from the environment when the endpoint is opened and kept by the client only; it is cut out of every
message, and a response that repeats it is a failure. openai is imported on first use, it is slow to load.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from pipeline.elicitation.batch import Failure, ResponseFormat, request_body
from pipeline.elicitation.keys import key_in, without_key
from pipeline.elicitation.protocol import NOT_TOLD, Completion, Usage, one_line, to_completion, usage_of
from warehouse.errors import ElicitationError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from pipeline.elicitation.panel import Endpoint, Member
    from pipeline.prompts.render import Request

MOST_BYTES = 2_000_000
"""Bytes of an answer that are read at most; a map of 51 rows has some 20,000."""

MOST_ERROR_BYTES = 50_000
"""Bytes of an error's body that are read; the rest is left unread."""

CONNECT_SECONDS = 10.0
"""Seconds a connection may take at most, within the time of the whole call."""

CALLS_PER_POOL = 8
"""Calls that share a pool of connections: for each call the pool looks at every connection it has, so that one pool
for many calls in flight would cost more than the calls themselves."""

NO_KEY = "none"
"""Sent in place of a key to endpoints that want none."""

OVERLOADED = frozenset({503, 529})

PASSING = frozenset(
    {
        "overloaded",
        "server_error",
        "unreachable",
        "timeout",
        "cut_off",
        "not_json",
        "no_completion",
        "wrong_model",
        "too_large",
        "duplicate_id",
    }
)
"""Outcomes after which the same request may well be answered if it is sent again."""

FREE = frozenset({"rate_limited", "overloaded", "server_error", "unreachable", "bad_request", "refused"})
"""Outcomes that no provider charges for: the request was not sent, or turned down with an error status."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one call.

    `outcome` is `answered`, `rate_limited`, `refused` (no request will be taken), `bad_request` (this one will not be
    taken), `repeats_key`, `interrupted` or one of `PASSING`. `started` is UTC; `seconds` run from sending to the last
    byte. `retry_after` is in seconds, as the endpoint demanded it.
    """

    result: Completion | Failure
    outcome: str
    started: str
    seconds: float
    usage: Usage = NOT_TOLD
    retry_after: float | None = None


class _TooLargeError(Exception):
    """The answer went on past `MOST_BYTES`."""


class _Fault(Exception):  # noqa: N818 (an outcome on its way out, never seen outside this module)
    def __init__(self, outcome: str, reason: str, usage: Usage = NOT_TOLD, retry_after: float | None = None) -> None:
        self.outcome, self.reason, self.usage, self.retry_after = outcome, reason, usage, retry_after


class OpenEndpoint:
    """An endpoint ready to be called for one panel member; an async context manager, as it holds connections.

    `timeout` is in seconds and bounds a call as a whole, also an answer that drips in. `response_format` is sent where
    given. Raises `ElicitationError` if the base URL is none and, on entering, if the key is not in the environment.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        member: Member,
        *,
        timeout: float,
        response_format: ResponseFormat | None = None,
    ) -> None:
        self.where = shown(endpoint.base_url)
        self.model = member.model or member.id
        self._endpoint = endpoint
        self._timeout = timeout
        self._response_format = response_format
        self._pools = -(-member.concurrency // CALLS_PER_POOL)
        self._limit_field = "max_completion_tokens" if _is_openai(endpoint.base_url) else "max_tokens"
        # Hashes, because ids are many; to which request an id belongs, because a re-sent one may get its own again.
        self._ids: dict[int, int] = {}

    async def __aenter__(self) -> OpenEndpoint:
        # At DEBUG this logger writes response headers down, and an endpoint might put anything there.
        logging.getLogger("httpcore2").setLevel(logging.INFO)
        tls = httpx2.create_ssl_context()
        self._clients = deque(self._client(tls) for _ in range(self._pools))
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()

    async def call(self, request: Request, max_tokens: int | None = None) -> Reply:
        """Send the request and wait for its end, which always is a reply; being cancelled is one too, `interrupted`.

        `max_tokens` bounds the answer and is no part of the request's identity; settings that name a bound win.
        """
        started, begin = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
        result: Completion | Failure
        usage, retry_after = NOT_TOLD, None
        try:
            body = await self._post(self._body(request, max_tokens))
            usage = usage_of(body)
            result, outcome = self._completion(request, body, usage), "answered"
        except _Fault as fault:
            outcome, usage, retry_after = fault.outcome, fault.usage, fault.retry_after
            result = Failure(request.custom_id, self.where, f"{outcome}: {self._clean(fault.reason)}")
        except asyncio.CancelledError:
            # Swallowed on purpose: what was sent may be charged, and only a reply can tell the books.
            outcome, reason = "interrupted", "interrupted: the run was stopped while the call was in flight"
            result = Failure(request.custom_id, self.where, reason)
        return Reply(result, outcome, started, time.perf_counter() - begin, usage, retry_after)

    def _client(self, tls: ssl.SSLContext) -> AsyncOpenAI:
        import openai  # noqa: PLC0415

        client = openai.AsyncOpenAI(
            api_key=self._key() or NO_KEY,
            base_url=self._endpoint.base_url,
            max_retries=0,
            default_headers={"Accept-Encoding": "identity"},
            http_client=httpx2.AsyncClient(
                verify=tls,
                timeout=httpx2.Timeout(self._timeout, connect=min(CONNECT_SECONDS, self._timeout / 2), pool=None),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
                event_hooks={"response": [_bound]},
            ),
        )
        # Else the client would tell every endpoint the organisation and project that its environment names.
        client.organization = client.project = None
        return client

    def _body(self, request: Request, max_tokens: int | None) -> dict[str, Any]:
        body = {**request_body(request, self._response_format), "model": self.model}
        if max_tokens is not None and not body.keys() & {"max_tokens", "max_completion_tokens"}:
            body[self._limit_field] = max_tokens
        return body

    async def _post(self, body: dict[str, Any]) -> object:
        """The decoded body of a response of status 200; everything else raises a `_Fault`."""
        import openai  # noqa: PLC0415

        client = self._clients[0]
        self._clients.rotate()
        try:
            async with asyncio.timeout(self._timeout):
                # The client's own generic call: `chat.completions.create` would spend a third more time on parsing
                # the answer into models that nobody reads.
                response = await client.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except openai.APIStatusError as error:
            raise _status_fault(error.status_code, error.body or error.message, error.response.headers) from None
        except (TimeoutError, openai.APITimeoutError) as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                raise _Fault("unreachable", "no connection in time") from None
            raise _Fault("timeout", f"no whole answer within {self._timeout:g} s") from None
        except openai.APIConnectionError as error:
            cause = error.__cause__
            sent = not isinstance(cause, httpx2.ConnectError | httpx2.ProxyError | httpx2.UnsupportedProtocol)
            raise _Fault("cut_off" if sent else "unreachable", str(cause) or type(cause).__name__) from None
        except _TooLargeError:
            raise _Fault("too_large", f"more than {MOST_BYTES} bytes") from None
        return self._decoded(response)

    def _decoded(self, response: httpx2.Response) -> object:
        content, key = response.content, self._key()
        try:
            body: object = json.loads(content)
            # JSON can spell a character as an escape, so that only the decoded text shows it.
            spelled = b"\\u" in content or b"\\/" in content
            told = key and (key.encode() in content or (spelled and key in json.dumps(body, ensure_ascii=False)))
        except RecursionError:
            raise _Fault("not_json", "the response is nested too deeply") from None
        except ValueError:
            raise _Fault("not_json", f"the response is not JSON: {content.decode(errors='replace')}") from None
        if told:
            raise _Fault("repeats_key", "the response repeats the API key", usage_of(body))
        code = _error_code(body)
        if code is not None:  # a gateway that had sent its status line before the provider failed
            raise _status_fault(code, body, response.headers)
        return body

    def _completion(self, request: Request, body: object, usage: Usage) -> Completion:
        try:
            completion = to_completion(request.custom_id, body)
        except ValueError as error:
            raise _Fault("no_completion", str(error), usage) from None
        if not same_model(self.model, completion.model):
            raise _Fault("wrong_model", f"the answer is of the model {one_line(completion.model, 80)}", usage)
        identity = completion.received.get("id")
        if identity:
            owner = hash(request.custom_id)
            if self._ids.setdefault(hash(str(identity)), owner) != owner:
                raise _Fault("duplicate_id", f"the response id {one_line(identity, 80)} came before", usage)
        return completion

    def _key(self) -> str:
        variable = self._endpoint.key_variable
        if variable is None:
            return ""
        key = key_in(variable)
        if not key:
            raise ElicitationError(f"environment variable {variable} is not set: put the API key there")
        return key

    def _clean(self, message: str) -> str:
        return one_line(without_key(message, [self._key()]))


def same_model(asked: str, reported: str) -> bool:
    """Whether an endpoint's name for a model may stand for the one asked for.

    Makers' prefixes, file endings, dates, the order of words and qualifiers such as `latest`, `instruct` or a
    quantisation may differ; size, version and family may not.
    """
    return _words(asked) == _words(reported)


def shown(url: str) -> str:
    """The URL without user, password and query, any of which could be a secret."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that an endpoint demands to wait, from `retry-after-ms` or `retry-after` (seconds or an HTTP date).

    `now` is Unix time. None if neither is there or can be read.
    """
    with suppress(KeyError, ValueError):
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    said = headers.get("retry-after")
    if said is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(said))
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    return None


_DATE = re.compile(r"[-@](?:(?:20\d\d[-.]?)?\d\d[-.]?\d\d|\d\d-20\d\d|0\d\d)(?![0-9a-z])")
_QUALIFIER = re.compile(
    r"latest|preview|exp|beta|free|nitro|floor|exacto|extended|instruct|it|chat|hf|awq|gguf|(?:fp|bf|int)\d+|i?q\d+|[kms]"
)


def _words(model: str) -> frozenset[str]:
    name = _DATE.sub("", model.lower().rsplit("/", 1)[-1])
    words = (w for w in re.split(r"[^a-z0-9]+", name) if w)
    return frozenset(w for w in words if not _QUALIFIER.fullmatch(w))


def _error_code(body: object) -> int | None:
    error = body.get("error") if isinstance(body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _status_fault(status: int, body: object, headers: Mapping[str, str]) -> _Fault:
    """Name the outcome of an error status; `body` is the decoded body or the client's message."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    fields = error if isinstance(error, Mapping) else {}
    reason = f"HTTP {status}: {fields.get('message', error)}"
    wait = retry_after(headers, time.time())
    if status == 429:
        # OpenAI tells an empty account with the status of a rate limit; waiting does not help there.
        outcome = "refused" if fields.get("code") == "insufficient_quota" else "rate_limited"
    elif status in OVERLOADED:
        outcome = "overloaded"
    elif status >= 500 or status in (408, 409):
        outcome = "server_error"
    elif status < 400 or status in (401, 402, 404, 405):
        outcome = "refused"
    elif status == 403:
        # OpenRouter forbids single prompts, for moderation, and then says why in the metadata.
        outcome = "bad_request" if fields.get("metadata") else "refused"
    else:
        outcome = "bad_request"
    return _Fault(outcome, reason, retry_after=wait)


class _Bounded(httpx2.AsyncByteStream):
    """A response body that is not read past a bound: that of an answer is an error, that of an error is cut."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int, cut: bool) -> None:
        self._stream, self._most, self._cut = stream, most, cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                if self._cut:
                    return
                raise _TooLargeError
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    """Bound the body before it is read. Compressed ones are not unpacked: a few bytes of them can hold gigabytes."""
    response.headers.pop("content-encoding", None)
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    ok = response.status_code < 400
    response.stream = _Bounded(response.stream, MOST_BYTES if ok else MOST_ERROR_BYTES, cut=not ok)


def _is_openai(url: str) -> bool:
    return urlsplit(url).hostname == "api.openai.com"
