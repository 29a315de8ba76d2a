"""A second population beside those of the catalogue, by data alone: `xx`, of whom all is told that is told of `us`."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from pipeline.catalogue.loader import DATA, TIER_FILES

TOY = "xx"
_ABOUT = f'[{TOY}]\nlabel = "adults of nowhere"\nyear = 2025\ncurrency = "shells"\n\n'


def with_toy_population(
    folder: Path, change: Callable[[dict[str, Any]], None] = lambda dimension: None, keep: Collection[str] = ()
) -> Path:
    """Copy the catalogue's data into `folder` and add the population; `change` may alter a dimension as it is in TOML.

    Every field that is split by population gets a part for it, equal to that of `us`. `keep` are the only dimensions
    that the catalogue then has, for all populations; by default all of them.
    """
    shutil.copytree(DATA, folder, dirs_exist_ok=True)
    known = _read(folder / "populations.toml")
    with (folder / "populations.toml").open("a", encoding="utf-8") as file:
        file.write(_ABOUT)
    for name in TIER_FILES.values():
        dimensions = _read(folder / name)["dimension"]
        for dimension in dimensions:
            for value in dimension.values():
                if isinstance(value, dict) and "us" in value and set(value) <= set(known):
                    value[TOY] = value["us"]
            change(dimension)
        if keep:
            dimensions = [_among(dimension, keep) for dimension in dimensions if dimension["id"] in keep]
        text = "\n".join("[[dimension]]\n" + _lines(dimension) for dimension in dimensions)
        (folder / name).write_text(text, encoding="utf-8")
    rules = _read(folder / "rules.toml")
    for part in rules.values():
        if isinstance(part, dict) and isinstance(part.get("us"), dict):
            part[TOY] = part["us"]
    if keep:
        for tier in rules["tier"].values():
            tier |= {"parents": [0, 12], "dimensions": [d for d in tier["dimensions"] if d in keep]}
        for name, pairs in rules["influence"].items():
            if isinstance(pairs, list):
                rules["influence"][name] = [pair for pair in pairs if set(pair) <= set(keep)]
    (folder / "rules.toml").write_text("\n".join(f"[{k}]\n{_lines(v)}" for k, v in rules.items()), encoding="utf-8")
    return folder


def _among(dimension: dict[str, Any], keep: Collection[str]) -> dict[str, Any]:
    """A dimension as far as it depends on these; of the pairs one at least stays."""

    def parts(field: str, of: Callable[[Any], Any]) -> Any:
        value = dimension.get(field, [])
        return {name: of(part) for name, part in value.items()} if isinstance(value, dict) else of(value)

    parents = parts("parents", lambda names: [name for name in names if name in keep])
    some = next(iter(parents.values())) if isinstance(parents, dict) else parents
    both = [some[:2]] if len(some) > 1 else []
    return dimension | {
        "parents": parents,
        "pairs": parts("pairs", lambda pairs: [pair for pair in pairs if set(pair) <= set(keep)] or both),
        "held_out": [],
        "zeros": parts("zeros", lambda zeros: [zero for zero in zeros if set(zero["given"]) <= set(keep)]),
    }


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{json.dumps(key)} = {_inline(value)}\n" for key, value in table.items())


def _inline(value: Any) -> str:
    """A value as TOML: strings, numbers and booleans are written as in JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
