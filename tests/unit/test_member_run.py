"""What follows from how a call ended: retries, waiting, giving up, re-asks, money. Over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.elicitation.asking import Asked, Job, ask_panel
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.endpoint import PASSING
from pipeline.elicitation.member_run import backoff
from pipeline.elicitation.protocol import Completion
from pipeline.prompts.render import Request
from tests.support.asked import HURRIED, KEY, answers, gather, job, request
from tests.support.faulty_server import FaultyServer


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TEST_KEY", KEY)


def run(*jobs: Job, **options: Any) -> tuple[list[Asked], str]:
    return asyncio.run(gather(ask_panel(jobs, **{"patience": HURRIED, **options})))


def outcomes(found: list[Asked]) -> Counter[str]:
    return Counter(asked.call.outcome for asked in found)


def test_asks_each_request_once_within_its_concurrency() -> None:
    with FaultyServer(latency=0.01) as server:
        prompts = [str(i) for i in range(30)]
        found, message = run(job(server.url, [*prompts, *prompts], concurrency=3))
        stats = server.stats()
    assert message == ""
    assert answers(found) == {p: f"ANSWER to {p}" for p in prompts}
    assert stats["calls"] == 30
    assert stats["most_in_flight_overall"] == 3
    assert sum(asked.call.usd for asked in found) == pytest.approx(stats["usd"])
    assert {asked.call.basis for asked in found} == {"tokens"}


def test_what_may_pass_is_tried_again_and_every_attempt_is_told() -> None:
    steps = ["server_error", "reset", "html", "wrong_model", "ok"]
    with FaultyServer(steps={"*": steps}) as server:
        found, message = run(job(server.url, ["a"]))
    assert message == ""
    assert [asked.call.outcome for asked in found] == ["server_error", "cut_off", "not_json", "wrong_model", "answered"]
    assert [asked.call.basis for asked in found] == ["free", "estimated", "estimated", "tokens", "tokens"]


def test_tries_are_limited_and_what_never_passes_is_not_tried_again() -> None:
    steps = {"broken": ["server_error"], "bad": ["bad_request"], "echo": ["repeats_key"]}
    with FaultyServer(steps=steps) as server:
        found, message = run(job(server.url, ["broken", "bad", "echo", "good"], key=True))
    assert outcomes(found) == {"server_error": 5, "bad_request": 1, "repeats_key": 1, "answered": 1}
    assert "maker/model: 3 of 4 requests failed (" in message
    assert "1 bad_request" in message and "run again to ask only for what is missing" in message
    assert not {"bad_request", "repeats_key"} & PASSING
    assert KEY not in repr(found) + message


def test_a_rate_limit_is_no_try() -> None:
    with FaultyServer(steps={"*": ["rate_limited"] * 6 + ["ok"]}) as server:
        found, message = run(job(server.url, ["a"]))
    assert message == ""
    assert outcomes(found) == {"rate_limited": 6, "answered": 1}


def test_an_endless_rate_limit_ends() -> None:
    with FaultyServer(steps={"*": ["rate_limited_after"]}, retry_after=100_000) as server:
        found, message = run(job(server.url, [str(i) for i in range(9)], concurrency=2))
    assert len(found) <= 2
    assert "rate limit asks to wait 100000 s, 9 requests left" in message


@pytest.mark.parametrize("kind", ["unauthorized", "no_credit", "no_quota", "not_found"])
def test_stops_at_once_where_no_request_can_pass(kind: str) -> None:
    with FaultyServer(steps={"*": [kind]}) as server:
        found, message = run(job(server.url, (str(i) for i in range(50)), key=True, concurrency=2))
    assert len(found) <= 4
    assert f"{server.url} refuses maker/model (refused: HTTP 4" in message
    assert "50 requests left" in message
    assert KEY not in repr(found) + message and "[key]" in message


def test_gives_up_on_a_model_that_keeps_failing() -> None:
    with FaultyServer(steps={"*": ["server_error"]}) as server:
        found, message = run(job(server.url, [str(i) for i in range(200)], concurrency=4))
    assert len(found) < 40  # ten, what was in flight with them, and four probes
    assert "kept failing" in message and "HTTP 500" in message


def test_an_answer_may_be_followed_by_another_question() -> None:
    def follow_up(asked: Request, answer: Completion) -> Request | None:
        if answer.finish_reason == "stop":
            return None
        return replace(request(f"again {asked.custom_id}"), custom_id=f"{asked.custom_id}.r2-00000000")

    with FaultyServer(steps={"b": ["length"]}) as server:
        found, message = run(job(server.url, ["a", "b", "c"], follow_up=follow_up))
    assert message == ""
    assert set(answers(found)) == {"a", "b", "c", "b.r2-00000000"}


def test_a_follow_up_that_was_asked_before_is_not_asked_again() -> None:
    with FaultyServer() as server:
        found, message = run(job(server.url, ["a"], follow_up=lambda asked, answer: asked))
    assert (message, len(found)) == ("", 1)


def test_a_defect_in_a_follow_up_is_raised_after_what_arrived() -> None:
    def follow_up(asked: Request, _: Completion) -> None:
        if asked.custom_id == "3":
            raise KeyError("a defect")

    found: list[Asked] = []

    async def collect(url: str) -> None:
        async for asked in ask_panel([job(url, map(str, range(10)), follow_up=follow_up, concurrency=2)]):
            found.append(asked)

    with FaultyServer() as server:
        with pytest.raises(KeyError, match="a defect"):
            asyncio.run(collect(server.url))
        answered = server.stats()["answered"]
    assert "3" in answers(found)
    assert len(found) == sum(answered.values())


def test_the_budget_holds_and_says_what_is_left() -> None:
    with FaultyServer(latency=0.01) as server:
        budget = Budget(Decimal("0.02"), spent=Decimal("0.005"))
        found, message = run(job(server.url, (str(i) for i in range(200)), concurrency=16), budget=budget)
        stats = server.stats()
    assert 0.012 < stats["usd"] <= 0.015
    assert float(budget.spent) == pytest.approx(0.005 + stats["usd"])
    assert f"{200 - len(answers(found))} requests left" in message
    assert message.startswith("budget of 0.020000 USD has no room for another call: ")
    next_call = re.search(r"the next call may cost up to ([\d.]+) USD", message)
    assert next_call and float(next_call[1]) > 0.02 - float(budget.spent)


def test_requests_are_taken_as_calls_become_free() -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield str(taken)

    async def some(url: str) -> None:
        stream = ask_panel([job(url, endless(), concurrency=4)], patience=HURRIED)
        async for asked in stream:
            if asked.request.custom_id == "20":
                break
        await stream.aclose()

    with FaultyServer(latency=0.005) as server:
        asyncio.run(some(server.url))
    assert taken < 60


def test_backoff_doubles_its_bound_up_to_a_cap_and_uses_all_of_it() -> None:
    rng = random.Random(1)
    for tries, bound in ((1, 1.0), (2, 2.0), (4, 8.0), (9, 60.0)):
        waits = [backoff(tries, 1.0, 60.0, rng) for _ in range(500)]
        assert 0 <= min(waits) < 0.05 * bound
        assert 0.95 * bound < max(waits) <= bound
