"""The `Asker` of every build: it calls the endpoints of members. Only putting its parts together belongs here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.elicitation.asking import Asked, Job, ask_in_turn
from pipeline.elicitation.batch import response_format_of
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.local import local_server
from pipeline.elicitation.tokens import Expected, expect
from warehouse.errors import ElicitationError

if TYPE_CHECKING:
    from pipeline.elicitation.panel import Endpoint
    from pipeline.elicitation.sources import Order
    from pipeline.prompts.render import Request


def ask_endpoints(orders: Sequence[Order], *, budget: Decimal | None, spent: Decimal) -> Iterator[Asked]:
    """Ask these members, all of them at once; the server of a `local` one runs for as long as that takes."""
    with ExitStack() as servers:
        jobs = [_job(order, servers) for order in orders]
        yield from ask_in_turn(jobs, budget=Budget(budget, spent))


def _job(order: Order, servers: ExitStack) -> Job:
    member, catalogues = order.member, order.catalogues
    formats = {p: response_format_of(member, c.dimension) for p, c in catalogues.items()}

    def expected(request: Request) -> Expected:
        look_up = catalogues[request.population].dimension
        return expect(request, look_up, structured=member.structured_output == "json_schema")

    def response_format(request: Request) -> dict[str, object]:
        wanted = formats[request.population]
        assert wanted is not None
        return dict(wanted(request))

    return Job(
        _endpoint(order, servers),
        member,
        order.requests,
        expected,
        order.follow_up,
        None if member.structured_output == "none" else response_format,
    )


def _endpoint(order: Order, servers: ExitStack) -> Endpoint:
    if order.member.source == "local":
        return servers.enter_context(local_server(order.member))
    if order.member.endpoint is None:
        raise ElicitationError(f"panel member '{order.member.id}' has no endpoint: name one in panel.toml")
    return order.member.endpoint
