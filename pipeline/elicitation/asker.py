"""The `Asker` of every build: it calls the endpoints of members. Only putting its parts together belongs here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.elicitation.batch import Failure, response_format_of, usage_call
from pipeline.elicitation.live import LiveSource
from pipeline.elicitation.protocol import Call, Completion
from warehouse.errors import BudgetSpent, ElicitationError

if TYPE_CHECKING:
    from pipeline.elicitation.sources import Order
    from pipeline.prompts.render import Request


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    result: Completion | Failure
    call: Call


def ask_endpoints(orders: Sequence[Order], *, budget: Decimal | None, spent: Decimal) -> Iterator[_Asked]:
    """Ask these members, one after another."""
    for order in orders:
        member, waiting = order.member, {r.custom_id: r for r in order.requests}
        if member.endpoint is None:
            raise ElicitationError(f"panel member '{member.id}' has no endpoint: name one in panel.toml")
        (catalogue,) = order.catalogues.values()
        source = LiveSource(
            member.endpoint.base_url,
            key_variable=member.endpoint.key_variable,
            concurrency=member.concurrency,
            response_format=response_format_of(member, catalogue.dimension),
        )
        while waiting:
            following: dict[str, Request] = {}
            for completion in source.complete(list(waiting.values())):
                request = waiting[completion.custom_id]
                call = usage_call(completion.received, member)
                yield _Asked(request, completion, call or Call("answered", _now(), None, None, None, 0.0, "free"))
                spent += Decimal(str(call.usd)) if call else 0
                if budget is not None and spent >= budget:
                    raise BudgetSpent(f"{spent:.4f} of {budget} usd are spent: give more, and run again")
                if (after := order.follow_up(request, completion)) is not None:
                    following[after.custom_id] = after
            waiting = following


def _now() -> str:
    return datetime.now(UTC).isoformat()
