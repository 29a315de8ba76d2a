"""Snapshots that are read again while the API runs.

Here belongs noticing that a snapshot has changed and putting another sampler in the place of the old one. A request
keeps the sampler that it began with, so none is dropped, and none sees two snapshots.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Mapping, MutableMapping
from functools import partial

import anyio
import anyio.to_thread

from serving.api.metrics import Metrics
from serving.engine import fastest
from serving.sampler import Sampler
from serving.snapshot import Snapshot, find_snapshot
from warehouse.errors import PersonaGenError, SamplingError

log = logging.getLogger("personagen.api")

State = tuple[object, ...]


def ready_sampler(snapshot: Snapshot) -> Sampler:
    """A sampler with the quickest kernel that can be used here, which has drawn already.

    So whatever is read on first use, such as names, is read before anybody waits for it, and before the folder changes.
    """
    try:
        sampler = Sampler(snapshot, fastest())
    except SamplingError:  # numba is installed, but of no use here
        sampler = Sampler(snapshot, "numpy")
    list(sampler.sample(1).to_jsonl())
    return sampler


class Reloader:
    """Looks at the places that snapshots came from, and replaces samplers in the mapping that the API draws from."""

    def __init__(
        self, samplers: MutableMapping[str, Sampler], places: Mapping[str, str], metrics: Metrics | None = None
    ) -> None:
        """`samplers` and `places` are by population; one without a place stays as it is."""
        self._samplers, self._places = samplers, dict(places)
        self._metrics = metrics or Metrics()
        self._tried = {population: _state(place) for population, place in self._places.items()}
        self._last = dict(self._tried)
        self._lock = threading.Lock()
        self._alone = anyio.CapacityLimiter(1)  # so that reading waits for no draw, and no draw for it

    def look(self, *, at_once: bool = False) -> None:
        """Replace the samplers whose snapshot has changed; those whose new one cannot be used stay.

        What has changed is left alone until it has stopped changing from one look to the next, so that a snapshot that
        is being copied is not read half; `at_once` reads all of them now, changed or not.
        """
        with self._lock:
            for population, place in self._places.items():
                state = _state(place)
                settled = state == self._last[population] and state != self._tried[population]
                self._last[population] = state
                if at_once or settled:
                    self._tried[population] = state
                    result = self._replace(population, place)
                    self._metrics.reloads.labels(population, result).inc()

    def _replace(self, population: str, place: str) -> str:
        old = self._samplers[population].snapshot
        try:
            new = Snapshot.load(place)
            if new.manifest == old.manifest:
                return "unchanged"
            if new.manifest.population.id != population:
                log.error(
                    "snapshot of %s stays %s: %s is of population %s",
                    population,
                    old.id,
                    place,
                    new.manifest.population.id,
                )
                return "refused"
            sampler = ready_sampler(new)
        except (PersonaGenError, OSError) as error:
            log.error("snapshot of %s stays %s: %s", population, old.id, error)
            return "refused"
        self._samplers[population] = sampler
        self._metrics.serving(new, instead_of=old)
        log.info("snapshot of %s is now %s, edition %s", population, new.id, new.manifest.edition)
        return "replaced"

    async def watch(self, every: float) -> None:
        """Look every so many seconds, until cancelled."""
        while True:
            await anyio.sleep(every)
            await anyio.to_thread.run_sync(self.look, limiter=self._alone)

    async def obey_signals(self) -> None:
        """Look at once whenever the process gets SIGHUP, until cancelled; not possible outside the main thread."""
        with anyio.open_signal_receiver(signal.SIGHUP) as signals:
            async for _ in signals:
                await anyio.to_thread.run_sync(partial(self.look, at_once=True), limiter=self._alone)


def _state(place: str) -> State:
    """Something that changes whenever a file of the snapshot, or the link to it, does."""
    try:
        folder = find_snapshot(place).resolve()
        files = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    except (PersonaGenError, OSError) as error:
        return (str(error),)
    return (str(folder), *((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in files))
