"""What a running API counts, as Prometheus reads it, and the middleware that counts requests.

Each application has a registry of its own. Labels have few values: routes by their template, never by their path.
"""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.snapshot import Snapshot

METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The instruments of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._found: dict[tuple[str, str, int], tuple[Counter, Histogram, Counter]] = {}
        self._drawn: dict[str, Counter] = {}
        ProcessCollector(registry=self.registry)
        route = ("route", "method")
        self.requests = Counter("personagen_requests", "Requests answered.", (*route, "status"), registry=self.registry)
        self.seconds = Histogram(
            "personagen_request_seconds",
            "From a request to the end of its answer.",
            route,
            buckets=SECONDS,
            registry=self.registry,
        )
        self.bytes = Counter("personagen_response_bytes", "Bytes of bodies sent.", route, registry=self.registry)
        self.unfinished = Counter(
            "personagen_unfinished_responses",
            "Answers that were cut off, by the time limit, an error, or a client that left.",
            route,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "personagen_requests_in_flight", "Requests that are being worked on.", registry=self.registry
        )
        self.personas = Counter("personagen_personas", "Personas drawn.", ("population",), registry=self.registry)
        self.reloads = Counter(
            "personagen_snapshot_reloads",
            "Snapshots read again: replaced, unchanged or refused.",
            ("population", "result"),
            registry=self.registry,
        )
        self.snapshots = Gauge(
            "personagen_snapshot_info",
            "1 for the snapshot that serves a population.",
            ("population", "snapshot_id", "edition"),
            registry=self.registry,
        )

    def of(self, route: str, method: str, status: int) -> tuple[Counter, Histogram, Counter]:
        """Requests, seconds and bytes of answers of this kind, of which there are few; found faster than by labels."""
        found = self._found.get((route, method, status))
        if found is None:
            labels = route, method
            found = self.requests.labels(*labels, status), self.seconds.labels(*labels), self.bytes.labels(*labels)
            self._found[route, method, status] = found
        return found

    def drawn(self, snapshot: Snapshot, personas: int) -> None:
        """Count personas of this snapshot's population."""
        population = snapshot.manifest.population.id
        counter = self._drawn.get(population)
        if counter is None:
            counter = self._drawn[population] = self.personas.labels(population)
        counter.inc(personas)

    def serving(self, snapshot: Snapshot, instead_of: Snapshot | None = None) -> None:
        """Note which snapshot serves its population from now on."""
        if instead_of is not None:
            self.snapshots.remove(*_labels(instead_of))
        self.snapshots.labels(*_labels(snapshot)).set(1)

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """All of it as text, in the format that Accept prefers, and its media type."""
        encoder, media = choose_encoder(accept)
        return encoder(self.registry), media


def _labels(snapshot: Snapshot) -> tuple[str, str, str]:
    return snapshot.manifest.population.id, snapshot.id, snapshot.manifest.edition


class Measured:
    """Middleware of an application: counts each request when its answer has ended, however it ended."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on and count."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        metrics = self._metrics
        began = time.perf_counter()
        status, size, whole = 500, 0, False

        async def sent(message: Message) -> None:
            nonlocal status, size, whole
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
                whole = not message.get("more_body", False)

        metrics.in_flight.inc()
        try:
            await self._app(scope, receive, sent)
        finally:
            metrics.in_flight.dec()
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            answered, seconds, sizes = metrics.of(route, method, status)
            answered.inc()
            seconds.observe(time.perf_counter() - began)
            sizes.inc(size)
            if not whole:
                metrics.unfinished.labels(route, method).inc()
