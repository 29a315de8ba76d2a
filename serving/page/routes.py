"""The routes of the page: its files with a strict policy, the strategy trials, and shares among people drawn.

Here belongs what the page needs and no other client asked for. What it looks like and does is in `static`, hand-written
and served as it lies there. All that it tells comes from the API: it shows nothing that a program could not have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api import requests
from serving.api.admission import charged
from serving.api.caching import ANY, cached, has, tag_of, unchanged
from serving.api.problems import Problem
from serving.api.requests import LONGEST_TEXT
from serving.batch import Batch
from serving.conditions import Support
from serving.snapshot import Snapshot

if TYPE_CHECKING:
    from serving.api.service import Service
    from serving.api.settings import Limits

STATIC = Path(__file__).parent / "static"
MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
HEADERS = {
    "Cache-Control": "public, no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page_routes(service: Service, limits: Limits) -> list[Route]:
    """Routes of the page and of what it asks, over the snapshots of a service."""
    files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in MEDIA}

    async def page(request: Request) -> Response:
        return _file(request, "index.html", files)

    async def file(request: Request) -> Response:
        return _file(request, request.path_params["name"], files)

    async def trials(request: Request) -> Response:
        snapshot = service.sampler(requests.population_of(request.query_params.multi_items())).snapshot
        return cached(request, trials_of(snapshot))

    async def shares(request: Request) -> Response:
        if len(request.scope["query_string"]) > limits.query:
            raise Problem(414, f"the query string is longer than {limits.query} bytes: name fewer conditions")
        wanted = requests.to_count(request.query_params.multi_items(), limits)
        sampler = service.sampler(wanted.population)
        wanted = replace(wanted, fields=tuple(d.id for d in sampler.snapshot.dimensions))
        tag = wanted.etag(sampler.snapshot.manifest_digest)
        if has(request, tag):
            return unchanged(tag)
        with charged(request, wanted.n):
            batch = await service.drawn(wanted, wanted.start, wanted.n, sampler, request.receive)
        return cached(request, shares_of(batch), tag)

    return [
        Route("/", page, include_in_schema=False),
        Route("/page/{name}", file, include_in_schema=False),
        Route("/v1/trials", trials),
        Route("/v1/shares", shares),
    ]


def trials_of(snapshot: Snapshot) -> dict[str, Any]:
    """Per dimension the strategy that won, the runner-up, the margin in nats of held-out divergence, any override.

    The margin is None where there was no other to compare with, and negative where the simpler of two that tied won.
    """
    chosen = snapshot.manifest.strategies
    return {
        "snapshot_id": snapshot.id,
        "edition": snapshot.manifest.edition,
        "trials": [{"dimension": d.id, **chosen[d.id]} for d in snapshot.dimensions if d.id in chosen],
    }


def shares_of(batch: Batch) -> dict[str, Any]:
    """Shares of the categories of each dimension that a batch carries, and how well its evidence is supported."""
    snapshot = batch.snapshot
    shares = {}
    for name in batch.fields:
        if name in snapshot:
            categories = snapshot.dimension(name).categories
            counts = np.bincount(batch.codes(name), minlength=len(categories))
            shares[name] = dict(zip(categories, (counts / len(batch)).tolist(), strict=True))
    return {"snapshot_id": snapshot.id, "n": len(batch), "support": _support(batch.support), "shares": shares}


def _support(support: Support) -> dict[str, Any]:
    effective = None if math.isinf(support.effective) else support.effective
    return {**asdict(support), "effective": effective, "warning": support.warning}


def _file(request: Request, name: str, files: Mapping[str, bytes]) -> Response:
    if name not in files:
        raise Problem(404, f"the page has no file {name[:LONGEST_TEXT]!r}")
    content = files[name]
    headers = {**HEADERS, "ETag": tag_of(content)}
    if has(request, headers["ETag"]) or has(request, ANY):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=MEDIA[Path(name).suffix])
