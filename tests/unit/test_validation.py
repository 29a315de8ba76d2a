"""What makes an answer an estimate, and the one name of each way to fail, on answers that models really give."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Category, Dimension, StructuralZero
from pipeline.elicitation.expectations import expected_cells
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Completion
from pipeline.prompts.parsing import MAX_CHARS, Reason
from pipeline.prompts.render import Request, requests_for
from pipeline.prompts.validation import (
    ESTIMATE_COLUMNS,
    Estimate,
    Outcome,
    Rejection,
    allowed_mask,
    estimates_frame,
    validate_all,
    validate_completion,
)
from tests.support.corpora import written


def dimension(name: str, categories: dict[str, str], **fields: Any) -> Dimension:
    return Dimension(
        id=name,
        label=name.title(),
        tier=1,
        definition=f"A person's {name}.",
        categories=tuple(Category(id=key, label=label) for key, label in categories.items()),
        parents=fields.pop("parents", ()),
        pairs=(),
        **fields,
    )


AGE = dimension("age", {"18_24": "18–24 years", "25_64": "25 to 64", "65_plus": "65 or older"})
SEX = dimension("sex", {"female": "Female", "male": "Male"})
MONTH = dimension("birth_month", {f"m{i}": f"Month {i}" for i in range(1, 5)})
WORK = dimension(
    "employment",
    {"working": "Working for pay", "student": "Student", "retired": "Retired", "other": "Other"},
    parents=("age", "sex"),
    zeros=(StructuralZero(given={"age": ("18_24",)}, never=("retired",), reason="too young"),),
)
DIMENSIONS = {d.id: d for d in (AGE, SEX, MONTH, WORK)}

ROW = {"working": 60, "student": 20, "retired": 12, "other": 8}
BY_AGE = {
    "18_24": {"working": 50, "student": 40, "retired": 0, "other": 10},
    "25_64": {"working": 75, "student": 3, "retired": 7, "other": 15},
    "65_plus": {"working": 18, "student": 0, "retired": 78, "other": 4},
}


def request(
    name: str = "employment", *given: str, lists: bool = False, condition: tuple[str, ...] | None = None
) -> Request:
    return Request(
        custom_id="-".join(["us", name, *given, *(condition or ())]),
        population="us",
        edition="2026.11",
        dimension=name,
        given=given,
        variant="plain.map.percent",
        model="panel/one",
        messages=({"role": "user", "content": "?"},),
        settings={"temperature": 0},
        number_format="per_1000_rows" if lists else "percent_keyed",
        condition=condition,
    )


def completion(asked: Request, answer: object, finish: str | None = "stop", **message: Any) -> Completion:
    text = answer if isinstance(answer, str) or answer is None else json.dumps(answer, ensure_ascii=False)
    body = {
        "model": "one-0301",
        "choices": [{"message": {"content": text, **message}, "finish_reason": finish}],
    }
    return Completion(asked.custom_id, "one-0301", text, finish, body)


def judge(answer: object, asked: Request, finish: str | None = "stop", **message: Any) -> Estimate | Rejection:
    parents = [DIMENSIONS[parent] for parent in asked.given]
    return validate_completion(
        completion(asked, answer, finish, **message), asked, DIMENSIONS[asked.dimension], parents
    )


def accepted(answer: object, asked: Request) -> Any:
    result = judge(answer, asked)
    assert isinstance(result, Estimate), result
    assert result.p.dtype == np.float64
    np.testing.assert_allclose(result.p.sum(axis=-1), 1, atol=1e-12)
    return result.p


BASE = request()
ONE_WAY = request("employment", "age")
TWO_WAY = request("employment", "age", "sex")
LISTS = request(lists=True)
SHARES = [0.6, 0.2, 0.12, 0.08]

BASE_ANSWERS: dict[str, object] = {
    "as asked": {"everyone": ROW},
    "without the wrapper": ROW,
    "wrapped twice": {"answer": {"everyone": ROW}},
    "wrapped in the dimension": {"employment": ROW},
    "in a list": [{"everyone": ROW}],
    "probabilities": {"everyone": {k: v / 100 for k, v in ROW.items()}},
    "counts of a thousand": {"everyone": {k: v * 10 for k, v in ROW.items()}},
    "percent signs": {"everyone": {k: f"{v}%" for k, v in ROW.items()}},
    "numbers as text": {"everyone": {k: str(v) for k, v in ROW.items()}},
    "decimal commas": {"everyone": {"working": "60,0", "student": "20,0", "retired": "12,0", "other": "8,0"}},
    "labels, other case": {"Everyone": {"Working for pay": 60, "STUDENT": 20, "Retired ": 12, "other": 8}},
    "numbers one level deeper": {"everyone": {k: {"percent": v} for k, v in ROW.items()}},
    "numbers with remarks": {"everyone": {k: {"value": v, "note": "roughly"} for k, v in ROW.items()}},
    "a remark beside": {"everyone": ROW, "notes": "CPS 2024"},
    "a remark within": {"everyone": {**ROW, "source": "CPS"}},
    "with its total": {"everyone": {**ROW, "total": 100}},
    "a list of pairs": {"everyone": [{"category": k, "percent": v} for k, v in ROW.items()]},
    "a list of one-entry objects": {"everyone": [{k: v} for k, v in ROW.items()]},
    "another order": {"everyone": dict(reversed(ROW.items()))},
}


@pytest.mark.parametrize("answer", BASE_ANSWERS.values(), ids=BASE_ANSWERS.keys())
def test_accepts_a_base_map(answer: object) -> None:
    np.testing.assert_allclose(accepted(answer, BASE), SHARES, atol=1e-12)


@pytest.mark.parametrize("answer", [{"everyone": [600, 200, 120, 80]}, [600, 200, 120, 80], {"everyone": ROW}])
def test_accepts_rows_where_rows_were_asked_for(answer: object) -> None:
    np.testing.assert_allclose(accepted(answer, LISTS), SHARES, atol=1e-12)


def test_normalises_sums_within_the_tolerance() -> None:
    p = accepted({"everyone": {**ROW, "working": 57}}, BASE)
    np.testing.assert_allclose(p, np.array([57, 20, 12, 8]) / 97, atol=1e-12)


WITH_LABELS = {"18–24": BY_AGE["18_24"], "25 to 64": BY_AGE["25_64"], "65+": BY_AGE["65_plus"]}
ONE_WAY_ANSWERS: dict[str, object] = {
    "as asked": BY_AGE,
    "labels and dashes": WITH_LABELS,
    "wrapped in the given": {"age": BY_AGE},
    "rows wrapped": {k: {"employment": row} for k, row in BY_AGE.items()},
    "an object per line": "\n".join(json.dumps({k: row}) for k, row in BY_AGE.items()),
    "the impossible left out": {**BY_AGE, "18_24": {"working": 50, "student": 40, "other": 10}},
}


@pytest.mark.parametrize("answer", ONE_WAY_ANSWERS.values(), ids=ONE_WAY_ANSWERS.keys())
def test_accepts_a_one_way_map(answer: object) -> None:
    wanted = np.array([list(row.values()) for row in BY_AGE.values()]) / 100
    np.testing.assert_allclose(accepted(answer, ONE_WAY), wanted, atol=1e-12)


def by_age_and_sex() -> dict[str, dict[str, dict[str, float]]]:
    def less(row: dict[str, int]) -> dict[str, float]:
        return {**row, "working": row["working"] - 10, "other": row["other"] + 10}

    return {age: {"female": less(row), "male": {**row}} for age, row in BY_AGE.items()}


def test_accepts_a_two_way_map_nested_in_the_order_of_the_given() -> None:
    p = accepted(by_age_and_sex(), TWO_WAY)
    assert p.shape == (3, 2, 4)
    np.testing.assert_allclose(p[1, 0], [0.65, 0.03, 0.07, 0.25], atol=1e-12)
    np.testing.assert_allclose(p[1, 1], [0.75, 0.03, 0.07, 0.15], atol=1e-12)


def test_zeroes_little_mass_on_the_impossible() -> None:
    p = accepted({**BY_AGE, "18_24": {"working": 50, "student": 40, "retired": 1, "other": 9}}, ONE_WAY)
    np.testing.assert_allclose(p[0], np.array([50, 40, 0, 9]) / 99, atol=1e-12)


def changed(key: str, value: object) -> dict[str, object]:
    return {"everyone": {**ROW, key: value}}


SAME = dict.fromkeys(BY_AGE, ROW)
REJECTED: dict[str, tuple[object, Request, Reason]] = {
    "nothing": ("", BASE, Reason.EMPTY),
    "no content": (None, BASE, Reason.EMPTY),
    "refusal": ("I'm sorry, but I can't provide that.", BASE, Reason.REFUSAL),
    "endless": ("x" * (MAX_CHARS + 1), BASE, Reason.TOO_LONG),
    "prose": ("Most adults work, some study.", BASE, Reason.NOT_JSON),
    "cut": (json.dumps(BY_AGE)[:90], ONE_WAY, Reason.TRUNCATED),
    "schema": ({"type": "object", "properties": {"everyone": {}}}, BASE, Reason.SCHEMA_ECHO),
    "a list where names were asked for": ({"everyone": [60, 20, 12, 8]}, BASE, Reason.WRONG_SHAPE),
    "a list too short": ([600, 200, 200], LISTS, Reason.WRONG_SHAPE),
    "a list too long": ([600, 200, 120, 80, 1000], LISTS, Reason.WRONG_SHAPE),
    "a number for a row": ({"everyone": 100}, BASE, Reason.WRONG_SHAPE),
    "a row for a map": (ROW, ONE_WAY, Reason.UNKNOWN_CONDITION),
    "a map for a row": (BY_AGE, BASE, Reason.UNKNOWN_CATEGORY),
    "another group's row": ({"men": ROW}, BASE, Reason.UNKNOWN_CATEGORY),
    "nested the other way round": (
        {sex: {age: rows[sex] for age, rows in by_age_and_sex().items()} for sex in ("female", "male")},
        TWO_WAY,
        Reason.UNKNOWN_CONDITION,
    ),
    "several numbers in one": (changed("other", {"percent": 8, "count": 80}), BASE, Reason.WRONG_SHAPE),
    "another language": (
        {"everyone": {"arbeitend": 60, "studierend": 20, "im Ruhestand": 12, "andere": 8}},
        BASE,
        Reason.UNKNOWN_CATEGORY,
    ),
    "an invented category": ({"everyone": {**ROW, "unemployed": 5}}, BASE, Reason.UNKNOWN_CATEGORY),
    "a missing category": ({"everyone": {"working": 60, "student": 40}}, BASE, Reason.MISSING_CATEGORY),
    "an invented condition": ({**BY_AGE, "under_18": ROW}, ONE_WAY, Reason.UNKNOWN_CONDITION),
    "a missing condition": ({"18_24": ROW, "25_64": ROW}, ONE_WAY, Reason.MISSING_CONDITION),
    "one condition of two levels missing": (
        {**by_age_and_sex(), "65_plus": {"female": ROW}},
        TWO_WAY,
        Reason.MISSING_CONDITION,
    ),
    "null": (changed("other", None), BASE, Reason.NOT_A_NUMBER),
    "NaN": (
        '{"everyone": {"working": NaN, "student": 20, "retired": 12, "other": 8}}',
        BASE,
        Reason.NOT_A_NUMBER,
    ),
    "NaN as text": (changed("other", "NaN"), BASE, Reason.NOT_A_NUMBER),
    "infinite": (changed("other", 1e999), BASE, Reason.NOT_A_NUMBER),
    "a truth value": (changed("other", True), BASE, Reason.NOT_A_NUMBER),
    "words": (changed("other", "a few"), BASE, Reason.NOT_A_NUMBER),
    "a range": (changed("other", "5-10%"), BASE, Reason.NOT_A_NUMBER),
    "a list for a number": (changed("other", [8]), BASE, Reason.NOT_A_NUMBER),
    "negative": (changed("other", -8), BASE, Reason.NEGATIVE),
    "negative with a typographic minus": (changed("other", "−8"), BASE, Reason.NEGATIVE),
    "140 percent": (changed("working", 100), BASE, Reason.BAD_SUM),
    "all zero": ({"everyone": dict.fromkeys(ROW, 0)}, BASE, Reason.BAD_SUM),
    "counts of another total": ({"everyone": {k: v * 3 for k, v in ROW.items()}}, BASE, Reason.BAD_SUM),
    "one row on another scale": (
        {**BY_AGE, "18_24": {"working": 0.5, "student": 0.4, "retired": 0, "other": 0.1}},
        ONE_WAY,
        Reason.BAD_SUM,
    ),
    "uniform": ({"everyone": dict.fromkeys(ROW, 25)}, BASE, Reason.HEDGED),
    "uniform but for rounding": (
        {"everyone": {"working": 25.4, "student": 25, "retired": 25, "other": 24.6}},
        BASE,
        Reason.HEDGED,
    ),
    "uniform over the possible": (
        {
            age: {"working": 33.4, "student": 33.3, "retired": 0, "other": 33.3}
            if age == "18_24"
            else dict.fromkeys(ROW, 25)
            for age in BY_AGE
        },
        ONE_WAY,
        Reason.HEDGED,
    ),
    "the same row everywhere": (SAME, ONE_WAY, Reason.IGNORES_GIVEN),
    "the same row but for one parent": (
        {age: {"female": row, "male": row} for age, row in BY_AGE.items()},
        TWO_WAY,
        Reason.IGNORES_GIVEN,
    ),
    "mass on the impossible": (
        {**BY_AGE, "18_24": {"working": 50, "student": 30, "retired": 10, "other": 10}},
        ONE_WAY,
        Reason.BREAKS_STRUCTURE,
    ),
    "id and label of one category": (
        {"everyone": {**ROW, "Working for pay": 60}},
        BASE,
        Reason.DUPLICATE_KEY,
    ),
    "one condition in two spellings": ({**BY_AGE, "18–24": ROW}, ONE_WAY, Reason.DUPLICATE_KEY),
    "one category twice in a list": (
        {"everyone": [{"category": "working", "percent": 50}, {"category": "working", "percent": 50}]},
        BASE,
        Reason.DUPLICATE_KEY,
    ),
}


@pytest.mark.parametrize(("answer", "asked", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_rejects_by_name(answer: object, asked: Request, reason: Reason) -> None:
    result = judge(answer, asked)
    assert isinstance(result, Rejection), result
    assert (result.reason, result.custom_id, result.model) == (reason, asked.custom_id, "panel/one")
    assert result.detail
    assert "\n" not in result.detail
    assert result.text == (completion(asked, answer).text or "")


def test_every_reason_is_tested() -> None:
    assert {reason for *_, reason in REJECTED.values()} == set(Reason)


def test_the_providers_own_marks_count() -> None:
    cut = judge({"everyone": ROW}, BASE, finish="length")
    filtered = judge({"everyone": ROW}, BASE, finish="content_filter")
    refused = judge(None, BASE, refusal="I can't help with that.")
    assert isinstance(cut, Rejection)
    assert isinstance(filtered, Rejection)
    assert isinstance(refused, Rejection)
    assert [r.reason for r in (cut, filtered, refused)] == [Reason.TRUNCATED, Reason.REFUSAL, Reason.REFUSAL]
    assert refused.text == "I can't help with that."


def test_uniform_is_no_hedging_where_it_is_plausible() -> None:
    accepted({"everyone": dict.fromkeys(MONTH.category_ids, 25)}, request("birth_month"))
    accepted({"everyone": {"female": 50, "male": 50}}, request("sex"))
    accepted({age: {"female": f, "male": 100 - f} for age, f in zip(BY_AGE, (50, 50, 55), strict=True)},
             request("sex", "age"))  # fmt: skip


def test_one_uniform_row_among_others_is_no_hedging() -> None:
    accepted({**BY_AGE, "25_64": dict.fromkeys(ROW, 25)}, ONE_WAY)


def test_a_spelling_that_two_categories_share_is_no_name() -> None:
    twins = dimension("twins", {"a": "Same", "b": "same", "c": "C"})
    asked = request("twins")
    result = validate_completion(completion(asked, {"Same": 50, "b": 30, "c": 20}), asked, twins, [])
    assert isinstance(result, Rejection)
    assert result.reason == Reason.UNKNOWN_CATEGORY
    assert isinstance(validate_completion(completion(asked, {"a": 50, "b": 30, "c": 20}), asked, twins, []), Estimate)


def test_a_category_called_like_a_remark_or_total_keeps_its_meaning() -> None:
    odd = dimension("odd", {"total": "Total", "notes": "Notes", "c": "C"})
    asked = request("odd")
    result = validate_completion(completion(asked, {"total": 50, "notes": 30, "c": 20}), asked, odd, [])
    assert isinstance(result, Estimate)
    np.testing.assert_allclose(result.p, [0.5, 0.3, 0.2])


def test_the_mask_holds_only_zeros_whose_condition_the_map_sees() -> None:
    zero = StructuralZero(given={"age": ("18_24",), "sex": ("male",)}, never=("retired", "other"), reason="-")
    work = WORK.model_copy(update={"zeros": (zero,)})
    assert allowed_mask(work, [AGE]).all()
    mask = allowed_mask(work, [SEX, AGE])
    assert mask.shape == (2, 3, 4)
    assert not mask[1, 0, 2:].any()
    assert mask.sum() == mask.size - 2


def test_the_last_accepted_attempt_is_the_estimate_and_all_rejections_are_kept() -> None:
    def attempt(number: int, answer: object, asked: Request = BASE) -> Completion:
        return dataclasses.replace(completion(asked, answer), attempt=number)

    later = {"everyone": {**ROW, "working": 62, "student": 18}}
    stranger = dataclasses.replace(completion(BASE, {"everyone": ROW}), custom_id="stranger")
    outcome = validate_all(
        [ONE_WAY, BASE],
        [
            attempt(1, {"everyone": ROW}),
            attempt(2, later),
            attempt(3, "no"),
            attempt(1, "no", ONE_WAY),
            stranger,
        ],
        DIMENSIONS.__getitem__,
    )
    assert [(e.custom_id, e.attempt) for e in outcome.estimates] == [(BASE.custom_id, 2)]
    assert [(r.custom_id, r.attempt) for r in outcome.rejections] == [
        (BASE.custom_id, 3),
        (ONE_WAY.custom_id, 1),
    ]
    assert outcome.unanswered == (ONE_WAY.custom_id,)


def test_the_table_has_a_row_per_cell_in_catalogue_order() -> None:
    estimate = judge(by_age_and_sex(), TWO_WAY)
    assert isinstance(estimate, Estimate)
    frame = estimates_frame([estimate], DIMENSIONS.__getitem__)
    assert frame.schema == pl.Schema(ESTIMATE_COLUMNS)
    assert frame.height == 24
    np.testing.assert_array_equal(frame["probability"].to_numpy(), estimate.p.ravel())
    cell = frame.filter(pl.col("condition") == pl.lit(["25_64", "female"]), pl.col("category") == "other")
    assert cell["probability"].to_list() == [pytest.approx(0.25)]
    assert estimates_frame([], DIMENSIONS.__getitem__).schema == pl.Schema(ESTIMATE_COLUMNS)


BY_ROW = {age: request("employment", "age", condition=(age,)) for age in BY_AGE}


def judge_rows(answers: dict[str, object]) -> Outcome:
    completions = [completion(BY_ROW[age], answer) for age, answer in answers.items()]
    return validate_all(BY_ROW.values(), completions, DIMENSIONS.__getitem__)


def test_rows_asked_one_by_one_make_the_map_that_the_whole_answer_makes() -> None:
    outcome = judge_rows({age: {"everyone": row} for age, row in reversed(BY_AGE.items())})
    (estimate,) = outcome.estimates
    np.testing.assert_array_equal(estimate.p, accepted(BY_AGE, ONE_WAY))
    assert (estimate.given, estimate.condition, outcome.unanswered, outcome.rejections) == (("age",), None, (), ())
    assert estimates_frame([estimate], DIMENSIONS.__getitem__).height == 12


def test_two_way_rows_find_their_place() -> None:
    asked = [request("employment", "age", "sex", condition=(age, sex)) for sex in ("male", "female") for age in BY_AGE]
    rows = [completion(r, by_age_and_sex()[r.condition[0]][r.condition[1]]) for r in asked if r.condition]
    (estimate,) = validate_all(asked, rows, DIMENSIONS.__getitem__).estimates
    np.testing.assert_array_equal(estimate.p, accepted(by_age_and_sex(), TWO_WAY))


@pytest.mark.parametrize("wrapper", ["everyone", "18_24", "18–24 years", "age"])
def test_a_row_may_stand_under_the_name_of_its_group(wrapper: str) -> None:
    result = judge({wrapper: {**BY_AGE["18_24"]}}, BY_ROW["18_24"])
    assert isinstance(result, Estimate)
    np.testing.assert_allclose(result.p, [0.5, 0.4, 0, 0.1])


def test_another_groups_name_is_no_wrapper() -> None:
    result = judge({"25_64": ROW}, BY_ROW["18_24"])
    assert isinstance(result, Rejection)
    assert result.reason == Reason.UNKNOWN_CATEGORY


def test_a_map_without_one_row_is_none_and_only_that_row_is_unanswered() -> None:
    answers: dict[str, object] = {age: {"everyone": row} for age, row in BY_AGE.items()}
    outcome = judge_rows({**answers, "25_64": "I would rather not."})
    assert outcome.estimates == ()
    assert outcome.unanswered == (BY_ROW["25_64"].custom_id,)
    assert [r.reason for r in outcome.rejections] == [Reason.NOT_JSON]
    only = validate_all([BY_ROW["18_24"]], [completion(BY_ROW["18_24"], ROW | {"retired": 0, "other": 20})],
                        DIMENSIONS.__getitem__)  # fmt: skip
    assert (only.estimates, only.unanswered) == ((), ())


def test_a_row_is_held_to_the_structure_of_its_own_condition() -> None:
    young = {"everyone": {"working": 50, "student": 30, "retired": 10, "other": 10}}
    result = judge(young, BY_ROW["18_24"])
    assert isinstance(result, Rejection)
    assert result.reason == Reason.BREAKS_STRUCTURE and "retired (18_24)" in result.detail
    assert isinstance(judge(young, BY_ROW["25_64"]), Estimate)
    left_out = {"everyone": {"working": 50, "student": 30, "other": 20}}
    assert isinstance(judge(left_out, BY_ROW["18_24"]), Estimate)
    assert isinstance(judge(left_out, BY_ROW["25_64"]), Rejection)


UNIFORM = {"working": 33.4, "student": 33.3, "other": 33.3}
WHOLE_MAPS: dict[str, tuple[dict[str, object], Reason]] = {
    "uniform in all rows": (
        {age: UNIFORM if age == "18_24" else dict.fromkeys(ROW, 25) for age in BY_AGE},
        Reason.HEDGED,
    ),
    "the same in all rows": ({age: {**ROW, "retired": 0, "other": 20} for age in BY_AGE}, Reason.IGNORES_GIVEN),
}


@pytest.mark.parametrize(("answers", "reason"), WHOLE_MAPS.values(), ids=WHOLE_MAPS.keys())
def test_what_shows_over_all_rows_refuses_every_row(answers: dict[str, object], reason: Reason) -> None:
    outcome = judge_rows(answers)
    rows = tuple(r.custom_id for r in BY_ROW.values())
    assert outcome.estimates == ()
    assert outcome.unanswered == rows  # so that each is asked again
    assert [(r.custom_id, r.reason) for r in outcome.rejections] == [(row, reason) for row in rows]
    assert all(r.detail.startswith("all rows: ") for r in outcome.rejections)
    assert [r.text for r in outcome.rejections] == [json.dumps(answers[c]) for c in BY_ROW]


def test_one_uniform_row_is_no_hedging_also_where_it_comes_alone() -> None:
    assert len(judge_rows({**BY_AGE, "25_64": dict.fromkeys(ROW, 25)}).estimates) == 1
    base = request(condition=())
    uniform = judge({"everyone": dict.fromkeys(ROW, 25)}, base)
    assert isinstance(uniform, Rejection) and uniform.reason == Reason.HEDGED
    (estimate,) = validate_all([base], [completion(base, {"everyone": ROW})], DIMENSIONS.__getitem__).estimates
    np.testing.assert_allclose(estimate.p, SHARES)


def test_by_row_the_table_has_exactly_the_cells_of_whole_maps() -> None:
    us = load_catalogue("us")
    member = Member(id="m", source="recorded", variant="anchored.one_row.probability_keyed")
    dimensions = [us.dimension(name) for name in ("age", "employment", "voting")]
    asked = [r for d in dimensions for g in d.asked for r in requests_for(us, "e", d, g, member)]
    rng = np.random.default_rng(0)
    answers = []
    for r in asked:
        mask = allowed_mask(us.dimension(r.dimension), [us.dimension(g) for g in r.given])
        answers.append(completion(r, written(us, r, np.where(mask, rng.gamma(3.0, size=mask.shape), 0.0))))
    outcome = validate_all(asked, answers, us.dimension)
    assert (outcome.rejections, outcome.unanswered) == ((), ())
    assert [(e.dimension, e.given) for e in outcome.estimates] == [(d.id, g) for d in dimensions for g in d.asked]
    frame, expected = estimates_frame(outcome.estimates, us.dimension), expected_cells(asked, us.dimension)
    cell = ["dimension", "given", "condition", "category", "model"]
    assert frame.select(cell).equals(expected.select(cell))
    assert frame.filter(~expected["allowed"])["probability"].to_list() == [0.0] * (~expected["allowed"]).sum()


def test_a_group_that_cannot_exist_is_not_waited_for() -> None:
    zero = StructuralZero(given={"age": ("18_24",)}, never=WORK.category_ids, reason="-")
    look_up = {**DIMENSIONS, "employment": WORK.model_copy(update={"zeros": (zero,)})}.__getitem__
    asked = [BY_ROW[age] for age in ("25_64", "65_plus")]
    rows = [completion(r, BY_AGE[r.condition[0]]) for r in asked if r.condition]
    (estimate,) = validate_all(asked, rows, look_up).estimates
    assert estimate.p.shape == (3, 4)
    np.testing.assert_allclose(estimate.p.sum(axis=-1), 1)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.sampled_from([0.01, 1.0, 10.0]))
@settings(max_examples=100)
def test_an_accepted_row_is_the_answer_up_to_its_sum(values: list[int], unit: float) -> None:
    result = judge({"everyone": {k: v * unit for k, v in zip(ROW, values, strict=True)}}, BASE)
    if isinstance(result, Estimate):
        np.testing.assert_allclose(result.p * sum(values), values, rtol=1e-9, atol=1e-9)
        assert any(abs(sum(values) * unit / scale - 1) <= 0.05 + 1e-6 for scale in (1, 100, 1000))
    else:
        assert result.reason in (Reason.BAD_SUM, Reason.HEDGED)
