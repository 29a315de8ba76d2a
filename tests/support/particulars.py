"""Made-up answers about places, job titles, names and details for tests of the machinery; nothing here is a belief."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.catalogue.models import Catalogue
from pipeline.particulars.enrichment import FOLDER, KINDS, Enrichment
from pipeline.particulars.requests import Kind, details, groups
from tests.support.toy_snapshot import ToyDimension
from warehouse.parquet import parquet_bytes
from warehouse.particulars import JOB_TITLE, METADATA, title_categories

PLACES = 20
TITLES = 20


def place_rows(catalogue: Catalogue, region: str, number: int = PLACES) -> list[list[Any]]:
    """Places of equal share. Each is mostly of one kind of surroundings, in turn, and has five times its share of one
    heritage, in turn.
    """
    kinds, heritages = catalogue.dimension("urbanicity").category_ids, catalogue.dimension("heritage").category_ids
    return [
        [
            f"{region} place {'abcdefghijklmnopqrstuvwxyz'[n % 26]} {n}",
            1000 / number,
            [80 if n % len(kinds) == kind else 5 for kind in range(len(kinds))],
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


def detail_rows(catalogue: Catalogue, key: str) -> list[list[Any]]:
    """As many names as are asked for, of equal share, each three times as common in one category of one dimension."""
    one = details(catalogue)[key]
    number = one.asked.number[1]
    by = one.by[0]
    return [
        [f"{key.replace('.', ' ')} {n}", 1000 / number, {by.id: {by.category_ids[n % len(by.categories)]: 3}}]
        for n in range(number)
    ]


def holder_rows(catalogue: Catalogue, titles: Sequence[str]) -> list[list[Any]]:
    """Who holds titles: in turn one level of education and the next, one age and the next, and one field of study."""
    sizes = [len(catalogue.dimension(name).categories) for name in ("education", "age")]
    fields = catalogue.dimension("field_of_study").category_ids[1:]
    return [
        [
            title,
            *([60 if k == n % size else 40 if k == (n + 1) % size else 0 for k in range(size)] for size in sizes),
            {fields[n % len(fields)]: 90},
        ]
        for n, title in enumerate(titles)
    ]


def first_name_rows(key: str, number: int) -> list[list[Any]]:
    """Names of a group, each a little rarer than the one before it; 4,000 of 10,000 have one of them."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    heritage, sex, first = key.split(".")
    stem = f"{heritage}{sex}{letters[int(first) % 26]}".title()
    weights = [1.01**-n for n in range(number)]
    return [[f"{stem}{letters[n % 26]}{letters[n // 26]}", 4000 * w / sum(weights)] for n, w in enumerate(weights)]


def terms_rows(titles: Sequence[str]) -> list[list[Any]]:
    """How titles are done: in turn on site, hybrid and remote, and mostly full time."""
    return [[title, [80 if k == n % 3 else 10 for k in range(3)], [70, 20, 10]] for n, title in enumerate(titles)]


def study_rows(catalogue: Catalogue, titles: Sequence[str]) -> list[list[Any]]:
    """What holders of titles studied: of one field, in turn, one subject of their own and one that all share."""
    fields = catalogue.dimension("field_of_study").category_ids[1:]
    return [
        [title, {fields[n % len(fields)]: {f"{title} studies": 70, "philosophy": 10}}] for n, title in enumerate(titles)
    ]


def home_rows(catalogue: Catalogue, places: Sequence[str]) -> list[list[Any]]:
    """How people of places live: mostly in one kind of building, in turn; half of the places by bus."""
    size = len(catalogue.dimension("dwelling").categories)
    return [
        [
            place,
            [75 if k == n % size else 25 / (size - 1) for k in range(size)],
            40 if n % 2 else 5,
            [60, 10, 30] if n % 2 else [4, 6, 90],
        ]
        for n, place in enumerate(places)
    ]


def answer(catalogue: Catalogue, kind: Kind, category: str, names: Sequence[str] = ()) -> str:
    """A valid answer."""
    found: dict[str, Any]
    match kind:
        case "place":
            found = {"places": place_rows(catalogue, category)}
        case "title":
            found = {"titles": title_rows(catalogue, category)}
        case "name":
            found = {"names": first_name_rows(category, groups(catalogue)[category].number)}
        case "income":
            found = {"people": [100, 150, 200, 250, 300]}
        case "detail":
            found = {"details": detail_rows(catalogue, category)}
        case "part":
            found = {"parts": dict.fromkeys(names[:1], "Springfield")}
        case "home":
            found = {"homes": home_rows(catalogue, names)}
        case "holder":
            found = {"holders": holder_rows(catalogue, names)}
        case "arrangement":
            found = {"arrangements": terms_rows(names)}
        case "study":
            found = {"studies": study_rows(catalogue, names)}
    return json.dumps(found)


def write_all(corpus: Path, catalogue: Catalogue) -> None:
    """Write a valid answer to every request about a population into a corpus."""
    enrichment = Enrichment(catalogue, corpus / FOLDER)
    for kind in KINDS:
        answers = {r.custom_id: answer(catalogue, kind, r.category, r.names) for r in enrichment.requests(kind)}
        write(corpus / FOLDER / catalogue.population.id / f"{kind}s.jsonl", answers)


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


def file(
    dimensions: Sequence[ToyDimension],
    within: str,
    rows: list[tuple[Any, ...]],
    *givens: tuple[str, ...],
    titles: Sequence[str] = (),
) -> bytes:
    """A file of the format that a snapshot of these dimensions carries, and of these job titles.

    A row is category, name, share, and a list of factors for each given.
    """
    names = ["within", "name", "share", *("+".join(given) for given in givens)]
    table = pa.table({name: pa.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})
    known = {dimension.id: list(dimension.categories) for dimension in dimensions}
    known[JOB_TITLE] = title_categories(titles)
    told = {
        "within": within,
        "givens": [list(given) for given in givens],
        "categories": {name: known[name] for name in (within, *(one for given in givens for one in given))},
    }
    return parquet_bytes(table.replace_schema_metadata({METADATA: json.dumps(told).encode()}), store_schema=True)
