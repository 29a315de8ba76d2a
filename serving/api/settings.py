"""How an API is run: its limits and what of it is switched on, with the defaults of `personagen serve`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REQUESTS_PER_MINUTE, PERSONAS_PER_MINUTE = 600, 1_000_000  # of a key, unless said otherwise
LONGEST_QUERY = 32_768  # half of what is the longest address that httptools reads


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for.

    Attributes:
        personas: the largest `n`.
        conditions: entries of evidence, do, likelihood, target_marginal and quota together.
        body: bytes of a body.
    """

    personas: int = 100_000
    conditions: int = 100
    body: int = 65_536

    @property
    def query(self) -> int:
        """Bytes of a query string: as many as of a body, but fewer than what the server itself takes for no HTTP."""
        return min(self.body, LONGEST_QUERY)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the API is run.

    Attributes:
        limits: of one request.
        keys: file of the API keys that are asked for; None for an API open to all.
        requests_per_minute, personas_per_minute: what a key, or an address where there are no keys, may use; None for
            no limit. As much as that may be used at once, if the minute before was quiet.
        timeout: seconds that a request may take, with the sending of its answer.
        threads: how many draw at once, and how many besides under conditions that people are searched for by.
        in_flight: requests that are worked on at once; others are turned away with 503.
        cors_origins: web origins whose pages may use the API, `*` for all.
        places: by population, where to look for its snapshot when it is to be read again.
        reload_every: seconds between looks at those places; None to look only when told to by SIGHUP.
    """

    limits: Limits = field(default_factory=Limits)
    keys: Path | None = None
    requests_per_minute: int | None = None
    personas_per_minute: int | None = None
    timeout: float = 60.0
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    in_flight: int = 64
    cors_origins: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    reload_every: float | None = None
