"""The ASGI application: routes, and turning batches into responses.

Here belongs what is particular to HTTP. Parameters are `serving.api.requests`, errors `serving.api.problems`.
An answer is a pure function of its request and of the snapshot, so each has an ETag, and a client that has it already
gets 304 without a draw. Large answers are drawn and sent in parts, one at a time: a slow client holds one part.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from serving.api import requests
from serving.api.caching import cached, encoded, has
from serving.api.openapi import description
from serving.api.problems import Problem
from serving.api.requests import Wanted
from serving.batch import Batch, derived_needs
from serving.engine import fastest
from serving.explaining import explain
from serving.page.routes import page_routes
from serving.sampler import Sampler, SupportWarning
from serving.snapshot import Snapshot
from warehouse.errors import PersonaGenError, SamplingError

PART = 1_000  # personas drawn and sent at a time
MEDIA = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "arrow": "application/vnd.apache.arrow.stream",
    "prompt": "text/plain",
}


class Service:
    """Samplers by population, and the answers that they give."""

    def __init__(self, snapshots: Mapping[str, Snapshot]) -> None:
        self.samplers = {population: _sampler(snapshot) for population, snapshot in snapshots.items()}
        self.default = next(iter(self.samplers))

    def sampler(self, population: str) -> Sampler:
        """The sampler of a population, of the first one by default."""
        try:
            return self.samplers[population or self.default]
        except KeyError:
            raise Problem(422, f"unknown population {population!r}", "population", sorted(self.samplers)) from None

    def sample(self, wanted: Wanted, start: int, n: int) -> Batch:
        """Part of what is wanted."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SupportWarning)  # told in the answer
            return self.sampler(wanted.population).sample(
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


def create_app(snapshots: Mapping[str, Snapshot]) -> Starlette:
    """The application over these snapshots, by population; the first one is the default."""
    service = Service(snapshots)

    async def personas(request: Request) -> Response:
        wanted = await _wanted(request)
        sampler = service.sampler(wanted.population)
        headers = {
            "ETag": wanted.etag(sampler.snapshot.id),
            "Cache-Control": "public, no-cache",
            "X-Snapshot-Id": sampler.snapshot.id,
        }
        if has(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        whole = wanted.n if wanted.quota else min(wanted.n, PART)
        first = await anyio.to_thread.run_sync(service.sample, wanted, wanted.start, whole)
        parts = _parts(service, wanted, first)
        form = {"json": _json, "jsonl": _jsonl, "arrow": _arrow, "prompt": _prompts}[wanted.format]
        return StreamingResponse(form(parts), headers=headers, media_type=MEDIA[wanted.format])

    async def explained(request: Request) -> Response:
        values = requests.object_of(await _body(request))
        dimension = values.pop("dimension", "")
        index = values.pop("index", 0)
        if not isinstance(dimension, str) or not dimension:
            raise Problem(422, "'dimension' must name one dimension", "dimension")
        wanted = requests.from_mapping({**values, "n": 1, "start": index, "fields": None})
        snapshot = service.sampler(wanted.population).snapshot
        wanted = replace(wanted, fields=tuple(d.id for d in snapshot.dimensions))
        snapshot.dimension(dimension)

        def answer() -> bytes:
            persona = service.sample(wanted, wanted.start, 1)[0]
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
        snapshot = service.sampler(request.query_params.get("population", "")).snapshot
        return cached(
            request,
            f'"{snapshot.id}"',
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
        snapshot = service.sampler(request.query_params.get("population", "")).snapshot
        dimension = snapshot.dimension(request.path_params["dimension"])

        cells = await anyio.to_thread.run_sync(snapshot.cells, dimension.id)
        body = {"snapshot_id": snapshot.id, "dimension": dimension.id, "cells": cells}
        return cached(request, f'"{snapshot.id}"', body)

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
        return Response(encoded({"snapshots": listed}), media_type="application/json")

    async def health(request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def openapi(request: Request) -> Response:
        return Response(encoded(description(list(service.samplers))), media_type="application/json")

    return Starlette(
        routes=[
            Route("/v1/personas", personas, methods=["GET", "POST"]),
            Route("/v1/explain", explained, methods=["POST"]),
            Route("/v1/catalogue", catalogue),
            Route("/v1/maps/{dimension}", maps),
            Route("/v1/snapshots", snapshots_),
            Route("/v1/openapi.json", openapi),
            Route("/healthz", health),
            *page_routes(service),
        ],
        exception_handlers={
            Problem: _problem,
            PersonaGenError: _refused,
            HTTPException: _http,
            Exception: _defect,
        },
    )


def _sampler(snapshot: Snapshot) -> Sampler:
    try:
        return Sampler(snapshot, fastest())
    except SamplingError:  # numba is installed, but of no use here
        return Sampler(snapshot, "numpy")


async def _wanted(request: Request) -> Wanted:
    if request.method == "GET":
        return requests.from_query(request.query_params.multi_items())
    if request.query_params:
        raise Problem(
            422, "parameters belong into the body of a POST, not into its URL", next(iter(request.query_params))
        )
    return requests.from_mapping(requests.object_of(await _body(request)))


async def _body(request: Request) -> bytes:
    """The body, read no further than it may be long."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, f"the body must be application/json, not {kind[:100]}")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > requests.MOST_BODY:
            raise Problem(413, f"the body is larger than {requests.MOST_BODY} bytes")
    return bytes(content)


async def _parts(service: Service, wanted: Wanted, first: Batch) -> AsyncIterator[Batch]:
    yield first
    for low in range(len(first), wanted.n, PART):
        count = min(PART, wanted.n - low)
        yield await anyio.to_thread.run_sync(service.sample, wanted, wanted.start + low, count)


def _lines(batch: Batch, between: str) -> bytes:
    return between.join(batch.to_jsonl()).encode("utf-8", "backslashreplace")


async def _jsonl(parts: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    async for batch in parts:
        yield await anyio.to_thread.run_sync(_lines, batch, "\n") + (b"\n" if len(batch) else b"")


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
    return Problem(422, str(error)).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Problem(error.status_code, str(error.detail)).response(dict(error.headers or {}))


async def _defect(request: Request, error: Exception) -> Response:
    return Problem(500, "an error of ours, not of the request").response()
