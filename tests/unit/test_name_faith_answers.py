"""What is asked of the faiths of names, in which words, and what of the answers is used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.heritage_shares import RELIGION
from pipeline.names import faiths, ways
from pipeline.names.candidates import KINDS
from pipeline.names.enrichment import FOLDER, Enrichment
from pipeline.names.faith_answers import FaithEstimate, FaithJudge
from pipeline.names.faiths import FAITHS, MOST, PER_REQUEST, SPLIT, chosen, faith_asked, faith_messages, faith_requests
from pipeline.names.frames import estimates_frame, faith_shares, heritage_shares
from pipeline.names.requests import NameRequest
from pipeline.names.validation import NameReason, NameRejection
from pipeline.prompts.reask import base_id
from pipeline.resources import CORPUS
from tests.support.names import completion, write
from warehouse.errors import ElicitationError
from warehouse.names.casing import key_of

US = load_catalogue("us")
FIRST = next(faith_requests(US, "first"))
SOUND = {"hindu": 70, "sikh": 30}


def verdicts(**entries: object) -> dict[str, FaithEstimate | NameRejection]:
    """What becomes of these entries, in an answer about the names of FIRST that has `SOUND` of all others."""
    text = json.dumps(dict.fromkeys(FIRST.names, SOUND) | entries)
    return {one.name: one for one in FaithJudge().verdicts(FIRST, completion(FIRST, text), FIRST.names)}


# The requests


def test_the_kept_choice_is_what_the_record_of_heritage_gives() -> None:
    told = Enrichment(US, CORPUS / FOLDER)
    for kind in KINDS:
        shares = heritage_shares(estimates_frame("us", "", told.outcome(kind).estimates))
        assert chosen(kind, shares, ways.by_hand(kind, SPLIT)).equals(faith_asked(kind))


def test_names_by_hand_and_those_of_most_people_are_asked_about() -> None:
    shares = pl.DataFrame(
        [("last", "PATEL", "indian", 0.9), ("last", "SMITH", "english", 0.9), ("last", "KHAN", "indian", 0.1)],
        schema=["kind", "key", "heritage", "share"],
        orient="row",
    )
    assert sorted(chosen("last", shares, ["Virdee", "Patel", "Patel"])["name"]) == ["Khan", "Patel", "Virdee"]
    for kind in KINDS:
        keys = faith_asked(kind)["key"].to_list()
        assert len(set(keys)) == len(keys) == MOST[kind]
        assert {key_of(name) for name in ways.by_hand(kind, SPLIT)} <= set(keys)


def test_ids_tell_what_is_asked_and_are_no_later_asking() -> None:
    requests = [r for kind in KINDS for r in faith_requests(US, kind)]
    assert len({r.custom_id for r in requests}) == len(requests)
    assert re.fullmatch(r"us\.faith\.first\.0001\.recorded-names\.plain-[0-9a-f]{8}", FIRST.custom_id)
    assert all(base_id(r.custom_id) == r.custom_id and len(r.names) <= PER_REQUEST for r in requests)


def test_a_prompt_lists_its_names_the_faiths_and_the_heritages() -> None:
    user = FIRST.messages[1]["content"]
    assert tuple(user.splitlines()[-PER_REQUEST:]) == FIRST.names
    assert all(f"\n- {faith}: " in user for faith in FAITHS)
    labels = [one.label for one in US.dimension("heritage").categories if one.id in SPLIT]
    assert len(labels) == len(SPLIT) and all(f"\n- {label}\n" in user for label in labels)
    assert "brought up in" in user and "surnames" not in user.splitlines()[0]


def test_a_damaged_choice_is_an_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiths, "ASKED", tmp_path / "faith_asked.parquet")
    faith_asked.cache_clear()
    with pytest.raises(ElicitationError, match=r"faith_asked\.parquet.*restore it"):
        faith_asked("first")
    monkeypatch.undo()
    faith_asked.cache_clear()


# The verdict


def test_shares_are_scaled_to_one_and_faiths_that_are_left_out_have_none() -> None:
    one, other = FIRST.names[:2]
    found = verdicts(**{one: {"Muslim": 88, "christian": 4.4}, other: {"sikh": 91}})
    assert isinstance(mixed := found[one], FaithEstimate) and isinstance(whole := found[other], FaithEstimate)
    assert mixed.faiths == pytest.approx((0, 0, 88 / 92.4, 4.4 / 92.4, 0)) and whole.faiths == (0, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"hindu": 50, "sikh": 39}, NameReason.BAD_SUM),
        ({"hindu": 80, "sikh": 31}, NameReason.BAD_SUM),
        ({}, NameReason.BAD_SUM),
        ({"hindu": 90, "jain": 10}, NameReason.UNKNOWN_FAITH),
        ({"hindu": 50, "Hindu": 50}, NameReason.UNKNOWN_FAITH),
        ({"hindu": 110, "sikh": -10}, NameReason.BAD_SHARE),
        ({"hindu": "most"}, NameReason.BAD_SHARE),
        ([100], NameReason.BAD_ENTRY),
    ],
)
def test_an_entry_is_rejected_by_itself_and_with_a_reason(entry: object, reason: NameReason) -> None:
    name = FIRST.names[4]
    found = verdicts(**{name: entry})
    assert isinstance(rejected := found[name], NameRejection) and rejected.reason is reason and rejected.detail
    assert sum(isinstance(one, FaithEstimate) for one in found.values()) == len(FIRST.names) - 1


def test_a_rejected_name_is_asked_again_with_the_reason_and_its_later_entry_counts(tmp_path: Path) -> None:
    here = Enrichment(US, tmp_path)
    bad, missing = FIRST.names[7], FIRST.names[2]
    entries = dict.fromkeys(FIRST.names, SOUND) | {bad: {"hindu": 20}}
    del entries[missing]
    here.imported([write(tmp_path / "in" / "out.jsonl", {FIRST.custom_id: json.dumps(entries)})])
    assert len(here.faith_outcome("first").estimates) == PER_REQUEST - 2
    *others, again = here.faith_left("first")
    assert len(others) == len(here.faith_requests["first"]) - 1
    assert set(again.names) == {bad, missing} and base_id(again.custom_id) == FIRST.custom_id
    text = again.messages[1]["content"]
    assert f"- {bad}: bad_sum: the listed shares sum to 20" in text and f"- {missing}: it had no entry" in text
    file = write(tmp_path / "in" / "more.jsonl", {again.custom_id: json.dumps({bad: SOUND, missing: {"sikh": 100}})})
    here.imported([file])
    frame = faith_shares(here)
    assert len(frame) == PER_REQUEST and here.outcome("first").estimates == ()
    assert frame.filter(key=key_of(missing))["faiths"].to_list() == [[0, 1, 0, 0, 0]]


def test_every_name_of_the_record_has_its_faiths() -> None:
    frame = faith_shares(Enrichment(US, CORPUS / FOLDER))
    assert len(frame) == sum(MOST.values())
    assert frame["faiths"].list.sum().is_close(1.0).all()


def test_a_request_for_one_name_reads_well() -> None:
    request: NameRequest = FIRST
    messages = faith_messages(US, "last", request.names[:1], again=[(request.names[0], "it had no entry")])
    assert messages[1]["content"].endswith("none may be made up to please.")


# What categories stand for


def test_categories_and_heritages_are_those_of_the_catalogue() -> None:
    for population in ways.named():
        known, catalogue = ways.faith_map(population), load_catalogue(population)
        assert set(known.split) <= set(catalogue.dimension("heritage").category_ids)
        rest = set(catalogue.dimension(RELIGION).category_ids) - known.of.keys()
        assert rest == {"none"} and known.of.keys() <= set(catalogue.dimension(RELIGION).category_ids)
        assert {faith for of in known.of.values() for faith in of} == set(FAITHS)
