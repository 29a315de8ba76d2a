"""Answers that a client may keep: an ETag for each, and 304 for who has it already.

Here belongs what comes after the answer, or from it. What an answer to a draw is a function of, and so its ETag, is
`serving.api.requests`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

ANY = "*"  # as an ETag: whatever the answer is


def has(request: Request, tag: str) -> bool:
    """Whether the client has the answer of this ETag already; weak ones, as proxies that compress make them, count.

    Never for a POST, whose answer no cache keeps. `ANY` asks for the asterisk, which is to be looked for only when the
    request has turned out to be one that has an answer.
    """
    listed = request.headers.get("if-none-match")
    if listed is None or request.method not in ("GET", "HEAD"):
        return False
    return tag in [one.strip().removeprefix("W/") for one in listed.split(",")]


def tag_of(content: bytes) -> str:
    """An ETag that stands for these bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def cached(request: Request, body: Mapping[str, Any], tag: str = "") -> Response:
    """A JSON answer under this ETag, by default that of its content; or 304."""
    content = encoded(body)
    tag = tag or tag_of(content)
    if has(request, tag) or has(request, ANY):
        return unchanged(tag)
    return Response(content, headers=_headers(tag), media_type="application/json")


def unchanged(tag: str) -> Response:
    """304 for who has the JSON answer of this ETag."""
    return Response(status_code=304, headers=_headers(tag))


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": "public, no-cache"}


def encoded(body: Mapping[str, Any]) -> bytes:
    """As JSON."""
    return json.dumps(body, ensure_ascii=False).encode()
