"""An edition as its folder tells it: who was or is asked for it. Reading and writing `edition.toml` belongs here.

Answers are the business of the sources; what is built from them, that of the plan. A folder without the file is an
edition of all recorded members. `members` are asked for every population that has no list of its own in
`members_by_population`; `populations`, where it is there, names those that anybody is asked for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.elicitation.panel import Member, load_panel
from pipeline.elicitation.protocol import one_line
from warehouse.errors import ElicitationError

EDITION_FILE = "edition.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Edition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    members: list[str] = Field(min_length=1)
    populations: list[str] | None = Field(default=None, min_length=1)
    members_by_population: dict[str, list[str]] = {}

    @property
    def everybody(self) -> list[str]:
        """Whoever is asked for some population."""
        return [*self.members, *(m for members in self.members_by_population.values() for m in members)]


def checked_name(edition: str) -> str:
    """The name of an edition, which is also that of a folder; `ElicitationError` if it could not be one."""
    if not _NAME.fullmatch(edition):
        raise ElicitationError(
            f"edition '{one_line(edition, 80)}': write it in letters, digits, dots and dashes, at most 64, as 2026.12"
        )
    return edition


def members_of(folder: Path, panel: Sequence[Member] | None = None) -> tuple[Member, ...]:
    """The panel members of the edition in `folder`, in the order of the panel.

    Raises `ElicitationError` if the file cannot be read, or names a member that the panel does not have.
    """
    panel = load_panel() if panel is None else panel
    edition = _read(folder)
    if edition is None:
        return tuple(m for m in panel if m.source == "recorded")
    unknown = [n for n in edition.everybody if n not in {m.id for m in panel}]
    if unknown:
        raise ElicitationError(
            f"{folder / EDITION_FILE}: '{unknown[0]}' is no member of the panel: correct it there or in panel.toml"
        )
    return tuple(m for m in panel if m.id in edition.everybody)


def populations_of(folder: Path) -> tuple[str, ...]:
    """The populations that the edition in `folder` says it is about; () if it does not say, which means all."""
    edition = _read(folder)
    return tuple((edition and edition.populations) or ())


def ids_by_population(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Ids of the members that the edition in `folder` asks: for all populations but those with members of their own,
    and for these. Both are empty if there is no file.
    """
    edition = _read(folder)
    return (edition.members, edition.members_by_population) if edition else ([], {})


def asked_for(folder: Path, populations: Collection[str]) -> dict[str, frozenset[str] | None]:
    """The ids of the members that are asked for each of these populations; None stands for all of the edition's.

    Raises `ElicitationError` if the file cannot be read, or names another population.
    """
    edition = _read(folder)
    if edition is None:
        return dict.fromkeys(populations)
    unknown = [p for p in (*(edition.populations or ()), *edition.members_by_population) if p not in populations]
    if unknown:
        raise ElicitationError(
            f"{folder / EDITION_FILE}: '{unknown[0]}' is no population of the catalogue: choose of "
            f"{', '.join(populations)}"
        )
    return {
        p: frozenset(edition.members_by_population.get(p, edition.members))
        if edition.populations is None or p in edition.populations
        else frozenset()
        for p in populations
    }


def _read(folder: Path) -> _Edition | None:
    path = folder / EDITION_FILE
    try:
        return _Edition(**tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ElicitationError(f"{path} cannot be read ({error.strerror}): restore it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ElicitationError(f"{path} is not valid TOML ({error}): correct it there") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ElicitationError(f"{path}: '{'.'.join(map(str, first['loc']))}': {first['msg']}") from error


def write_members(
    folder: Path,
    members: Sequence[str],
    populations: Sequence[str] = (),
    by_population: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write `edition.toml` into a new edition's folder; without `populations` it is about all of the catalogue.

    `by_population` are the members of populations that have their own.
    Raises `ElicitationError` if the file is there already or cannot be written.
    """
    path = folder / EDITION_FILE
    lines = ["# Who is asked for this edition; ids of pipeline/elicitation/panel.toml.", "members = ["]
    lines += [*(f'    "{m}",' for m in members), "]"]
    if populations:
        lines += [f"populations = {_listed(populations)}"]
    if by_population:
        lines += ["", "[members_by_population]", *(f"{p} = {_listed(own)}" for p, own in by_population.items())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except FileExistsError:
        raise ElicitationError(f"{path} exists already: choose another edition, or edit it there") from None
    except OSError as error:
        raise ElicitationError(f"{path} cannot be written ({error.strerror}): choose another folder") from error
    return path


def _listed(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
