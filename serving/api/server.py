"""Running the API: from the options of `personagen serve` to a server that listens."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from serving.api.app import create_app
from serving.api.connections import impatient
from serving.api.settings import PERSONAS_PER_MINUTE, REQUESTS_PER_MINUTE, Limits, Settings
from serving.snapshot import Snapshot, packaged_populations
from warehouse.errors import SnapshotError

TRUSTED = "FORWARDED_ALLOW_IPS"  # the variable in which uvicorn looks for proxies whose word on addresses counts
EVERY = 1.0  # seconds between looks at the snapshots


def run(
    host: str,
    port: int,
    *,
    paths: Sequence[str],
    reload: bool,
    keys: Path | None,
    limit_requests: int | None,
    limit_personas: int | None,
    timeout: float,
    threads: int | None,
    in_flight: int,
    max_personas: int,
    max_conditions: int,
    max_body: int,
    origins: Sequence[str],
    grace: int,
) -> None:
    """Serve until stopped; the arguments are the options of the command.

    Raises SnapshotError, also for two snapshots of one population, and KeyFileError.
    """
    snapshots: dict[str, Snapshot] = {}
    places: dict[str, str] = {}
    for path in paths or packaged_populations():
        snapshot = Snapshot.load(path)
        population = snapshot.manifest.population.id
        if population in snapshots:
            raise SnapshotError(f"{places[population]} and {path} are both of population {population!r}: serve one")
        snapshots[population], places[population] = snapshot, path
    settings = Settings(
        limits=Limits(max_personas, max_conditions, max_body),
        keys=keys,
        requests_per_minute=_limit(limit_requests, REQUESTS_PER_MINUTE if keys else 0),
        personas_per_minute=_limit(limit_personas, PERSONAS_PER_MINUTE if keys else 0),
        timeout=timeout,
        threads=threads or os.cpu_count() or 1,
        in_flight=in_flight,
        cors_origins=tuple(origins),
        places=places,
        reload_every=EVERY if reload else None,
    )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("personagen").setLevel(logging.INFO)
    app = create_app(snapshots, settings)
    gc.collect()
    gc.freeze()  # what stays as long as the server need not be looked through again and again
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=impatient(timeout),
        access_log=False,
        server_header=False,
        # uvicorn would believe whoever is on this machine, so that a client could say that it is another every time.
        proxy_headers=TRUSTED in os.environ,
        timeout_graceful_shutdown=grace,
    )


def _limit(given: int | None, default: int) -> int | None:
    """0 stands for none, on the command line."""
    return (default if given is None else given) or None
