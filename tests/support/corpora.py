"""Synthetic answers for tests of the pipeline's machinery. Nothing here resembles beliefs about anybody."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue.models import Catalogue
from pipeline.elicitation.edition import write_members
from pipeline.plan import Plan
from pipeline.prompts.render import Request
from pipeline.prompts.schema import LISTS, NUMBER_FORMATS
from pipeline.prompts.validation import allowed_mask, conditions_of

EDITION = "synthetic"


def write_corpus(
    folder: Path,
    spoil: Callable[[Request, str], str] = lambda request, text: text,
    populations: Sequence[str] = ("us",),
    members: Sequence[str] = ("recorded-pass-1", "recorded-pass-2"),
) -> Path:
    """Write a whole edition of made-up but valid answers into `folder`; `spoil` may change the text of each."""
    edition = folder / EDITION
    write_members(edition, members, populations)
    plan = Plan(EDITION, edition)
    rng = np.random.default_rng(0)
    with (edition / "answers.jsonl").open("w", encoding="utf-8") as file:
        for requests in plan.requests.values():
            for request in requests:
                file.write(answer_line(request, spoil(request, answer(plan, request, rng))) + "\n")
    (edition / "PROVENANCE.md").write_text("made up for a test\n", encoding="utf-8")
    return folder


def answer(plan: Plan, request: Request, rng: np.random.Generator) -> str:
    """A valid answer: rows that differ, nothing on structural zeros."""
    catalogue = plan.catalogues[request.population]
    mask = allowed_mask(catalogue.dimension(request.dimension), [catalogue.dimension(g) for g in request.given])
    return written(catalogue, request, np.where(mask, rng.gamma(3.0, size=mask.shape), 0.0))


def written(catalogue: Catalogue, request: Request, p: NDArray[np.float64]) -> str:
    """A map, (*sizes of the given, K) with rows of any sum, as the text of the answer that a request asks for."""
    dimension, parents = catalogue.dimension(request.dimension), [catalogue.dimension(g) for g in request.given]
    p = NUMBER_FORMATS[request.number_format] * p / p.sum(axis=-1, keepdims=True)
    rows: dict[tuple[str, ...], object] = {
        condition: row.round(5).tolist()
        if request.number_format in LISTS
        else dict(zip(dimension.category_ids, row.round(5).tolist(), strict=True))
        for condition, row in zip(conditions_of(parents), p.reshape(-1, p.shape[-1]), strict=True)
    }
    if request.condition is not None:
        rows = {(): rows[request.condition]}
    nested: dict[str, object] = {}
    for condition, row in rows.items():
        place = nested
        for name in condition[:-1]:
            place = place.setdefault(name, {})  # type: ignore[assignment]
        place[condition[-1] if condition else "everyone"] = row
    return json.dumps(nested)


def answer_line(request: Request, text: str) -> str:
    """An answer as a line of OpenAI Batch output."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"object": "chat.completion", "model": request.model, "choices": [choice]}
    return json.dumps({"custom_id": request.custom_id, "response": {"status_code": 200, "body": body}, "error": None})
