"""Where the answers to requests come from: the record, and for members that can be asked, asking for what it lacks.

Belongs here: what is missing, asking for it in one go, and telling what could not be had. Does not belong here: calling
endpoints (an `Asker`), the record's files (`record`, `journal`), what is asked next (`prompts.reask`).

`recorded` members answer from the record only. `live` and `local` ones are asked for every request that has no accepted
answer and re-asks left; whatever comes of it is in the record before it is anywhere else, and is read back from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from pipeline.elicitation import costs
from pipeline.elicitation.batch import Failure
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.journal import journal
from pipeline.elicitation.keys import keys_of, without_key
from pipeline.elicitation.protocol import Call, Completion
from pipeline.elicitation.record import Attempt, Record, completions_of
from pipeline.prompts.reask import FollowUp, base_id, follow_up, next_requests
from warehouse.errors import BudgetSpent, CorpusError, ElicitationError, PersonaGenError

if TYPE_CHECKING:
    from pipeline.catalogue.models import Catalogue
    from pipeline.elicitation.panel import Member
    from pipeline.prompts.render import Request


class Asked(Protocol):
    """What became of one call: the request as it was put, the answer or failure, and the entry for the books."""

    @property
    def request(self) -> Request: ...  # noqa: D102
    @property
    def result(self) -> Completion | Failure: ...  # noqa: D102
    @property
    def call(self) -> Call: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Order:
    """What one member is to be asked; each answer is put to `follow_up`, whose request, if any, is asked as well."""

    member: Member
    requests: Sequence[Request]
    follow_up: FollowUp
    catalogues: Mapping[str, Catalogue]


class Asker(Protocol):
    """A way to ask several members at once.

    Yields every call as it ends, answered or not. All members spend from `budget`. After all that could be had, what
    went wrong is raised as one `ElicitationError`, `BudgetSpent` where money ran out.
    """

    def __call__(self, orders: Sequence[Order], budget: Budget) -> Iterator[Asked]:
        """Ask these members."""
        ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """Every attempt at the requests, and what is still to be had: the requests left, by custom id, and why.

    `fatal` tells that no later stage should go on without the user: nothing complete came of asking, the money ran out,
    or an edition lacks recorded answers.
    """

    attempts: tuple[Attempt, ...]
    left: Mapping[str, Request]
    error: PersonaGenError | None = None
    fatal: bool = False


def gather(
    requests: Sequence[Request],
    record: Record,
    *,
    member_of: Mapping[str, Member],
    catalogues: Mapping[str, Catalogue],
    asker: Asker,
    budget: Decimal | None = None,
    asking: bool = True,
    settled: Callable[[str], None] = lambda custom_id: None,
) -> Gathered:
    """Get the answers to these requests; members that can be asked are asked, all of them at once, if `asking`.

    `member_of` has the member of every request of the edition, also of those not wanted now: the budget is the
    edition's. `settled` is told each request that needs no more asking, by its custom id. Raises `CorpusError` for a
    damaged record, or one that another run is adding to; what answers could not be had is told in the outcome instead,
    so that the others can be kept.
    """
    wanted = {r.custom_id: r for r in requests}
    askable = [r for r in requests if member_of[r.custom_id].source != "recorded"]
    attempts = list(record.attempts(wanted))
    left = _left(askable, attempts, catalogues)
    for custom_id in wanted.keys() - left.keys():
        settled(custom_id)
    error: PersonaGenError | None = None
    asked: set[str] = set()
    if left and not asking:
        error = ElicitationError(f"{len(left)} requests have no usable answer, and nobody was to be asked for one")
    elif left:
        members = {r.model: member_of[i] for i, r in left.items()}
        keys = keys_of(members.values())
        with journal(record.live or record.recorded, keys) as book:
            attempts = list(record.attempts(wanted))  # again, now that nobody else can add to it
            left = _left(askable, attempts, catalogues)
            following = _following(wanted, catalogues, settled)
            orders = [
                Order(member, mine, following, catalogues)
                for member in members.values()
                if (mine := [r for r in left.values() if r.model == member.id])
            ]
            asked = {order.member.id for order in orders}
            try:
                require_budget(orders, budget)
                for order in orders:
                    book.ready(order.member.id)
                purse = Budget(budget, record.spent(member_of), book.withheld, book.withhold)
                for one in asker(orders, purse):
                    book.write(one.request.model, one.result, one.call)
            except PersonaGenError as trouble:
                error = type(trouble)(without_key(str(trouble), keys))
        attempts = list(record.attempts(wanted))
        left = _left(askable, attempts, catalogues)
        if left and error is None:
            error = ElicitationError(
                f"{len(left)} requests are left without a usable answer: run again to ask for them"
            )
    nothing_complete = bool(asked) and asked <= {r.model for r in left.values()}
    fatal = error is not None and (isinstance(error, BudgetSpent) or nothing_complete)
    answered = {a.custom_id for a in attempts if isinstance(a.result, Completion)}
    recorded = [r for r in requests if member_of[r.custom_id].source == "recorded"]
    lacking = {r.custom_id: r for r in recorded if r.custom_id not in answered}
    if lacking:
        error, fatal = _lacks(record, tuple(lacking), len(recorded)), True
    return Gathered(tuple(attempts), {**left, **lacking}, error, fatal)


def _left(
    requests: Sequence[Request], attempts: Sequence[Attempt], catalogues: Mapping[str, Catalogue]
) -> dict[str, Request]:
    """What there is to ask, originals and re-asks, by the custom id of the request that it belongs to."""
    answers = completions_of(attempts)
    return {
        base_id(following.custom_id): following
        for population in dict.fromkeys(r.population for r in requests)
        for following in next_requests(
            (r for r in requests if r.population == population), answers, catalogues[population].dimension
        )
    }


def _following(
    wanted: Mapping[str, Request], catalogues: Mapping[str, Catalogue], settled: Callable[[str], None]
) -> FollowUp:
    """What follows an answer, in whatever population; tells of requests that nothing follows."""
    judges = {population: follow_up(wanted, catalogue.dimension) for population, catalogue in catalogues.items()}

    def following(asked: Request, answer: Completion) -> Request | None:
        found = judges[asked.population](asked, answer)
        if found is None:
            settled(base_id(asked.custom_id))
        return found

    return following


def require_budget(orders: Sequence[Order], budget: Decimal | None) -> None:
    """Refuse to ask members that charge without a bound on what they may charge; the error states what to expect."""
    if budget is None and any(o.member.price_in or o.member.price_out for o in orders):
        requests = (request for order in orders for request in order.requests)
        catalogues = {population: c for order in orders for population, c in order.catalogues.items()}
        costs.require_budget(costs.forecast(requests, [o.member for o in orders], catalogues), budget)


def _lacks(record: Record, lacking: Sequence[str], recorded: int) -> CorpusError:
    shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
    return CorpusError(
        f"{record.recorded} lacks answers to {len(lacking)} of {recorded} requests ({shown}): "
        "export these, have them answered and import the output, or restore the edition"
    )
