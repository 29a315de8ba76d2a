"""The OpenAPI description of the API, from the limits that the code enforces."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from serving.api.requests import FORMATS, LONGEST_TEXT, MOST_PERSONAS
from serving.page.routes import MOST_PEOPLE, PEOPLE

_TEXT = {"type": "string", "maxLength": LONGEST_TEXT}
_BY_CATEGORY = {
    "type": "object",
    "additionalProperties": {"type": "object", "additionalProperties": {"type": "number"}},
}


def description(populations: Sequence[str]) -> dict[str, Any]:
    """OpenAPI 3.1 for an API that serves these populations."""
    sampling: dict[str, Any] = {
        "seed": {"oneOf": [{"type": "integer"}, _TEXT], "default": 0},
        "evidence": {
            "type": "object",
            "description": "What is known: a category, a list of some, or a range such as 25..34.",
            "additionalProperties": {"oneOf": [_TEXT, {"type": "array", "items": _TEXT}, {"type": "integer"}]},
        },
        "do": {"type": "object", "description": "Values set.", "additionalProperties": _TEXT},
        "likelihood": {**_BY_CATEGORY, "description": "Soft evidence: how likely, by category."},
        "target_marginal": {**_BY_CATEGORY, "description": "Shares wanted, by category."},
        "as_of": {"type": "string", "format": "date"},
        "accents": {"type": "boolean", "default": False, "description": "Names with their accents."},
        "population": {"type": "string", "enum": list(populations)},
    }
    several: dict[str, Any] = {
        "n": {"type": "integer", "minimum": 0, "maximum": MOST_PERSONAS, "default": 1},
        "start": {"type": "integer", "minimum": 0, "default": 0},
        "quota": {**_BY_CATEGORY, "description": "Exact counts, by category."},
        "fields": {"type": "array", "items": _TEXT},
        "exclude": {"type": "array", "items": _TEXT},
        "format": {"type": "string", "enum": list(FORMATS), "default": "json"},
    }
    people = {
        "200": {
            "description": "Personas, streamed in parts.",
            "headers": {"ETag": {"schema": {"type": "string"}}, "X-Snapshot-Id": {"schema": {"type": "string"}}},
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["personas"],
                        "properties": {
                            "personas": {"type": "array", "items": {"type": "object"}},
                            "warning": {"type": "string"},
                        },
                    }
                },
                "application/x-ndjson": {},
                "application/vnd.apache.arrow.stream": {},
                "text/plain": {},
            },
        },
        "304": {"description": "The client has it."},
        **_PROBLEMS,
    }
    text = {"schema": {"type": "string"}}
    in_query = [
        {"name": name, "in": "query", "schema": {**several, **sampling}[name]}
        for name in ("n", "seed", "start", "as_of", "accents", "population", "format")
    ]
    lists = [
        {"name": name, "in": "query", "description": "Names, separated by commas.", **text}
        for name in ("fields", "exclude")
    ]
    open_ended = [
        {
            "name": name,
            "in": "query",
            "style": "form",
            "explode": True,
            "description": f"As `{name}.DIMENSION=VALUE`.",
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
        for name in ("evidence", "do")
    ]
    population = {"name": "population", "in": "query", "schema": sampling["population"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "PersonaGen", "version": version("personagen")},
        "paths": {
            "/v1/personas": {
                "get": {"parameters": [*in_query, *lists, *open_ended], "responses": people},
                "post": {"requestBody": _body({**several, **sampling}), "responses": people},
            },
            "/v1/explain": {
                "post": {
                    "requestBody": _body(
                        {"dimension": _TEXT, "index": several["start"], **sampling}, required=["dimension"]
                    ),
                    "responses": {"200": _json("Why."), **_PROBLEMS},
                }
            },
            "/v1/catalogue": {
                "get": {"parameters": [population], "responses": {"200": _json("Dimensions."), **_PROBLEMS}}
            },
            "/v1/maps/{dimension}": {
                "get": {
                    "parameters": [{"name": "dimension", "in": "path", "required": True, **text}, population],
                    "responses": {"200": _json("The pooled maps."), **_PROBLEMS},
                }
            },
            "/v1/snapshots": {"get": {"responses": {"200": _json("What is served.")}}},
            "/v1/trials": {
                "get": {
                    "summary": "Which combination strategy won for each dimension, and by how much.",
                    "parameters": [population],
                    "responses": {"200": _json("Winners, runners-up and margins in nats."), **_PROBLEMS},
                }
            },
            "/v1/shares": {
                "get": {
                    "summary": "Shares of the categories among people drawn under conditions, and their support.",
                    "parameters": [
                        {
                            "name": "n",
                            "in": "query",
                            "schema": {"type": "integer", "minimum": 1, "maximum": MOST_PEOPLE, "default": PEOPLE},
                        },
                        *[one for one in in_query if one["name"] in ("seed", "start", "population")],
                        *lists,
                        *open_ended,
                    ],
                    "responses": {"200": _json("Shares by dimension and category."), **_PROBLEMS},
                }
            },
            "/healthz": {"get": {"responses": {"200": _json("Alive.")}}},
        },
    }


def _body(properties: dict[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False, "required": list(required)}
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _json(told: str) -> dict[str, Any]:
    return {"description": told, "content": {"application/json": {"schema": {"type": "object"}}}}


_PROBLEMS = {
    str(status): {"description": told, "content": {"application/problem+json": {"schema": {"type": "object"}}}}
    for status, told in (
        (400, "No JSON."),
        (413, "Too large."),
        (415, "Not JSON by its type."),
        (422, "A parameter is wrong; it is named, with what is allowed."),
    )
}
