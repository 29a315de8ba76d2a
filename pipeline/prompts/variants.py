"""Prompt variants: which text parts a request is composed from. Reading and filling the parts belongs here.

A variant is `framing.granularity.number_format`, each naming a text file under `parts/`; a dozen short texts compose
into many variants. What a request asks about is the business of `render`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from string import Template

from warehouse.errors import ElicitationError

PARTS = Path(__file__).parent / "parts"
KINDS = ("framing", "granularity", "number_format")
"""The kinds of parts that a variant names, in the order of its id; each is a folder under `parts`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The parts one prompt is composed from."""

    framing: str
    granularity: str
    number_format: str

    @property
    def by_row(self) -> bool:
        """Whether a request asks for one row of a map instead of for the whole."""
        return self.granularity == "one_row"

    @property
    def id(self) -> str:
        """The variant's name, as panel and tables spell it."""
        return f"{self.framing}.{self.granularity}.{self.number_format}"


def all_variants() -> tuple[Variant, ...]:
    """Every variant that the parts compose into, in alphabetical order."""
    return tuple(Variant(*names) for names in product(*map(_known, KINDS)))


@cache
def parse_variant(name: str) -> Variant:
    """Read a variant id. Raises `ElicitationError` naming the part that does not exist, with those that do."""
    names = name.split(".")
    if len(names) != len(KINDS):
        raise ElicitationError(f"prompt variant '{name}': write it as framing.granularity.number_format")
    for kind, part in zip(KINDS, names, strict=True):
        known = _known(kind)
        if part not in known:
            raise ElicitationError(f"prompt variant '{name}': no {kind} '{part}': choose {', '.join(known)}")
    return Variant(*names)


def fill(part: str, **values: str) -> str:
    """Fill one text part. Raises `ElicitationError` naming a variable that the text wants and nobody gave."""
    try:
        return Template(_text(part)).substitute(values).rstrip("\n")
    except KeyError as error:
        raise ElicitationError(f"prompt part '{part}': variable {error} has no value: remove it there") from error
    except ValueError as error:
        raise ElicitationError(f"prompt part '{part}': {error}: write a literal dollar as $$") from error


def _known(kind: str) -> list[str]:
    return sorted(p.stem for p in (PARTS / kind).glob("*.txt"))


@cache
def _text(part: str) -> str:
    path = PARTS / f"{part}.txt"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ElicitationError(f"prompt part '{part}': cannot be read ({error.strerror}): restore it") from error
