"""The recorded edition: read whole, in order, verbatim, or refused with a line that says what is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pipeline.elicitation.protocol import Source
from pipeline.elicitation.recorded import RecordedSource
from pipeline.prompts.render import Request
from warehouse.errors import CorpusError


def request(custom_id: str) -> Request:
    return Request(custom_id, "us", "2026.11", "sex", (), "v", "m", (), {}, "percent_keyed")


def line(custom_id: str, text: str, status: int = 200) -> bytes:
    body = {"model": "m-1", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    answer = {"custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": None}
    return json.dumps(answer).encode() + b"\n"


@pytest.fixture
def edition(tmp_path: Path) -> Path:
    (tmp_path / "pass-2.jsonl").write_bytes(line("a", "a again") + line("c", "c") + line("a", "a once more"))
    (tmp_path / "pass-1.jsonl.gz").write_bytes(gzip.compress(line("a", "a") + line("b", "b\n")))
    (tmp_path / "README.md").write_text("not an answer")
    return tmp_path


def test_yields_every_attempt_in_the_order_of_files_and_lines(edition: Path) -> None:
    source: Source = RecordedSource(edition)
    found = [(c.custom_id, c.text, c.attempt) for c in source.complete([request(i) for i in "cab"])]
    assert found == [("a", "a", 1), ("b", "b\n", 1), ("a", "a again", 2), ("c", "c", 1), ("a", "a once more", 3)]


def test_a_part_of_an_edition_can_be_asked_for(edition: Path) -> None:
    source = RecordedSource(edition, known=["a", "b", "c"])
    assert [c.text for c in source.complete([request("b")])] == ["b\n"]
    assert [c.text for c in source.complete([request("c")])] == ["c"]
    assert list(source.complete([])) == []


def test_an_unknown_answer_is_named_with_file_and_line(edition: Path) -> None:
    with pytest.raises(CorpusError, match=r"pass-2\.jsonl line 2: no request has the custom_id c"):
        next(RecordedSource(edition).complete([request("a"), request("b")]))


def test_missing_answers_are_counted_and_the_first_named(edition: Path) -> None:
    with pytest.raises(CorpusError, match=r"lacks answers to 4 of 7 requests \(d, e, f, \.\.\.\)"):
        next(RecordedSource(edition).complete([request(i) for i in "abcdefg"]))


def test_a_failed_line_is_no_answer(edition: Path) -> None:
    (edition / "pass-3.jsonl").write_bytes(line("d", "half", status=500))
    with pytest.raises(CorpusError, match=r"lacks answers to 1 of 4 requests \(d\)"):
        next(RecordedSource(edition).complete([request(i) for i in "abcd"]))


def test_damage_is_named_before_anything_is_yielded(edition: Path) -> None:
    (edition / "pass-3.jsonl").write_bytes(line("a", "a") + line("b", "b")[:-9])
    with pytest.raises(CorpusError, match=r"pass-3\.jsonl line 2 is not JSON"):
        next(RecordedSource(edition, known="abc").complete([request("a")]))


def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is no folder"):
        next(RecordedSource(tmp_path / "2031.01").complete([request("a")]))
    with pytest.raises(CorpusError, match=r"holds no \.jsonl"):
        next(RecordedSource(tmp_path).complete([request("a")]))
