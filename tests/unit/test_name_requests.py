"""Requests about names: who is asked what, in which words, under which id."""

from __future__ import annotations

import re

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Catalogue
from pipeline.names.requests import BORN, RECORDED, NameRequest, messages_about, name_requests
from pipeline.prompts.reask import base_id


@pytest.fixture(scope="module")
def us() -> Catalogue:
    return load_catalogue("us")


@pytest.fixture(scope="module")
def first(us: Catalogue) -> tuple[NameRequest, ...]:
    return tuple(name_requests(us, "first"))


def test_ids_tell_what_is_asked_and_are_no_later_asking(first: tuple[NameRequest, ...]) -> None:
    assert len({r.custom_id for r in first}) == len(first) == 131
    assert re.fullmatch(r"us\.name\.first\.0007\.recorded-names\.plain-[0-9a-f]{8}", first[6].custom_id)
    assert all(base_id(r.custom_id) == r.custom_id for r in first)


def test_what_could_change_the_answer_changes_the_id(us: Catalogue, first: tuple[NameRequest, ...]) -> None:
    warmer = RECORDED.model_copy(update={"settings": {"temperature": 1}})
    other = next(name_requests(us, "first", warmer))
    assert other.messages == first[0].messages and other.custom_id != first[0].custom_id
    assert next(name_requests(us, "first")).custom_id == first[0].custom_id


def test_a_prompt_lists_its_names_and_every_heritage(us: Catalogue, first: tuple[NameRequest, ...]) -> None:
    system, user = (m["content"] for m in first[0].messages)
    assert "personal names" in system
    assert user.splitlines()[-100:] == list(first[0].names)
    for category in us.dimension("heritage").categories:
        assert f"\n- {category.id}: {category.label}\n" in user
    assert us.dimension("heritage").definition in user and us.population.label in user


def test_only_names_without_births_are_asked_for_a_cohort_curve(first: tuple[NameRequest, ...]) -> None:
    assert [r.born for r in first] == [False] * 106 + [True] * 20 + [False] * 2 + [True] * 3
    for request in (first[0], first[-1]):
        text = request.messages[1]["content"]
        assert ("when they were born" in text) == request.born
        assert all((band in text) == request.born for band in BORN)


def test_surnames_are_not_asked_for_sex(us: Catalogue) -> None:
    text = next(name_requests(us, "last")).messages[1]["content"]
    assert '"female"' not in text and "100 surnames below, estimate which ancestry they have." in text
    assert '{"…": {"heritage": {"…": …, "…": …}},\n "…": {"heritage": {"…": …, "…": …}, "spelling": "…"}, …}' in text


def test_asking_again_quotes_the_reason(us: Catalogue) -> None:
    why = [("Siobhan", "bad_sum: the listed shares sum to 70")]
    text = messages_about(us, "first", ["Siobhan"], born=False, again=why)[1]["content"]
    assert "- Siobhan: bad_sum: the listed shares sum to 70" in text
    assert text.startswith(messages_about(us, "first", ["Siobhan"], born=False)[1]["content"])
