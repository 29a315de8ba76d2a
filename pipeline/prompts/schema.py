"""The answer schema: the JSON shape that a request asks for, as JSON Schema and as a sketch for the prompt.

Only the shape belongs here. Whether an answer's numbers hold is decided in `validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.catalogue.models import Dimension

BASE_KEY = "everyone"
NUMBER_FORMATS = {"percent_keyed": 100.0, "per_1000_rows": 1000.0, "probability_keyed": 1.0}
"""What a row sums to in each number format."""

DEFINITIONS = "#/$defs/"
"""Where a schema's references point to."""

LISTS = frozenset({"per_1000_rows"})
"""Number formats whose rows are bare lists in the order of the categories; in the others a row is an object."""


def answer_schema(dimension: Dimension, given: Sequence[Dimension], number_format: str) -> dict[str, Any]:
    """JSON Schema of the answer: nested objects over the given's categories, a row at the leaves.

    What the conditions have in common stands once, under `$defs`: makers charge for the schema as for the prompt. There
    `row` is a row, and `rows` what a condition of the outer of two givens holds. A request for one row of a map is
    asked in the shape of a base map: leave `given` empty.
    """
    schema = _row_schema(dimension, number_format)
    if not given:
        return _object({BASE_KEY: schema})
    common: dict[str, Any] = {}
    for level, g in enumerate(reversed(given)):
        name = "row" + "s" * level
        common[name] = schema
        schema = _object({key: {"$ref": f"{DEFINITIONS}{name}"} for key in g.category_ids})
    return {**schema, "$defs": common}


def answer_shape(dimension: Dimension, given: Sequence[Dimension], number_format: str) -> str:
    """The shape as a one-line sketch without figures, to be shown in the prompt."""
    first, last = dimension.category_ids[0], dimension.category_ids[-1]
    if number_format not in LISTS:
        row = f'{{"{first}": …, …, "{last}": …}}'
    else:
        row = f"[…, {len(dimension.categories)} numbers, …]"
    if not given:
        return f'{{"{BASE_KEY}": {row}}}'
    for g in reversed(given):
        row = f'{{"{g.category_ids[0]}": {row}, …, "{g.category_ids[-1]}": {row if g is given[-1] else "{…}"}}}'
    return row


def _row_schema(dimension: Dimension, number_format: str) -> dict[str, Any]:
    number = {"type": "number", "minimum": 0}
    if number_format not in LISTS:
        return _object(dict.fromkeys(dimension.category_ids, number))
    width = len(dimension.categories)
    return {"type": "array", "items": number, "minItems": width, "maxItems": width}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
