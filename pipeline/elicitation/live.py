"""The source `live`: asks any OpenAI-compatible endpoint, through the openai client.

Belongs here: calling one endpoint with bounded concurrency, and telling answers from failures. Does not
belong here: prompts, storing completions, choosing what to ask (ask only for what is missing), budgets and
rate plans.

The key is read from the environment at the time of the call and held nowhere else; it is cut out of every
message, and a response that repeats it is a failure. openai is imported on first use, it is slow to load.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.elicitation.batch import Failure, ResponseFormat, request_body
from pipeline.elicitation.protocol import Completion, one_line, to_completion
from warehouse.errors import ElicitationError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from pipeline.prompts.render import Request

NO_KEY = "none"
"""Sent in place of a key to endpoints that want none."""

HOPELESS = frozenset({401, 402, 403, 404, 405})
"""HTTP statuses that every further request would get too: the run stops."""


@dataclass(frozen=True, slots=True)
class LiveSource:
    """One OpenAI-compatible endpoint.

    `key_variable` names the environment variable that holds the key; None for endpoints without one.
    `timeout` is in seconds and bounds each try of a request as a whole, also an answer that drips in.
    `retries` repeats cut connections, timeouts, 408, 409, 429 and 5xx within one request, with backoff.
    `response_format` is sent where the endpoint supports structured output. After `give_up_after` failures in
    a row, none answered between, the run stops. `http_client` replaces the transport, for tests.
    """

    base_url: str
    key_variable: str | None = None
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 2
    response_format: ResponseFormat | None = None
    give_up_after: int = 10
    http_client: Callable[[], Any] | None = None

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield completions as they arrive, in any order; not to be called from within a running event loop.

        While the caller works on a completion, calls in flight wait: store it and come back. Raises
        `ElicitationError` at once if the endpoint cannot be used as configured, and at the end, after the
        others were yielded, if some requests failed.
        """
        with asyncio.Runner() as runner:
            stream = self.stream(requests)

            async def following() -> Completion | None:
                return await anext(stream, None)

            try:
                while (completion := runner.run(following())) is not None:
                    yield completion
            finally:
                runner.run(stream.aclose())

    async def stream(self, requests: Sequence[Request]) -> AsyncGenerator[Completion, None]:
        """Do the same as `complete` within a running event loop."""
        _check_url(self.base_url)
        failures: list[Failure] = []
        in_a_row = 0
        todo = iter(requests)
        async with self._client() as client:
            running: set[asyncio.Task[Completion | Failure]] = set()
            try:
                while True:
                    for request in islice(todo, self.concurrency - len(running)):
                        running.add(asyncio.create_task(self._ask(client, request)))
                    if not running:
                        break
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    # Answers first: one that arrived together with a fatal failure is paid for and must not
                    # be lost.
                    results = [task for task in done if task.exception() is None]
                    for task in results:
                        result = task.result()
                        if isinstance(result, Completion):
                            in_a_row = 0
                            yield result
                        else:
                            in_a_row += 1
                            failures.append(result)
                    for task in done:
                        if (error := task.exception()) is not None:
                            raise error
                    if in_a_row >= self.give_up_after:
                        break
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        if failures:
            raise ElicitationError(
                f"{_shown(self.base_url)}: {len(failures)} of {len(requests)} requests failed"
                f"{', gave up' if in_a_row >= self.give_up_after else ''} (last: {failures[-1].reason}): "
                "run again to ask only for what is missing"
            )

    def _client(self) -> AsyncOpenAI:
        import openai  # noqa: PLC0415

        client = openai.AsyncOpenAI(
            api_key=self._key() or NO_KEY,
            base_url=self.base_url,
            timeout=self.timeout,
            max_retries=self.retries,
            http_client=self.http_client() if self.http_client else None,
        )
        # Else the client would tell every endpoint the organisation and project that its environment names.
        client.organization = client.project = None
        return client

    def _key(self) -> str:
        if self.key_variable is None:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise ElicitationError(f"environment variable {self.key_variable} is not set: put the API key there")
        return key

    async def _ask(self, client: AsyncOpenAI, request: Request) -> Completion | Failure:
        import openai  # noqa: PLC0415

        body = request_body(request, self.response_format)
        try:
            async with asyncio.timeout(self.timeout * (self.retries + 1)):
                response = await client.chat.completions.with_raw_response.create(
                    model=body.pop("model"), messages=body.pop("messages"), extra_body=body
                )
            return self._completion(request, response.text)
        except openai.APIStatusError as error:
            said = error.body.get("message") if isinstance(error.body, dict) else error.body
            reason = f"HTTP {error.status_code}: {self._clean(said or error.message)}"
            if error.status_code in HOPELESS:
                raise ElicitationError(
                    f"{_shown(self.base_url)} refuses {request.model} ({reason}): check key, model and URL"
                ) from None
        except (TimeoutError, openai.APITimeoutError):
            reason = f"no answer within {self.timeout:g} s"
        except openai.OpenAIError as error:
            reason = self._clean(error.__cause__ or error)
        return Failure(request.custom_id, _shown(self.base_url), reason)

    def _completion(self, request: Request, text: str) -> Completion | Failure:
        key = self._key()
        try:
            body = json.loads(text)
            # Compared after decoding too, because JSON can spell the same characters as escapes.
            if key and (key in text or key in json.dumps(body, ensure_ascii=False)):
                raise ValueError("the response repeats the API key")
            return to_completion(request.custom_id, body)
        except RecursionError:
            reason = "the response is nested too deeply"
        except json.JSONDecodeError:
            reason = f"the response is not JSON: {self._clean(text)}"
        except ValueError as error:
            reason = self._clean(error)
        return Failure(request.custom_id, _shown(self.base_url), reason)

    def _clean(self, message: object) -> str:
        """One line without the key; cut out before shortening, so that no part of it stays either."""
        text = str(message) or type(message).__name__
        key = self._key()
        return one_line(text.replace(key, "[key]") if key else text)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ElicitationError(f"base URL cannot be read ({error}): write it as https://host/v1") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ElicitationError(f"base URL {_shown(url)} is none: write it as https://host/v1")
    if parts.username or parts.password:
        raise ElicitationError(f"base URL {_shown(url)} carries a password: use a key variable instead")


def _shown(url: str) -> str:
    """The URL without user, password and query, any of which could be a secret."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
