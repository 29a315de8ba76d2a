"""Made-up answers about places and job titles for tests of the machinery; nothing here resembles a belief."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.catalogue.models import Catalogue
from pipeline.particulars.enrichment import FOLDER, KINDS, Enrichment
from pipeline.particulars.requests import Kind

PLACES = 20
TITLES = 20


def place_rows(catalogue: Catalogue, region: str, number: int = PLACES) -> list[list[Any]]:
    """Places of equal share. Each is all of one kind of surroundings, in turn, and has five times its share of one
    heritage, in turn.
    """
    kinds, heritages = catalogue.dimension("urbanicity").category_ids, catalogue.dimension("heritage").category_ids
    return [
        [
            f"{region} place {'abcdefghijklmnopqrstuvwxyz'[n % 26]} {n}",
            1000 / number,
            [100 if n % len(kinds) == kind else 0 for kind in range(len(kinds))],
            {heritages[n % len(heritages)]: 5},
        ]
        for n in range(number)
    ]


def title_rows(catalogue: Catalogue, occupation: str, number: int = TITLES) -> list[list[Any]]:
    """Titles of equal share: of women and of men, with a degree and without, well paid and badly, in one industry."""
    industries = [one for one in catalogue.dimension("industry").category_ids if one != "none"]
    return [
        [
            f"{occupation} worker {n}",
            1000 / number,
            95 if n % 2 else 5,
            90 if n % 4 < 2 else 10,
            [20_000, 30_000] if n % 8 < 4 else [80_000, 140_000],
            {industries[n % len(industries)]: 80, industries[(n + 1) % len(industries)]: 15},
        ]
        for n in range(number)
    ]


def answer(catalogue: Catalogue, kind: Kind, category: str) -> str:
    """A valid answer."""
    rows = place_rows if kind == "place" else title_rows
    return json.dumps({f"{kind}s": rows(catalogue, category)})


def write_all(corpus: Path, catalogue: Catalogue) -> None:
    """Write a valid answer to every request about a population into a corpus."""
    enrichment = Enrichment(catalogue, corpus / FOLDER)
    requests = [r for kind in KINDS for r in enrichment.requests[kind]]
    answers = {r.custom_id: answer(catalogue, r.kind, r.category) for r in requests}
    write(corpus / FOLDER / catalogue.population.id / "answers.jsonl", answers)


def write(path: Path, answers: Mapping[str, str]) -> Path:
    """Write answers by custom id as a file of Batch output."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for custom_id, text in answers.items():
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = {"object": "chat.completion", "model": "recorded-particulars", "choices": [choice]}
        lines.append(json.dumps({"custom_id": custom_id, "response": {"status_code": 200, "body": body}}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
