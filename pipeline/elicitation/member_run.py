"""One panel member being asked: when its next request is sent, and what follows from how a call ended.

Belongs here: the loop that puts limiter, breaker, budget and retries together for one member, and what members share.
Does not belong here: those parts themselves, running several members and handing attempts on (`asking`).
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.elicitation.batch import Failure, ResponseFormat
from pipeline.elicitation.breaker import Breaker
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.endpoint import PASSING, OpenEndpoint, Reply
from pipeline.elicitation.limiter import Limiter
from pipeline.elicitation.pricing import Pricing
from pipeline.elicitation.protocol import Call, Completion
from warehouse.errors import ElicitationError

if TYPE_CHECKING:
    from pipeline.elicitation.panel import Endpoint, Member
    from pipeline.elicitation.tokens import Expected
    from pipeline.prompts.render import Request

MOST_UNREAD = 1000
"""Attempts that may lie unread before nothing more is sent: whoever reads slowly is not buried."""

WAITING_ROOM = 4
"""Retries may be waiting for this many times the concurrency before new requests are held back."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One attempt at one request: what came of it and what it cost."""

    request: Request
    result: Completion | Failure
    call: Call


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to try; times in seconds.

    `timeout` bounds a call as a whole, `tries` the calls of one request that fail in a way that may pass (a rate limit
    is no try). Before the n-th try again it waits a random time up to `first_backoff` * 2^(n-1), at most
    `longest_backoff`. `first_pause` is that of the limiter, `cooldown` that of the breaker.
    """

    timeout: float = 120.0
    tries: int = 5
    first_backoff: float = 1.0
    longest_backoff: float = 60.0
    first_pause: float = 1.0
    cooldown: float = 5.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask of one member.

    `requests` are taken as calls become free, so that they may be an endless iterator; each id is asked once.
    `expect` tells what a request will take in tokens. `follow_up` gets every answer and returns the next request to
    put because of it, or None. `response_format` is sent where given.
    """

    endpoint: Endpoint
    member: Member
    requests: Iterable[Request]
    expect: Callable[[Request], Expected]
    follow_up: Callable[[Request, Completion], Request | None] | None = None
    response_format: ResponseFormat | None = None


@dataclass(slots=True)
class Shared:
    """What the members of one run share: money, the overall bound on calls in flight, and where attempts are left."""

    budget: Budget
    slots: asyncio.Semaphore
    patience: Patience
    rng: random.Random
    unread: deque[Asked] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, asked: Asked) -> None:
        """Leave an attempt for whoever reads them."""
        self.unread.append(asked)
        self.arrived.set()


@dataclass(slots=True)
class _Item:
    request: Request
    tries: int = 0


class MemberRun:
    """One member being asked; `run` ends when nothing is left to do or the member was given up.

    `refused` is the cost in US dollars of the call that the budget had no room for, at most; None if there was none.
    """

    def __init__(self, job: Job, shared: Shared) -> None:
        self.job = job
        self.wake = asyncio.Event()
        self.defect: Exception | None = None
        self.refused: Decimal | None = None
        self._shared = shared
        self._stopped: str | None = None
        self._limiter = Limiter(job.member.concurrency, shared.rng, shared.patience.first_pause)
        self._breaker = Breaker(cooldown=shared.patience.cooldown)
        self._pricing = Pricing(job.member)
        self._fresh: Iterator[Request] | None = iter(job.requests)
        self._again: deque[_Item] = deque()
        self._later: list[tuple[float, int, _Item]] = []
        self._ids: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: Counter[str] = Counter()
        self._last_reason = ""

    async def run(self) -> None:
        """Ask until nothing is left; calls in flight end before it does, or are broken off if it is cancelled."""
        try:
            async with OpenEndpoint(
                self.job.endpoint,
                self.job.member,
                timeout=self._shared.patience.timeout,
                response_format=self.job.response_format,
            ) as self._open:
                try:
                    await self._dispatch()
                    await asyncio.gather(*self._tasks)
                finally:
                    for task in self._tasks:
                        task.cancel()
                    await asyncio.gather(*self._tasks, return_exceptions=True)
        except ElicitationError as error:
            self._stop(str(error))

    def left(self) -> int:
        """Requests that were not asked, or not to the end; reads what is left of the requests to count it."""
        fresh = sum(r.custom_id not in self._ids for r in self._fresh) if self._fresh else 0
        return fresh + len(self._again) + len(self._later)

    def problem(self) -> str | None:
        """One line on what failed, None if every request was answered; money is a matter of the whole run."""
        parts = []
        if failed := self._failed.total():
            kinds = ", ".join(f"{count} {kind}" for kind, count in self._failed.most_common())
            parts.append(f"{failed} of {len(self._ids)} requests failed ({kinds}; last: {self._last_reason})")
        if self._stopped and self.refused is None:
            parts.append(f"{self._stopped}, {self.left()} requests left")
        return f"{self.job.member.id}: {'; '.join(parts)}" if parts else None

    async def _dispatch(self) -> None:
        while self._stopped is None:
            wait = max(self._gate(), self._supply())
            if wait == float("inf") and not self._tasks and len(self._shared.unread) < MOST_UNREAD:
                return
            if wait > 0:
                await self._sleep(wait)
            elif (item := self._take()) is not None:
                await self._send(item)

    def _gate(self) -> float:
        """Seconds until something may be sent: 0 for at once, infinite if something has to happen first."""
        if len(self._shared.unread) >= MOST_UNREAD:
            return float("inf")
        now = time.monotonic()
        return max(self._limiter.wait(now), self._breaker.wait(now))

    def _supply(self) -> float:
        """Seconds until there is something to send, infinite if there is nothing."""
        room = len(self._later) < WAITING_ROOM * self.job.member.concurrency
        if self._again or (self._fresh is not None and room):
            return 0.0
        return max(0.0, self._later[0][0] - time.monotonic()) if self._later else float("inf")

    def _take(self) -> _Item | None:
        if self._later and self._later[0][0] <= time.monotonic():
            return heapq.heappop(self._later)[2]
        if self._again:
            return self._again.popleft()
        for request in self._fresh or ():
            if request.custom_id not in self._ids:
                self._ids.add(request.custom_id)
                return _Item(request)
        self._fresh = None
        return None

    async def _send(self, item: _Item) -> None:
        """Start the call once a slot and the money are there, or put the request back if it may not be sent then."""
        expected = self.job.expect(item.request)
        bound = self._pricing.bound(expected)
        await self._shared.slots.acquire()
        affordable = await self._shared.budget.reserve(bound)
        if affordable and self._stopped is None and not self._gate():
            sent = self._limiter.sent(), self._breaker.sent()
            task = asyncio.create_task(self._call(item, expected, bound, sent))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
            return
        self._again.appendleft(item)
        self._shared.slots.release()
        if affordable:
            self._shared.budget.settle(bound, Decimal(0))
        else:
            self.refused = bound
            self._stop("the budget is spent")

    async def _call(self, item: _Item, expected: Expected, bound: Decimal, sent: tuple[int, int]) -> None:
        try:
            reply = await self._open.call(item.request, self._pricing.max_tokens(expected))
            call = self._pricing.book(reply, expected)
            self._shared.budget.settle(bound, Decimal(str(call.usd)), certain=call.basis != "estimated")
            self._shared.deliver(Asked(item.request, reply.result, call))
            self._judge(item, reply, sent)
        except Exception as error:  # a defect, such as in `follow_up`: what arrived is handed on before it is raised
            self.defect = error
            self._stop("a defect")
        finally:
            self._shared.slots.release()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wake.set()

    def _judge(self, item: _Item, reply: Reply, sent: tuple[int, int]) -> None:
        """Decide what follows from how a call ended: nothing, a re-ask, another try, or giving up."""
        now = time.monotonic()
        match reply.outcome:
            case "rate_limited":
                self._limiter.limited(sent[0], now, reply.retry_after)
                self._breaker.let_go(sent[1])
                self._again.append(item)
            case "answered":
                self._limiter.ended(answered=True)
                self._breaker.answered(sent[1])
                self._follow_up(item.request, reply.result)
            case "interrupted":
                self._limiter.ended(answered=False)
                self._breaker.let_go(sent[1])
                self._again.append(item)
            case "refused":
                self._limiter.ended(answered=False)
                self._again.append(item)
                self._stop(
                    f"{self._open.where} refuses {self._open.model} ({_reason(reply)}): check key, model and URL"
                )
            case _:
                self._limiter.ended(answered=False)
                self._breaker.failed(sent[1], now, _reason(reply))
                self._try_again(item, reply, now)
        for gone in (self._limiter.given_up, self._breaker.given_up):
            if gone:
                self._stop(f"given up, as {self._open.where} {gone}")

    def _follow_up(self, request: Request, result: Completion | Failure) -> None:
        if self.job.follow_up is None or isinstance(result, Failure):
            return
        request_after = self.job.follow_up(request, result)
        if request_after is not None and request_after.custom_id not in self._ids:
            self._ids.add(request_after.custom_id)
            self._again.append(_Item(request_after))

    def _try_again(self, item: _Item, reply: Reply, now: float) -> None:
        patience = self._shared.patience
        item.tries += 1
        if reply.outcome not in PASSING or item.tries >= patience.tries:
            self._last_reason = _reason(reply)
            self._failed[reply.outcome] += 1
            return
        wait = backoff(item.tries, patience.first_backoff, patience.longest_backoff, self._shared.rng)
        due = now + max(wait, min(reply.retry_after or 0.0, patience.longest_backoff))
        heapq.heappush(self._later, (due, id(item), item))

    def _stop(self, reason: str) -> None:
        self._stopped = self._stopped or reason
        self.wake.set()

    async def _sleep(self, seconds: float) -> None:
        self.wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == float("inf") else seconds):
                await self.wake.wait()


def backoff(tries: int, first: float, longest: float, rng: random.Random) -> float:
    """Seconds to wait after the `tries`-th failure: full jitter, uniform up to a bound that doubles.

    Brooker 2015, "Exponential backoff and jitter": of the usual kinds, full jitter needs the fewest calls.
    """
    return rng.uniform(0.0, min(longest, first * 2 ** (tries - 1)))


def _reason(reply: Reply) -> str:
    return reply.result.reason if isinstance(reply.result, Failure) else reply.outcome
