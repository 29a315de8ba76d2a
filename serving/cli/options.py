"""What several commands take: how the texts of options are read, and which snapshot is meant.

Here belong callbacks of click and their errors. Whether a dimension or a category exists is for the sampler to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import click

from warehouse.errors import PersonaGenError

Option = Callable[[Any], Any]
"""What click makes of an option: a decorator of a command."""

POPULATION = click.option("--population", help="Population of a packaged snapshot [default: us].")
SNAPSHOT = click.option("--snapshot", "path", type=click.Path(), help="Folder of another snapshot.")

KEYS_VARIABLE = "PERSONAGEN_KEYS_FILE"
DIGITS = re.compile(r"[1-9]\d{9}")  # more of them than any age has


def assignments(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """`dimension=category`, any number of them."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise click.BadParameter(f"{text!r} is not of the form dimension=category")
        if pairs.setdefault(name, value) != value:
            raise click.BadParameter(f"{name!r} is set twice")
    return pairs


def evidence(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, list[str] | str]:
    """One value stays a text, which may be a range; several are a list for any of them."""
    pairs = assignments(context, option, texts)
    for name, value in pairs.items():
        if DIGITS.search(value):
            raise click.BadParameter(f"the evidence on {name!r} has a number of more than 9 digits: correct it")
    return {name: _parts(value) if "," in value else value for name, value in pairs.items()}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def numbers(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """`sex=female:0.6,male:0.4` as a number by category."""
    found: dict[str, dict[str, float]] = {}
    for name, value in assignments(context, option, texts).items():
        numbers = found.setdefault(name, {})
        for text in _parts(value):
            category, _, number = (part.strip() for part in text.rpartition(":"))
            if category in numbers:
                raise click.BadParameter(f"{category!r} of {name!r} is given twice")
            try:
                numbers[category] = float(number)
            except ValueError:
                category = ""
            if not category:
                raise click.BadParameter(f"{text!r} is not of the form category:number")
    return found


def counts(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """`sex=female:50,male:50` as a whole number by category."""
    found = numbers(context, option, texts)
    for name, counts in found.items():
        for category, count in counts.items():
            if not count.is_integer():
                raise click.BadParameter(f"the quota of {name}={category} must be a whole number, not {count}")
    return {name: {category: int(count) for category, count in counts.items()} for name, counts in found.items()}


def names(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[str] | None:
    """`name,name`, any number of times; None if the option was not given."""
    names = [name for text in texts for name in _parts(text) if name]
    if texts and not names:
        raise click.BadParameter("no field is named: leave the option out, or name some")
    return names or None


def seed(_: click.Context, __: click.Parameter, text: str) -> int | str:
    """An integer as Python writes it, else the text."""
    from serving.counter import read_seed  # noqa: PLC0415  # numpy is not needed for help

    return read_seed(text)


def day(_: click.Context, __: click.Parameter, moment: datetime | None) -> date | None:
    """A date, of what click reads as a moment."""
    return moment.date() if moment else None


def source(population: str | None, path: str | None) -> str:
    """The snapshot that these two options name, by default the packaged one of `us`."""
    if population is not None and path is not None:
        raise PersonaGenError("--population and --snapshot exclude each other: give one of them")
    from serving.snapshot import DEFAULT  # noqa: PLC0415  # numpy is not needed for help

    return next((given for given in (path, population) if given is not None), DEFAULT)


def seed_option(told: str = "Integer or text.") -> Option:
    """`--seed`."""
    return click.option("-s", "--seed", default="0", callback=seed, show_default=True, help=told)


def condition(name: str, told: str) -> Option:
    """`--do`, `--evidence` or another condition on whom to draw, as often as there are dimensions."""
    read, written = _CONDITIONS[name]
    return click.option(f"--{name}", multiple=True, callback=read, metavar=f"DIMENSION=CATEGORY{written}", help=told)


_CONDITIONS = {
    "do": (assignments, ""),
    "evidence": (evidence, ",..."),
    "likelihood": (numbers, ":NUMBER,..."),
    "target": (numbers, ":SHARE,..."),
    "quota": (counts, ":COUNT,..."),
}
"""How each condition is read, and how its values are written."""
