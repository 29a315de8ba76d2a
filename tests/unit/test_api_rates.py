"""Rates: a minute's worth at once, then the pace; what is larger than that waits and leaves a debt."""

from __future__ import annotations

import pytest

from serving.api import rates as module
from serving.api.rates import Rates


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_minutes_worth_and_then_the_pace(clock: Clock) -> None:
    rates = Rates({"requests": 30}, clock)
    assert [rates.take("a", "requests", 1) for _ in range(30)] == [0.0] * 30
    assert rates.take("a", "requests", 1) == pytest.approx(2.0)
    assert rates.take("b", "requests", 1) == 0.0  # each has a bucket of their own
    clock.now += 1.9
    assert rates.take("a", "requests", 1) == pytest.approx(0.1)
    clock.now += 0.2
    assert rates.take("a", "requests", 1) == 0.0
    clock.now += 3600
    assert [rates.take("a", "requests", 1) > 0 for _ in range(31)] == [False] * 30 + [True]


def test_what_is_larger_than_the_bucket_leaves_a_debt(clock: Clock) -> None:
    rates = Rates({"personas": 600}, clock)
    assert rates.take("a", "personas", 6000) == 0.0
    assert rates.take("a", "personas", 1) == pytest.approx(540.1)
    clock.now += 541
    assert rates.take("a", "personas", 1) == 0.0
    assert rates.take("a", "personas", 6000) == pytest.approx(59.1)  # only when it is full


def test_a_refusal_takes_nothing(clock: Clock) -> None:
    rates = Rates({"personas": 60}, clock)
    rates.take("a", "personas", 60)
    for _ in range(100):
        assert rates.take("a", "personas", 10) == pytest.approx(10.0)


def test_what_is_given_back_was_not_taken(clock: Clock) -> None:
    rates = Rates({"personas": 60}, clock)
    rates.take("a", "personas", 100)
    rates.give_back("a", "personas", 100)
    assert rates.headers("a")["RateLimit"] == '"personas";r=60;t=0'
    rates.give_back("b", "personas", 10)
    assert rates.take("b", "personas", 61) == 0.0 and rates.take("b", "personas", 1) > 0


def test_what_has_no_limit_is_always_there(clock: Clock) -> None:
    rates = Rates({}, clock)
    assert rates.take("a", "requests", 10**9) == 0.0 and rates.headers("a") == {} and not rates.any


def test_headers_tell_what_is_left_and_when_it_is_full(clock: Clock) -> None:
    rates = Rates({"requests": 60, "personas": 600}, clock)
    rates.take("a", "requests", 1)
    rates.take("a", "personas", 900)
    assert rates.any and rates.headers("a") == {
        "RateLimit-Policy": '"requests";q=60;w=60, "personas";q=600;w=60',
        "RateLimit": '"requests";r=59;t=1, "personas";r=0;t=90',
    }


def test_the_number_of_clients_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CLIENTS", 2)
    rates = Rates({"requests": 1}, clock)
    for client in ("a", "b", "c"):
        rates.take(client, "requests", 1)
    assert [rates.take(client, "requests", 1) > 0 for client in ("b", "c", "a")] == [True, True, False]
