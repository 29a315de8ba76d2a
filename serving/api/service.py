"""Samplers by population, and drawing with them for requests.

Here belongs the way from what a request wants to a batch. What is made of that is `serving.api.app`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import anyio.from_thread
from anyio import NoEventLoopError

from serving.api import requests
from serving.api.metrics import Metrics
from serving.api.problems import Problem
from serving.api.reloading import ready_sampler
from serving.api.requests import Wanted
from serving.batch import Batch
from serving.interruption import interruptible
from serving.sampler import Sampler, SupportWarning
from serving.snapshot import Snapshot
from warehouse.errors import SamplingError


class Service:
    """Samplers by population, and the answers that they give."""

    def __init__(self, snapshots: Mapping[str, Snapshot], metrics: Metrics | None = None) -> None:
        self.samplers = {population: ready_sampler(snapshot) for population, snapshot in snapshots.items()}
        self.default = next(iter(self.samplers))
        self.metrics = metrics or Metrics()
        for snapshot in snapshots.values():
            self.metrics.serving(snapshot)

    def sampler(self, population: str) -> Sampler:
        """The sampler of a population, of the first one by default."""
        try:
            return self.samplers[population or self.default]
        except KeyError:
            raise Problem(422, f"unknown population {population!r}", "population", sorted(self.samplers)) from None

    def sample(self, wanted: Wanted, start: int, n: int, sampler: Sampler | None = None) -> Batch:
        """Part of what is wanted, by the sampler that the request began with; raises Problem.

        In a thread that a request waits for, it ends when that does.
        """
        sampler = sampler or self.sampler(wanted.population)
        with warnings.catch_warnings(), interruptible(_end_with_request):
            warnings.simplefilter("ignore", SupportWarning)  # told in the answer
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
                )
            except SamplingError as error:
                raise requests.refused(error, wanted) from None
        self.metrics.personas.labels(sampler.snapshot.manifest.population.id).inc(n)
        return batch


def _end_with_request() -> None:
    """Raise if the request that this thread draws for has ended, by its time limit or because the client left."""
    try:
        anyio.from_thread.check_cancelled()
    except NoEventLoopError:  # no thread of a request, as in a test
        return
