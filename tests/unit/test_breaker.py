from __future__ import annotations

from pipeline.elicitation.breaker import Breaker

NEVER = float("inf")


def fail(breaker: Breaker, times: int = 1, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.failed(breaker.sent(), now, "HTTP 500")


def answer(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.answered(breaker.sent())


def test_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker()
    fail(breaker, 9)
    answer(breaker)
    fail(breaker, 9)
    assert breaker.wait(0.0) == 0
    fail(breaker)
    assert breaker.wait(0.0) == 5.0


def test_failures_that_end_before_the_answers_do_not_open_it() -> None:
    """Of 64 calls at a time half fail, at once, and are sent again; what is answered takes longer."""
    breaker = Breaker()
    calls = [breaker.sent() for _ in range(64)]
    for failing in (32, 16, 8, 4, 2, 1):
        for _ in range(failing):
            breaker.failed(calls.pop(), 0.0, "HTTP 500")
        assert breaker.wait(0.0) == 0
        calls.extend(breaker.sent() for _ in range(failing))
    for sent in calls:
        breaker.answered(sent)
    assert breaker.wait(0.0) == 0


def test_opens_at_the_latest_when_all_in_flight_have_failed() -> None:
    breaker = Breaker()
    calls = [breaker.sent() for _ in range(64)]
    failed = 0
    while breaker.wait(0.0) == 0:
        breaker.failed(calls[failed], 0.0, "HTTP 500")
        failed += 1
        calls.append(breaker.sent())
    assert failed == 10 + 63


def test_opens_when_most_of_the_window_failed() -> None:
    breaker = Breaker(in_a_row=10, window=20, share=0.8)
    for _ in range(4):
        answer(breaker)
        fail(breaker, 9)
        if breaker.wait(0.0):
            break
    assert breaker.wait(0.0) == 5.0
    calm = Breaker(in_a_row=10, window=20, share=0.8)
    for _ in range(40):
        answer(calm)
        fail(calm, 3)
    assert calm.wait(0.0) == 0


def test_half_open_lets_one_probe_through_and_an_answer_closes() -> None:
    breaker = Breaker()
    fail(breaker, 10)
    assert breaker.wait(4.0) == 1.0
    assert breaker.wait(5.0) == 0
    probe = breaker.sent()
    assert breaker.wait(6.0) == NEVER
    breaker.answered(probe)
    assert breaker.wait(6.0) == 0
    fail(breaker, 9, 6.0)
    assert breaker.wait(6.0) == 0


def test_a_failed_probe_opens_again_for_longer() -> None:
    breaker = Breaker()
    fail(breaker, 10)
    breaker.failed(breaker.sent(), 5.0, "HTTP 500")
    assert breaker.wait(5.0) == 10.0


def test_a_rate_limited_probe_may_be_sent_anew() -> None:
    breaker = Breaker()
    fail(breaker, 10)
    breaker.let_go(breaker.sent())
    assert breaker.wait(5.0) == 0


def test_calls_sent_before_it_opened_change_nothing() -> None:
    breaker = Breaker()
    early = [breaker.sent() for _ in range(30)]
    for call in early[:20]:
        breaker.failed(call, 0.0, "HTTP 500")
    assert breaker.wait(1.0) == 4.0
    for call in early[20:]:
        breaker.failed(call, 1.0, "HTTP 500")
    breaker.answered(early[0])
    assert breaker.wait(1.0) == 4.0
    assert breaker.given_up is None


def test_gives_up_after_openings_and_says_why() -> None:
    breaker = Breaker(openings=3)
    fail(breaker, 10)
    for _ in range(2):
        assert breaker.given_up is None
        fail(breaker, 1, 1000.0)
    assert breaker.given_up is not None and "HTTP 500" in breaker.given_up


def test_a_long_time_of_answers_makes_up_for_openings() -> None:
    for answers, gone in ((10, True), (50, False)):
        breaker = Breaker(openings=2, window=50)
        fail(breaker, 10)
        answer(breaker, answers)
        fail(breaker, 10)
        assert bool(breaker.given_up) is gone
