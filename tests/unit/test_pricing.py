from __future__ import annotations

from decimal import Decimal

import pytest

from pipeline.elicitation.batch import Failure
from pipeline.elicitation.endpoint import Reply, Usage
from pipeline.elicitation.pricing import Pricing
from pipeline.elicitation.tokens import Expected
from tests.support.asked import member

EXPECTED = Expected(1000, 500)


def reply(outcome: str, usage: Usage = Usage()) -> Reply:  # noqa: B008
    return Reply(Failure("a", "there", outcome), outcome, "2026-11-28T00:00:00+00:00", 1.5, usage)


def priced(**fields: object) -> Pricing:
    return Pricing(member(**{"price_in": 2.0, "price_out": 10.0, **fields}))


def test_the_bound_covers_a_longer_prompt_and_the_longest_answer() -> None:
    pricing = priced()
    assert pricing.max_tokens(EXPECTED) == 2000
    assert pricing.bound(EXPECTED) == Decimal("0.023")  # 1500 x 2 + 2000 x 10 per million
    assert priced(max_output=700).max_tokens(EXPECTED) == 700
    assert priced(settings={"max_tokens": 90}).max_tokens(EXPECTED) == 90
    assert pricing.max_tokens(Expected(1000, 1)) == 256


def test_costs_as_reported_else_by_tokens_else_estimated_else_nothing() -> None:
    pricing = priced()
    calls = [
        pricing.book(reply("answered", Usage(1000, 500, 0.0069)), EXPECTED),
        pricing.book(reply("answered", Usage(1000, 500)), EXPECTED),
        pricing.book(reply("cut_off"), EXPECTED),
        pricing.book(reply("rate_limited"), EXPECTED),
    ]
    assert [(c.basis, c.usd) for c in calls] == [
        ("reported", 0.0069),
        ("tokens", 0.007),
        ("estimated", 0.007),
        ("free", 0.0),
    ]
    assert (calls[1].outcome, calls[1].seconds, calls[1].tokens_in, calls[2].tokens_in) == ("answered", 1.5, 1000, None)


@pytest.mark.parametrize("outcome", ["timeout", "cut_off", "not_json", "too_large", "interrupted"])
def test_what_may_have_been_charged_is_estimated_from_what_answers_took(outcome: str) -> None:
    pricing = priced()
    pricing.book(reply("answered", Usage(1200, 250)), EXPECTED)
    pricing.book(reply("answered", Usage(1400, 350)), EXPECTED)
    call = pricing.book(reply(outcome), Expected(2000, 1000))
    assert call.basis == "estimated"
    assert call.usd == pytest.approx((2600 * 2 + 600 * 10) / 1e6)


def test_a_failure_that_tells_its_tokens_is_booked_by_them() -> None:
    call = priced().book(reply("wrong_model", Usage(10, 20)), EXPECTED)
    assert (call.basis, call.usd) == ("tokens", pytest.approx(220 / 1e6))


def test_the_bound_grows_with_longer_prompts_and_higher_prices_than_known() -> None:
    pricing = priced()
    pricing.book(reply("answered", Usage(2000, 500, 0.018)), EXPECTED)  # twice what the prices say
    assert pricing.bound(EXPECTED) == Decimal(2) * (2200 * 2 + 2000 * 10) / 1_000_000
    assert pricing.book(reply("timeout"), EXPECTED).usd == pytest.approx(0.018)


def test_a_member_without_prices_costs_what_the_endpoint_says_or_nothing() -> None:
    pricing = priced(price_in=None, price_out=None)
    assert pricing.bound(EXPECTED) == 0
    assert pricing.book(reply("timeout"), EXPECTED).basis == "free"
    assert pricing.book(reply("answered", Usage(1, 2)), EXPECTED).basis == "free"
    assert pricing.book(reply("answered", Usage(1, 2, 0.5)), EXPECTED).usd == 0.5
