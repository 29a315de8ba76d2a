"""An asker that needs no endpoint: it answers by a function, and puts follow-ups as the real one does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.elicitation.batch import Failure
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.protocol import Call, Completion, to_completion
from pipeline.elicitation.sources import Order
from pipeline.prompts.render import Request
from warehouse.errors import BudgetSpent, ElicitationError

USD = 0.5


@dataclass(frozen=True)
class Told:
    request: Request
    result: Completion | Failure
    call: Call


@dataclass
class Scripted:
    """`reply` gives the text of an answer, or None for a failure. Calls cost `USD` each; the budget is kept to."""

    reply: Callable[[Request], str | None]
    error: str = "some requests failed"
    fields: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    budgets: list[tuple[Decimal | None, Decimal]] = field(default_factory=list)

    def __call__(self, orders: Sequence[Order], budget: Budget) -> Iterator[Told]:
        limit, spent = budget.limit, budget.spent
        self.budgets.append((limit, spent))
        waiting = deque((order, request) for order in orders for request in order.requests)
        failed = 0
        while waiting:
            order, request = waiting.popleft()
            if limit is not None and spent + Decimal(str(USD)) > limit:
                raise BudgetSpent(f"{spent} of {limit} usd are spent")
            spent += Decimal(str(USD))
            self.asked.append(request.custom_id)
            text = self.reply(request)
            if text is None:
                failed += 1
                call = Call("cut_off", "2026-11-01T00:00:00+00:00", 0.5, None, None, USD, "estimated")
                yield Told(request, Failure(request.custom_id, "here", self.error), call)
                continue
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            answer = to_completion(request.custom_id, {"id": "r", "model": "m", "choices": [choice], **self.fields})
            yield Told(request, answer, Call("answered", "2026-11-01T00:00:00+00:00", 1.5, 100, 50, USD, "reported"))
            if (after := order.follow_up(request, answer)) is not None:
                waiting.append((order, after))
        if failed:
            raise ElicitationError(self.error)
