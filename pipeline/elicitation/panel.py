"""The panel: which models can be asked, where, and with which prompt variant. Only reading `panel.toml`, and the choice
of variants that it refers to, belongs here.

How a member is reached is the business of the sources; how much it counts, that of pooling; which members an edition
has, that of the edition.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, field_validator, model_validator

from pipeline.prompts.variants import parse_variant
from warehouse.errors import ElicitationError

T = TypeVar("T", bound=BaseModel)

PANEL_FILE = Path(__file__).parent / "panel.toml"
VARIANTS_FILE = Path(__file__).parent / "variants.toml"

BY_TRIAL = "by_trial"
"""As a member's variant: the one that the prompt trial chose for it."""

DEFAULT_VARIANT = "analyst.whole_map.percent_keyed"
"""What `by_trial` stands for as long as no trial chose a variant for the member."""


class Endpoint(BaseModel):
    """An OpenAI-compatible endpoint: its base URL, and the environment variable that holds its key, if it wants one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # a URL may hold a secret

    base_url: str
    key_variable: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    @field_validator("base_url")
    @classmethod
    def _can_be_called(cls, url: str) -> str:
        try:
            HttpUrl(url)
            parts = urlsplit(url)
            usable = parts.hostname is not None and parts.port != 0 and bool(parts.hostname.encode("idna"))
        except ValueError:  # of all three, brackets that are no address and labels that are too long among them
            usable = False
        if not usable or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("it is no URL that can be called: write it as https://host/v1 or http://host:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("it carries a password or query: name a key_variable instead")
        return url


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
    price_in: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    price_out: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    context: int | None = Field(default=None, gt=0)
    max_output: int | None = Field(default=None, gt=0)
    structured_output: Literal["json_schema", "json_object", "none"] = "none"
    concurrency: int = Field(default=8, gt=0)

    @model_validator(mode="after")
    def _priced_both_ways(self) -> Self:
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("only one of price_in and price_out is there: give both or neither")
        return self

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
    except OSError as error:
        raise ElicitationError(f"{path.name}: cannot be read ({error.strerror}): restore the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ElicitationError(f"{path.name}: is not valid TOML ({error}): correct it there") from error
    named, listed = raw.get("endpoint", {}), raw.get("member", [])
    if not isinstance(named, dict):
        raise ElicitationError(f"{path.name}: 'endpoint' is no table: write each endpoint as [endpoint.NAME]")
    if not isinstance(listed, list):
        raise ElicitationError(f"{path.name}: 'member' is no list of tables: write each member as [[member]]")
    endpoints = {name: _endpoint(name, fields, path) for name, fields in named.items()}
    members = tuple(_member(fields, n, endpoints, path) for n, fields in enumerate(listed, 1))
    ids = [m.id for m in members]
    if not ids or len(set(ids)) < len(ids):
        raise ElicitationError(f"{path.name}: a panel has at least one member, each id once: correct it there")
    for member in members:
        if member.source == "live" and member.endpoint is None:
            raise ElicitationError(f"{path.name}: member '{member.id}' is live but has no endpoint: name one there")
        if member.variant != BY_TRIAL:
            _check_variant(member.variant, member.id, path)
    if all(m.variant != BY_TRIAL for m in members):
        return members
    chosen = load_choices(choices)
    for member in members:
        if member.variant == BY_TRIAL and member.id in chosen:
            _check_variant(chosen[member.id], member.id, choices)
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


def _endpoint(name: str, fields: object, path: Path) -> Endpoint:
    if not isinstance(fields, dict):
        raise ElicitationError(f"{path.name}: endpoint '{name}' is no table: write it as [endpoint.{name}]")
    return _read(Endpoint, fields, f"endpoint {name!r}", path)


def _member(fields: object, number: int, endpoints: dict[str, Endpoint], path: Path) -> Member:
    """The `number`-th member of the file, with the name of its endpoint replaced by what stands under that name."""
    if not isinstance(fields, dict):
        raise ElicitationError(f"{path.name}: member {number} is no table: write each member as [[member]]")
    place = f"member {fields['id']!r}" if isinstance(fields.get("id"), str) else f"member {number}"
    name = fields.get("endpoint")
    if name is None:
        return _read(Member, fields, place, path)
    if not isinstance(name, str):
        raise ElicitationError(
            f"{path.name}: {place}: 'endpoint' is no name: define [endpoint.NAME] and write endpoint = \"NAME\""
        )
    if name not in endpoints:
        known = ", ".join(endpoints) or "none is"
        raise ElicitationError(
            f"{path.name}: {place}: no endpoint '{name}' is defined ({known}): add [endpoint.{name}]"
        )
    return _read(Member, {**fields, "endpoint": endpoints[name]}, place, path)


def _read(model: type[T], fields: dict[str, Any], place: str, path: Path) -> T:
    """The fields as a model; what is wrong is told as one line that names file, place and field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(p) for p in first["loc"])
        own = first["type"] == "value_error"  # says itself what to do
        said = first["msg"].removeprefix("Value error, ") if own else f"{first['msg']}: correct it there"
        where = f"{place}, field '{field}'" if field else place
        raise ElicitationError(f"{path.name}: {where}: {said}") from error


def _check_variant(variant: str, member: str, path: Path) -> None:
    try:
        parse_variant(variant)
    except ElicitationError as error:
        raise ElicitationError(f"{path.name}: member '{member}': {error}") from error
