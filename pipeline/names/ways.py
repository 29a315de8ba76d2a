"""How each population comes by its names: counted, or borrowed. Only reading `populations/<id>.toml` belongs here.

A population without such a file has no names. What is made of the borrowed ones is `warehouse.names.borrowed`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from warehouse.errors import CatalogueError
from warehouse.names.borrowed import Borrowing, Heritage

FOLDER = Path(__file__).parent / "populations"


Faith = Literal["hindu", "sikh", "muslim", "christian", "other"]
"""What families are asked to be of, see `faiths`."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Share = Annotated[float, Field(ge=0, le=1)]


class _Shares(_Strict):
    first: _Share = 0.0
    last: _Share = 0.0


class _Heritage(_Strict):
    told: list[str]
    sharp: float = Field(default=1.0, gt=0)
    listed: _Share = 0.0
    named: _Shares = _Shares()
    kept: tuple[_Share, _Share, _Share] = (1.0, 1.0, 1.0)
    female: list[str] = []
    male: list[str] = []
    last: list[str] = []


class FaithMap(_Strict):
    """The heritages whose names differ by faith, and the faiths that categories of childhood religion stand for."""

    split: list[str] = []
    of: dict[str, Annotated[list[Faith], Field(min_length=1)]] = {}


class SurnameForms(_Strict):
    """Surnames as the people of one sex bear them, of these heritages, nativities and, if any are named, religions of
    childhood; `endings` says what becomes of an ending, one with a capital being a whole name.
    """

    sex: Literal["female", "male"]
    heritages: Annotated[list[str], Field(min_length=1)]
    nativities: Annotated[list[str], Field(min_length=1)]
    religions: list[str] = []
    endings: Annotated[dict[Annotated[str, Field(min_length=1)], str], Field(min_length=1)]


class _Way(_Strict):
    way: Literal["counted", "borrowed"]
    lender: str | None = Field(default=None, alias="from")
    common: str | None = None
    left_out: list[str] = []
    heritage: dict[str, _Heritage] = {}
    faiths: FaithMap = FaithMap()
    forms: list[SurnameForms] = []


def named(folder: Path = FOLDER) -> tuple[str, ...]:
    """Populations that have names, by id."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def counted(folder: Path = FOLDER) -> tuple[str, ...]:
    """Populations whose own names are counted, and asked about."""
    return tuple(population for population in named(folder) if _way(folder / f"{population}.toml").way == "counted")


def lender(population: str, folder: Path = FOLDER) -> str:
    """The population whose names a population has: itself, where they are counted."""
    return _way(folder / f"{population}.toml").lender or population


def digest(population: str, folder: Path = FOLDER) -> str:
    """Sha256 (hex) of what is said of a population's names."""
    return hashlib.sha256((folder / f"{population}.toml").read_bytes()).hexdigest()


def faith_map(population: str, folder: Path = FOLDER) -> FaithMap:
    """How the religion of childhood tells a faith in a population."""
    return _way(folder / f"{population}.toml").faiths


def surname_forms(population: str, folder: Path = FOLDER) -> tuple[SurnameForms, ...]:
    """The surnames of a population that the people of one sex bear in a form of their own."""
    return tuple(_way(folder / f"{population}.toml").forms)


def borrowing(population: str, folder: Path = FOLDER) -> Borrowing | None:
    """How a population's names are shared out over its heritages; None where they are counted."""
    way = _way(folder / f"{population}.toml")
    if way.way == "counted":
        return None
    assert way.common is not None
    heritages = {
        name: Heritage(
            told=tuple(one.told),
            sharp=one.sharp,
            listed=one.listed,
            named={"first": one.named.first, "last": one.named.last},
            kept=one.kept,
            names={"female": tuple(one.female), "male": tuple(one.male), "last": tuple(one.last)},
        )
        for name, one in way.heritage.items()
    }
    return Borrowing(population, way.common, heritages, frozenset(way.left_out))


def by_hand(kind: Literal["first", "last"], heritages: Collection[str], folder: Path = FOLDER) -> tuple[str, ...]:
    """The names of a kind that populations keep by hand for these heritages, each once, in the order of the files."""
    found: dict[str, None] = {}
    for population in named(folder):
        for heritage, one in _way(folder / f"{population}.toml").heritage.items():
            if heritage in heritages:
                found |= dict.fromkeys(one.last if kind == "last" else [*one.female, *one.male])
    return tuple(found)


@cache
def _way(path: Path) -> _Way:
    """Raises `CatalogueError` naming the file and what is wrong in it."""
    where = f"names of population '{path.stem}' ({path.name})"
    try:
        way = _Way(**tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CatalogueError(f"{where}: cannot be read ({error.strerror}): restore the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{where}: is not valid TOML ({error}): correct it there") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CatalogueError(f"{where}: '{place}': {first['msg']}: correct it there") from error
    if way.way == "borrowed" and (way.lender is None or way.common not in way.heritage):
        raise CatalogueError(f"{where}: borrowed names say from whom, and which of their heritages is common: add that")
    return way
