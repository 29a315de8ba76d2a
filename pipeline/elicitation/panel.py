"""The panel: which models can be asked, where, and with which prompt variant. Only reading `panel.toml`, and the choice
of variants that it refers to, belongs here.

How a member is reached is the business of the sources; how much it counts, that of pooling; which members an edition
has, that of the edition.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from warehouse.errors import ElicitationError

PANEL_FILE = Path(__file__).parent / "panel.toml"
VARIANTS_FILE = Path(__file__).parent / "variants.toml"

BY_TRIAL = "by_trial"
"""As a member's variant: the one that the prompt trial chose for it."""

DEFAULT_VARIANT = "analyst.whole_map.percent_keyed"
"""What `by_trial` stands for as long as no trial chose a variant for the member."""


class Endpoint(BaseModel):
    """An OpenAI-compatible endpoint: its base URL, and the environment variable that holds its key, if it wants one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    key_variable: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class Member(BaseModel):
    """One panel member: a model with the prompt variant and the sampling settings it is asked with.

    `recorded` members answer from an edition's files only, `live` ones at their `endpoint`, `local` ones on a llama.cpp
    server that the pipeline starts. `model` is the name at the endpoint, the id by default. Prices are US dollars per
    million tokens, None where nothing is charged or known; `context` and `max_output` are tokens. `settings` and
    `reasoning` are sent with every request and belong to its identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]*$")
    source: Literal["recorded", "live", "local"]
    variant: str
    settings: dict[str, Any] = {}
    reasoning: dict[str, Any] = {}
    endpoint: Endpoint | None = None
    model: str | None = None
    maker: str | None = None
    price_in: float | None = Field(default=None, ge=0)
    price_out: float | None = Field(default=None, ge=0)
    context: int | None = Field(default=None, gt=0)
    max_output: int | None = Field(default=None, gt=0)
    structured_output: Literal["json_schema", "json_object", "none"] = "none"
    concurrency: int = Field(default=8, gt=0)

    @property
    def sent(self) -> dict[str, Any]:
        """What goes into every request's body beside model and messages."""
        return {**self.settings, **({"reasoning": self.reasoning} if self.reasoning else {})}


def load_panel(path: Path = PANEL_FILE, choices: Path = VARIANTS_FILE) -> tuple[Member, ...]:
    """Read the panel, in file order, with variants `by_trial` replaced by those in `choices`.

    Raises `ElicitationError` naming the file and what is wrong in it.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        endpoints = {name: Endpoint(**fields) for name, fields in raw.get("endpoint", {}).items()}
        members = tuple(Member(**_with_endpoint(m, endpoints, path)) for m in raw.get("member", []))
    except OSError as error:
        raise ElicitationError(f"{path.name}: cannot be read ({error.strerror}): restore the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ElicitationError(f"{path.name}: is not valid TOML ({error}): correct it there") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(p) for p in first["loc"])
        raise ElicitationError(f"{path.name}: {error.title.lower()} field '{place}': {first['msg']}") from error
    ids = [m.id for m in members]
    if not ids or len(set(ids)) < len(ids):
        raise ElicitationError(f"{path.name}: a panel has at least one member, each id once: correct it there")
    for member in members:
        if member.source == "live" and member.endpoint is None:
            raise ElicitationError(f"{path.name}: member '{member.id}' is live but has no endpoint: name one there")
    if all(m.variant != BY_TRIAL for m in members):
        return members
    chosen = load_choices(choices)
    return tuple(
        m.model_copy(update={"variant": chosen.get(m.id, DEFAULT_VARIANT)}) if m.variant == BY_TRIAL else m
        for m in members
    )


def load_choices(path: Path = VARIANTS_FILE) -> dict[str, str]:
    """Read the variants that prompt trials chose, by member id; none if there is no file.

    Raises `ElicitationError` naming the file and what is wrong in it.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ElicitationError(f"{path.name}: cannot be read ({error.strerror}): restore the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ElicitationError(f"{path.name}: is not valid TOML ({error}): correct it there") from error
    wrong = [member for member, variant in raw.items() if not isinstance(variant, str)]
    if wrong:
        raise ElicitationError(f'{path.name}: \'{wrong[0]}\' names no variant: write it as "{wrong[0]}" = "..."')
    return raw


def _with_endpoint(member: dict[str, Any], endpoints: dict[str, Endpoint], path: Path) -> dict[str, Any]:
    """The member's fields with the name of its endpoint replaced by what stands under that name."""
    name = member.get("endpoint")
    if name is None:
        return member
    if name not in endpoints:
        known = ", ".join(endpoints) or "none is"
        raise ElicitationError(
            f"{path.name}: member '{member.get('id')}': no endpoint '{name}' is defined ({known}): "
            f"add [endpoint.{name}]"
        )
    return {**member, "endpoint": endpoints[name]}
