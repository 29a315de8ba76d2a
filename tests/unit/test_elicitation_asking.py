"""Several members side by side, and runs that are broken off. Over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from decimal import Decimal

import pytest

from pipeline.elicitation.asking import Asked, Patience, ask, ask_in_turn, ask_panel
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.panel import Endpoint
from tests.support.asked import HURRIED, answers, expect, gather, job, member, request
from tests.support.faulty_server import FaultyServer
from warehouse.errors import BudgetSpent, ElicitationError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_one_member_is_a_panel_of_one() -> None:
    with FaultyServer() as server:
        asked = ask(Endpoint(base_url=server.url), [request("a")], member=member(), expect=expect, patience=HURRIED)
        found, message = asyncio.run(gather(asked))
    assert (message, answers(found)) == ("", {"a": "ANSWER to a"})


def test_members_share_the_overall_bound() -> None:
    with FaultyServer(latency=0.02) as server:
        jobs = [job(server.url, [f"{m}{i}" for i in range(20)], f"maker/{m}", concurrency=8) for m in "abc"]
        found, message = asyncio.run(gather(ask_panel(jobs, overall=10, patience=HURRIED)))
        stats = server.stats()
    assert message == "" and len(answers(found)) == 60
    assert stats["most_in_flight_overall"] == 10
    assert max(stats["most_in_flight"][f"maker/{m}"] for m in "abc") <= 8


def test_the_death_of_one_leaves_the_others_running_and_is_told_at_the_end() -> None:
    steps = {"maker/dead": ["server_error"], "maker/locked": ["unauthorized"]}
    with FaultyServer(steps=steps, latency=0.01) as server:
        jobs = [
            job(server.url, [f"{name} {i}" for i in range(60)], f"maker/{name}", concurrency=4)
            for name in ("dead", "locked", "well")
        ]
        found, message = asyncio.run(gather(ask_panel(jobs, patience=HURRIED)))
    assert set(answers(found)) == {f"well {i}" for i in range(60)}
    assert "maker/dead: " in message and "maker/locked: " in message and "maker/well" not in message


def test_members_share_the_budget_and_a_free_one_goes_on_without_it() -> None:
    with FaultyServer(latency=0.005) as server:
        jobs = [
            job(server.url, [f"a{i}" for i in range(100)], "maker/a"),
            job(server.url, [f"b{i}" for i in range(100)], "maker/b"),
            job(server.url, [f"c{i}" for i in range(100)], "maker/c", price_in=None, price_out=None),
        ]
        stream = ask_panel(jobs, budget=Budget(Decimal("0.01")), patience=HURRIED)
        found, message = asyncio.run(gather(stream))
    assert message.startswith("budget of 0.010000 USD has no room for another call: ")
    spent = sum(asked.call.usd for asked in found)
    assert 0.007 < spent <= 0.01
    assert {f"c{i}" for i in range(100)} <= set(answers(found))


def test_the_kinds_of_error() -> None:
    with FaultyServer(steps={"bad": ["bad_request"]}) as server:
        with pytest.raises(BudgetSpent):
            list(ask_in_turn([job(server.url, ["a"])], budget=Budget(Decimal(0))))
        with pytest.raises(ElicitationError, match="1 of 1 requests failed"):
            list(ask_in_turn([job(server.url, ["bad"])]))


def test_a_cancelled_run_yields_what_was_in_flight_as_interrupted() -> None:
    found: list[Asked] = []
    ids = [str(i) for i in range(100)]
    # Ten are answered; the five after them keep their callers waiting, so that all is cancelled with these in flight.
    steps = {number: ["slow_first_byte"] for number in ids[10:]}

    async def collect(url: str) -> None:
        async for asked in ask_panel([job(url, ids, concurrency=5)], patience=Patience()):
            found.append(asked)

    async def run(server: FaultyServer) -> None:
        task = asyncio.create_task(collect(server.url))
        while len(found) < 10 or server.stats()["calls"] < 15:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with FaultyServer(steps=steps, slow=60) as server:
        asyncio.run(run(server))
        assert server.stats()["calls"] == 15
    assert set(answers(found)) == set(ids[:10])
    interrupted = [asked for asked in found if asked.call.outcome == "interrupted"]
    assert {asked.request.custom_id for asked in interrupted} == set(ids[10:15]) and len(found) == 15
    assert all(asked.call.basis == "estimated" and asked.call.usd > 0 for asked in interrupted)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests were started in the background, in which shells turn that off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_interrupts_only_after_everything_that_arrived_was_yielded() -> None:
    """The signal comes while the caller stores an answer: that and those that arrived with it must still be stored."""
    stored: list[Asked] = []
    with FaultyServer(latency=0.05) as server:
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            for asked in ask_in_turn([job(server.url, map(str, range(500)), concurrency=8)], patience=HURRIED):
                if len(stored) == 20:
                    os.kill(os.getpid(), signal.SIGINT)
                stored.append(asked)
        assert signal.getsignal(signal.SIGINT) is before
        stats = server.stats()
    assert 21 <= len(stored) <= 40
    # What was broken off may not have reached a slow server yet; all that did is in the books.
    broken_off = sum(asked.call.outcome == "interrupted" for asked in stored)
    assert len(stored) - broken_off <= stats["calls"] <= len(stored)
    assert set(answers(stored)) <= {name.split()[1] for name in stats["answered"]}


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_wakes_a_run_that_waits_for_an_answer() -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    found: list[Asked] = []
    try:
        with FaultyServer(steps={"b": ["slow_first_byte"]}, slow=60) as server, pytest.raises(KeyboardInterrupt):
            for asked in ask_in_turn([job(server.url, ["a", "b"])], patience=Patience(timeout=60)):
                found.append(asked)
                if len(found) == 1:
                    signal.setitimer(signal.ITIMER_REAL, 0.2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [asked.call.outcome for asked in found] == ["answered", "interrupted"]


def test_breaking_off_ends_what_is_in_flight() -> None:
    with FaultyServer(latency=0.05) as server:
        attempts = ask_in_turn([job(server.url, map(str, range(100)), concurrency=2)], patience=HURRIED)
        next(attempts)
        attempts.close()  # type: ignore[attr-defined]
        assert server.stats()["calls"] <= 6
