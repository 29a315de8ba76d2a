"""Errors as RFC 9457 problem details, and from which exceptions they come. No other error leaves the API."""

from __future__ import annotations

import json
from collections.abc import Sequence

from starlette.responses import Response

TYPES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-parameter",
    500: "internal-error",
}


class Problem(Exception):  # noqa: N818 (what RFC 9457 calls it)
    """Something wrong with a request: a status, one line of detail, and the parameter with its allowed values."""

    def __init__(self, status: int, detail: str, parameter: str = "", allowed: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.parameter, self.allowed = status, detail, parameter, tuple(allowed)

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """As `application/problem+json`."""
        kind = TYPES.get(self.status, "error")
        body: dict[str, object] = {
            "type": f"urn:personagen:problem:{kind}",
            "title": kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
        }
        if self.parameter:
            body["parameter"] = self.parameter
        if self.allowed:
            body["allowed"] = list(self.allowed)
        return Response(
            json.dumps(body, ensure_ascii=False), self.status, headers, media_type="application/problem+json"
        )
