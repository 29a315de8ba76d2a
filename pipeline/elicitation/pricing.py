"""What one model's calls cost: at most, by the books, and probably. Only the arithmetic of a member's prices.

Nothing here sums up money (`budget`) or counts the tokens of a text (`tokens`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from pipeline.elicitation.endpoint import FREE, Reply
from pipeline.elicitation.protocol import Call

if TYPE_CHECKING:
    from pipeline.elicitation.panel import Member
    from pipeline.elicitation.tokens import Expected

MILLION = Decimal(1_000_000)

INPUT_MARGIN = 1.5
"""A prompt is reserved this many times the expected tokens, more once one has been seen that had more."""

OUTPUT_MARGIN = 4
"""An answer may have this many times the expected tokens ..."""

LEAST_OUTPUT = 256
"""... but always as many as this."""


@dataclass(slots=True)
class Pricing:
    """Prices of one member, and how its calls so far compared with what was expected of them."""

    member: Member
    _expected: list[int] = field(default_factory=lambda: [0, 0], init=False)
    _reported: list[int] = field(default_factory=lambda: [0, 0], init=False)
    _margin: float = field(default=INPUT_MARGIN, init=False)
    _markup: Decimal = field(default=Decimal(1), init=False)

    def max_tokens(self, expected: Expected) -> int:
        """The bound on an answer, in tokens: sent with the request, and what `bound` rests on."""
        named = self.member.sent.get("max_completion_tokens") or self.member.sent.get("max_tokens")
        if isinstance(named, int):
            return named
        most = max(LEAST_OUTPUT, OUTPUT_MARGIN * expected.tokens_out)
        return most if self.member.max_output is None else min(self.member.max_output, most)

    def bound(self, expected: Expected) -> Decimal:
        """US dollars that a call can cost at most."""
        return self._price(round(expected.tokens_in * self._margin), self.max_tokens(expected)) * self._markup

    def book(self, reply: Reply, expected: Expected) -> Call:
        """The entry for a call. What endpoints report also corrects what is assumed of calls that do not say."""
        usage = reply.usage
        cost, basis = self._cost(reply, expected)
        if usage.tokens_in is not None and usage.tokens_out is not None:
            self._learn(usage.tokens_in, usage.tokens_out, expected, cost)
        return Call(reply.outcome, reply.started, reply.seconds, usage.tokens_in, usage.tokens_out, float(cost), basis)

    def _cost(
        self, reply: Reply, expected: Expected
    ) -> tuple[Decimal, Literal["reported", "tokens", "estimated", "free"]]:
        usage = reply.usage
        if usage.usd is not None:
            return Decimal(str(usage.usd)), "reported"
        if reply.outcome in FREE or not (self.member.price_in or self.member.price_out):
            return Decimal(0), "free"
        if usage.tokens_in is not None and usage.tokens_out is not None:
            return self._price(usage.tokens_in, usage.tokens_out), "tokens"
        ratios = [r / e if e else 1.0 for r, e in zip(self._reported, self._expected, strict=True)]
        tokens = round(expected.tokens_in * ratios[0]), round(expected.tokens_out * ratios[1])
        return self._price(*tokens) * self._markup, "estimated"

    def _learn(self, tokens_in: int, tokens_out: int, expected: Expected, cost: Decimal) -> None:
        self._expected = [self._expected[0] + expected.tokens_in, self._expected[1] + expected.tokens_out]
        self._reported = [self._reported[0] + tokens_in, self._reported[1] + tokens_out]
        if expected.tokens_in:
            self._margin = max(self._margin, 1.1 * tokens_in / expected.tokens_in)
        if by_price := self._price(tokens_in, tokens_out):  # an endpoint may charge more than the panel knows
            self._markup = max(self._markup, cost / by_price)

    def _price(self, tokens_in: int, tokens_out: int) -> Decimal:
        prices = Decimal(str(self.member.price_in or 0)), Decimal(str(self.member.price_out or 0))
        return (tokens_in * prices[0] + tokens_out * prices[1]) / MILLION
