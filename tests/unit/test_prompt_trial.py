"""A prompt trial from the sample to the page: what is asked, what is stored, what is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from pathlib import Path

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.batch import Failure
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.panel import Member, load_choices, load_panel
from pipeline.elicitation.protocol import Call, Completion, to_completion
from pipeline.elicitation.sources import Order
from pipeline.pages.prompt_trial import PAGE, write_page
from pipeline.prompt_trial import (
    RECORDED,
    Sample,
    asked_now,
    exported,
    trial,
    trial_maps,
    trial_members,
    trial_variants,
    write_choices,
)
from pipeline.prompts.render import Request
from pipeline.prompts.trial import chosen_variants
from pipeline.prompts.variants import all_variants
from tests.support.trials import write_trial
from warehouse.errors import ElicitationError

US = load_catalogue("us")
SMALL = Sample.of(US, 4, ["analyst.*"])
LOCAL = Member(id="local/x", source="local", variant="by_trial")


def words(text: str) -> int:
    return len(text.split())


def test_the_sample_is_a_base_map_two_one_way_maps_and_a_two_way_map_by_turns() -> None:
    maps = trial_maps(US, 12)
    assert [len(given) for _, given in maps] == [0, 1, 1, 2] * 3
    assert len({d.id for d, _ in maps}) == 12
    assert {d.tier for d, given in maps if len(given) == 1} == {2, 3}
    for dimension, given in maps:
        assert given in dimension.asked and len(dimension.categories) >= 4
        assert prod(len(US.dimension(g).categories) for g in given) <= 12
    assert trial_maps(US, 4) == maps[:4]
    with pytest.raises(ElicitationError, match=r"at most \d+ maps"):
        trial_maps(US, 100)


def test_four_maps_with_all_variants_are_some_hundred_requests_of_their_own() -> None:
    requests = Sample.of(US, 4).requests(RECORDED)
    assert 300 <= len(requests) <= 400
    assert len({r.custom_id for r in requests}) == len(requests)
    assert {r.variant for r in requests} == {v.id for v in all_variants()}
    assert {r.model for r in requests} == {"recorded-trial"}


def test_variants_are_named_by_pattern() -> None:
    assert len(trial_variants(["*.one_row.*"])) == 15
    assert [v.id for v in trial_variants(["anchored.whole_map.percent_keyed"])] == ["anchored.whole_map.percent_keyed"]
    with pytest.raises(ElicitationError, match=r"no prompt variant matches 'poet\.\*'"):
        trial_variants(["poet.*"])


def test_members_of_a_trial_are_the_recorded_model_and_who_can_be_asked() -> None:
    everybody = trial_members()
    assert everybody[0] == RECORDED
    assert {m.id for m in everybody[1:]} == {m.id for m in load_panel() if m.source != "recorded"}
    with pytest.raises(ElicitationError, match="'recorded-pass-1' cannot be in a prompt trial: choose one of rec"):
        trial_members(["recorded-pass-1"])


def test_only_what_has_no_answer_is_exported(tmp_path: Path) -> None:
    requests = SMALL.requests(RECORDED)
    write_trial(tmp_path / "answers", US, requests[:10])
    (path,) = exported(SMALL, [RECORDED], tmp_path / "answers", tmp_path / "batch")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["custom_id"] for line in lines] == [r.custom_id for r in requests[10:]]
    assert lines[0]["body"]["messages"] == list(requests[10].messages)
    assert "response_format" not in lines[0]["body"]


class Answering:
    """An asker that answers all but the last request of each order, which fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, orders: Sequence[Order], budget: Budget) -> Iterator[Got]:
        for order in orders:
            self.asked += [r.custom_id for r in order.requests]
            for request in order.requests[:-1]:
                choices = [{"message": {"content": "no"}}]
                answer = to_completion(request.custom_id, {"model": "x", "choices": choices})
                assert order.follow_up(request, answer) is None
                yield Got(request, answer, Call("answered", "2026-11-28T00:00:00+00:00", 1.0, 1, 1, 0.0, "free"))
            failure = Failure(order.requests[-1].custom_id, "there", "timed out")
            call = Call("timeout", "2026-11-28T00:00:00+00:00", 1.0, None, None, 0.0, "free")
            yield Got(order.requests[-1], failure, call)


@dataclass(frozen=True)
class Got:
    request: Request
    result: Completion | Failure
    call: Call


def test_only_what_has_no_answer_is_asked_and_failures_are_none(tmp_path: Path) -> None:
    requests, asker = SMALL.requests(LOCAL), Answering()
    write_trial(tmp_path, US, requests[:3])
    assert asked_now(SMALL, [LOCAL], tmp_path, asker) == {LOCAL.id: len(requests) - 4}
    assert asker.asked == [r.custom_id for r in requests[3:]]
    assert trial(SMALL, [LOCAL], tmp_path, words).missing == {LOCAL.id: 1}
    again = Answering()
    asked_now(SMALL, [LOCAL], tmp_path, again)
    assert again.asked == [requests[-1].custom_id]


def test_members_that_charge_need_a_budget(tmp_path: Path) -> None:
    charging = LOCAL.model_copy(update={"price_in": 0.1})
    with pytest.raises(ElicitationError, match=r"asking local/x for \d+ answers .* give a budget"):
        asked_now(SMALL, [charging], tmp_path, Answering())
    assert asked_now(SMALL, [charging], tmp_path, Answering(), Decimal(1)).total() > 0


def test_the_outcome_is_told_from_stored_answers_alone(tmp_path: Path) -> None:
    mine, other = SMALL.requests(RECORDED), SMALL.requests(LOCAL)
    write_trial(tmp_path, US, [*mine[:-1], *other])
    outcome = trial(SMALL, [RECORDED, LOCAL], tmp_path, words)
    assert outcome.requests == {RECORDED.id: len(mine), LOCAL.id: len(other)}
    assert outcome.missing == {RECORDED.id: 1, LOCAL.id: 0} and outcome.passed_over == 0
    refused = [s for s in outcome.scores if s.variant.endswith("per_1000_rows")]
    assert refused and all(s.score.value == 0 and set(s.reasons) == {"refusal"} for s in refused)
    best = [s for s in outcome.scores if s not in refused]
    assert all(s.score.value > 0.9 for s in best)
    assert set(chosen_variants(outcome.scores)) == {RECORDED.id, LOCAL.id}
    assert all(".whole_map." in v for v in chosen_variants(outcome.scores).values())  # rows repeat the prompt
    alone = trial(SMALL, [LOCAL], tmp_path, words)
    assert set(alone.requests) == {LOCAL.id} and alone.passed_over == len(mine) - 1


def test_no_answers_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ElicitationError, match="holds no answers to this trial"):
        trial(SMALL, [RECORDED], tmp_path / "nowhere", words)


def test_the_page_gets_its_tables_and_the_same_ones_again(tmp_path: Path) -> None:
    page = tmp_path / "prompts.md"
    page.write_text("A\n<!-- maps -->\nold\n<!-- end -->\nB\n<!-- outcome -->\n<!-- end -->\nC\n")
    write_trial(tmp_path, US, SMALL.requests(RECORDED))
    outcome = trial(SMALL, [RECORDED], tmp_path, words)
    write_page(outcome, page)
    text = page.read_text()
    assert "old" not in text and "- P(sleep | sex, caregiving)" in text and text.endswith("C\n")
    (choice,) = chosen_variants(outcome.scores).values()
    assert f"| **{choice}** |" in text and f"Chosen: {choice}, the cheapest of" in text
    assert "refusal" in text and "estimated by the tokenizer" in text and "| framing: analyst |" in text
    write_page(outcome, page)
    assert page.read_text() == text
    page.write_text("nothing marked")
    with pytest.raises(ElicitationError, match="has no place for 'maps'"):
        write_page(outcome, page)


def test_a_member_without_a_usable_map_gets_no_table(tmp_path: Path) -> None:
    page = tmp_path / "prompts.md"
    page.write_text("<!-- maps -->\n<!-- end -->\n<!-- outcome -->\n<!-- end -->\n")
    lists = Sample.of(US, 4, ["analyst.whole_map.per_1000_rows"])
    write_trial(tmp_path, US, lists.requests(RECORDED))
    write_page(trial(lists, [RECORDED], tmp_path, words), page)
    assert "none is chosen" in page.read_text() and "refusal 4" in page.read_text()
    assert "| variant |" not in page.read_text()
    assert "incomplete" not in page.read_text()


def test_an_incomplete_trial_says_so(tmp_path: Path) -> None:
    page = tmp_path / "prompts.md"
    page.write_text("<!-- maps -->\n<!-- end -->\n<!-- outcome -->\n<!-- end -->\n")
    requests = SMALL.requests(RECORDED)
    write_trial(tmp_path, US, requests[:-1])
    write_page(trial(SMALL, [RECORDED], tmp_path, words), page)
    assert f"{len(requests) - 1} of {len(requests)} requests answered. The trial is incomplete" in page.read_text()


def test_choices_are_added_to_those_of_before(tmp_path: Path) -> None:
    path = tmp_path / "variants.toml"
    write_choices({"b": "analyst.whole_map.percent_keyed", 'a"b': "x"}, path)
    write_choices({"b": "frequency.whole_map.percent_keyed"}, path)
    assert load_choices(path) == {"b": "frequency.whole_map.percent_keyed", 'a"b': "x"}


def test_the_shipped_page_has_its_places() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "<!-- maps -->" in text and "<!-- outcome -->" in text
