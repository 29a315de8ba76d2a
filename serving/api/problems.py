"""Errors as RFC 9457 problem details, and from which exceptions they come. No other error leaves the API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from starlette.responses import Response

LONGEST = 1_000  # letters of a detail, which may repeat what a client sent
MEDIA = "application/problem+json"
TYPES = {
    400: "bad-request",
    401: "unauthorized",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    408: "request-timeout",
    413: "too-large",
    414: "uri-too-long",
    415: "unsupported-media-type",
    422: "invalid-parameter",
    429: "too-many-requests",
    500: "internal-error",
    503: "unavailable",
}


class Problem(Exception):  # noqa: N818 (what RFC 9457 calls it)
    """Something wrong with a request.

    Attributes:
        status: of the response.
        detail: one line.
        parameter, allowed: the parameter at fault and what it may be, where there is one and that can be listed.
        headers: of the response besides the usual ones.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        parameter: str = "",
        allowed: Sequence[str] = (),
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        detail = detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}..."
        self.status, self.detail, self.parameter, self.allowed = status, detail, parameter, tuple(allowed)
        self.headers = dict(headers or {})

    def response(self) -> Response:
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
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")
        return Response(content, self.status, {"Cache-Control": "no-store", **self.headers}, media_type=MEDIA)
