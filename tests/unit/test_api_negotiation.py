"""Which media type an Accept header prefers."""

from __future__ import annotations

import pytest

from serving.api.negotiation import best

OFFERS = ("application/json", "application/x-ndjson", "text/plain")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("Application/X-NDJSON; charset=utf-8", "application/x-ndjson"),
        ("application/json;q=0.5, text/plain;q=0.6", "text/plain"),
        ("*/*, application/json;q=0", "application/x-ndjson"),
        ("application/*;q=0, text/*", "text/plain"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=x", None),
        (",;,", None),
    ],
)
def test_the_largest_weight_wins_then_the_order(accept: str, chosen: str | None) -> None:
    assert best(accept, OFFERS) == chosen
