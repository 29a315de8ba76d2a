"""The ASGI application: routes, and turning batches into responses.

Here belongs what is particular to HTTP. Parameters are `serving.api.requests`, errors `serving.api.problems`.
An answer is a pure function of its request and of the snapshot, so each has an ETag, and a client that has it already
gets 304 without a draw. Large answers are drawn and sent in parts, one at a time: a slow client holds one part.
"""

from __future__ import annotations

import io
import json
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from serving.api import requests
from serving.api.admission import Admission, Gate, charged
from serving.api.caching import ANY, cached, encoded, has
from serving.api.metrics import Measured, Metrics
from serving.api.negotiation import best
from serving.api.openapi import description
from serving.api.problems import Problem
from serving.api.reloading import Reloader
from serving.api.requests import Wanted
from serving.api.service import Service
from serving.api.settings import Limits, Settings
from serving.batch import Batch, derived_needs, refuse_derived
from serving.explaining import explain
from serving.page.routes import page_routes
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.errors import PersonaGenError, SamplingError, SnapshotError

PART = 1_000  # personas drawn and sent at a time
MEDIA = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "arrow": "application/vnd.apache.arrow.stream",
    "prompt": "text/plain",
}
# What pages of other origins may send, and what they see of an answer.
CORS_SENT = ("Authorization", "Content-Type", "If-None-Match")
CORS_SEEN = ("ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Snapshot-Id")

log = logging.getLogger("personagen.api")


def create_app(snapshots: Mapping[str, Snapshot], settings: Settings | None = None) -> Starlette:
    """The application over these snapshots, by population; the first one is the default.

    Raises KeyFileError if the settings name a key file that cannot be read.
    """
    settings = settings or Settings()
    limits = settings.limits
    metrics = Metrics()
    service = Service(snapshots, metrics, settings.threads)
    gate = Gate(settings)
    reloader = Reloader(service.samplers, settings.places, metrics)

    async def personas(request: Request) -> Response:
        wanted = await _wanted(request, limits)
        sampler = service.sampler(wanted.population)
        headers = {
            "ETag": wanted.etag(sampler.snapshot.manifest_digest),
            "Cache-Control": "public, no-cache",
            "Vary": "Accept",
            "X-Snapshot-Id": sampler.snapshot.id,
        }
        if has(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        whole = wanted.n if wanted.quota else min(wanted.n, PART)
        head, asterisk = request.method == "HEAD", has(request, ANY)
        with charged(request, whole if head or asterisk else wanted.n):
            line = None if head else service.line(wanted, sampler)
            if line is None:
                first = await service.drawn(wanted, wanted.start, whole, sampler, request.receive)
        if asterisk:  # and the request is one that has an answer
            return Response(status_code=304, headers=headers)
        if line is not None:
            return Response(_alone(line, wanted.format), headers=headers, media_type=MEDIA[wanted.format])
        parts = _parts(service, sampler, wanted, first)
        forms = {"json": _json, "jsonl": _jsonl, "arrow": _arrow, "prompt": _prompts}
        form = _nothing if head else forms[wanted.format]
        return StreamingResponse(form(parts), headers=headers, media_type=MEDIA[wanted.format])

    async def explained(request: Request) -> Response:
        dimension, wanted = requests.to_explain(requests.object_of(await _body(request, limits)), limits)
        sampler = service.sampler(wanted.population)
        wanted = replace(wanted, fields=tuple(d.id for d in sampler.snapshot.dimensions))
        _dimension(sampler.snapshot, dimension, 422)
        with charged(request, 1):
            batch = await service.drawn(wanted, wanted.start, 1, sampler, request.receive)

        def answer() -> bytes:
            persona = batch[0]
            why = explain(persona, dimension)
            return encoded(
                {
                    "dimension": why.dimension,
                    "category": why.category,
                    "probability": why.probability,
                    "alternatives": dict(why.alternatives),
                    "base": _row(why.base),
                    "contributions": [
                        {
                            "given": dict(one.given),
                            "odds_ratio": one.odds_ratio if one.odds_ratio != float("inf") else None,
                            "map": _row(one.row),
                        }
                        for one in why.contributions
                    ],
                    "seed": persona.seed,
                    "index": persona.index,
                    "snapshot_id": persona.snapshot_id,
                }
            )

        return Response(await anyio.to_thread.run_sync(answer), media_type="application/json")

    async def catalogue(request: Request) -> Response:
        snapshot = service.sampler(requests.population_of(request.query_params.multi_items())).snapshot
        return cached(
            request,
            {
                "snapshot_id": snapshot.id,
                "population": snapshot.manifest.population.id,
                "derived": list(derived_needs(snapshot)),
                "dimensions": [
                    {
                        "id": d.id,
                        "label": d.label,
                        "tier": d.tier,
                        "definition": d.definition,
                        "ordinal": d.ordinal,
                        "sensitive": d.sensitive,
                        "parents": list(d.parents),
                        "categories": [
                            {"id": c, "label": label} for c, label in zip(d.categories, d.category_labels, strict=True)
                        ],
                    }
                    for d in snapshot.dimensions
                ],
            },
        )

    async def maps(request: Request) -> Response:
        snapshot = service.sampler(requests.population_of(request.query_params.multi_items())).snapshot
        dimension = _dimension(snapshot, request.path_params["dimension"], 404)
        cells = await anyio.to_thread.run_sync(snapshot.cells, dimension)
        return cached(request, {"snapshot_id": snapshot.id, "dimension": dimension, "cells": cells})

    async def snapshots_(request: Request) -> Response:
        listed = [
            {
                "population": population,
                "snapshot_id": sampler.snapshot.id,
                "edition": sampler.snapshot.manifest.edition,
                "label": sampler.snapshot.manifest.population.label,
                "licence": sampler.snapshot.manifest.licence,
                "dimensions": len(sampler.snapshot.dimensions),
            }
            for population, sampler in service.samplers.items()
        ]
        return cached(request, {"snapshots": listed})

    async def health(request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def openapi(request: Request) -> Response:
        served = {population: sampler.snapshot for population, sampler in service.samplers.items()}
        return cached(request, description(served, limits, keyed=gate.keyring is not None, limited=gate.rates.any))

    async def measured(request: Request) -> Response:
        content, media = metrics.exposed(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": media})

    def admitted(route: Route) -> Route:
        """The same route behind the gate."""
        offers = None if route.endpoint in (personas, measured) else (MEDIA["json"],)
        return Route(
            route.path,
            route.endpoint,
            methods=route.methods,
            middleware=[Middleware(Admission, gate=gate, offers=offers)],
        )

    routes = [
        Route("/v1/personas", personas, methods=["GET", "POST"]),
        Route("/v1/explain", explained, methods=["POST"]),
        Route("/v1/catalogue", catalogue),
        Route("/v1/maps/{dimension}", maps),
        Route("/v1/snapshots", snapshots_),
        Route("/v1/openapi.json", openapi),
        Route("/metrics", measured),
        Route("/healthz", health),
        *page_routes(service, limits),
    ]
    return Starlette(
        routes=[admitted(one) if one.path.startswith(("/v1/", "/metrics")) else one for one in routes],
        middleware=[Middleware(Measured, metrics=metrics), *_cors(settings)],
        lifespan=_lifespan(settings, reloader),
        exception_handlers={
            Problem: _problem,
            PersonaGenError: _refused,
            HTTPException: _http,
            ClientDisconnect: _left,
            Exception: _defect,
        },
    )


def _cors(settings: Settings) -> list[Middleware]:
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=CORS_SENT,
            expose_headers=CORS_SEEN,
        )
    ]


def _lifespan(settings: Settings, reloader: Reloader) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """What goes on beside the requests, from start to end."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.threads
        async with anyio.create_task_group() as tasks:
            if settings.places and threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGHUP"):
                tasks.start_soon(reloader.obey_signals)
            if settings.reload_every is not None:
                tasks.start_soon(reloader.watch, settings.reload_every)
            yield
            tasks.cancel_scope.cancel()

    return lifespan


def _dimension(snapshot: Snapshot, dimension: str, status: int) -> str:
    try:
        refuse_derived(snapshot, dimension, "ask about one of these")
        return snapshot.dimension(dimension).id
    except SamplingError as error:
        raise Problem(status, str(error), "dimension", error.allowed) from None


async def _wanted(request: Request, limits: Limits) -> Wanted:
    """What the request asks for, in the form that it names or else the one that Accept prefers."""
    if request.method in ("GET", "HEAD"):
        if len(request.scope["query_string"]) > limits.query:
            raise Problem(414, f"the query string is longer than {limits.query} bytes: send a POST")
        pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        formed = any(name == "format" for name, _ in pairs)
        wanted = requests.from_query(pairs, limits)
    elif request.query_params:
        raise Problem(
            422, "parameters belong into the body of a POST, not into its URL", next(iter(request.query_params))
        )
    else:
        values = requests.object_of(await _body(request, limits))
        formed = "format" in values
        wanted = requests.from_mapping(values, limits)
    if formed:
        return wanted
    media = best(request.headers.get("accept", ""), list(MEDIA.values()))
    if media is None:
        raise Problem(406, "'Accept' excludes every form that personas come in", "Accept", list(MEDIA.values()))
    form = next(form for form, one in MEDIA.items() if one == media)
    return wanted if form == wanted.format else replace(wanted, format=form)


async def _body(request: Request, limits: Limits) -> bytes:
    """The body, read no further than it may be long."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, f"the body must be application/json, not {kind[:100]}")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > limits.body:
            raise Problem(413, f"the body is larger than {limits.body} bytes")
    return bytes(content)


async def _parts(service: Service, sampler: Sampler, wanted: Wanted, first: Batch) -> AsyncIterator[Batch]:
    yield first
    for low in range(len(first), wanted.n, PART):
        count = min(PART, wanted.n - low)
        yield await service.drawn(wanted, wanted.start + low, count, sampler)


async def _nothing(parts: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    """The body of an answer to HEAD."""
    for _ in ():
        yield b""


def _lines(batch: Batch, between: str) -> bytes:
    return between.join(batch.to_jsonl()).encode("utf-8", "backslashreplace")


async def _jsonl(parts: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    async for batch in parts:
        yield await anyio.to_thread.run_sync(_lines, batch, "\n") + (b"\n" if len(batch) else b"")


def _alone(line: bytes, form: str) -> bytes:
    """The body that `_json` or `_jsonl` make of one line."""
    return line + b"\n" if form == "jsonl" else b'{"personas": [\n' + line + b"]}\n"


def _prose(batch: Batch) -> bytes:
    return "\n\n".join(batch.to_prompts()).encode("utf-8", "backslashreplace")


async def _prompts(parts: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    between = b""
    async for batch in parts:
        text = await anyio.to_thread.run_sync(_prose, batch)
        if text:
            yield between + text
            between = b"\n\n"
    yield b"\n" if between else b""


async def _json(parts: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    comma = b'{"personas": [\n'
    warned = ""
    async for batch in parts:
        warned = warned or batch.support.warning
        text = await anyio.to_thread.run_sync(_lines, batch, ",\n")
        if text:
            yield comma + text
            comma = b",\n"
    if comma != b",\n":
        yield comma
    yield b"]" + (b', "warning": ' + json.dumps(warned).encode() if warned else b"") + b"}\n"


class _Sink(io.RawIOBase):
    """Takes what Arrow writes until it is taken away."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._written += memoryview(part)
        return len(memoryview(part))

    def taken(self) -> bytes:
        """What was written since the last time."""
        content, self._written = bytes(self._written), bytearray()
        return content


async def _arrow(parts: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    import pyarrow as pa  # noqa: PLC0415

    sink = _Sink()
    writer = None
    async for batch in parts:
        table = await anyio.to_thread.run_sync(batch.to_arrow)
        writer = writer or pa.ipc.new_stream(pa.PythonFile(sink, "w"), table.schema)
        writer.write_table(table)
        yield sink.taken()
    if writer is not None:
        writer.close()
        yield sink.taken()


def _row(row: Any) -> dict[str, Any] | None:
    return None if row is None else {"probability": row.probability, "spread": row.spread, "models": row.models}


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, SnapshotError):  # its files are gone since it was loaded
        log.error("%s", error)
        return Problem(503, "the snapshot cannot be read at present").response()
    return Problem(422, str(error)).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = error.headers or {}
    if error.status_code == 404:
        return Problem(404, f"there is nothing at {request.url.path}: see /v1/openapi.json").response()
    if error.status_code == 405:
        allowed = headers.get("Allow", "").split(", ")
        return Problem(405, f"{request.method} is no method of this", "method", allowed, headers=headers).response()
    return Problem(error.status_code, str(error.detail), headers=headers).response()


async def _left(request: Request, error: Exception) -> Response:
    return Problem(400, "the client left").response()


async def _defect(request: Request, error: Exception) -> Response:
    return Problem(500, "an error of ours, not of the request").response()
