"""Made-up answers about names for tests of the machinery. Nothing here resembles beliefs about anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.elicitation.protocol import Completion, to_completion
from pipeline.names.census import known
from pipeline.names.requests import BORN, NameRequest
from warehouse.names import casing

LIKELY = {
    "white": "english",
    "black": "african_american",
    "api": "chinese",
    "aian": "native_american",
    "two": "mixed_other",
    "hispanic": "mexican",
}
"""A heritage that each group of the Census can have."""


def entry(request: NameRequest, name: str, **changed: object) -> dict[str, object]:
    """A valid entry: the name's Census shares, each on one heritage; `changed` replaces fields of it."""
    facts = known(request.kind)[casing.key_of(name)]
    shares = facts.shares or {"white": 1.0}
    heritage = {LIKELY[group]: round(94 * share, 1) for group, share in shares.items()}
    found: dict[str, object] = {"heritage": heritage}
    if request.kind == "first":
        found["female"] = round(100 * facts.female[0], 1)
    if request.born:
        found["born"] = dict(zip(BORN, (10, 20, 30, 40), strict=True))
    return {**found, **changed}


def answer(request: NameRequest, names: Sequence[str] = (), **changed: Mapping[str, Any] | None) -> str:
    """A valid answer about these names, by default all of the request; `changed` has other entries, None for none."""
    entries = {name: entry(request, name) for name in names or request.names} | changed
    return json.dumps({name: one for name, one in entries.items() if one is not None})


def body(text: str | None, finish: str = "stop") -> dict[str, Any]:
    """The body of a chat completion with this text."""
    message = {"role": "assistant", "content": text}
    return {
        "object": "chat.completion",
        "model": "recorded-names",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }


def completion(request: NameRequest, text: str | None, attempt: int = 1, finish: str = "stop") -> Completion:
    """An answer to a request, as the record gives it."""
    return to_completion(request.custom_id, body(text, finish), attempt)


def write(path: Path, answers: Mapping[str, str]) -> Path:
    """Write answers by custom id as a file of Batch output."""
    lines = [
        json.dumps({"custom_id": i, "response": {"status_code": 200, "body": body(text)}, "error": None})
        for i, text in answers.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
