"""The enrichment as a whole: which entries count, what is asked next, and how the record gives answers back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.names.candidates import KINDS
from pipeline.names.enrichment import Answer, Enrichment, NameOutcome, asked_next, outcome_of
from pipeline.names.requests import NameRequest
from pipeline.names.validation import NameEstimate
from pipeline.prompts.reask import REASKS, base_id
from tests.support.names import answer, completion, entry, write
from warehouse.errors import CorpusError

WRONG = {"heritage": {"english": 10}}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Enrichment:
    return Enrichment(load_catalogue("us"), tmp_path_factory.mktemp("names"))


def judged(here: Enrichment, *answers: tuple[NameRequest, str]) -> NameOutcome[NameEstimate]:
    """The outcome of answers to requests, in this order; a later asking is filed under its first request."""
    base = {r.custom_id: r for r in here.requests["first"]}
    found = [Answer(r.custom_id, completion(base[base_id(r.custom_id)], t, i)) for i, (r, t) in enumerate(answers, 1)]
    return outcome_of(here.requests["first"], found, here.judge("first"))


def following(here: Enrichment, outcome: NameOutcome[NameEstimate]) -> list[NameRequest]:
    return asked_next(here.catalogue, here.requests["first"], outcome)


def test_without_answers_everything_is_asked(here: Enrichment) -> None:
    outcome = judged(here)
    assert outcome.estimates == () and following(here, outcome) == list(here.requests["first"])


def test_rejected_names_of_several_requests_are_asked_again_together(here: Enrichment) -> None:
    one, other, *rest = here.requests["first"]
    bad, worse = one.names[3], other.names[0]
    outcome = judged(here, (one, answer(one, **{bad: WRONG})), (other, answer(other, **{worse: None})))
    again, *unasked = reversed(following(here, outcome))
    assert again.names == (bad, worse) and len(unasked) == len(rest)
    assert base_id(again.custom_id) == one.custom_id and ".r2-" in again.custom_id
    text = again.messages[1]["content"]
    assert f"- {bad}: bad_sum: the listed shares sum to 10" in text and f"- {worse}: it had no entry" in text
    assert "each of the 2 first names below" in text


def test_at_most_a_hundred_names_are_asked_again_at_once(here: Enrichment) -> None:
    two = here.requests["first"][:2]
    outcome = judged(here, *((r, answer(r, **dict.fromkeys(r.names[:70], WRONG))) for r in two))
    again = [r for r in following(here, outcome) if ".r2-" in r.custom_id]
    assert [len(r.names) for r in again] == [100, 40]
    assert [base_id(r.custom_id) for r in again] == [r.custom_id for r in two]


def test_names_with_and_without_births_are_not_asked_again_together(here: Enrichment) -> None:
    ends = (here.requests["first"][0], here.requests["first"][-1])
    outcome = judged(here, *((r, answer(r, **{r.names[0]: WRONG})) for r in ends))
    again = {r.names: r.born for r in following(here, outcome) if ".r2-" in r.custom_id}
    assert again == {(r.names[0],): r.born for r in ends}


def test_a_later_entry_counts_whatever_request_it_came_with(here: Enrichment) -> None:
    one, other, *_ = here.requests["first"]
    bad, worse = one.names[3], other.names[0]
    first = ((one, answer(one, **{bad: WRONG})), (other, answer(other, **{worse: WRONG})))
    (again,) = [r for r in following(here, judged(here, *first)) if ".r2-" in r.custom_id]
    text = json.dumps({name: entry(r, name) for r, name in ((one, bad), (other, worse))})
    outcome = judged(here, *first, (again, text))
    assert [e.name for e in outcome.estimates] == [*one.names, *other.names]
    assert len(outcome.rejections) == 2
    assert not [r for r in following(here, outcome) if base_id(r.custom_id) != r.custom_id]


def test_of_two_accepted_entries_the_last_counts(here: Enrichment) -> None:
    one = here.requests["first"][0]
    name = one.names[0]
    again = answer(one, **{name: entry(one, name, heritage={"mixed_other": 90})})
    outcome = judged(here, (one, answer(one)), (one, again))
    assert outcome.estimates[0].heritage == {"mixed_other": 0.9} and outcome.estimates[0].attempt == 2


def test_asking_again_ends(here: Enrichment) -> None:
    one = here.requests["first"][0]
    bad = {one.names[0]: WRONG}
    given = [(one, answer(one, **bad))]
    for n in range(2, REASKS + 2):
        (again,) = [r for r in following(here, judged(here, *given)) if f".r{n}-" in r.custom_id]
        given.append((again, json.dumps(bad)))
    outcome = judged(here, *given)
    assert len(outcome.rejections) == REASKS + 1
    assert not [r for r in following(here, outcome) if base_id(r.custom_id) != r.custom_id]


def test_the_record_is_written_to_and_read(tmp_path: Path) -> None:
    here = Enrichment(load_catalogue("us"), tmp_path / "names")
    one = here.requests["last"][0]
    bad = one.names[5]
    file = write(tmp_path / "output.jsonl", {one.custom_id: answer(one, **{bad: WRONG})})
    assert len(here.imported([file]).completions) == 1
    assert here.imported([file]).repeated == 1
    outcome = here.outcome("last")
    assert len(outcome.estimates) == 99 and len(outcome.unanswered) == len(here.requests["last"]) - 1
    assert here.outcome("first").estimates == ()
    again = here.left("last")[-1]
    file = write(tmp_path / "more.jsonl", {again.custom_id: json.dumps({bad: entry(one, bad)})})
    here.imported([file])
    assert len(here.outcome("last").estimates) == 100
    assert here.answers("last")[1].asked_as == again.custom_id


def test_what_is_missing_is_exported_as_batch_input(tmp_path: Path) -> None:
    here = Enrichment(load_catalogue("us"), tmp_path / "names")
    answered = {r.custom_id: answer(r) for r in here.requests["first"]}
    here.imported([write(tmp_path / "output.jsonl", answered)])
    (path,) = here.exported(tmp_path / "batch", only_missing=True, model="some/model")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    of_faith = [r.custom_id for kind in KINDS for r in here.faith_requests[kind]]
    assert [line["custom_id"] for line in lines] == [r.custom_id for r in here.requests["last"]] + of_faith
    assert {line["body"]["model"] for line in lines} == {"some/model"}
    assert lines[0]["body"]["messages"] == list(here.requests["last"][0].messages)


def test_an_answer_to_no_request_is_refused(tmp_path: Path) -> None:
    here = Enrichment(load_catalogue("us"), tmp_path / "names")
    file = write(tmp_path / "output.jsonl", {"us.name.first.0001.recorded-names.plain-00000000": "{}"})
    with pytest.raises(CorpusError, match="no request has the custom_id"):
        here.imported([file])
