"""What a request for personas asks for, read from a query string or a JSON body and checked.

Here belong the parameters, their limits and their canonical form, from which the ETag follows. What dimensions and
categories there are, the sampler says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from serving.api.problems import Problem

MOST_PERSONAS = 100_000
MOST_CONDITIONS = 100  # entries of evidence and the like together
MOST_BODY = 65_536  # bytes
LONGEST_TEXT = 200
FORMATS = ("json", "jsonl", "arrow", "prompt")
MAPPINGS = ("evidence", "do", "likelihood", "target_marginal", "quota")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for personas, as `Sampler.sample` takes it, and the form of the answer."""

    n: int = 1
    seed: int | str = 0
    start: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    do: Mapping[str, str] = field(default_factory=dict)
    likelihood: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    target_marginal: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    quota: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    fields: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    as_of: str = ""
    accents: bool = False
    population: str = ""
    format: str = "json"

    @property
    def as_of_date(self) -> date | None:
        """The date, None where none was named."""
        return date.fromisoformat(self.as_of) if self.as_of else None

    def etag(self, snapshot_id: str) -> str:
        """What the answer is a function of, hashed."""
        text = json.dumps([snapshot_id, asdict(self)], sort_keys=True, ensure_ascii=False)
        return f'"{hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def from_query(pairs: Sequence[tuple[str, str]]) -> Wanted:
    """Read a query string: `n=5&seed=a&evidence.sex=female&evidence.age=25..34&do.education=master&fields=sex,age`."""
    values: dict[str, Any] = {}
    for name, text in pairs:
        group, dot, dimension = name.partition(".")
        if dot and group in ("evidence", "do"):
            values.setdefault(group, {})
            if dimension in values[group]:
                raise Problem(422, f"{name!r} is given twice: put several categories into one, a,b", name)
            several = group == "evidence" and "," in text
            values[group][dimension] = text.split(",") if several else text
        elif name in values:
            raise Problem(422, f"{name!r} is given twice: leave one out", name)
        elif name in ("n", "start"):
            values[name] = _number(name, text)
        elif name == "seed":
            values[name] = int(text) if text.lstrip("-").isdecimal() and text.isascii() else text
        elif name in ("fields", "exclude"):
            values[name] = [one for one in text.split(",") if one]
        else:
            values[name] = text
    return from_mapping(values)


def object_of(content: bytes) -> dict[str, Any]:
    """The JSON object that a body holds, an empty one if it is empty."""
    try:
        values = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        raise Problem(400, 'the body is not JSON: send an object such as {"n": 5}') from None
    if not isinstance(values, dict):
        raise Problem(400, 'the body is no JSON object: send one such as {"n": 5}')
    return values


def from_mapping(values: Mapping[str, Any]) -> Wanted:
    """Check types and limits; raises Problem naming the parameter."""
    unknown = [name for name in values if name not in _CHECKS]
    if unknown:
        raise Problem(422, f"unknown parameter {unknown[0]!r}", unknown[0], sorted(_CHECKS))
    checked = {name: _CHECKS[name](name, value) for name, value in values.items()}
    conditions = sum(len(checked.get(name, ())) for name in MAPPINGS)
    if conditions > MOST_CONDITIONS:
        raise Problem(422, f"{conditions} conditions are more than the {MOST_CONDITIONS} allowed", "evidence")
    return Wanted(**checked)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise Problem(422, f"{name!r} must be a whole number from 0, not {text[:LONGEST_TEXT]!r}", name)
    return int(text[:30])


def _whole(most: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise Problem(422, f"{name!r} must be a whole number from 0 to {most}", name)
        return value

    return check


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise Problem(422, f"{name!r} must be a text of at most {LONGEST_TEXT} characters", name)
    return value


def _seed(name: str, value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**63:
            raise Problem(422, f"{name!r} must lie within 64 bits, or be a text", name)
        return value
    return _text(name, value)


def _names(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 200:
        raise Problem(422, f"{name!r} must be a list of at most 200 names", name)
    return tuple(_text(name, one) for one in value)


def _date(name: str, value: Any) -> str:
    try:
        return date.fromisoformat(_text(name, value)).isoformat()
    except ValueError:
        raise Problem(422, f"{name!r} must be a date such as 2026-11-01", name) from None


def _flag(name: str, value: Any) -> bool:
    if value not in (True, False, "true", "false"):
        raise Problem(422, f"{name!r} must be true or false", name, ("true", "false"))
    return value in (True, "true")


def _format(name: str, value: Any) -> str:
    if value not in FORMATS:
        raise Problem(422, f"{name!r} must be one of {', '.join(FORMATS)}", name, FORMATS)
    return str(value)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Problem(422, f"{name!r} must be an object from dimension to value", name)
    if len(json.dumps(value)) > MOST_BODY:
        raise Problem(413, f"{name!r} is too large", name)
    return value


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "n": _whole(MOST_PERSONAS),
    "seed": _seed,
    "start": _whole(2**63 - 1 - MOST_PERSONAS),
    **dict.fromkeys(MAPPINGS, _mapping),
    "fields": _optional(_names),
    "exclude": _names,
    "as_of": _date,
    "accents": _flag,
    "population": _text,
    "format": _format,
}
