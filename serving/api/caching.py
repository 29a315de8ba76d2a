"""Answers that a client may keep: an ETag for each, and 304 for who has it already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response


def has(request: Request, tag: str) -> bool:
    """Whether the client has the answer of this ETag already; weak ones, as proxies that compress make them, count."""
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return tag in known or "*" in known


def cached(request: Request, tag: str, body: Mapping[str, Any]) -> Response:
    """A JSON answer under an ETag, or 304."""
    headers = {"ETag": tag, "Cache-Control": "public, no-cache"}
    if has(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(encoded(body), headers=headers, media_type="application/json")


def encoded(body: Mapping[str, Any]) -> bytes:
    """As JSON."""
    return json.dumps(body, ensure_ascii=False).encode()
