"""Asking again: the reason is quoted, the id leads back, the limit holds, and a restart goes on where it was."""

from __future__ import annotations

import json

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Completion, to_completion
from pipeline.prompts.parsing import Reason
from pipeline.prompts.reask import REASKS, base_id, follow_up, next_requests, reask
from pipeline.prompts.render import Request, render_request
from pipeline.prompts.validation import Rejection
from pipeline.prompts.variants import PARTS

US = load_catalogue("us")
MEMBER = Member(id="m", source="live", variant="analyst.whole_map.percent_keyed")
SEX, HEIGHT = (render_request(US, "e", US.dimension(d), (), MEMBER) for d in ("sex", "handedness"))
GOOD = json.dumps({"everyone": {"female": 51, "male": 49}})
BAD = json.dumps({"everyone": {"female": 51, "male": 9}})
REJECTION = Rejection(SEX.custom_id, Reason.BAD_SUM, "60 instead of 100 ($5)", BAD)


def answer(request: Request, text: str, attempt: int = 1) -> Completion:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return to_completion(base_id(request.custom_id), {"model": "m", "choices": [choice]}, attempt)


def following(*texts: str) -> list[Request]:
    answers = [answer(SEX, text, number) for number, text in enumerate(texts, start=1)]
    return next_requests([SEX, HEIGHT], [*answers, answer(HEIGHT, "?", 1)], US.dimension)


def test_the_reason_is_quoted_after_the_original_prompt() -> None:
    again = reask(SEX, REJECTION, 2)
    assert again.messages[0] == SEX.messages[0]
    prompt = again.messages[1]["content"]
    assert prompt.startswith(SEX.messages[1]["content"] + "\n\n")
    assert "bad_sum" in prompt and "60 instead of 100 ($5)" in prompt and BAD not in prompt
    assert (again.dimension, again.settings, again.model) == (SEX.dimension, SEX.settings, SEX.model)


def test_ids_lead_back_and_differ_by_turn_and_text() -> None:
    second, third = reask(SEX, REJECTION, 2), reask(reask(SEX, REJECTION, 2), REJECTION, 3)
    assert second.custom_id.startswith(f"{SEX.custom_id}.r2-") and third.custom_id.startswith(f"{SEX.custom_id}.r3-")
    assert base_id(second.custom_id) == base_id(third.custom_id) == base_id(SEX.custom_id) == SEX.custom_id
    other = reask(SEX, Rejection(SEX.custom_id, Reason.EMPTY, "nothing", ""), 2)
    assert other.custom_id != second.custom_id == reask(SEX, REJECTION, 2).custom_id


@pytest.mark.parametrize("odd", ["us-1.r1-01234567", "us-1.r2-0123456", "us-1.r2-01234567x", "us-1.r2-01234567\n"])
def test_other_ids_are_left_alone(odd: str) -> None:
    assert base_id(odd) == odd


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_advice(reason: Reason) -> None:
    advice = (PARTS / "reask" / f"{reason}.txt").read_text(encoding="utf-8").strip()
    assert advice in reask(SEX, Rejection("x", reason, "detail", ""), 2).messages[1]["content"]


def test_no_advice_is_left_over() -> None:
    assert {p.stem for p in (PARTS / "reask").glob("*.txt")} == {"quoted", *Reason}


def test_what_is_asked_next_follows_from_the_answers_alone() -> None:
    assert [r.custom_id for r in next_requests([SEX, HEIGHT], [], US.dimension)] == [SEX.custom_id, HEIGHT.custom_id]
    second = following("no")[0].custom_id
    assert second.startswith(f"{SEX.custom_id}.r2-") and "refusal" not in second
    assert following("no", BAD)[0].custom_id == reask(SEX, REJECTION_OF_BAD, 3).custom_id
    assert [base_id(r.custom_id) for r in following("no", BAD, "no")] == [HEIGHT.custom_id]  # used up
    assert [base_id(r.custom_id) for r in following("no", GOOD)] == [HEIGHT.custom_id]
    assert [base_id(r.custom_id) for r in following(GOOD, BAD)] == [HEIGHT.custom_id]  # an accepted one stays


REJECTION_OF_BAD = Rejection(SEX.custom_id, Reason.BAD_SUM, "60 instead of 100", BAD)


def test_an_answer_as_it_arrives_calls_for_the_same_as_a_restart_would() -> None:
    judge = follow_up({SEX.custom_id: SEX}, US.dimension)
    asked, texts = SEX, []
    for _ in range(REASKS):
        texts.append(BAD)
        again = judge(asked, answer(asked, BAD))
        assert again is not None and again == following(*texts)[0]
        asked = again
    assert judge(asked, answer(asked, BAD)) is None
    assert judge(asked, answer(asked, GOOD)) is None and judge(SEX, answer(SEX, GOOD)) is None
