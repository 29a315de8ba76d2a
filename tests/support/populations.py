"""A second population beside those of the catalogue, by data alone: `xx`, of whom all is told that is told of `us`."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.catalogue.loader import DATA, TIER_FILES

TOY = "xx"
_ABOUT = f'[{TOY}]\nlabel = "adults of nowhere"\nyear = 2025\ncurrency = "shells"\n\n'


def with_toy_population(folder: Path, change: Callable[[dict[str, Any]], None] = lambda dimension: None) -> Path:
    """Copy the catalogue's data into `folder` and add the population; `change` may alter a dimension as it is in TOML.

    Every field that is split by population gets a part for it, equal to that of `us`.
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
        text = "\n".join("[[dimension]]\n" + _lines(dimension) for dimension in dimensions)
        (folder / name).write_text(text, encoding="utf-8")
    rules = _read(folder / "rules.toml")
    for part in rules.values():
        if isinstance(part, dict) and isinstance(part.get("us"), dict):
            part[TOY] = part["us"]
    (folder / "rules.toml").write_text("\n".join(f"[{k}]\n{_lines(v)}" for k, v in rules.items()), encoding="utf-8")
    return folder


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
