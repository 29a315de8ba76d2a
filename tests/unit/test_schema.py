"""The answer schema: nested in the order of the given, strict at every level."""

from __future__ import annotations

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.prompts.schema import NUMBER_FORMATS, answer_schema, answer_shape

US = load_catalogue("us")
SMOKING, AGE, SEX = (US.dimension(d) for d in ("smoking", "age", "sex"))


def test_a_base_map_has_one_row() -> None:
    schema = answer_schema(SMOKING, [], "percent_keyed")
    assert list(schema["properties"]) == ["everyone"]
    assert schema["properties"]["everyone"]["required"] == list(SMOKING.category_ids)


def test_two_givens_nest_in_their_order() -> None:
    schema = answer_schema(SMOKING, [AGE, SEX], "per_1000_rows")
    assert schema["required"] == list(AGE.category_ids)
    inner = schema["properties"]["18_24"]
    assert inner["required"] == list(SEX.category_ids)
    row = inner["properties"]["female"]
    assert (row["minItems"], row["maxItems"]) == (4, 4)


@pytest.mark.parametrize("number_format", sorted(NUMBER_FORMATS))
def test_the_sketch_shows_keys_and_no_figures(number_format: str) -> None:
    shape = answer_shape(SMOKING, [SEX], number_format)
    assert shape.startswith('{"female": ') and '"male": ' in shape
    assert not any(c.isdigit() for c in shape.replace("4 numbers", ""))
