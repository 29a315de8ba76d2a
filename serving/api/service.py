"""Samplers by population, and drawing with them for requests.

Here belongs the way from what a request wants to a batch. What is made of that is `serving.api.app`.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio import NoEventLoopError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from serving.api import requests
from serving.api.metrics import Metrics
from serving.api.problems import Problem
from serving.api.reloading import ready_sampler
from serving.api.requests import Wanted
from serving.batch import SUMMARY, Batch
from serving.interruption import interruptible
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.errors import SamplingError


class Service:
    """Samplers by population, and the answers that they give."""

    def __init__(self, snapshots: Mapping[str, Snapshot], metrics: Metrics | None = None, threads: int = 1) -> None:
        self.samplers = {population: ready_sampler(snapshot) for population, snapshot in snapshots.items()}
        self.default = next(iter(self.samplers))
        self.metrics = metrics or Metrics()
        self._searching = anyio.CapacityLimiter(threads)
        for snapshot in snapshots.values():
            self.metrics.serving(snapshot)

    def sampler(self, population: str) -> Sampler:
        """The sampler of a population, of the first one by default."""
        try:
            return self.samplers[population or self.default]
        except KeyError:
            raise Problem(422, f"unknown population {population!r}", "population", sorted(self.samplers)) from None

    async def drawn(
        self, wanted: Wanted, start: int, n: int, sampler: Sampler, receive: Receive | None = None
    ) -> Batch:
        """The same as `sample`, in a thread.

        What may have to search for people has threads of its own: rare evidence then never keeps those waiting who
        ask for anybody. If `receive` tells meanwhile that the client has left, a search ends with ClientDisconnect;
        other draws are over before that is worth a look.
        """
        if not (wanted.evidence or wanted.likelihood or wanted.target_marginal or wanted.quota):
            return await anyio.to_thread.run_sync(self.sample, wanted, start, n, sampler)
        batch: Batch | None = None
        refusal: Exception | None = None
        async with anyio.create_task_group() as tasks:
            if receive is not None:
                tasks.start_soon(_cancel_when_left, receive, tasks.cancel_scope)
            try:
                batch = await anyio.to_thread.run_sync(self.sample, wanted, start, n, sampler, limiter=self._searching)
            except Exception as error:  # else the group would wrap it
                refusal = error
            tasks.cancel_scope.cancel()
        if refusal is not None:
            raise refusal
        if batch is None:
            raise ClientDisconnect
        return batch

    def sample(self, wanted: Wanted, start: int, n: int, sampler: Sampler | None = None) -> Batch:
        """Part of what is wanted, by the sampler that the request began with; raises Problem.

        In a thread that a request waits for, it ends when that does.
        """
        sampler = sampler or self.sampler(wanted.population)
        with interruptible(_end_with_request):
            try:
                batch = sampler.sample(
                    n,
                    wanted.seed,
                    start,
                    wanted.evidence,
                    wanted.do,
                    likelihood=wanted.likelihood,
                    target_marginal=wanted.target_marginal,
                    quota=wanted.quota,
                    fields=wanted.fields,
                    exclude=wanted.exclude,
                    as_of=wanted.as_of_date,
                    accents=wanted.accents,
                    warn=False,  # it is told in the answer
                )
            except SamplingError as error:
                raise requests.refused(error, wanted) from None
        self.metrics.drawn(sampler.snapshot, n)
        return batch

    def line(self, wanted: Wanted, sampler: Sampler) -> bytes | None:
        """The one persona that is wanted, as a line of JSON, so quickly that no thread is worth it; raises Problem.

        None where it takes more: several personas, conditions, prose, another form.
        """
        conditions = wanted.evidence or wanted.likelihood or wanted.target_marginal or wanted.quota
        if wanted.n != 1 or conditions or wanted.format not in ("json", "jsonl") or SUMMARY in (wanted.fields or ()):
            return None
        try:
            lines = sampler.lines(
                wanted.do,
                fields=wanted.fields,
                exclude=wanted.exclude,
                as_of=wanted.as_of_date,
                accents=wanted.accents,
            )
            line = lines.line(wanted.seed, wanted.start)
        except SamplingError as error:
            raise requests.refused(error, wanted) from None
        self.metrics.drawn(sampler.snapshot, 1)
        return line


async def _cancel_when_left(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _end_with_request() -> None:
    """Raise if the request that this thread draws for has ended, by its time limit or because the client left."""
    try:
        anyio.from_thread.check_cancelled()
    except NoEventLoopError:  # no thread of a request, as in a test
        return
