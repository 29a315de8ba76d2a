"""Scores of prompt variants: what a variant gains and loses by, and which one is chosen."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.combination.problem import Floats
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Completion
from pipeline.prompts.render import Request, requests_for
from pipeline.prompts.trial import (
    Answered,
    Consensus,
    VariantScore,
    chosen_variants,
    first_answers,
    part_scores,
    variant_scores,
)

US = load_catalogue("us")
TRUTH = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
MAPS = tuple((f"d{i}", ("sex",)) for i in range(8))
WHOLE, ROW = "analyst.whole_map.percent_keyed", "analyst.one_row.percent_keyed"
OTHER, LISTS = "frequency.whole_map.percent_keyed", "analyst.whole_map.per_1000_rows"


def answered(variant: str, p: Floats | None, i: int = 0, tokens: int = 60, member: str = "m") -> Answered:
    reasons = ("bad_sum",) if p is None else ()
    return Answered(member, variant, *MAPS[i], p, np.ones(TRUTH.shape, dtype=np.bool_), reasons, tokens, False)


def noisy(seed: int, sigma: float = 0.05) -> Floats:
    p = TRUTH * np.exp(sigma * np.random.default_rng(seed).standard_normal(TRUTH.shape))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def near(variant: str, tokens: int = 60, member: str = "m", seed: int = 0) -> list[Answered]:
    return [answered(variant, noisy(100 * seed + i), i, tokens, member) for i in range(len(MAPS))]


def by_variant(answers: list[Answered], member: str = "m") -> dict[str, VariantScore]:
    return {s.variant: s for s in variant_scores(answers) if s.member == member}


UNIFORM = np.full(TRUTH.shape, 1 / 3)
BASE_RATE = np.tile(TRUTH.mean(axis=0), (2, 1))
INVERTED = TRUTH[:, ::-1]


def test_a_good_variant_scores_near_one_and_the_bad_ones_as_they_deserve() -> None:
    bad = {LISTS: UNIFORM, ROW: BASE_RATE, "anchored.whole_map.percent_keyed": INVERTED}
    answers = near(WHOLE) + near(OTHER, seed=1) + near("forecaster.whole_map.percent_keyed", seed=2)
    answers += [answered(v, p, i) for v, p in bad.items() for i in range(len(MAPS))]
    answers += [a for m in range(3) for a in near(WHOLE, member=f"other{m}", seed=3 + m)]
    scores = by_variant(answers)
    assert scores[WHOLE].score.value > 0.95
    assert scores[LISTS].score.value == pytest.approx(0, abs=0.01)
    assert 0.05 < scores[ROW].score.value < 0.9
    assert scores["anchored.whole_map.percent_keyed"].score.value < -0.4
    hedged, ignoring = scores[LISTS], scores[ROW]
    assert hedged.hedging is not None and hedged.hedging > 0.1
    assert hedged.information == pytest.approx(0, abs=1e-9) and ignoring.information == pytest.approx(0, abs=1e-9)
    assert scores[WHOLE].information == pytest.approx(1, abs=0.2)
    assert scores[WHOLE].hedging == pytest.approx(0, abs=0.03)
    assert hedged.distance is not None and hedged.distance > 0.02


def test_an_invalid_map_is_worth_nothing_but_more_than_a_wrong_one() -> None:
    half: list[Answered] = [answered(OTHER, noisy(i) if i % 2 else None, i) for i in range(len(MAPS))]
    wrong = [answered(LISTS, INVERTED if i % 2 == 0 else noisy(i), i) for i in range(len(MAPS))]
    scores = by_variant(near(WHOLE) + half + wrong + near(WHOLE, member="other", seed=9))
    assert scores[OTHER].valid.value == 0.5 and scores[OTHER].reasons == {"bad_sum": 4}
    assert scores[OTHER].score.value == pytest.approx(0.5, abs=0.05)
    assert scores[LISTS].score.value < scores[OTHER].score.value
    assert scores[OTHER].score.low < 0.5 < scores[OTHER].score.high
    assert scores[WHOLE].rank.value == 1 and scores[LISTS].rank.value == 3


def test_the_cheapest_of_those_not_worse_than_the_best_is_chosen() -> None:
    rivals = near(WHOLE, 90, "other", 7) + near(OTHER, 90, "other", 8)
    cheap, dear = near(LISTS, tokens=30, seed=1), near(WHOLE, tokens=300, seed=2)
    cheapest = [answered(OTHER, UNIFORM, i, 5) for i in range(len(MAPS))]
    answers = [*cheap, *dear, *cheapest, *rivals]
    assert chosen_variants(variant_scores(answers))["m"] == LISTS
    scores = by_variant(answers)
    assert scores[WHOLE].contender and not scores[OTHER].contender
    assert scores[LISTS].tokens_per_cell == 30 / 6


def test_a_trifle_that_all_maps_agree_on_is_no_reason_to_pay() -> None:
    slightly_off = 0.97 * TRUTH + 0.03 * UNIFORM
    cheap = [answered(LISTS, slightly_off, i, 5) for i in range(len(MAPS))]
    exact = [answered(v, TRUTH, i, 300, member) for v, member in ((WHOLE, "m"), (OTHER, "n")) for i in range(len(MAPS))]
    scores = by_variant(cheap + exact)
    assert scores[WHOLE].score.low > scores[LISTS].score.high
    assert scores[LISTS].chosen


def test_a_variant_that_is_less_often_valid_is_not_chosen_for_its_price() -> None:
    once_invalid = [answered(LISTS, None if i == 0 else noisy(i), i, 5) for i in range(len(MAPS))]
    answers = once_invalid + near(WHOLE, 300, seed=2) + near(WHOLE, member="other", seed=3)
    assert not by_variant(answers)[LISTS].contender
    assert chosen_variants(variant_scores(answers))["m"] == WHOLE


def test_nothing_is_chosen_for_a_useless_member() -> None:
    useless = [answered(v, None, i) for v in (WHOLE, LISTS) for i in range(len(MAPS))]
    scores = variant_scores(useless + near(WHOLE, member="other") + near(OTHER, member="other", seed=1))
    assert set(chosen_variants(scores)) == {"other"}
    mine = [s for s in scores if s.member == "m"]
    assert [(s.score.value, s.distance, s.hedging, s.tokens_per_cell) for s in mine] == [(0.0, None, None, None)] * 2


def test_the_consensus_never_holds_the_variant_itself() -> None:
    alone = [answered(WHOLE, INVERTED), answered(OTHER, TRUTH), answered(LISTS, TRUTH)]
    held = Consensus(alone).of("m", WHOLE, MAPS[0])
    assert held is not None
    np.testing.assert_allclose(held, TRUTH, atol=1e-9)
    assert Consensus(alone[:1]).of("m", WHOLE, MAPS[0]) is None


def test_reliable_others_are_the_consensus_and_an_unreliable_one_hardly_counts() -> None:
    own = [answered(v, TRUTH, i) for v in (WHOLE, OTHER) for i in range(len(MAPS))]
    reliable = [answered(WHOLE, INVERTED, i, member="other") for i in range(len(MAPS))]
    held = Consensus(own + reliable).of("m", WHOLE, MAPS[0])
    assert held is not None
    np.testing.assert_allclose(held, INVERTED, atol=1e-9)
    rare = [answered(WHOLE, INVERTED if i == 0 else None, i, member="other") for i in range(len(MAPS))]
    held = Consensus(own + rare).of("m", WHOLE, MAPS[0])
    assert held is not None
    np.testing.assert_allclose(held, TRUTH, atol=0.07)


def test_parts_are_scored_over_the_variants_that_have_them() -> None:
    answers = near(WHOLE) + near(OTHER, seed=1) + [answered(LISTS, None, i) for i in range(len(MAPS))]
    scores = {s.part: s for s in part_scores(answers)}
    assert scores["per_1000_rows"].score.value == 0 and scores["per_1000_rows"].valid == 0
    assert scores["percent_keyed"].score.value > 0.9
    assert scores["analyst"].score.value == pytest.approx(scores["percent_keyed"].score.value / 2, abs=0.05)
    assert scores["whole_map"].score.low <= scores["whole_map"].score.value <= scores["whole_map"].score.high


def test_the_order_of_answers_changes_nothing() -> None:
    answers = near(WHOLE) + near(OTHER, seed=1) + near(LISTS, seed=2)
    forwards, backwards = by_variant(answers), by_variant(answers[::-1])
    for name, score in forwards.items():
        assert score.score.value == pytest.approx(backwards[name].score.value, abs=1e-12)


def requests(variant: str) -> tuple[Request, ...]:
    member = Member(id="m", source="recorded", variant=variant)
    return requests_for(US, "e", US.dimension("smoking"), ("sex",), member)


def completion(request: Request, answer: object, **received: Any) -> Completion:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    body = {"choices": [{"message": {"content": text}}], **received}
    return Completion(request.custom_id, "m", text, "stop", body)


FEMALE = {"daily": 8, "some_days": 2, "former": 20, "never": 70}
MALE = {"daily": 11, "some_days": 4, "former": 25, "never": 60}


def categories() -> list[str]:
    return list(US.dimension("smoking").category_ids)


def rows() -> list[dict[str, int]]:
    return [dict(zip(categories(), row.values(), strict=True)) for row in (FEMALE, MALE)]


def words(text: str) -> int:
    return len(text.split())


def test_only_the_first_answer_counts() -> None:
    (request,) = requests(WHOLE)
    good = completion(request, dict(zip(("female", "male"), rows(), strict=True)))
    bad = completion(request, "no idea")
    (first,) = first_answers([request], [bad, dataclasses.replace(good, attempt=2)], US.dimension, words)
    assert first.p is None and first.reasons == ("not_json",) and first.cells == 0
    (first,) = first_answers([request], [good, dataclasses.replace(bad, attempt=2)], US.dimension, words)
    assert first.p is not None and first.reasons == () and first.cells == 8


def test_rows_asked_one_by_one_are_one_map_with_all_their_tokens() -> None:
    asked = requests(ROW)
    usage = {"usage": {"prompt_tokens": 100, "completion_tokens": 20}}
    answers = [completion(r, {"everyone": row}, **usage) for r, row in zip(asked, rows(), strict=True)]
    (one,) = first_answers(asked, answers, US.dimension, words)
    assert one.p is not None and one.p.shape == (2, 4)
    assert (one.tokens, one.estimated) == (240, False)
    assert first_answers(asked, answers[:1], US.dimension, words) == ()
    (one,) = first_answers(asked, [answers[0], completion(asked[1], "")], US.dimension, words)
    assert one.p is None and one.reasons == ("empty",) and one.estimated


def test_tokens_that_nobody_reported_are_counted_in_prompt_and_answer() -> None:
    (request,) = requests(WHOLE)
    (one,) = first_answers([request], [completion(request, "a b c")], US.dimension, words)
    assert (one.tokens, one.estimated) == (sum(words(m["content"]) for m in request.messages) + 3, True)
