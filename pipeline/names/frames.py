"""Requests, answers and verdicts about names as tables, and what others read of them. Only that layout belongs here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from pipeline.elicitation.protocol import Completion
from pipeline.names.candidates import KINDS
from pipeline.names.enrichment import Answer, Enrichment
from pipeline.names.requests import BORN, NameRequest
from pipeline.names.validation import NameEstimate, NameRejection

_PLACE: dict[str, Any] = dict.fromkeys(("population", "edition", "kind", "model", "custom_id"), pl.String)
REQUEST_COLUMNS: dict[str, Any] = {
    **_PLACE,
    "number": pl.Int32,
    "variant": pl.String,
    "names": pl.List(pl.String),
    "born": pl.Boolean,
    "system": pl.String,
    "prompt": pl.String,
    "settings": pl.String,
}
COMPLETION_COLUMNS: dict[str, Any] = {
    **_PLACE,
    "asked_as": pl.String,
    "attempt": pl.Int32,
    "answered_by": pl.String,
    "text": pl.String,
    "finish_reason": pl.String,
    "received": pl.String,
}
BORN_COLUMNS = tuple(f"born_{band}" for band in BORN)
ESTIMATE_COLUMNS: dict[str, Any] = {
    **_PLACE,
    "attempt": pl.Int32,
    "variant": pl.String,
    "key": pl.String,
    "name": pl.String,
    "female": pl.Float64,
    "heritage": pl.List(pl.Struct({"heritage": pl.String, "share": pl.Float64})),
    **dict.fromkeys(BORN_COLUMNS, pl.Float64),
    "spelling": pl.String,
}
FAITH_COLUMNS: dict[str, Any] = {"kind": pl.String, "key": pl.String, "faiths": pl.List(pl.Float64)}
REJECTION_COLUMNS: dict[str, Any] = {
    **_PLACE,
    "attempt": pl.Int32,
    "key": pl.String,
    "name": pl.String,
    "reason": pl.String,
    "detail": pl.String,
    "text": pl.String,
}


def heritage_shares(estimates: pl.DataFrame) -> pl.DataFrame:
    """What names tell of heritage: a row per name and listed heritage, with the columns kind, key, heritage, share.

    The shares of a name sum to at most 1; what is missing is of heritages that were not listed.
    """
    return estimates.select("kind", "key", "heritage").explode("heritage").unnest("heritage")


def name_facts(estimates: pl.DataFrame) -> pl.DataFrame:
    """What else is told of names: kind, key, female (null for surnames), the shares of the bands of birth years (null
    where births are known), spelling (null where it is the form shown).
    """
    return estimates.select("kind", "key", "female", *BORN_COLUMNS, "spelling")


def faith_shares(enrichment: Enrichment) -> pl.DataFrame:
    """What the record tells of faiths: a row per name: kind, key, faiths (a list in the order of `FAITHS`)."""
    told = [one for kind in KINDS for one in enrichment.faith_outcome(kind).estimates]
    rows = [(one.kind, one.key, list(one.faiths)) for one in told]
    return pl.DataFrame(rows, schema=FAITH_COLUMNS, orient="row")


def requests_frame(edition: str, requests: Iterable[NameRequest]) -> pl.DataFrame:
    """A row per request."""
    rows = [
        {
            **_place(edition, r),
            "number": r.number,
            "variant": r.variant,
            "names": list(r.names),
            "born": r.born,
            "system": r.messages[0]["content"],
            "prompt": r.messages[1]["content"],
            "settings": json.dumps(r.settings, sort_keys=True),
        }
        for r in requests
    ]
    return pl.DataFrame(rows, schema=REQUEST_COLUMNS)


def completions_frame(edition: str, answers: Iterable[Answer], requests: Sequence[NameRequest]) -> pl.DataFrame:
    """A row per answer to these requests, in the order of attempts."""
    by_id = {r.custom_id: r for r in requests}
    rows = [
        {
            **_place(edition, by_id[answer.completion.custom_id]),
            "asked_as": answer.asked_as,
            "attempt": answer.completion.attempt,
            "answered_by": answer.completion.model,
            "text": answer.completion.text,
            "finish_reason": answer.completion.finish_reason,
            "received": json.dumps(answer.completion.received),
        }
        for answer in answers
    ]
    return pl.DataFrame(rows, schema=COMPLETION_COLUMNS)


def answers_of(completions: pl.DataFrame) -> list[Answer]:
    """Stored answers as they were, in stored order."""
    return [
        Answer(
            row["asked_as"],
            Completion(
                custom_id=row["custom_id"],
                model=row["answered_by"],
                text=row["text"],
                finish_reason=row["finish_reason"],
                received=json.loads(row["received"]),
                attempt=row["attempt"],
            ),
        )
        for row in completions.iter_rows(named=True)
    ]


def estimates_frame(population: str, edition: str, estimates: Iterable[NameEstimate]) -> pl.DataFrame:
    """A row per name; shares from 0 to 1, heritages in descending order."""
    rows = [
        {
            **_told(population, edition, e),
            "variant": e.variant,
            "female": e.female,
            "heritage": [
                {"heritage": name, "share": share}
                for name, share in sorted(e.heritage.items(), key=lambda one: (-one[1], one[0]))
            ],
            **dict(zip(BORN_COLUMNS, e.born or [None] * len(BORN), strict=True)),
            "spelling": e.spelling,
        }
        for e in estimates
    ]
    return pl.DataFrame(rows, schema=ESTIMATE_COLUMNS)


def rejections_frame(population: str, edition: str, rejections: Iterable[NameRejection]) -> pl.DataFrame:
    """A row per rejected entry."""
    rows = [
        {**_told(population, edition, r), "reason": str(r.reason), "detail": r.detail, "text": r.text}
        for r in rejections
    ]
    return pl.DataFrame(rows, schema=REJECTION_COLUMNS)


def _place(edition: str, request: NameRequest) -> dict[str, str]:
    return {
        "population": request.population,
        "edition": edition,
        "kind": request.kind,
        "model": request.model,
        "custom_id": request.custom_id,
    }


def _told(population: str, edition: str, verdict: NameEstimate | NameRejection) -> dict[str, Any]:
    return {
        "population": population,
        "edition": edition,
        "kind": verdict.kind,
        "model": verdict.model,
        "custom_id": verdict.custom_id,
        "attempt": verdict.attempt,
        "key": verdict.key,
        "name": verdict.name,
    }
