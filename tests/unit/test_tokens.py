"""The estimate of tokens: its vocabulary, what a request counts, and how far the recorded answers lie from it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.batch import read_lines
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.record import edition_files
from pipeline.elicitation.tokens import FIGURE, IN_RANGE, OUT_RANGE, count_tokens, expect, expected_range
from pipeline.plan import Plan
from pipeline.prompts.render import Request, render_request
from pipeline.prompts.schema import answer_schema
from pipeline.resources import CORPUS, EDITION

US = load_catalogue("us")


def request(number_format: str = "percent_keyed", given: tuple[str, ...] = ("age",), **settings: object) -> Request:
    member = Member(id="m", source="recorded", variant=f"analyst.whole_map.{number_format}", settings=settings)
    return render_request(US, "e", US.dimension("sex"), given, member)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("hello world", 2), ("23.5", 3), ("tokenization is fun", 4), ("<|endoftext|>", 7)],
)
def test_texts_have_the_tokens_of_o200k(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@pytest.mark.parametrize("number_format", ["percent_keyed", "per_1000_rows"])
def test_recorded_answers_lie_where_the_docstring_says(number_format: str) -> None:
    plan = Plan(EDITION, CORPUS / EDITION)
    requests = {
        r.custom_id: r
        for rs in plan.requests.values()
        for r in rs
        if r.number_format == number_format and r.population == "us"
    }
    lines = (line.content for path in edition_files(plan.corpus) for line in read_lines(path))
    told = [c for c in lines if isinstance(c, Completion) and c.custom_id in requests]
    found = [count_tokens(c.text or "") for c in told]
    expected = [expect(requests[c.custom_id], US.dimension).tokens_out for c in told]
    ratios = sorted(f / e for f, e in zip(found, expected, strict=True))
    assert ratios[len(ratios) // 2] == pytest.approx(1, abs=0.01)
    assert OUT_RANGE[0] < sum(found) / sum(expected) < OUT_RANGE[1]
    assert sum(found) / sum(expected) == pytest.approx(
        {"percent_keyed": 0.97, "per_1000_rows": 1.04}[number_format], abs=0.01
    )


def test_an_answer_has_the_tokens_of_its_shape() -> None:
    shape = answer_schema(US.dimension("sex"), [US.dimension("age")], "percent_keyed")
    answer = {age: dict.fromkeys(shape["$defs"]["row"]["properties"], FIGURE) for age in shape["properties"]}
    assert expect(request(), US.dimension).tokens_out == count_tokens(json.dumps(answer))
    base, one_way, two_way = (
        expect(request(given=given), US.dimension).tokens_out for given in ((), ("age",), ("age", "birth_month"))
    )
    assert base * 6 < one_way and one_way * 10 < two_way


def test_one_row_is_expected_where_one_is_asked() -> None:
    row = replace(request(), condition=("18_24",))
    assert expect(row, US.dimension).tokens_out == expect(request(given=()), US.dimension).tokens_out


def test_the_schema_counts_as_prompt_where_it_is_sent() -> None:
    asked = request()
    bare = expect(asked, US.dimension, structured=False)
    schema = answer_schema(US.dimension("sex"), [US.dimension("age")], "percent_keyed")
    text = json.dumps(schema, separators=(",", ":"))
    assert expect(asked, US.dimension).tokens_in == bare.tokens_in + count_tokens(text)
    assert bare.tokens_in - sum(count_tokens(m["content"]) for m in asked.messages) in range(5, 20)


@pytest.mark.parametrize(
    ("reasoning", "tokens"),
    [({}, 0), ({"enabled": False}, 0), ({"effort": "none"}, 0), ({"effort": "low"}, 1024), ({"max_tokens": 300}, 300)],
)
def test_reasoning_is_allowed_for_as_it_is_asked_for(reasoning: dict[str, object], tokens: int) -> None:
    plain = expect(request(), US.dimension).tokens_out
    assert expect(request(reasoning=reasoning), US.dimension).tokens_out == plain + tokens


def test_the_range_holds_the_likely_figure() -> None:
    span = expected_range(request(reasoning={"effort": "high"}), US.dimension)
    assert span.low.tokens_in < span.likely.tokens_in < span.high.tokens_in
    assert span.low.tokens_out < span.likely.tokens_out < span.high.tokens_out
    assert span.high.tokens_in == pytest.approx(IN_RANGE[1] * span.likely.tokens_in, rel=0.01)
    assert span.likely == expect(request(reasoning={"effort": "high"}), US.dimension)


def test_another_catalogues_dimension_of_the_same_name_is_counted_anew() -> None:
    sex = US.dimension("sex")
    longer = sex.model_copy(update={"categories": sex.categories * 3})
    plain = expect(request(given=()), US.dimension).tokens_out
    assert expect(request(given=()), lambda _: longer).tokens_out >= plain
