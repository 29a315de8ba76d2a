"""What asking will cost, before it does: tokens and money by panel member, with the range that the error allows.

Belongs here: amounts of money as people write them, and the forecast, a pure function of requests and prices. Does not
belong here: which requests are still to be put, what calls did cost, holding a run to its budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.elicitation.tokens import Expected, expected_range
from warehouse.errors import ElicitationError

if TYPE_CHECKING:
    from pipeline.catalogue.models import Catalogue
    from pipeline.elicitation.panel import Member
    from pipeline.prompts.render import Request

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of requests is expected to take: tokens, and US dollars with the least and the most of them.

    One answer per request: what is rejected and asked again, or charged and lost, comes on top. The range is that of
    `tokens.expected_range`. A member without prices costs nothing that the panel knows of.
    """

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: Decimal = Decimal(0)
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.requests + other.requests,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.usd + other.usd,
            self.low + other.low,
            self.high + other.high,
        )


def forecast(
    requests: Iterable[Request], members: Sequence[Member], catalogues: Mapping[str, Catalogue]
) -> dict[str, Cost]:
    """What these requests will cost, by member id in the order of `members`; members without a request are left out.

    `catalogues` are by population. Raises `KeyError` if a request's member is not among `members`.
    """
    by_id = {m.id: m for m in members}
    costs = dict.fromkeys(by_id, Cost())
    for request in requests:
        member = by_id[request.model]
        look_up = catalogues[request.population].dimension
        span = expected_range(request, look_up, structured=member.structured_output == "json_schema")
        low, usd, high = (price_of(member, tokens) for tokens in (span.low, span.likely, span.high))
        costs[member.id] += Cost(1, span.likely.tokens_in, span.likely.tokens_out, usd, low, high)
    return {i: cost for i, cost in costs.items() if cost.requests}


def total(costs: Mapping[str, Cost]) -> Cost:
    """All members together."""
    return sum(costs.values(), Cost())


def require_budget(costs: Mapping[str, Cost], budget: Decimal | None) -> None:
    """Raise `ElicitationError`, stating the expected cost, if something will be charged and no budget bounds it."""
    charged = {i: cost for i, cost in costs.items() if cost.usd}
    if charged and budget is None:
        all_of_it = total(charged)
        names = ", ".join(list(charged)[:3]) + (f" and {len(charged) - 3} more" if len(charged) > 3 else "")
        raise ElicitationError(
            f"asking {names} for {all_of_it.requests} answers is expected to cost {money(all_of_it.usd)} "
            f"({money(all_of_it.low)} to {money(all_of_it.high)}): give a budget, such as "
            f"--budget {all_of_it.high.to_integral_value(rounding='ROUND_CEILING')}usd"
        )


def price_of(member: Member, tokens: Expected) -> Decimal:
    """US dollars for these tokens at the panel's prices; 0 for a member that has none."""
    price_in, price_out = (Decimal(str(price or 0)) for price in (member.price_in, member.price_out))
    return (tokens.tokens_in * price_in + tokens.tokens_out * price_out) / MILLION


def parse_money(text: str) -> Decimal:
    """Read an amount such as `25usd` or `0.50 USD`; raises `ElicitationError` for anything else, 0 among it."""
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([A-Za-z]*)\s*", text, re.ASCII)
    if found is None or not Decimal(found[1]):
        raise ElicitationError(f"budget '{text}': write an amount above 0 with its currency, such as 25usd")
    amount, currency = found.groups()
    if currency.lower() != "usd":
        said = f"'{currency}' is not counted" if currency else "the currency is missing"
        raise ElicitationError(f"budget '{text}': {said}: prices are in US dollars, so write {amount}usd")
    return Decimal(amount)


def money(usd: Decimal) -> str:
    """An amount with its currency."""
    return f"{amount(usd)} usd"


def amount(usd: Decimal) -> str:
    """An amount as a person reads it: cents, and what is less than ten of them to a hundredth of one."""
    return f"{usd:,.2f}" if usd >= Decimal("0.1") or not usd else f"{usd:.4f}"
