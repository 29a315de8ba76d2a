"""The ugly texts that models really give: what is read, what is refused, and by which name."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prompts.parsing import (
    MAX_CHARS,
    AnswerError,
    Reason,
    canonical,
    parse_answer,
    quote,
    to_number,
)

PLAIN = '{"everyone": {"yes": 40, "no": 60}}'
WANTED = {"everyone": {"yes": 40, "no": 60}}

READABLE = {
    "plain": PLAIN,
    "byte order mark and spaces": f"\ufeff \n{PLAIN}\n ",
    "code fence": f"```json\n{PLAIN}\n```",
    "code fence without language": f"```\n{PLAIN}\n```",
    "code fence never closed": f"```json\n{PLAIN}",
    "prose around": f"Sure! Here is the distribution:\n\n{PLAIN}\n\nLet me know if you need more.",
    "prose in another language": f"Hier ist die Verteilung, wie gewünscht:\n{PLAIN}\nViele Grüße!",
    "prose with braces and footnotes": f"By {{rule}} [1], and as {{percent: each}} says [2]:\n{PLAIN}",
    "prose with an example that is not JSON": f'In the form {{"category": number, ...}} that is:\n{PLAIN}',
    "reasoning before": f'<think>Perhaps {{"everyone": {{"yes": 1, "no": 99}}}}?</think>{PLAIN}',
    "reasoning whose head is missing": f'Perhaps {{"everyone": {{"yes": 1}}}}.\n</think>\n{PLAIN}',
    "trailing commas": '{"everyone": {"yes": 40, "no": 60,},}',
    "line comments": '{"everyone": { // all adults\n"yes": 40, # guess\n "no": 60}}',
    "block comments": '{"everyone": /* all */ {"yes": 40, "no": 60}}',
    "single quotes": "{'everyone': {'yes': 40, 'no': 60}}",
    "typographic quotes": "{“everyone”: {“yes”: 40, “no”: 60}}",
    "unquoted keys": "{everyone: {yes: 40, no: 60}}",
    "percent signs without quotes": '{"everyone": {"yes": 40%, "no": 60%}}',
    "bare points": '{"everyone": {"yes": 40., "no": 60}}',
    "said twice, the same": f"{PLAIN}\n\nIn short:\n{PLAIN}",
    "as a JSON string": json.dumps(PLAIN),
    "schema, then answer": f'{{"type": "object", "properties": {{"yes": {{}}}}}}\n{PLAIN}',
    "broken first, then mended": f'{{"everyone": {{"yes": about 40, "no": 60}}}}\nCorrected:\n{PLAIN}',
    "escapes": '{"\\u0065veryone": {"yes": 40, "no": 60}}',
    "single quotes and escapes": "{'\\u0065veryone': {'yes': 40, 'no': 60}}",
}


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE.keys())
def test_reads_what_can_only_mean_one_thing(text: str) -> None:
    assert parse_answer(text) == WANTED


REFUSED = {
    "no text": ("", Reason.EMPTY),
    "only spaces": (" \n\t", Reason.EMPTY),
    "only reasoning": ("<think>hm</think>  ", Reason.EMPTY),
    "reasoning never ends": ("<think>So first I look at", Reason.TRUNCATED),
    "refusal": ("I'm sorry, but I can't help with estimates about ethnic groups.", Reason.REFUSAL),
    "refusal, typographic": ("I’m unable to provide that.", Reason.REFUSAL),
    "refusal, German": ("Es tut mir leid, ich kann dabei nicht helfen.", Reason.REFUSAL),
    "refusal, Spanish": ("Lo siento, no puedo ayudar con eso.", Reason.REFUSAL),
    "refusal, Chinese": ("抱歉，我无法提供这些数据。", Reason.REFUSAL),
    "refusal with a footnote": ("I cannot say; see [1].", Reason.REFUSAL),
    "refusal as JSON": ('{"error": "I cannot provide statistics by ethnicity."}', Reason.REFUSAL),
    "prose": ("About two fifths say yes, the rest no.", Reason.NOT_JSON),
    "markdown table": ("| yes | no |\n|---|---|\n| 40 | 60 |", Reason.NOT_JSON),
    "cut after a number": ('{"everyone": {"yes": 40', Reason.TRUNCATED),
    "cut within a key": ('{"18_24": {"yes": 40, "no": 60}, "25_', Reason.TRUNCATED),
    "cut within a fence": ('```json\n{"everyone": {"yes": 40,\n', Reason.TRUNCATED),
    "second object cut": (PLAIN + '\n{"everyone": {"yes"', Reason.TRUNCATED),
    "elision": ('{"18_24": {"yes": 40, "no": 60}, ...}', Reason.NOT_JSON),
    "missing comma": ('{"everyone": {"yes": 40 "no": 60}}', Reason.NOT_JSON),
    "double comma": ('{"everyone": {"yes": 40,, "no": 60}}', Reason.NOT_JSON),
    "arithmetic": ('{"everyone": {"yes": 100 - 60, "no": 60}}', Reason.NOT_JSON),
    "about": ('{"everyone": {"yes": ~40, "no": 60}}', Reason.NOT_JSON),
    "range without quotes": ('{"everyone": {"yes": 35-45, "no": 60}}', Reason.NOT_JSON),
    "code": ('{"everyone": {"yes": __import__("os"), "no": 60}}', Reason.NOT_JSON),
    "equal keys": ('{"everyone": {"yes": 40, "no": 50, "yes": 50}}', Reason.DUPLICATE_KEY),
    "equal keys in lenient JSON": ("{'yes': 40, 'yes': 40}", Reason.DUPLICATE_KEY),
    "two answers": (PLAIN + "\n" + PLAIN.replace("40", "41").replace("60", "59"), Reason.WRONG_SHAPE),
    "two lists": ("[40, 60] [41, 59]", Reason.WRONG_SHAPE),
    "schema": ('{"type": "object", "properties": {"yes": {"type": "number"}}}', Reason.SCHEMA_ECHO),
    "schema by name": (
        '{"name": "answer", "schema": {"type": "object", "properties": {}}}',
        Reason.SCHEMA_ECHO,
    ),
    "schema by address": ('{"$schema": "https://json-schema.org/draft/2020-12/schema"}', Reason.SCHEMA_ECHO),
    "placeholders": ('{"everyone": {"yes": "<number>", "no": "<number>"}}', Reason.SCHEMA_ECHO),
    "elided placeholders": ('{"everyone": {"yes": "…", "no": "…"}}', Reason.SCHEMA_ECHO),
    "too long": ("x" * (MAX_CHARS + 1), Reason.TOO_LONG),
    "a decimal comma of many": ('{"everyone": {"yes": 4,0,5, "no": 60}}', Reason.NOT_A_NUMBER),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_by_name(text: str, reason: Reason) -> None:
    with pytest.raises(AnswerError) as caught:
        parse_answer(text)
    assert caught.value.reason == reason
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 200


def test_objects_with_no_key_in_common_are_one_answer() -> None:
    assert parse_answer('{"18_24": {"a": 1}}\n{"25_34": {"a": 2}}') == {"18_24": {"a": 1}, "25_34": {"a": 2}}


def test_a_list_is_an_answer_where_no_object_is() -> None:
    assert parse_answer("As asked [1]: [400, 600]") == [400, 600]


def test_decimal_commas_and_thousands_as_values() -> None:
    assert parse_answer('{"yes": 40,5, "no": 59,5}') == {"yes": 40.5, "no": 59.5}
    assert parse_answer('{"yes": 1,000}') == {"yes": 1000}
    assert parse_answer("{a: 5,25_34: 6}") == {"a": 5, "25_34": 6}


def test_words_for_no_number_are_decoded_for_the_row_checks() -> None:
    read = parse_answer('{"a": NaN, "b": Infinity, "c": null, "d": None, "e": N/A, "f": true}')
    assert isinstance(read, dict)
    assert math.isnan(read["a"])
    assert read["b"] == math.inf
    assert [read[key] for key in "cdef"] == [None, None, None, True]


HOSTILE = [
    "[" * 200_000,
    '{"a":' * 5_000,
    "[/*" * 300_000,
    '{"a": [1, ' * 90_000,
    "<think>" * 100_000,
    "{a:" * 300_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:10])
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(AnswerError):
        parse_answer(text)


NUMBERS: dict[object, float] = {
    12: 12.0,
    0.5: 0.5,
    "12": 12.0,
    " 12 % ": 12.0,
    "12 percent": 12.0,
    "12.5%": 12.5,
    ".5": 0.5,
    "1e1": 10.0,
    "12,5": 12.5,
    "0,125": 0.125,
    "1,000": 1000.0,
    "1 000": 1000.0,
    "1\u202f000": 1000.0,
    "1'000": 1000.0,
    "1,234.5": 1234.5,
    "1.234,5": 1234.5,
    "12,345,678": 12345678.0,
    "−3": -3.0,
    "–3": -3.0,
    "１２％": 12.0,
    10**400: math.inf,
}


@pytest.mark.parametrize(("value", "number"), NUMBERS.items(), ids=repr)
def test_reads_numbers(value: object, number: float) -> None:
    assert to_number(value) == number


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        [],
        {},
        "",
        "%",
        "about 12",
        "~12",
        "<1",
        "10-15",
        "10–15",
        "1/3",
        "twelve",
        "1,2,3",
        "NaN",
        "0x10",
    ],
    ids=repr,
)
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(AnswerError) as caught:
        to_number(value)
    assert caught.value.reason == Reason.NOT_A_NUMBER


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("18–24", "18_24"),
        ("Never Married", "never_married"),
        ("75+", "75_plus"),
        ("$25,000 to $49,999", "25000_to_49999"),
        ("Arts & design", "arts_and_design"),
        ("  less-than high school ", "less_than_high_school"),
    ],
)
def test_harmless_spellings_are_the_same_name(name: str, same: str) -> None:
    assert canonical(name) == canonical(same)


def test_quoting_is_one_short_printable_line() -> None:
    quoted = quote("a\nb\x1b[31m" + "x" * 1000)
    assert quoted.isprintable()
    assert len(quoted) == 80


json_values = st.recursive(
    st.floats(0, 1000) | st.integers(0, 1000) | st.text(max_size=8),
    lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=4) | st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), json_values, min_size=1, max_size=4))
@settings(max_examples=100)
def test_strict_json_is_read_as_the_standard_library_reads_it(value: dict[str, object]) -> None:
    try:
        read = parse_answer(f"Here:\n```json\n{json.dumps(value)}\n```\n")
    except AnswerError as error:
        assert error.reason in (Reason.SCHEMA_ECHO, Reason.REFUSAL)
    else:
        assert read == value


@given(st.text(alphabet="{}[]\",:'0123456789.%-ab/*# \n\\", max_size=60))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_answer(text), (dict, list))
    except AnswerError as error:
        assert isinstance(error.reason, Reason)
