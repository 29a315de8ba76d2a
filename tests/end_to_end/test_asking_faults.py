"""Long runs against a server that fails in every way: what is answered, what is booked, what is lost."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.elicitation.asking import Asked, ask_in_turn
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.protocol import Completion
from pipeline.prompts.render import Request
from tests.support.asked import HURRIED, KEY, answers, job, request
from tests.support.faulty_server import FaultyServer
from warehouse.errors import BudgetSpent, ElicitationError

FAULTS = [
    *("rate_limited", "rate_limited_after", "rate_limited_ms", "server_error", "overloaded", "error_in_200"),
    *("slow_first_byte", "slow_drip", "half_body", "reset", "invalid_json", "html", "wrong_model", "duplicate_id"),
    *("no_choices", "repeats_key", "empty", "length", "refusal"),
]
RATES = {**dict.fromkeys(FAULTS, 0.297 / len(FAULTS)), "burst": 0.002, "huge": 0.001}
"""Thirty calls in a hundred meet a fault."""

LASTING = ("bad_request", "repeats_key")
"""Outcomes that are not tried again, so that their requests have no answer."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TEST_KEY", KEY)


def ask_again(asked: Request, answer: Completion) -> Request | None:
    """What validation will do: an empty, cut or refused answer is asked again."""
    if answer.text and answer.finish_reason == "stop":
        return None
    base, _, number = asked.custom_id.partition(".r")
    again = int(number or 1) + 1
    return replace(request(f"{base} again {again}"), custom_id=f"{base}.r{again}")


def test_5000_requests_at_30_percent_faults(caplog: pytest.LogCaptureFixture) -> None:
    """Every answerable request is answered once, the books agree with the server, memory stays flat."""
    total, unanswerable = 5000, 20
    steps = {f"never {i}": ["bad_request"] for i in range(unanswerable)}
    prompts = (f"never {i // 250}" if i % 250 == 0 else f"p{i}" for i in range(total))
    outcomes: Counter[str] = Counter()
    texts: dict[str, str | None] = {}
    unasked: set[str] = set()
    spent = Decimal(0)
    kept: list[int] = []
    message = ""
    with FaultyServer(rates=RATES, seed=7, steps=steps, slow=60, retry_after=0.05) as server:
        patience = replace(HURRIED, timeout=1.5)
        ask = job(server.url, prompts, key=True, follow_up=ask_again, concurrency=64)
        try:
            for number, asked in enumerate(ask_in_turn([ask], patience=patience)):
                outcomes[asked.call.outcome] += 1
                spent += Decimal(str(asked.call.usd))
                base = asked.request.custom_id.partition(".r")[0]
                if isinstance(asked.result, Completion):
                    assert asked.request.custom_id not in texts
                    texts[asked.request.custom_id] = asked.result.text
                elif asked.call.outcome in LASTING:
                    unasked.add(base)
                if number % 1000 == 999:
                    gc.collect()
                    kept.append(len(gc.get_objects()))
                assert KEY not in repr(asked)
        except ElicitationError as error:
            message = str(error)
        stats = server.stats()

    good = {i.partition(".r")[0] for i, text in texts.items() if text}
    expected = {f"p{i}" for i in range(total) if i % 250} - unasked
    assert not expected - good
    assert len(unasked) >= unanswerable
    for custom_id, text in texts.items():
        if text and ".r" not in custom_id:
            assert text == f"ANSWER to {custom_id}"
    assert "20 bad_request" in message and "repeats_key" in message
    assert set(outcomes) >= {
        *("answered", "rate_limited", "server_error", "overloaded", "timeout", "cut_off", "not_json", "wrong_model"),
        *("duplicate_id", "too_large", "no_completion", "repeats_key", "bad_request"),
    }
    assert float(spent) == pytest.approx(stats["usd"], rel=0.01)
    # No answer was asked for twice; a busy machine may have been too late to read one that the server had sent.
    assert sum(stats["answered"].values()) - len(texts) <= outcomes["timeout"]
    # Flat: of a request nothing is kept but its id, while one answer kept would be several objects.
    assert kept[-1] - kept[0] < 0.2 * 1000 * (len(kept) - 1)
    assert KEY not in caplog.text + message


def test_the_budget_is_never_exceeded_by_the_servers_own_count() -> None:
    rates = {"half_body": 0.1, "reset": 0.1, "html": 0.1, "server_error": 0.1, "wrong_model": 0.05}
    with FaultyServer(rates=rates, seed=3, latency=0.02) as server:
        limit = Decimal("0.15")
        asked = ask_in_turn(
            [job(server.url, map(str, range(5000)), concurrency=64)], budget=Budget(limit), patience=HURRIED
        )
        found: list[Asked] = []
        with pytest.raises(BudgetSpent, match=r"budget of 0\.150000 USD .* requests left"):
            found.extend(asked)
        stats = server.stats()
    assert 0.6 * float(limit) < stats["usd"] <= float(limit)


def test_a_demand_to_wait_silences_the_whole_model() -> None:
    """After the first 429 arrives nothing more is sent until the demanded time; another model is not held up."""
    steps = {"p40": ["rate_limited_after", "ok"]}
    with FaultyServer(steps=steps, retry_after=1.0, latency=0.01, log=True) as server:
        limited = job(server.url, [f"p{i}" for i in range(400)], "maker/limited", concurrency=8)
        free = job(server.url, [f"q{i}" for i in range(400)], "maker/free", concurrency=8)
        assert len(answers(ask_in_turn([limited, free], patience=HURRIED))) == 800
        log = server.stats()["log"]
    told = next(at for at, _, kind, *_ in log if kind == "rate_limited_after") + 0.01
    during = [model for at, model, *_ in log if told + 0.25 < at < told + 0.99]
    assert "maker/limited" not in during
    assert "maker/free" in during
    assert sum(1 for _, model, *_ in log if model == "maker/limited") == 401


def test_a_model_that_dies_is_given_up_and_leaves_the_others_running() -> None:
    steps = {"maker/dying": ["ok"], **{f"d{i}": ["overloaded"] for i in range(100, 3000)}}
    with FaultyServer(steps=steps) as server:
        jobs = [
            job(server.url, (f"d{i}" for i in range(3000)), "maker/dying", concurrency=8),
            job(server.url, (f"w{i}" for i in range(500)), "maker/well", concurrency=8),
        ]
        found: list[Asked] = []
        with pytest.raises(ElicitationError, match=r"maker/dying: .*kept failing.* requests left") as caught:
            found.extend(ask_in_turn(jobs, patience=HURRIED))
        stats = server.stats()
    assert "maker/well" not in str(caught.value)
    assert set(answers(found)) == {*(f"d{i}" for i in range(100)), *(f"w{i}" for i in range(500))}
    assert stats["kinds"]["overloaded"] < 60


STORING = """
import json, signal, sys
from pipeline.elicitation.asking import ask_in_turn
from pipeline.elicitation.protocol import Completion
from tests.support.asked import HURRIED, job

signal.signal(signal.SIGINT, signal.default_int_handler)  # shells turn it off in the background
url, path, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
stored = set(open(path).read().split("\\n")[:-1])
prompts = [p for p in map(str, range(total)) if p not in stored]
with open(path, "a") as file:
    for asked in ask_in_turn([job(url, prompts, concurrency=16)], patience=HURRIED):
        if isinstance(asked.result, Completion):
            file.write(asked.request.custom_id + "\\n")
            file.flush()
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "ctrl-C"])
def test_a_killed_run_loses_no_answer_that_arrived(tmp_path: Path, signum: int) -> None:
    """What was in flight may be lost to a kill, but nothing else, and the next run asks only for what is missing."""
    total, path = 600, tmp_path / "stored"
    path.touch()
    with FaultyServer(latency=0.05) as server:
        command = [sys.executable, "-c", STORING, server.url, str(path), str(total)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while path.read_text().count("\n") < 100:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signum)
        process.wait()
        before = set(path.read_text().split("\n")[:-1])
        calls = server.stats()["calls"]
        assert 100 <= len(before) < total
        assert calls - len(before) <= 16
        subprocess.run(command, env=environment, check=True)
        stats = server.stats()
    stored = path.read_text().split("\n")[:-1]
    assert sorted(stored) == sorted(map(str, range(total)))
    assert stats["calls"] == calls + total - len(before)
    repeated = {name.split()[1] for name, count in stats["answered"].items() if count > 1}
    assert not repeated & before
