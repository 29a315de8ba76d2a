"""The panel: which models are asked, and with which prompt variant. Only reading `panel.toml` belongs here.

How a member is reached is the business of the sources; how much it counts, that of pooling.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from warehouse.errors import ElicitationError

PANEL_FILE = Path(__file__).parent / "panel.toml"


class Member(BaseModel):
    """One panel member: a model with the prompt variant and the sampling settings it is asked with.

    A `live` member also has the `base_url` of an OpenAI-compatible endpoint, the name of the environment variable
    that holds the key, if it needs one, and whether the endpoint takes a JSON schema as `response_format`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]*$")
    source: str = Field(pattern="^(recorded|live)$")
    variant: str
    settings: dict[str, Any] = {}
    base_url: str | None = None
    key_variable: str | None = None
    structured_output: bool = False


def load_panel(path: Path = PANEL_FILE) -> tuple[Member, ...]:
    """Read the panel, in file order. Raises `ElicitationError` naming the file and what is wrong in it."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        members = tuple(Member(**m) for m in raw.get("member", []))
    except OSError as error:
        raise ElicitationError(f"{path.name}: cannot be read ({error.strerror}): restore the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ElicitationError(f"{path.name}: is not valid TOML ({error}): correct it there") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(p) for p in first["loc"])
        raise ElicitationError(f"{path.name}: member field '{place}': {first['msg']}") from error
    ids = [m.id for m in members]
    if not ids or len(set(ids)) < len(ids):
        raise ElicitationError(f"{path.name}: a panel has at least one member, each id once: correct it there")
    return members
