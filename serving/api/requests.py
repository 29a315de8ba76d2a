"""What a request for personas asks for, read from a query string or a JSON body and checked.

Here belong the parameters, their limits and their canonical form, from which the ETag follows. What dimensions and
categories there are, the sampler says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from operator import attrgetter
from typing import Any

from serving.api.problems import Problem
from serving.api.settings import Limits
from serving.counter import read_seed
from warehouse.errors import SamplingError

LONGEST_TEXT = 200
MOST_NAMES = 200  # in a list
COUNTED, MOST_COUNTED = 4_000, 20_000  # people drawn for shares: by default, and at most, as they are drawn at once
LARGEST_INDEX = 2**62  # far enough from the end that none of its followers is past it
FORMATS = ("json", "jsonl", "arrow", "prompt")
MAPPINGS = ("evidence", "do", "likelihood", "target_marginal", "quota")
DEFAULT = Limits()
VERSION = version("personagen")  # another one may tell of the same people in other words


_Check = Callable[[str, Any], Any]


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

    def etag(self, manifest_digest: str) -> str:
        """What the answer is a function of, hashed: the snapshot, by its manifest, what is wanted, and the release."""
        text = repr((VERSION, manifest_digest, _plain(self)))
        if any(conditions := _conditions(self)):  # whose order says nothing
            text += json.dumps(conditions, sort_keys=True)
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


_plain = attrgetter(*(one.name for one in fields(Wanted) if one.name not in MAPPINGS))
_conditions = attrgetter(*MAPPINGS)


def from_query(pairs: Sequence[tuple[str, str]], limits: Limits = DEFAULT) -> Wanted:
    """Read a query string: `n=5&seed=a&evidence.sex=female&evidence.age=25..34&do.education=master&fields=sex,age`."""
    return from_mapping(_values(pairs), limits)


def to_count(pairs: Sequence[tuple[str, str]], limits: Limits = DEFAULT) -> Wanted:
    """Read a query string that says among whom shares are counted: `n`, `seed`, `start`, evidence and `do`."""
    names = ("seed", "evidence", "do", "population")
    checks = {
        "n": _whole(MOST_COUNTED, least=1),
        **{name: _SAMPLING[name] for name in names},
        "start": _SEVERAL["start"],
    }
    return Wanted(**{"n": COUNTED, **_checked(_values(pairs), checks, limits)})


def _values(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in pairs:
        group, dot, dimension = name.partition(".")
        if dot and group in ("evidence", "do"):
            values.setdefault(group, {})
            if dimension in values[group]:
                remedy = "put several categories into one, a,b" if group == "evidence" else "leave one out"
                raise Problem(422, f"{name!r} is given twice: {remedy}", name)
            several = group == "evidence" and "," in text
            values[group][dimension] = text.split(",") if several else text
        elif name in values:
            raise Problem(422, f"{name!r} is given twice: leave one out", name)
        elif name in ("n", "start"):
            values[name] = _number(name, text)
        elif name == "seed":
            values[name] = read_seed(text)
        elif name == "accents":
            values[name] = {"true": True, "false": False}.get(text, text)
        elif name in ("fields", "exclude"):
            values[name] = [one for one in text.split(",") if one]
        elif group in MAPPINGS:
            raise Problem(422, _how_written(group), name[: 2 * LONGEST_TEXT])
        else:
            values[name] = text
    return values


def _how_written(group: str) -> str:
    if group in ("evidence", "do"):
        return f"{group!r} is written {group}.DIMENSION=CATEGORY in a query string: see /v1/catalogue for both"
    return f"{group!r} has numbers by category: send them as the JSON body of a POST to /v1/personas"


def population_of(pairs: Sequence[tuple[str, str]]) -> str:
    """Read a query string that may name a population and nothing else; empty if it does not."""
    checked = _checked(dict(pairs), {"population": _population}, DEFAULT)
    return str(checked.get("population", ""))


def object_of(content: bytes) -> dict[str, Any]:
    """The JSON object that a body holds, an empty one if it is empty."""
    try:
        values = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        raise Problem(400, 'the body is not JSON: send an object such as {"n": 5}') from None
    if not isinstance(values, dict):
        raise Problem(400, 'the body is no JSON object: send one such as {"n": 5}')
    return values


def from_mapping(values: Mapping[str, Any], limits: Limits = DEFAULT) -> Wanted:
    """Check types and limits; raises Problem naming the parameter."""
    return Wanted(**_checked(values, _to_draw(limits.personas), limits))


def to_explain(values: Mapping[str, Any], limits: Limits = DEFAULT) -> tuple[str, Wanted]:
    """Which dimension is to be explained, and of whom; raises Problem naming the parameter."""
    checked = _checked(values, {**_SAMPLING, "dimension": _text, "index": _whole(LARGEST_INDEX)}, limits)
    dimension = checked.pop("dimension", "")
    if not dimension:
        raise Problem(422, "'dimension' must name one dimension", "dimension")
    return dimension, Wanted(n=1, start=checked.pop("index", 0), **checked)


def refused(error: SamplingError, wanted: Wanted) -> Problem:
    """What the sampler does not take, as a Problem that names the parameter and what is allowed."""
    given = [name for name in MAPPINGS if getattr(wanted, name)]
    argument = error.argument or next((name for name in given if error.about in getattr(wanted, name)), "")
    argument = argument or next(iter(given), "")  # of all conditions together the first stands for them
    parameter = f"{argument}.{error.about}" if error.about and argument in MAPPINGS else argument
    return Problem(422, str(error), parameter[: 2 * LONGEST_TEXT], error.allowed)


def _checked(values: Mapping[str, Any], checks: Mapping[str, _Check], limits: Limits) -> dict[str, Any]:
    unknown = [name for name in values if name not in checks]
    if unknown:
        name = unknown[0][:LONGEST_TEXT]
        raise Problem(422, f"unknown parameter {name!r}", name, sorted(checks))
    checked = {name: checks[name](name, value) for name, value in values.items()}
    given = [name for name in MAPPINGS if checked.get(name)]
    conditions = sum(len(checked[name]) for name in given)
    if conditions > limits.conditions:
        raise Problem(422, f"{conditions} conditions are more than the {limits.conditions} allowed", given[0])
    return checked


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise Problem(422, f"{name!r} must be a whole number from 0, not {text[:LONGEST_TEXT]!r}", name)
    return int(text[:30])


def _whole(most: int, least: int = 0) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Problem(422, f"{name!r} must be a whole number from {least} to {most}", name)
        return value

    return check


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise Problem(422, f"{name!r} must be a text of at most {LONGEST_TEXT} characters", name)
    return value


def _population(name: str, value: Any) -> str:
    if value == "":
        raise Problem(422, f"{name!r} must not be empty: leave it out", name)
    return _text(name, value)


def _seed(name: str, value: Any) -> int | str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if (whole and -(2**63) <= value < 2**63) or (isinstance(value, str) and len(value) <= LONGEST_TEXT):
        return value  # type: ignore[no-any-return]
    wanted = f"a whole number from -2^63 to 2^63 - 1, or a text of at most {LONGEST_TEXT} characters"
    raise Problem(422, f"{name!r} must be {wanted}", name)


def _names(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_NAMES:
        raise Problem(422, f"{name!r} must be a list of at most {MOST_NAMES} names", name)
    return tuple(_text(name, one) for one in value)


def _date(name: str, value: Any) -> str:
    try:
        text = _text(name, value)
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise Problem(422, f"{name!r} must be a date such as 2026-11-01", name)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Problem(422, f"{name!r} must be true or false", name, ("true", "false"))
    return value


def _format(name: str, value: Any) -> str:
    if value not in FORMATS:
        raise Problem(422, f"{name!r} must be one of {', '.join(FORMATS)}", name, FORMATS)
    return str(value)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Problem(422, f"{name!r} must be an object from dimension to value", name)
    return value


@lru_cache(maxsize=16)
def _to_draw(most: int) -> Mapping[str, _Check]:
    """The parameters of a request for at most so many personas."""
    return {**_SAMPLING, **_SEVERAL, "n": _whole(most)}


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


_SAMPLING: Mapping[str, _Check] = {
    "seed": _seed,
    **dict.fromkeys(MAPPINGS[:4], _mapping),
    "as_of": _date,
    "accents": _flag,
    "population": _population,
}
_SEVERAL: Mapping[str, _Check] = {
    "start": _whole(LARGEST_INDEX),
    "quota": _mapping,
    "fields": _optional(_names),
    "exclude": _names,
    "format": _format,
}
