"""The money of one run, counted in memory: what is spent, what calls in flight may cost, what may still be begun.

Belongs here: the ledger. Does not belong here: prices (`pricing`), keeping books across runs, parsing a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(slots=True)
class Budget:
    """A hard limit in US dollars, or none; `spent` starts with what earlier runs spent on the same account.

    Whatever may be charged is counted before it is: a call reserves the most it can cost, and its end replaces that by
    what it did cost. Where that is only an estimate, the rest of the reservation stays withheld, so that the limit
    holds even if every such call was charged in full. `withheld` starts with what earlier runs left so; `note` is told
    what is reserved and withheld before a call is sent and after it ends, for whoever keeps it.
    """

    limit: Decimal | None = None
    spent: Decimal = Decimal(0)
    withheld: Decimal = Decimal(0)
    note: Callable[[Decimal], None] = lambda amount: None
    reserved: Decimal = field(default=Decimal(0), init=False)
    _in_flight: int = field(default=0, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    def fits(self, amount: Decimal) -> bool:
        """Whether a call that costs at most `amount` may begin now."""
        if self.limit is None:
            return True
        if not amount:  # free by the panel's prices; if the endpoint charges all the same, it ends at the limit too
            return self.spent <= self.limit
        return self.spent + self.withheld + self.reserved + amount <= self.limit

    async def reserve(self, amount: Decimal) -> bool:
        """Set `amount` aside, once it fits; False if it never will, as nothing is in flight that could make room."""
        while not self.fits(amount):
            if not self._in_flight:
                return False
            self._changed.clear()
            await self._changed.wait()
        self.reserved += amount
        self._in_flight += bool(amount)
        if amount:
            self.note(self.reserved + self.withheld)
        return True

    def settle(self, reserved: Decimal, cost: Decimal, *, certain: bool = True) -> None:
        """A call ended that had `reserved` set aside: book what it cost, 0 for a call that was not sent after all."""
        self.reserved -= reserved
        self._in_flight -= bool(reserved)
        self.spent += cost
        if not certain:
            self.withheld += max(Decimal(0), reserved - cost)
        if reserved:
            self.note(self.reserved + self.withheld)
        self._changed.set()

    def spent_message(self, left: int, refused: Decimal) -> str:
        """One line: limit, spent, what the next call may cost at most and so could not begin, requests left."""
        withheld = f" and {usd(self.withheld)} withheld for calls that may have been charged" if self.withheld else ""
        charged = f"the next call may cost up to {usd(refused)}, " if refused else ""
        return (
            f"budget of {usd(self.limit or Decimal(0))} has no room for another call: {usd(self.spent)} spent{withheld}"
            f", {charged}{left} requests left: run again with a larger one to ask only for what is missing"
        )


def usd(amount: Decimal) -> str:
    """An amount as a person reads it: two decimals, six below a dollar."""
    return f"{amount:.2f} USD" if amount >= 1 else f"{amount:.6f} USD"
