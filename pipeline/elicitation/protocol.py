"""What every way of asking models has in common: requests go in, completions as they were received come out.

Belongs here: what makes a request the same one, what a completion and a call are, the one check of what counts as a
chat completion, and the one reading of what a response says of its cost. Does not belong here: asking anybody, prompts,
or what an answer's text should contain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


@dataclass(frozen=True, slots=True)
class Completion:
    """What one model answered to one request, before any reading of it.

    `model` is the name that the endpoint reported, which may be more specific than the one asked for. `text`
    is None if the message had no content. `received` is the whole response body, untouched. `attempt` counts
    from 1 per request, in the order of arrival.
    """

    custom_id: str
    model: str
    text: str | None
    finish_reason: str | None
    received: Mapping[str, Any] = field(repr=False)
    attempt: int = 1

    @property
    def refusal(self) -> str | None:
        """The provider's own refusal message, where it has a field for one."""
        refusal = self.received["choices"][0]["message"].get("refusal")
        return refusal if isinstance(refusal, str) and refusal else None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an endpoint, for the books: every attempt has one, whether or not an answer came of it.

    `outcome` is `answered` or the kind of failure (`rate_limited`, `timeout`, `cut_off`, `server_error`, ...).
    `started` is UTC in ISO 8601, `seconds` runs from sending to the last byte; both are None where nobody
    measured them, as in a Batch. Tokens are as the endpoint reported them, None where it did not. `usd`
    is what the books count, and `basis` says what that rests on: `reported` (the endpoint named a cost), `tokens`
    (reported tokens times the panel's prices), `estimated` (nothing was reported, but it may have been charged) or
    `free`.
    """

    outcome: str
    started: str | None
    seconds: float | None
    tokens_in: int | None
    tokens_out: int | None
    usd: float
    basis: Literal["reported", "tokens", "estimated", "free"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a response says about its cost: tokens, and US dollars where the endpoint names them."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float | None = None


NOT_TOLD = Usage()


def identity_digest(identity: Sequence[object]) -> str:
    """Sha256 (hex) of what makes a request the same one; custom ids end in its first digits."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def to_completion(custom_id: str, body: object, attempt: int = 1) -> Completion:
    """Wrap the body of a chat completion response; raises `ValueError` with one line if it is none.

    A body that carries an error (some gateways send those with status 200) or whose model stopped with an
    error is none either. Empty content is one: it is an answer, which validation rejects by name.
    """
    if isinstance(body, Mapping) and body.get("error"):
        raise ValueError(f"the body carries an error: {one_line(body['error'])}")
    try:
        seen = _Body.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise ValueError(f"not a chat completion: {place}: {first['msg']}") from None
    choice = seen.choices[0]
    if choice.finish_reason == "error":
        raise ValueError("the model stopped with an error")
    assert isinstance(body, Mapping)
    text = choice.message.content
    if text is not None:
        # Half a surrogate pair can be escaped in JSON, but no UTF-8 file or table could hold it.
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return Completion(custom_id, seen.model, text, choice.finish_reason, body, attempt)


def usage_of(body: object) -> Usage:
    """What a response body says about tokens and cost; whatever is missing or no sensible number is None."""
    usage = body.get("usage") if isinstance(body, Mapping) else None
    if not isinstance(usage, Mapping):
        return NOT_TOLD
    cost = usage.get("cost")  # named by OpenRouter, in US dollars, without being asked
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < float("inf")
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")), cost if known else None)


def count(value: object) -> int | None:
    """A number of tokens or seconds as a response tells it, None for what is no whole number from 0 or absurd."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _TOO_MANY else None


_TOO_MANY = 10**12  # no model takes that many tokens, and the sum over an edition must stay a bigint


def one_line(value: object, limit: int = 200) -> str:
    """Show foreign text within an error message: one line, printable, shortened."""
    text = value.get("message", value) if isinstance(value, Mapping) else value
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: limit * 4]).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Message(_Seen):
    content: str | None = None


class _Choice(_Seen):
    message: _Message
    finish_reason: str | None = None


class _Body(_Seen):
    model: str
    choices: list[_Choice] = Field(min_length=1)
