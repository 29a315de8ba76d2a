"""Asking panel members for real: many requests, several members at once, every attempt handed on as it ends.

Belongs here: running members side by side and handing on what arrives, also when the run is broken off. Does not belong
here: when a member's next request is sent (`member_run`), a single call (`endpoint`), storing, prompts.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.elicitation.budget import Budget
from pipeline.elicitation.member_run import MOST_UNREAD, PATIENCE, Asked, Job, MemberRun, Patience, Shared
from warehouse.errors import BudgetSpent, ElicitationError

if TYPE_CHECKING:
    from types import FrameType

    from pipeline.elicitation.batch import ResponseFormat
    from pipeline.elicitation.panel import Endpoint, Member
    from pipeline.elicitation.protocol import Completion
    from pipeline.elicitation.tokens import Expected
    from pipeline.prompts.render import Request

__all__ = ["OVERALL", "Asked", "Job", "Patience", "ask", "ask_in_turn", "ask_panel"]

OVERALL = 256
"""Calls in flight over all members at most, by default."""


def ask(
    endpoint: Endpoint,
    requests: Iterable[Request],
    *,
    member: Member,
    expect: Callable[[Request], Expected],
    follow_up: Callable[[Request, Completion], Request | None] | None = None,
    response_format: ResponseFormat | None = None,
    budget: Budget | None = None,
    patience: Patience = PATIENCE,
) -> AsyncGenerator[Asked, None]:
    """Ask one member: `ask_panel` with a single job."""
    job = Job(endpoint, member, requests, expect, follow_up, response_format)
    return ask_panel([job], budget=budget, patience=patience)


async def ask_panel(
    jobs: Sequence[Job],
    *,
    budget: Budget | None = None,
    overall: int = OVERALL,
    patience: Patience = PATIENCE,
    rng: random.Random | None = None,
) -> AsyncGenerator[Asked, None]:
    """Ask several members at once and yield every attempt as it ends, answered or not.

    All share `budget` and the bound `overall` on calls in flight; beyond that a member's failures are its own. At the
    end, after everything that arrived was yielded, what is wrong is raised: `BudgetSpent` if money ran out, else
    `ElicitationError` with one line on what failed by member and kind. If the task is cancelled, calls in flight are
    broken off and yielded as `interrupted`, since they may be charged, before the cancellation goes on.
    """
    panel = _Panel(jobs, budget or Budget(), overall, patience, rng or random.Random())
    cancelled: asyncio.CancelledError | None = None
    try:
        while True:
            try:
                attempts = await panel.some()
            except asyncio.CancelledError as error:
                cancelled = error
                panel.break_off()
                continue
            if not attempts:
                break
            for asked in attempts:
                yield asked
    finally:
        await panel.close()
    if cancelled is not None:
        raise cancelled
    panel.raise_problems()


def ask_in_turn(
    jobs: Sequence[Job],
    *,
    budget: Budget | None = None,
    overall: int = OVERALL,
    patience: Patience = PATIENCE,
    rng: random.Random | None = None,
) -> Iterator[Asked]:
    """Do the same as `ask_panel` outside an event loop.

    While the caller works on an attempt, calls in flight wait: store it and come back. Ctrl-C does not interrupt the
    caller in that: calls in flight are broken off, whatever had arrived is yielded, and only then does the interrupt
    take its course. A second ctrl-C is not held back.
    """
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        async def start() -> _Panel:
            return _Panel(jobs, budget or Budget(), overall, patience, rng or random.Random())

        panel = runner.run(start())
        with _interrupt_held_back(lambda: loop.call_soon_threadsafe(panel.break_off)):
            try:
                while attempts := runner.run(panel.some()):
                    yield from attempts
            finally:
                runner.run(panel.close())
        panel.raise_problems()


class _Panel:
    """The members of one run, each asked in a task of its own."""

    def __init__(
        self, jobs: Sequence[Job], budget: Budget, overall: int, patience: Patience, rng: random.Random
    ) -> None:
        self._shared = Shared(budget, asyncio.Semaphore(overall), patience, rng)
        self._runs = [MemberRun(job, self._shared) for job in jobs]
        self._tasks = [asyncio.create_task(run.run()) for run in self._runs]
        for task in self._tasks:
            task.add_done_callback(lambda _: self._shared.arrived.set())

    async def some(self) -> list[Asked]:
        """All attempts that have ended and were not handed on yet, at least one; none if nothing more will come."""
        shared = self._shared
        while not shared.unread:
            if all(task.done() for task in self._tasks):
                return []
            shared.arrived.clear()
            await shared.arrived.wait()
        attempts = list(shared.unread)
        shared.unread.clear()
        if len(attempts) >= MOST_UNREAD:
            for run in self._runs:
                run.wake.set()
        return attempts

    def break_off(self) -> None:
        """Send nothing more and end the calls in flight."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Break off what still runs, and wait for it."""
        self.break_off()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def raise_problems(self) -> None:
        """Raise what went wrong, if anything did."""
        for run, task in zip(self._runs, self._tasks, strict=True):
            error = None if task.cancelled() else task.exception()
            if defect := run.defect or error:
                raise defect
        problems = "; ".join(p for run in self._runs if (p := run.problem()))
        short = {run: run.refused for run in self._runs if run.refused is not None}
        if short:
            message = self._shared.budget.spent_message(sum(run.left() for run in short), min(short.values()))
            raise BudgetSpent(f"{message}; {problems}" if problems else message)
        if problems:
            raise ElicitationError(f"{problems}: run again to ask only for what is missing")


@contextmanager
def _interrupt_held_back(interrupted: Callable[[], object]) -> Iterator[None]:
    """Call `interrupted` at the first ctrl-C, and raise that ctrl-C again at the end, for whoever handled it before."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    held = False

    def hold(_signal: int, _frame: FrameType | None) -> None:
        nonlocal held
        held = True
        signal.signal(signal.SIGINT, before)
        interrupted()

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is hold:
            signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)
