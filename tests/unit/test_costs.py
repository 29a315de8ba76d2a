"""Money as it is written, and the forecast: prices times tokens, by member, with its range."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.costs import Cost, amount, forecast, money, parse_money, require_budget, total
from pipeline.elicitation.panel import Member, load_panel
from pipeline.elicitation.tokens import expect
from pipeline.prompts.render import Request, render_request
from warehouse.errors import ElicitationError

US = load_catalogue("us")
PRICED = Member(id="priced", source="recorded", variant="analyst.whole_map.percent_keyed", price_in=2.0, price_out=10.0)
FREE = PRICED.model_copy(update={"id": "free", "price_in": None, "price_out": None})


def requests(member: Member) -> list[Request]:
    return [render_request(US, "e", US.dimension("height"), given, member) for given in US.dimension("height").givens]


@pytest.mark.parametrize(
    ("text", "value"), [("25usd", "25"), ("0.50 USD", "0.5"), (" 1000usd ", "1000"), ("0.000001usd", "0.000001")]
)
def test_amounts_are_read(text: str, value: str) -> None:
    assert parse_money(text) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("25", "the currency is missing: prices are in US dollars, so write 25usd"),
        ("25eur", "'eur' is not counted: prices are in US dollars, so write 25usd"),
        ("", "write an amount above 0"),
        ("usd", "write an amount above 0"),
        ("0usd", "write an amount above 0"),
        ("-5usd", "write an amount above 0"),
        ("1e3usd", "write an amount above 0"),
        ("infusd", "write an amount above 0"),
        ("25usd\nx", "write an amount above 0"),
    ],
)
def test_what_is_no_amount_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ElicitationError, match="budget '") as caught:
        parse_money(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("usd", "shown"), [("0", "0.00"), ("0.01234", "0.0123"), ("0.5", "0.50"), ("1234.567", "1,234.57")]
)
def test_amounts_are_shown(usd: str, shown: str) -> None:
    assert amount(Decimal(usd)) == shown and money(Decimal(usd)) == f"{shown} usd"


def test_the_forecast_is_tokens_times_prices() -> None:
    asked = requests(PRICED)
    cost = forecast(asked, [PRICED], {"us": US})["priced"]
    tokens = [expect(r, US.dimension, structured=False) for r in asked]
    assert cost.requests == len(asked)
    assert cost.tokens_in == sum(t.tokens_in for t in tokens)
    assert cost.tokens_out == sum(t.tokens_out for t in tokens)
    assert cost.usd == (2 * Decimal(cost.tokens_in) + 10 * Decimal(cost.tokens_out)) / 1_000_000
    assert cost.low < cost.usd < cost.high


def test_members_are_told_apart_in_the_panels_order_and_added_up() -> None:
    idle = PRICED.model_copy(update={"id": "idle"})
    costs = forecast([*requests(FREE), *requests(PRICED)], [PRICED, idle, FREE], {"us": US})
    assert list(costs) == ["priced", "free"]
    assert costs["free"].usd == 0 and costs["free"].tokens_in == costs["priced"].tokens_in
    assert total(costs).requests == 2 * costs["free"].requests and total(costs).high == costs["priced"].high
    assert total({}) == Cost()


def test_a_schema_that_is_sent_is_counted_but_may_not_be_charged() -> None:
    strict = PRICED.model_copy(update={"structured_output": "json_schema"})
    with_schema = forecast(requests(strict), [strict], {"us": US})["priced"]
    without = forecast(requests(PRICED), [PRICED], {"us": US})["priced"]
    assert with_schema.usd > without.usd and with_schema.low == without.low


def test_who_charges_needs_a_budget_and_is_told_what_to_expect() -> None:
    costs = {name: Cost(10, 1, 1, Decimal("12.5"), Decimal(9), Decimal("20.1")) for name in "abcde"}
    with pytest.raises(ElicitationError) as caught:
        require_budget(costs, None)
    assert str(caught.value) == (
        "asking a, b, c and 2 more for 50 answers is expected to cost 62.50 usd (45.00 usd to 100.50 usd): "
        "give a budget, such as --budget 101usd"
    )
    require_budget(costs, Decimal(1))
    require_budget({"free": Cost(10, 1, 1)}, None)


def test_a_whole_panel_is_forecast_with_each_members_own_prices() -> None:
    live = [m for m in load_panel() if m.source == "live"]
    costs = forecast((r for m in live for r in requests(m)), live, {"us": US})
    assert len(costs) == 25
    cheap, dear = costs["openai/gpt-6-luna"], costs["openai/gpt-5.4-mini"]
    assert cheap.tokens_in == dear.tokens_in and cheap.usd * 4 < dear.usd
