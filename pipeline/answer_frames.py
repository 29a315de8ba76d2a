"""Answers and calls as tables: from attempts of the record to the rows of `completions` and `calls`. Only that layout
belongs here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.record import Attempt

if TYPE_CHECKING:
    from pipeline.elicitation.panel import Member
    from pipeline.prompts.render import Request

_REQUEST: dict[str, Any] = dict.fromkeys(("population", "edition", "dimension", "model", "custom_id"), pl.String)
COMPLETION_COLUMNS: dict[str, Any] = {
    **_REQUEST,
    "attempt": pl.Int32,
    "answered_by": pl.String,
    "text": pl.String,
    "finish_reason": pl.String,
    "received": pl.String,
    "asked_as": pl.String,
}
CALL_COLUMNS: dict[str, Any] = {
    **_REQUEST,
    "asked_as": pl.String,
    "attempt": pl.Int32,
    "outcome": pl.String,
    "started": pl.String,
    "seconds": pl.Float64,
    "tokens_in": pl.Int64,
    "tokens_out": pl.Int64,
    "usd": pl.Float64,
    "basis": pl.String,
}


def completions_frame(attempts: Iterable[Attempt], requests: Mapping[str, Request]) -> pl.DataFrame:
    """A row per answer, in the order of the attempts; `requests` by custom id."""
    rows = [
        {
            **_request_columns(requests[attempt.custom_id]),
            "attempt": attempt.result.attempt,
            "answered_by": attempt.result.model,
            "text": attempt.result.text,
            "finish_reason": attempt.result.finish_reason,
            "received": json.dumps(attempt.result.received),
            "asked_as": attempt.asked_as,
        }
        for attempt in attempts
        if isinstance(attempt.result, Completion)
    ]
    return pl.DataFrame(rows, schema=COMPLETION_COLUMNS)


def calls_frame(
    attempts: Iterable[Attempt], requests: Mapping[str, Request], member_of: Mapping[str, Member]
) -> pl.DataFrame:
    """A row per call that the books know of; `requests` and their members by custom id."""
    rows = [
        {
            **_request_columns(requests[attempt.custom_id]),
            "asked_as": attempt.asked_as,
            "attempt": attempt.number,
            **asdict(call),
        }
        for attempt in attempts
        if (call := attempt.line.call_by(member_of[attempt.custom_id])) is not None
    ]
    return pl.DataFrame(rows, schema=CALL_COLUMNS)


def _request_columns(request: Request) -> dict[str, str]:
    return {
        "population": request.population,
        "edition": request.edition,
        "dimension": request.dimension,
        "model": request.model,
        "custom_id": request.custom_id,
    }
