"""Whether the panel's members can be asked: each endpoint's list of models, and one tiny request to each member.

Only the check belongs here; its request is no prompt of ours and its answer is not kept. Keys are read from the
environment when an endpoint is called, and cut out of every message.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from pipeline.elicitation.costs import price_of
from pipeline.elicitation.keys import key_in, without_key
from pipeline.elicitation.local import reachable
from pipeline.elicitation.protocol import one_line, to_completion, usage_of
from pipeline.elicitation.tokens import Expected
from warehouse.errors import ElicitationError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from pipeline.elicitation.panel import Endpoint, Member

SECONDS = 30.0
"""How long a call may take; members that reason take some seconds over anything."""

MOST_TOKENS = 1_500
"""Tokens of an answer at most: Claude wants more than the 1,024 of its least reasoning."""

PRICE_TOLERANCE = 0.005
"""Relative difference from which a listed price counts as another one."""

_SCHEMA = {
    "type": "object",
    "properties": {"seven": {"type": "number"}},
    "required": ["seven"],
    "additionalProperties": False,
}
_PROMPT = 'Answer with this JSON object and nothing else: {"seven": 7}'


@dataclass(frozen=True, slots=True)
class Checked:
    """What works of one member.

    `key`: it is in the environment, None where none is wanted. `listed`: the endpoint's list has the model, None if no
    list could be had. `structured`: the answer was the JSON that the schema demands, None if the member is not sent
    schemas. `seconds` and `usd` are those of the request. `listed_prices` are in and out, US dollars per million
    tokens, where the list has others than the panel. `trouble` is one line, empty if the member can be asked.
    """

    member: str
    key: bool | None
    listed: bool | None = None
    answered: bool = False
    structured: bool | None = None
    seconds: float | None = None
    usd: Decimal | None = None
    listed_prices: tuple[float, float] | None = None
    trouble: str = ""


def has_key(member: Member) -> bool | None:
    """Whether the member's key is in the environment; None where none is wanted."""
    variable = member.endpoint.key_variable if member.endpoint else None
    return None if variable is None else bool(os.environ.get(variable, "").strip())


def check_panel(members: Sequence[Member], *, timeout: float = SECONDS) -> list[Checked]:
    """Check these members, all at once; what fails is told in the outcome, in the order of `members`.

    `timeout` is in seconds, per call. Starts the local model's server where a local member is among them.
    """
    ready: list[Member] = []
    found: dict[str, Checked] = {}
    with ExitStack() as servers:
        for member in members:
            try:
                ready += servers.enter_context(reachable([member]))
            except ElicitationError as error:  # the others can be asked all the same
                found[member.id] = Checked(member.id, None, trouble=str(error))
        found |= {c.member: c for c in asyncio.run(_check_all(ready, timeout))}
    return [found[m.id] for m in members]


async def _check_all(members: Sequence[Member], timeout: float) -> list[Checked]:
    # At DEBUG this logger writes response headers down, and an endpoint might put anything there.
    logging.getLogger("httpcore2").setLevel(logging.INFO)
    endpoints = list(dict.fromkeys(m.endpoint for m in members if m.endpoint and has_key(m) is not False))
    lists = dict(zip(endpoints, await asyncio.gather(*(_listed(e, timeout) for e in endpoints)), strict=True))
    return await asyncio.gather(*(_check(m, lists.get(m.endpoint) if m.endpoint else None, timeout) for m in members))


async def _listed(endpoint: Endpoint, timeout: float) -> dict[str, Mapping[str, Any]] | None:
    """The models that the endpoint lists, by name; None if it gives no list."""
    import openai  # noqa: PLC0415  # slow to load

    try:
        async with asyncio.timeout(timeout), _client(endpoint, timeout) as client:
            response = await client.get("/models", cast_to=httpx2.Response)
        return {m["id"]: m for m in response.json()["data"] if isinstance(m, Mapping)}
    except (openai.OpenAIError, TimeoutError, ValueError, KeyError, TypeError):
        return None


async def _check(member: Member, models: dict[str, Mapping[str, Any]] | None, timeout: float) -> Checked:
    import openai  # noqa: PLC0415

    endpoint, key = member.endpoint, has_key(member)
    if endpoint is None:
        return Checked(member.id, key, trouble="it has no endpoint: name one in panel.toml")
    try:
        key_in(endpoint.key_variable)
    except ElicitationError as error:
        return Checked(member.id, key, trouble=str(error))
    if key is False:
        return Checked(member.id, key, trouble=f"environment variable {endpoint.key_variable} is not set")
    name = member.model or member.id
    listed = None if models is None else name in models
    prices = _other_prices(member, models[name]) if models and listed else None
    begin = time.perf_counter()
    body: Any = None
    answered, trouble = False, ""
    try:
        async with asyncio.timeout(timeout), _client(endpoint, timeout) as client:
            response = await client.post("/chat/completions", cast_to=httpx2.Response, body=_body(member, name))
        body = response.json()
        answer = to_completion("check", body)
        answered = bool((answer.text or "").strip())
        trouble = "" if answered else f"the answer is empty (finish_reason {answer.finish_reason})"
    except openai.APIStatusError as error:
        said = error.body.get("message", error.body) if isinstance(error.body, Mapping) else error.body
        trouble = f"HTTP {error.status_code}: {said or error.message}"
    except (TimeoutError, openai.APITimeoutError):
        trouble = f"no answer within {timeout:g} s"
    except openai.OpenAIError as error:
        trouble = str(error.__cause__ or error) or type(error).__name__
    except ValueError as error:
        trouble = str(error)
    seconds = time.perf_counter() - begin
    structured = None
    if answered and member.structured_output != "none":
        structured = _is_seven(answer.text or "")
        trouble = "" if structured else "the answer is not the JSON that was asked for with response_format"
    return Checked(
        member.id,
        key,
        listed,
        answered,
        structured,
        seconds,
        _cost(member, body) if answered else None,
        prices,
        one_line(without_key(trouble, [key_in(endpoint.key_variable)])),
    )


def _client(endpoint: Endpoint, timeout: float) -> AsyncOpenAI:
    import openai  # noqa: PLC0415

    key = key_in(endpoint.key_variable)
    client = openai.AsyncOpenAI(api_key=key or "none", base_url=endpoint.base_url, timeout=timeout, max_retries=0)
    # Else the client would tell every endpoint the organisation and project that its environment names.
    client.organization = client.project = None
    return client


def _body(member: Member, name: str) -> dict[str, Any]:
    formats: dict[str, dict[str, Any]] = {
        "json_schema": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": _SCHEMA}},
        "json_object": {"type": "json_object"},
    }
    wanted = formats.get(member.structured_output)
    return {
        "model": name,
        "messages": [{"role": "user", "content": _PROMPT}],
        _limit_field(member): min(MOST_TOKENS, member.max_output or MOST_TOKENS),
        **member.sent,
        **({"response_format": wanted} if wanted else {}),
    }


def _limit_field(member: Member) -> str:
    """OpenAI's own endpoint takes the bound on an answer under another name than all that imitate it."""
    host = urlsplit(member.endpoint.base_url).hostname if member.endpoint else None
    return "max_completion_tokens" if host == "api.openai.com" else "max_tokens"


def _is_seven(text: str) -> bool:
    """Whether the answer has the shape that was asked for; whether the figure is right is the model's affair."""
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("seven"), int | float)


def _cost(member: Member, body: Mapping[str, Any]) -> Decimal | None:
    """US dollars: as the endpoint names them, else by its count of tokens; None if it says neither."""
    usage = usage_of(body)
    if usage.usd is not None:
        return Decimal(str(usage.usd))
    if usage.tokens_in is None or usage.tokens_out is None:
        return None
    return price_of(member, Expected(usage.tokens_in, usage.tokens_out))


def _other_prices(member: Member, model: Mapping[str, Any]) -> tuple[float, float] | None:
    """The prices that OpenRouter's list has for a model, if it has some and they are not the panel's."""
    pricing = model.get("pricing")
    try:
        told = [float(Decimal(str(pricing[name])) * 1_000_000) for name in ("prompt", "completion")]  # type: ignore[index]
    except (TypeError, KeyError, InvalidOperation):
        return None
    known = (member.price_in or 0.0, member.price_out or 0.0)
    same = all(abs(a - b) <= PRICE_TOLERANCE * max(abs(b), 1e-9) for a, b in zip(told, known, strict=True))
    return None if same or min(told) < 0 else (told[0], told[1])
