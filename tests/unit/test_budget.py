from __future__ import annotations

import asyncio
from decimal import Decimal

from pipeline.elicitation.budget import Budget


def test_what_is_in_flight_counts() -> None:
    async def run() -> None:
        budget = Budget(Decimal("1.00"), spent=Decimal("0.40"))
        assert await budget.reserve(Decimal("0.30"))
        assert await budget.reserve(Decimal("0.30"))
        assert not budget.fits(Decimal("0.01"))

    asyncio.run(run())


def test_waits_for_calls_in_flight_and_takes_what_they_leave() -> None:
    async def run() -> None:
        budget = Budget(Decimal("1.00"))
        assert await budget.reserve(Decimal("0.80"))
        waiting = asyncio.create_task(budget.reserve(Decimal("0.50")))
        await asyncio.sleep(0)
        assert not waiting.done()
        budget.settle(Decimal("0.80"), Decimal("0.45"))
        assert await waiting
        assert (budget.spent, budget.reserved) == (Decimal("0.45"), Decimal("0.50"))

    asyncio.run(run())


def test_says_no_once_nothing_in_flight_can_make_room() -> None:
    async def run() -> None:
        budget = Budget(Decimal("1.00"))
        assert await budget.reserve(Decimal("0.80"))
        waiting = asyncio.create_task(budget.reserve(Decimal("0.50")))
        await asyncio.sleep(0)
        budget.settle(Decimal("0.80"), Decimal("0.60"))
        assert not await waiting
        assert await budget.reserve(Decimal("0.40"))  # a cheaper one still fits, to the cent

    asyncio.run(run())


def test_what_may_have_been_charged_in_full_stays_withheld() -> None:
    async def run() -> None:
        budget = Budget(Decimal("1.00"))
        assert await budget.reserve(Decimal("0.80"))
        budget.settle(Decimal("0.80"), Decimal("0.20"), certain=False)
        assert budget.spent == Decimal("0.20")
        assert not budget.fits(Decimal("0.21"))
        assert budget.fits(Decimal("0.20"))
        assert "0.600000 USD withheld" in budget.spent_message(7, Decimal(1))

    asyncio.run(run())


def test_what_costs_nothing_ends_only_when_the_limit_was_passed() -> None:
    budget = Budget(Decimal("1.00"), spent=Decimal("1.00"))
    assert budget.fits(Decimal(0))
    budget.settle(Decimal(0), Decimal("0.01"))
    assert not budget.fits(Decimal(0))


def test_without_a_limit_everything_fits_and_is_counted() -> None:
    async def run() -> None:
        budget = Budget()
        assert await budget.reserve(Decimal(10**9))
        budget.settle(Decimal(10**9), Decimal("12.5"))
        assert budget.spent == Decimal("12.5")

    asyncio.run(run())


def test_the_message_is_one_line_with_limit_spent_the_next_call_and_what_is_left() -> None:
    message = Budget(Decimal(25), spent=Decimal("3.5")).spent_message(12, Decimal("21.75"))
    assert message.startswith(
        "budget of 25.00 USD has no room for another call: 3.50 USD spent, the next call may cost up to 21.75 USD, "
        "12 requests left"
    )
    assert "\n" not in message


def test_the_message_names_no_cost_of_a_next_call_that_is_free() -> None:
    message = Budget(Decimal(1), spent=Decimal("1.01")).spent_message(12, Decimal(0))
    assert "1.01 USD spent, 12 requests left" in message
