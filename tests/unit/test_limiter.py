from __future__ import annotations

import random

import pytest

from pipeline.elicitation.limiter import LONGEST_DEMAND, MOST_PAUSES, Limiter

NEVER = float("inf")


def limiter(most: int = 8) -> Limiter:
    return Limiter(most, random.Random(1))


def test_holds_back_what_exceeds_the_concurrency() -> None:
    one = limiter(2)
    assert one.wait(0) == 0
    one.sent()
    one.sent()
    assert one.wait(0) == NEVER
    one.ended(answered=True)
    assert one.wait(0) == 0


def test_nothing_is_sent_before_the_demanded_time() -> None:
    one = limiter()
    one.limited(one.sent(), 100.0, 7.0)
    assert one.wait(100.0) == 7.0
    assert one.wait(106.5) == 0.5
    assert one.wait(107.0) == 0


def test_a_later_demand_prolongs_the_pause_and_never_shortens_it() -> None:
    one = limiter()
    calls = [one.sent() for _ in range(3)]
    one.limited(calls[0], 0.0, 7.0)
    one.limited(calls[1], 1.0, 9.0)
    one.limited(calls[2], 2.0, 1.0)
    assert one.wait(2.0) == 8.0


def test_calls_that_were_in_flight_together_count_as_one_limit() -> None:
    one = limiter(8)
    calls = [one.sent() for _ in range(8)]
    for call in calls:
        one.limited(call, 0.0, None)
    assert one.allowed == 5
    assert one.in_flight == 0
    first = one.wait(0.0)
    assert 0.5 <= first <= 1.0
    one.limited(one.sent(), 10.0, None)
    assert one.allowed == 3
    assert 1.0 <= one.wait(10.0) <= 2.0


def test_answers_win_the_concurrency_back_step_by_step_and_no_further() -> None:
    one = limiter(100)
    one.limited(one.sent(), 0.0, 0.0)
    assert one.allowed == 70
    seen = []
    for _ in range(2):
        for _ in range(one.allowed):
            one.sent()
            one.ended(answered=True)
        seen.append(one.allowed)
    assert seen == [73, 77]
    one.sent()
    one.ended(answered=False)
    assert one.allowed == 77
    for _ in range(1000):
        one.sent()
        one.ended(answered=True)
    assert one.allowed == 100


def test_at_least_one_call_stays_allowed() -> None:
    one = limiter(2)
    for _ in range(9):
        one.limited(one.sent(), 0.0, 0.0)
    assert one.allowed == 1
    assert one.wait(0.0) == 0


def test_gives_up_when_asked_to_wait_too_long() -> None:
    one = limiter()
    one.limited(one.sent(), 0.0, LONGEST_DEMAND)
    assert one.given_up is None
    one.limited(one.sent(), 0.0, 86_400.0)
    assert one.given_up is not None and "86400 s" in one.given_up


@pytest.mark.parametrize("answered", [False, True])
def test_gives_up_after_pauses_with_no_answer_between(answered: bool) -> None:
    one = limiter()
    for _ in range(MOST_PAUSES + 1):
        one.limited(one.sent(), 0.0, None)
        if answered:
            one.sent()
            one.ended(answered=True)
    assert (one.given_up is None) is answered
