"""The OpenAPI description of the API, from the limits that the code enforces and the snapshots that it serves.

Dimensions and categories are listed, so that a client or a generator of clients knows what may be asked. With several
populations each list holds what any of them has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from serving.api.problems import MEDIA as PROBLEM
from serving.api.requests import COUNTED, FORMATS, LARGEST_INDEX, LONGEST_TEXT, MAPPINGS, MOST_COUNTED, MOST_NAMES
from serving.api.settings import Limits
from serving.batch import SENSITIVE, SUMMARY, derived_needs
from serving.evidence import OLDEST
from serving.particulars import FIELDS
from serving.snapshot import Snapshot
from warehouse.particulars import WITHIN

Schema = dict[str, Any]

CATEGORY = "category."  # followed by a dimension: its categories, as a schema

_TEXT: Schema = {"type": "string", "maxLength": LONGEST_TEXT}
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_RANGE: Schema = {"type": "string", "maxLength": LONGEST_TEXT, "pattern": r"^\w*\.\.\w*$"}
_SEED: Schema = {"oneOf": [{"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, _TEXT]}
_DERIVED: Mapping[str, Schema] = {
    "age_years": {"type": "integer"},
    "height_cm": {"type": "integer"},
    **{
        field: {"type": ["string", "null"], "description": f"within {WITHIN[file]}; null where that has none"}
        for field, file in FIELDS.items()
    },
    "personal_income_figure": {"type": "integer"},
    "birth_date": {"type": "string", "format": "date"},
}


@dataclass(frozen=True, slots=True)
class _Known:
    """What there is in any of the snapshots."""

    populations: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    ordinal: frozenset[str]
    derived: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.derived, *self.categories, SUMMARY)


def description(
    snapshots: Mapping[str, Snapshot], limits: Limits | None = None, *, keyed: bool = False, limited: bool = False
) -> dict[str, Any]:
    """OpenAPI 3.1 for an API that serves these snapshots, by population.

    `keyed` says whether it asks for API keys, `limited` whether clients have a rate.
    """
    known, limits = _known(snapshots), limits or Limits()
    errors = ["406", "500", "503", *(["401"] if keyed else []), *(["429"] if limited else [])]
    population = _parameter("population", {"type": "string", "enum": list(known.populations)}, "query")
    dimension = {"type": "string", "enum": list(known.categories)}
    first = next(iter(known.categories))
    example = {"n": 2, "seed": 42, "evidence": {first: known.categories[first][0]}}
    condition = [
        *(_parameter(f"evidence.{name}", _in_query(name, known), "query") for name in known.categories),
        *(_parameter(f"do.{name}", _category(name), "query") for name in known.categories),
    ]
    paths: dict[str, Any] = {
        "/v1/personas": {
            "get": _operation(
                "Draw personas.",
                {**_personas(known), "304": _HAS_IT},
                [*errors, "414", "422"],
                parameters=[*_query(known, limits), *condition],
            ),
            "post": _operation(
                "Draw personas, under conditions of every kind.",
                _personas(known),
                [*errors, "400", "408", "413", "415", "422"],
                body=_body(_sampling(known) | _several(known, limits), example=example),
            ),
        },
        "/v1/explain": {
            "post": _operation(
                "Why a persona has a value.",
                _json("The value, its causes and what could have been instead.", "Explanation"),
                [*errors, "400", "408", "413", "415", "422"],
                body=_body(
                    {"dimension": dimension, "index": _index(), **_sampling(known)},
                    required=["dimension"],
                    example={"dimension": list(known.categories)[-1], "seed": 42, "index": 1},
                ),
            )
        },
        "/v1/catalogue": {
            "get": _operation(
                "Dimensions and categories.",
                _json("In sampling order, parents first.", "Catalogue", cached=True),
                [*errors, "422"],
                parameters=[population],
            )
        },
        "/v1/maps/{dimension}": {
            "get": _operation(
                "What the models believe of a dimension.",
                _json("The cells of its pooled maps.", "Maps", cached=True),
                [*errors, "404", "422"],
                parameters=[_parameter("dimension", dimension, "path", example=first), population],
            )
        },
        "/v1/trials": {
            "get": _operation(
                "Which combination strategy won for each dimension, and by how much.",
                _json("In sampling order; margins in nats of held-out divergence.", "Trials", cached=True),
                [*errors, "422"],
                parameters=[population],
            )
        },
        "/v1/shares": {
            "get": _operation(
                "Shares of the categories among people drawn under conditions.",
                _json("By dimension, and how well the conditions are supported.", "Shares", cached=True),
                [*errors, "414", "422"],
                parameters=[
                    _parameter(
                        "n", {"type": "integer", "minimum": 1, "maximum": MOST_COUNTED, "default": COUNTED}, "query"
                    ),
                    *(one for one in _query(known, limits) if one["name"] in ("seed", "start", "population")),
                    *condition,
                ],
            )
        },
        "/v1/snapshots": {
            "get": _operation("What is served.", _json("By population.", "Snapshots", cached=True), errors)
        },
        "/v1/openapi.json": {
            "get": _operation("This description.", _cached(_content("OpenAPI 3.1.", {"type": "object"})), errors)
        },
        "/metrics": {
            "get": _operation(
                "Counters for Prometheus.",
                {"200": {"description": "Text, or OpenMetrics by Accept.", "content": {"text/plain": {}}}},
                [one for one in errors if one != "406"],
            )
        },
        "/healthz": {
            "get": {
                **_operation("Whether it runs.", {"200": _content("It does.", {"type": "object"})}, []),
                "security": [],
            }
        },
    }
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "PersonaGen",
            "version": version("personagen"),
            "description": "Deterministic, diverse, coherent personas. An answer is a function of its request and of "
            "the snapshot alone.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(known), "responses": _problems()},
    }
    if keyed:
        described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"key": []}]
    return described


def _known(snapshots: Mapping[str, Snapshot]) -> _Known:
    categories: dict[str, dict[str, None]] = {}
    ordinal, derived = set[str](), dict[str, None]()
    for snapshot in snapshots.values():
        derived.update(dict.fromkeys(derived_needs(snapshot)))
        for dimension in snapshot.dimensions:
            categories.setdefault(dimension.id, {}).update(dict.fromkeys(dimension.categories))
            ordinal.update([dimension.id] if dimension.ordinal else [])
    return _Known(
        tuple(snapshots), {name: tuple(found) for name, found in categories.items()}, frozenset(ordinal), tuple(derived)
    )


def _sampling(known: _Known) -> Schema:
    """Properties of a body that say which people are meant."""
    return {
        "seed": {**_SEED, "default": 0},
        **{name: _schema(name) for name in MAPPINGS if name != "quota"},
        "as_of": {"type": "string", "format": "date", "description": "Date at which ages hold."},
        "accents": {"type": "boolean", "default": False, "description": "Names with their accents."},
        "population": _one_of(known.populations),
    }


def _conditions(known: _Known) -> Schema:
    """What a body may say of single dimensions."""
    return {
        "evidence": _by_dimension(
            "What is known: a category, a list of some for any of them, or a range such as 25..34.",
            {name: _in_body(name, known) for name in known.categories},
        ),
        "do": _by_dimension("Values set.", {name: _category(name) for name in known.categories}),
        "likelihood": _numbers(known, "Soft evidence: how likely, by category.", {"type": "number", "minimum": 0}),
        "target_marginal": _numbers(known, "Shares wanted, by category.", _PROBABILITY),
        "quota": _numbers(known, "Exact counts, by category.", {"type": "integer", "minimum": 0}),
    }


def _several(known: _Known, limits: Limits) -> Schema:
    """Properties of a body that say how many people, and what is told of them."""
    return {
        "n": {"type": "integer", "minimum": 0, "maximum": limits.personas, "default": 1},
        "start": _index(),
        "quota": _schema("quota"),
        "fields": {**_list_of(known.fields), "type": ["array", "null"]},
        "exclude": _list_of((*known.fields, SENSITIVE)),
        "format": {**_one_of(FORMATS), "description": "Without it, what Accept prefers; else json."},
    }


def _query(known: _Known, limits: Limits) -> list[Schema]:
    """Parameters of a GET but for conditions; lists are separated by commas."""
    properties = _sampling(known) | _several(known, limits)
    plain = [
        _parameter(name, properties[name], "query")
        for name in ("n", "seed", "start", "as_of", "accents", "population", "format")
    ]
    lists = [_parameter(name, {**properties[name], "type": "array"}, "query") for name in ("fields", "exclude")]
    return [*plain, *lists]


def _in_query(name: str, known: _Known) -> Schema:
    one = _category(name)
    return {"type": "array", "minItems": 1, "items": {"anyOf": [one, _RANGE]} if name in known.ordinal else one}


def _in_body(name: str, known: _Known) -> Schema:
    one = _category(name)
    kinds = [one, *([_RANGE] if name in known.ordinal else [])]
    if name == "age":
        kinds.append({"type": "integer", "minimum": 0, "maximum": OLDEST, "description": "In years."})
    return {"anyOf": [*kinds, {"type": "array", "minItems": 1, "items": {"anyOf": kinds}}]}


def _category(dimension: str) -> Schema:
    return _schema(f"{CATEGORY}{dimension}")


def _schema(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _index() -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": LARGEST_INDEX, "default": 0}


def _one_of(values: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(values)}


def _list_of(values: Iterable[str]) -> Schema:
    return {"type": "array", "maxItems": MOST_NAMES, "items": _one_of(values)}


def _by_dimension(said: str, properties: Schema) -> Schema:
    return {"type": "object", "description": said, "properties": properties, "additionalProperties": False}


def _numbers(known: _Known, said: str, number: Schema) -> Schema:
    return _by_dimension(
        said,
        {
            name: {
                "type": "object",
                "minProperties": 1,
                "propertyNames": _category(name),
                "additionalProperties": number,
            }
            for name in known.categories
        },
    )


def _parameter(name: str, schema: Schema, where: str, example: str = "") -> Schema:
    told: Schema = {"name": name, "in": where, "required": where == "path", "schema": schema}
    if schema.get("type") == "array":
        told |= {"style": "form", "explode": False}
    return told | ({"example": example} if example else {})


def _body(properties: Schema, *, required: Sequence[str] = (), example: Schema) -> Schema:
    schema = {"type": "object", "properties": properties, "additionalProperties": False, "required": list(required)}
    return {"required": bool(required), "content": {"application/json": {"schema": schema, "example": example}}}


def _operation(
    summary: str,
    answers: Schema,
    errors: Sequence[str],
    *,
    parameters: Sequence[Schema] = (),
    body: Schema | None = None,
) -> Schema:
    problems = {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(errors)}
    return {
        "summary": summary,
        "responses": answers | problems,
        **({"parameters": list(parameters)} if parameters else {}),
        **({"requestBody": body} if body else {}),
    }


def _content(said: str, schema: Schema) -> Schema:
    return {"description": said, "content": {"application/json": {"schema": schema}}}


def _json(said: str, schema: str, *, cached: bool = False) -> Schema:
    answer = _content(said, _schema(schema))
    return _cached(answer) if cached else {"200": answer}


def _cached(answer: Schema) -> Schema:
    return {"200": {**answer, "headers": {"ETag": {"schema": {"type": "string"}}}}, "304": _HAS_IT}


_HAS_IT: Schema = {"description": "The client has it already."}


def _personas(known: _Known) -> Schema:
    headers = {name: {"required": True, "schema": {"type": "string"}} for name in ("ETag", "X-Snapshot-Id")}
    content = {
        "application/json": {"schema": _schema("Personas")},
        "application/x-ndjson": {},
        "application/vnd.apache.arrow.stream": {},
        "text/plain": {},
    }
    return {"200": {"description": "Streamed in parts.", "headers": headers, "content": content}}


def _problems() -> Schema:
    told = {
        "400": "The body is no JSON object.",
        "401": "An API key is needed, or the one sent is not good.",
        "404": "There is no such thing; what there is, is listed.",
        "406": "Accept excludes what can be answered.",
        "408": "The body came too slowly.",
        "413": "The body is too large.",
        "414": "The query string is too long.",
        "415": "The body is not JSON by its type.",
        "422": "A parameter is wrong; it is named, with what is allowed.",
        "429": "Too much in a short time.",
        "500": "A defect.",
        "503": "Too much to do at once, or it took too long.",
    }
    headers = {
        "401": {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
        "429": {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
    }
    content = {PROBLEM: {"schema": _schema("Problem")}}
    return {
        status: {"description": said, "content": content, "headers": headers.get(status, {})}
        for status, said in told.items()
    }


def _schemas(known: _Known) -> Schema:
    """What answers look like."""
    text, whole = {"type": "string"}, {"type": "integer", "minimum": 0}
    echo = {"seed": _SEED, "index": whole, "snapshot_id": text}
    persona = {
        **echo,
        **{name: _DERIVED.get(name, text) for name in (*known.derived, SUMMARY)},
        **{name: _category(name) for name in known.categories},
    }
    row = {"probability": _PROBABILITY, "spread": {"type": "number"}, "models": whole}
    dimension = {
        **dict.fromkeys(("id", "label", "definition"), text),
        "tier": whole,
        "ordinal": {"type": "boolean"},
        "sensitive": {"type": "boolean"},
        "parents": _array(text),
        "categories": _array(_object({"id": text, "label": text})),
    }
    contribution = {
        "given": {"type": "object", "additionalProperties": text},
        "odds_ratio": {"type": ["number", "null"]},
        "map": _or_null("MapRow"),
    }
    trial = {
        **dict.fromkeys(("dimension", "winner"), text),
        **{key: {"type": ["string", "null"]} for key in ("runner_up", "override_reason")},
        "margin": {"type": ["number", "null"]},
    }
    support = {
        "probability": _PROBABILITY,
        **dict.fromkeys(("tries", "resampled"), whole),
        "effective": {"type": ["number", "null"], "description": "null where nobody was resampled"},
        "excess": {"type": "number"},
        "warning": text,
    }
    snapshot = dict.fromkeys(("population", "snapshot_id", "edition", "label", "licence"), text)
    return {
        **_conditions(known),
        **{f"{CATEGORY}{name}": _one_of(values) for name, values in known.categories.items()},
        "Problem": {
            **_object({"type": text, "title": text, "status": whole, "detail": text}),
            "properties": {
                **dict.fromkeys(("type", "title", "detail", "parameter"), text),
                "status": whole,
                "allowed": _array(text),
            },
        },
        "Persona": {"type": "object", "required": list(echo), "properties": persona, "additionalProperties": False},
        "Personas": {
            "type": "object",
            "required": ["personas"],
            "properties": {"personas": _array(_schema("Persona")), "warning": text},
            "additionalProperties": False,
        },
        "MapRow": _object(row),
        "Explanation": _object(
            {
                "dimension": text,
                "category": text,
                "probability": _PROBABILITY,
                "alternatives": {"type": "object", "additionalProperties": _PROBABILITY},
                "base": _or_null("MapRow"),
                "contributions": _array(_object(contribution)),
                **echo,
            }
        ),
        "Catalogue": _object(
            {"snapshot_id": text, "population": text, "derived": _array(text), "dimensions": _array(_object(dimension))}
        ),
        "Maps": _object({"snapshot_id": text, "dimension": text, "cells": _array({"type": "object"})}),
        "Trials": _object({"snapshot_id": text, "edition": text, "trials": _array(_object(trial))}),
        "Shares": _object(
            {
                "snapshot_id": text,
                "n": whole,
                "support": _object(support),
                "shares": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "additionalProperties": _PROBABILITY},
                },
            }
        ),
        "Snapshots": _object({"snapshots": _array(_object({**snapshot, "dimensions": whole}))}),
    }


def _object(properties: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: str) -> Schema:
    return {"anyOf": [_schema(schema), {"type": "null"}]}
