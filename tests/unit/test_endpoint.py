"""One call against a real HTTP server on loopback that fails in every way."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from pipeline.elicitation.batch import Failure
from pipeline.elicitation.endpoint import OpenEndpoint, Reply, Usage, retry_after, same_model, usage_of
from pipeline.elicitation.panel import Endpoint
from pipeline.elicitation.protocol import Completion
from tests.support.asked import KEY, member, request
from tests.support.faulty_server import KINDS, FaultyServer
from warehouse.errors import ElicitationError

OUTCOMES = {
    "ok": "answered",
    "empty": "answered",
    "length": "answered",
    "refusal": "answered",
    "rate_limited": "rate_limited",
    "rate_limited_after": "rate_limited",
    "rate_limited_ms": "rate_limited",
    "rate_limited_date": "rate_limited",
    "no_quota": "refused",
    "server_error": "server_error",
    "overloaded": "overloaded",
    "burst": "overloaded",
    "unauthorized": "refused",
    "no_credit": "refused",
    "forbidden": "refused",
    "moderated": "bad_request",
    "not_found": "refused",
    "bad_request": "bad_request",
    "slow_first_byte": "timeout",
    "slow_drip": "timeout",
    "half_body": "cut_off",
    "reset": "cut_off",
    "invalid_json": "not_json",
    "html": "not_json",
    "wrong_model": "wrong_model",
    "duplicate_id": "duplicate_id",
    "huge": "too_large",
    "no_choices": "no_completion",
    "error_in_200": "server_error",
    "repeats_key": "repeats_key",
}

Ended = tuple[dict[str, Reply], list[Any], str]


@pytest.fixture(scope="module")
def ended() -> Iterator[Ended]:
    """A reply of each kind, what the server was sent, and all that was logged meanwhile."""
    with (
        pytest.MonkeyPatch.context() as patch,
        FaultyServer(steps={kind: [kind] for kind in KINDS}, slow=60, log=True, retry_after=3) as server,
    ):
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("TEST_KEY", KEY)
        for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
            patch.setenv(f"OPENAI_{name}", "of-another-endpoint")
        logged: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: logged.append(f"{record.getMessage()} {record.args}")  # type: ignore[method-assign]
        root, level = logging.getLogger(), logging.getLogger().level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)

        async def run() -> dict[str, Reply]:
            endpoint = Endpoint(base_url=server.url, key_variable="TEST_KEY")
            async with OpenEndpoint(endpoint, member(settings={"top_k": 5}), timeout=3) as opened:
                first = await opened.call(request("ok", top_k=5), 321)
                others = [kind for kind in KINDS if kind != "ok"]
                replies = await asyncio.gather(*(opened.call(request(kind)) for kind in others))
            return {"ok": first, **dict(zip(others, replies, strict=True))}

        try:
            replies = asyncio.run(run())
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        yield replies, server.stats()["log"], "\n".join(logged)


@pytest.mark.parametrize("kind", KINDS)
def test_every_end_has_its_name(ended: Ended, kind: str) -> None:
    reply = ended[0][kind]
    assert reply.outcome == OUTCOMES[kind]
    assert isinstance(reply.result, Completion if reply.outcome == "answered" else Failure)
    assert reply.result.custom_id == kind
    if isinstance(reply.result, Failure):
        assert reply.result.reason.startswith(f"{reply.outcome}: ")
        assert "\n" not in reply.result.reason and len(reply.result.reason) < 300


def test_what_was_charged_is_read_wherever_it_is_told(ended: Ended) -> None:
    told = {kind for kind, reply in ended[0].items() if reply.usage.tokens_out}
    assert told == {"ok", "empty", "length", "refusal", "wrong_model", "duplicate_id", "no_choices", "repeats_key"}


def test_a_demand_to_wait_is_read(ended: Ended) -> None:
    waits = {kind: ended[0][kind].retry_after for kind in KINDS if kind.startswith("rate_limited")}
    assert waits["rate_limited"] is None
    assert waits["rate_limited_after"] == waits["rate_limited_ms"] == 3.0
    date = waits["rate_limited_date"]
    assert date is not None and 0 <= date <= 3


def test_sends_the_request_and_tells_nobody_elses_secrets(ended: Ended) -> None:
    _, _, _, headers, body = ended[1][0]
    assert body == {
        "model": "maker/model",
        "messages": [{"role": "user", "content": "ok"}],
        "top_k": 5,
        "max_tokens": 321,
    }
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "another-endpoint" not in json.dumps(ended[1])


def test_the_key_is_nowhere(ended: Ended) -> None:
    replies, _, logged = ended
    received = [r.result.received for r in replies.values() if isinstance(r.result, Completion)]
    assert KEY not in repr(replies) + json.dumps(received)
    assert "[key]" in repr(replies["server_error"])
    assert "HTTP Request" in logged  # else nothing was listened to
    assert KEY not in logged


def test_a_key_is_cut_out_before_a_message_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    opened = OpenEndpoint(Endpoint(base_url="http://h/v1", key_variable="TEST_KEY"), member(), timeout=1)
    cleaned = opened._clean("x" * 190 + KEY + "\n tail")
    assert "sk-test" not in cleaned and "\n" not in cleaned


def test_asks_for_the_model_by_its_name_at_the_endpoint_with_its_own_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked = member("short", model="maker/long-name")

    async def run(url: str) -> None:
        async with OpenEndpoint(
            Endpoint(base_url=url), asked, timeout=10, response_format=lambda r: {"type": "json_object"}
        ) as opened:
            assert (await opened.call(request("a", max_tokens=9), 50)).outcome == "answered"

    with FaultyServer(log=True) as server:
        asyncio.run(run(server.url))
        body = server.stats()["log"][0][4]
    assert (body["model"], body["max_tokens"]) == ("maker/long-name", 9)
    assert body["response_format"] == {"type": "json_object"}


def test_the_same_request_may_get_its_own_response_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    async def run(url: str) -> list[str]:
        async with OpenEndpoint(Endpoint(base_url=url), member(), timeout=10) as opened:
            return [(await opened.call(request(p))).outcome for p in ("a", "a", "b")]

    with FaultyServer(steps={"a": ["ok", "duplicate_id"], "b": ["duplicate_id"]}) as server:
        assert asyncio.run(run(server.url)) == ["answered", "answered", "duplicate_id"]


def test_an_endpoint_that_is_not_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FaultyServer() as server:
        url = server.url

    async def run() -> Reply:
        async with OpenEndpoint(Endpoint(base_url=url), member(), timeout=10) as opened:
            return await opened.call(request("a"))

    assert asyncio.run(run()).outcome == "unreachable"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_named_before_any_call(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(ElicitationError, match="TEST_KEY is not set"):
        asyncio.run(opened("http://127.0.0.1:9/v1", "TEST_KEY"))


async def opened(url: str, key_variable: str | None = None) -> None:
    async with OpenEndpoint(Endpoint(base_url=url, key_variable=key_variable), member(), timeout=1):
        pass


@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        ("openai/gpt-5-mini", "gpt-5-mini-2026-08-07"),
        ("anthropic/claude-sonnet-4.5", "anthropic/claude-4.5-sonnet-20250929"),
        ("google/gemini-2.0-flash", "gemini-2.0-flash-001"),
        ("cohere/command-r", "command-r-08-2024"),
        ("meta-llama/llama-3.3-70b-instruct:free", "Llama-3.3-70B-Instruct-FP8"),
        ("llama3.2", "llama3.2:latest"),
        ("SmolLM2-135M-Instruct", "/models/SmolLM2-135M-Instruct-Q4_K_M.gguf"),
    ],
)
def test_another_spelling_is_the_same_model(asked: str, reported: str) -> None:
    assert same_model(asked, reported)


@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        ("openai/gpt-5", "openai/gpt-5-mini"),
        ("openai/gpt-4", "openai/gpt-4.1"),
        ("llama3.2:3b", "llama3.2:1b"),
        ("meta-llama/llama-3.1-70b", "meta-llama/llama-3.1-8b"),
        ("maker/model", "maker/other"),
    ],
)
def test_another_size_or_version_is_another_model(asked: str, reported: str) -> None:
    assert not same_model(asked, reported)


def test_nonsense_in_usage_counts_as_nothing() -> None:
    assert usage_of({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.5}}) == Usage(3, 4, 0.5)
    for nonsense in (-1, True, "9", None, 1e400):
        assert usage_of({"usage": {"prompt_tokens": nonsense, "cost": nonsense}}) == Usage()
    assert usage_of([]) == usage_of({"usage": []}) == Usage()


def test_retry_after_in_all_its_forms() -> None:
    now = time.time()
    assert retry_after({"retry-after": "2.5"}, now) == 2.5
    assert retry_after({"retry-after": "2", "retry-after-ms": "1500"}, now) == 1.5
    assert retry_after({"retry-after": formatdate(now + 100, usegmt=True)}, now) == pytest.approx(100, abs=1)
    assert retry_after({"retry-after": formatdate(now - 100, usegmt=True)}, now) == 0
    assert retry_after({"retry-after": "soon"}, now) is retry_after({}, now) is None
