"""The answer schema: nested in the order of the given, strict at every level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Dimension
from pipeline.prompts.schema import NUMBER_FORMATS, answer_schema, answer_shape

US = load_catalogue("us")
SMOKING, AGE, SEX = (US.dimension(d) for d in ("smoking", "age", "sex"))


def test_a_base_map_has_one_row() -> None:
    schema = answer_schema(SMOKING, [], "percent_keyed")
    assert list(schema["properties"]) == ["everyone"]
    assert schema["properties"]["everyone"]["required"] == list(SMOKING.category_ids)


def test_two_givens_nest_in_their_order_and_what_conditions_share_stands_once() -> None:
    schema = answer_schema(SMOKING, [AGE, SEX], "per_1000_rows")
    assert schema["required"] == list(AGE.category_ids)
    assert all(part == {"$ref": "#/$defs/rows"} for part in schema["properties"].values())
    rows, row = schema["$defs"]["rows"], schema["$defs"]["row"]
    assert rows["properties"] == {key: {"$ref": "#/$defs/row"} for key in SEX.category_ids}
    assert (row["minItems"], row["maxItems"]) == (4, 4)


def whole(given: Sequence[Dimension], number_format: str) -> dict[str, Any]:
    """An answer that has everything."""
    figures = [1.5] * len(SMOKING.categories)
    keyed = number_format != "per_1000_rows"
    if len(given) <= 1:
        keys = given[0].category_ids if given else ("everyone",)
        return {k: dict(zip(SMOKING.category_ids, figures, strict=True)) if keyed else list(figures) for k in keys}
    return {k: whole(given[1:], number_format) for k in given[0].category_ids}


@pytest.mark.parametrize("number_format", sorted(NUMBER_FORMATS))
@pytest.mark.parametrize("given", [(), (AGE,), (AGE, SEX)], ids=["base", "one-way", "two-way"])
def test_a_whole_answer_is_admitted_and_none_with_a_part_too_few_or_too_many(
    given: tuple[Dimension, ...], number_format: str
) -> None:
    schema = answer_schema(SMOKING, given, number_format)
    Draft202012Validator.check_schema(schema)
    admits = Draft202012Validator(schema).is_valid
    assert admits(whole(given, number_format))
    for level in range(max(len(given), 1) + 1):  # the conditions of each given, then the row
        for change in (take_one, add_one):
            answer = whole(given, number_format)
            part: Any = answer
            for _ in range(level):
                part = list(part.values())[-1]
            change(part)
            assert not admits(answer), (level, change.__name__)


def take_one(part: dict[str, Any] | list[float]) -> None:
    part.pop(next(iter(part))) if isinstance(part, dict) else part.pop()


def add_one(part: dict[str, Any] | list[float]) -> None:
    if isinstance(part, dict):
        part["another"] = next(iter(part.values()))
    else:
        part.append(1.5)


@pytest.mark.parametrize("figure", [-1, "a tenth", None])
def test_what_is_no_share_is_refused(figure: object) -> None:
    answer = whole([AGE], "percent_keyed")
    answer["18_24"][SMOKING.category_ids[0]] = figure
    assert not Draft202012Validator(answer_schema(SMOKING, [AGE], "percent_keyed")).is_valid(answer)


@pytest.mark.parametrize("number_format", sorted(NUMBER_FORMATS))
def test_the_sketch_shows_keys_and_no_figures(number_format: str) -> None:
    shape = answer_shape(SMOKING, [SEX], number_format)
    assert shape.startswith('{"female": ') and '"male": ' in shape
    assert not any(c.isdigit() for c in shape.replace("4 numbers", ""))
