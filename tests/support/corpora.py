"""Synthetic answers for tests of the pipeline's machinery. Nothing here resembles beliefs about anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.plan import Plan
from pipeline.prompts.render import Request
from pipeline.prompts.schema import LISTS, NUMBER_FORMATS
from pipeline.prompts.validation import allowed_mask, conditions_of

EDITION = "synthetic"


def write_corpus(folder: Path, spoil: Callable[[Request, str], str] = lambda request, text: text) -> Path:
    """Write a whole edition of made-up but valid answers into `folder`; `spoil` may change the text of each."""
    edition = folder / EDITION
    edition.mkdir(parents=True)
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
    look_up = plan.catalogues[request.population].dimension
    dimension, parents = look_up(request.dimension), [look_up(g) for g in request.given]
    mask = allowed_mask(dimension, parents)
    p = np.where(mask, rng.gamma(3.0, size=mask.shape), 0.0)
    p /= p.sum(axis=-1, keepdims=True)
    if request.condition is not None:
        codes = (parent.category_ids.index(c) for parent, c in zip(parents, request.condition, strict=True))
        p, parents = p[tuple(codes)], []
    scale = NUMBER_FORMATS[request.number_format]
    rows = dict(zip(conditions_of(parents), p.reshape(-1, p.shape[-1]), strict=True))
    nested: dict[str, object] = {}
    for condition, row in rows.items():
        written: object = (
            (scale * row).round(3).tolist()
            if request.number_format in LISTS
            else dict(zip(dimension.category_ids, (scale * row).round(4).tolist(), strict=True))
        )
        place = nested
        for name in condition[:-1]:
            place = place.setdefault(name, {})  # type: ignore[assignment]
        place[condition[-1] if condition else "everyone"] = written
    return json.dumps(nested)


def answer_line(request: Request, text: str) -> str:
    """An answer as a line of OpenAI Batch output."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"object": "chat.completion", "model": request.model, "choices": [choice]}
    return json.dumps({"custom_id": request.custom_id, "response": {"status_code": 200, "body": body}, "error": None})
