"""Reading the catalogue's data files into models. Only reading and resolving per-population parts belongs here.

The rules that a catalogue must obey stand in `rules`; what the files mean, in `data/*.toml` themselves.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.catalogue.models import Catalogue, Category, Dimension, Population
from pipeline.catalogue.rules import Located, check_catalogue, load_rules
from warehouse.errors import CatalogueError

DATA = Path(__file__).parent / "data"
_TABLES = frozenset({"categories", "override"})  # fields that are a table of their own
TIER_FILES = {1: "tier1_born_with.toml", 2: "tier2_circumstances.toml", 3: "tier3_choices.toml"}


def load_catalogue(population: str = "us", folder: Path = DATA) -> Catalogue:
    """Load, resolve for one population, and check the catalogue.

    Raises `CatalogueError` naming file, dimension and rule for the first thing that is wrong.
    """
    known = populations(folder)
    people = _population(population, folder)
    located: list[Located] = []
    for tier, name in TIER_FILES.items():
        for raw in _read(folder / name).get("dimension", []):
            located.append(Located(name, _dimension(raw, tier, population, known, name)))
    check_catalogue(located, load_rules(_read(folder / "rules.toml"), population))
    return Catalogue(population=people, dimensions=tuple(item.dimension for item in located))


def populations(folder: Path = DATA) -> tuple[str, ...]:
    """Ids of the populations that the catalogue describes."""
    return tuple(_read(folder / "populations.toml"))


def _population(population: str, folder: Path) -> Population:
    known = _read(folder / "populations.toml")
    if population not in known:
        raise CatalogueError(f"unknown population '{population}': choose one of {', '.join(sorted(known))}")
    try:
        return Population(id=population, **known[population])
    except (TypeError, ValidationError) as error:
        raise CatalogueError(
            f"populations.toml: population '{population}': {_first(error)}; it needs label, year and currency"
        ) from error


def _dimension(raw: dict[str, Any], tier: int, population: str, known: tuple[str, ...], file: str) -> Dimension:
    name = raw.get("id", "?")
    fields = {}
    for field, value in raw.items():
        if not _split(field, value):
            fields[field] = value
            continue
        if strangers := [key for key in value if key not in known]:
            raise CatalogueError(
                f"{file}: dimension '{name}': field '{field}' is split by population, and '{strangers[0]}' is none: "
                f"write it for {', '.join(known)}"
            )
        if population in value:
            fields[field] = value[population]
        elif Dimension.model_fields[field].is_required():
            raise CatalogueError(
                f"{file}: dimension '{name}': field '{field}' has no part for population '{population}': add "
                f"{field}.{population}"
            )
    try:
        categories = tuple(Category(id=k, label=v) for k, v in fields.pop("categories").items())
        return Dimension(tier=tier, categories=categories, **fields)
    except KeyError as error:
        raise CatalogueError(f"{file}: dimension '{name}': field {error} is missing: add it") from error
    except (AttributeError, TypeError, ValidationError) as error:
        raise CatalogueError(f"{file}: dimension '{name}': {_first(error)}") from error


def _split(field: str, value: Any) -> bool:
    """Whether a field has a part for each population: a table where there would be none, or a table of tables.

    A population's missing part of a field that may be missing (zeros, held-out pairs) is the field missing.
    """
    if not isinstance(value, dict) or field not in Dimension.model_fields:
        return False
    return field not in _TABLES or (bool(value) and all(isinstance(v, dict) for v in value.values()))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(f"{path.name}: cannot be read ({error.strerror}): restore the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path.name}: is not valid TOML ({error}): correct it there") from error


def _first(error: Exception) -> str:
    """One line out of a pydantic error, which otherwise spans several."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        place = ".".join(str(p) for p in first["loc"])
        return f"field '{place}': {first['msg']}"
    return str(error).splitlines()[0]
