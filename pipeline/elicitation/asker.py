"""The `Asker` of every build: it calls the endpoints of members. Only putting its parts together belongs here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.elicitation.asking import Asked, Job, ask_in_turn
from pipeline.elicitation.batch import response_format_of
from pipeline.elicitation.local import reachable
from pipeline.elicitation.tokens import Expected, expect
from warehouse.errors import ElicitationError

if TYPE_CHECKING:
    from pipeline.elicitation.budget import Budget
    from pipeline.elicitation.panel import Member
    from pipeline.elicitation.sources import Order
    from pipeline.prompts.render import Request


def ask_endpoints(orders: Sequence[Order], budget: Budget) -> Iterator[Asked]:
    """Ask these members, all of them at once; the server of a `local` one runs for as long as that takes."""
    with reachable([order.member for order in orders]) as members:
        jobs = [_job(order, member) for order, member in zip(orders, members, strict=True)]
        yield from ask_in_turn(jobs, budget=budget)


def _job(order: Order, member: Member) -> Job:
    if member.endpoint is None:
        raise ElicitationError(f"panel member '{member.id}' has no endpoint: name one in panel.toml")
    catalogues = order.catalogues
    formats = {p: response_format_of(member, c.dimension) for p, c in catalogues.items()}
    structured = member.structured_output == "json_schema"

    def expected(request: Request) -> Expected:
        return expect(request, catalogues[request.population].dimension, structured=structured)

    def response_format(request: Request) -> dict[str, object]:
        wanted = formats[request.population]
        assert wanted is not None
        return dict(wanted(request))

    return Job(
        member.endpoint,
        member,
        order.requests,
        expected,
        order.follow_up,
        None if member.structured_output == "none" else response_format,
    )
