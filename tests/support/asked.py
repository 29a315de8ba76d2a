"""Requests, members and expectations for tests that ask a `FaultyServer`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from pipeline.elicitation.asking import Asked, Job
from pipeline.elicitation.member_run import Patience
from pipeline.elicitation.panel import Endpoint, Member
from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.tokens import Expected
from pipeline.prompts.render import Request
from warehouse.errors import ElicitationError

KEY = "sk-test-0123456789abcdef-very-secret"

HURRIED = Patience(timeout=10, first_backoff=0.01, longest_backoff=0.1, first_pause=0.02, cooldown=0.05)
"""Short pauses, but a timeout that a busy machine does not meet by itself."""


def request(prompt: str, *, model: str = "maker/model", **settings: Any) -> Request:
    """A request whose id is its prompt."""
    messages = ({"role": "user", "content": prompt},)
    return Request(prompt, "us", "2026.11", "sex", (), "v", model, messages, settings, "percent_keyed")


def member(name: str = "maker/model", **fields: Any) -> Member:
    """A live member that costs what the server charges by default."""
    return Member(**{"id": name, "source": "live", "variant": "v", "price_in": 1.0, "price_out": 4.0, **fields})


def expect(_: Request) -> Expected:
    """About what the server charges, on purpose not quite."""
    return Expected(20, 80)


def job(url: str, prompts: Iterable[str], name: str = "maker/model", *, key: bool = False, **fields: Any) -> Job:
    """A job of one member at `url`; `fields` are of the member, but for `follow_up`."""
    follow_up = fields.pop("follow_up", None)
    endpoint = Endpoint(base_url=url, key_variable="TEST_KEY" if key else None)
    return Job(endpoint, member(name, **fields), (request(p, model=name) for p in prompts), expect, follow_up)


async def gather(attempts: AsyncGenerator[Asked, None]) -> tuple[list[Asked], str]:
    """Every attempt, and the message of the error that ended the run, if one did."""
    found: list[Asked] = []
    try:
        async for asked in attempts:
            found.append(asked)
    except ElicitationError as error:
        assert "\n" not in str(error)
        return found, str(error)
    return found, ""


def answers(found: Iterable[Asked]) -> dict[str, str | None]:
    """The text of each answer by prompt; no prompt may be answered twice."""
    texts: dict[str, str | None] = {}
    for asked in found:
        if isinstance(asked.result, Completion):
            assert asked.request.custom_id not in texts
            texts[asked.request.custom_id] = asked.result.text
    return texts
