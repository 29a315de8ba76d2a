"""The record of an edition: one order of attempts, re-asks filed under their request, failures never answers."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.elicitation.batch import Failure, output_line
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Call, Completion
from pipeline.elicitation.record import Record, completions_of, edition_files
from warehouse.errors import CorpusError

CALL = Call("answered", None, 1.0, 10, 10, 0.1, "reported")
MEMBER = Member(id="m", source="live", variant="v", price_in=1_000_000, price_out=0)


def line(custom_id: str, text: str, status: int = 200) -> bytes:
    body = {"model": "m-1", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    answer = {"custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": None}
    return json.dumps(answer).encode() + b"\n"


def failed(custom_id: str) -> bytes:
    return output_line(Failure(custom_id, "", "cut off"), Call("cut_off", None, 1.0, None, None, 0.2, "estimated"))


@pytest.fixture
def edition(tmp_path: Path) -> Path:
    folder = tmp_path / "recorded"
    folder.mkdir()
    (folder / "pass-2.jsonl").write_bytes(line("a", "a again") + line("c", "c") + line("a.r2-0123abcd", "a once more"))
    (folder / "pass-1.jsonl.gz").write_bytes(gzip.compress(line("a", "a") + line("b", "b\n")))
    (folder / "README.md").write_text("not an answer")
    return folder


def texts(record: Record, wanted: str) -> list[tuple[str, str | None, int]]:
    return [(c.custom_id, c.text, c.attempt) for c in completions_of(record.attempts(wanted))]


def test_attempts_come_in_the_order_of_files_and_lines_with_re_asks_under_their_request(edition: Path) -> None:
    record = Record(edition, known="abc")
    expected = [("a", "a", 1), ("b", "b\n", 1), ("a", "a again", 2), ("c", "c", 1), ("a", "a once more", 3)]
    assert texts(record, "abc") == expected
    assert texts(record, "b") == [("b", "b\n", 1)]
    assert [a.asked_as for a in record.attempts("a")] == ["a", "a", "a.r2-0123abcd"]


def test_what_was_asked_live_comes_after_what_was_recorded(edition: Path, tmp_path: Path) -> None:
    live = tmp_path / "live"
    assert texts(Record(edition, live, "abc"), "c") == [("c", "c", 1)]
    live.mkdir()
    (live / "a-member.jsonl").write_bytes(line("c", "c live") + b'{"custom_id":"c","respo')
    assert texts(Record(edition, live, "abc"), "c") == [("c", "c", 1), ("c", "c live", 2)]
    assert texts(Record(live, live, "abc"), "c") == [("c", "c live", 1)]


def test_a_failure_is_an_attempt_and_no_answer(edition: Path) -> None:
    (edition / "pass-3.jsonl").write_bytes(failed("c") + line("c", "half", status=500) + line("c", "whole"))
    attempts = list(Record(edition, known="abc").attempts("c"))
    assert [a.number for a in attempts] == [1, 2, 3, 4]
    assert [(c.text, c.attempt) for c in completions_of(attempts)] == [("c", 1), ("whole", 2)]


def test_digests_tell_answers_from_failed_calls_and_see_every_change(edition: Path) -> None:
    record = Record(edition, known="abc")
    before, state = record.digests(), record.state()
    assert [len(before[i].answers) for i in "abc"] == [3, 1, 1]
    with (edition / "pass-2.jsonl").open("ab") as file:
        file.write(failed("b"))
    after = record.digests()
    assert record.state() != state
    assert after["b"].answers == before["b"].answers and len(after["b"].lines) == 2
    assert after["a"] == before["a"]


def test_a_failure_of_a_batch_endpoint_is_no_answer_in_the_digests(edition: Path) -> None:
    record = Record(edition, known="abc")
    before = record.digests()
    (edition / "pass-3.jsonl").write_bytes(line("c", "no", status=500))
    after = record.digests()
    assert after["c"].answers == before["c"].answers and len(after["c"].lines) == 2


def test_digests_are_read_once_per_change(edition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record(edition, known="abc")
    first = record.digests()
    monkeypatch.setattr("pipeline.elicitation.record.read_lines", lambda *a, **k: pytest.fail("read again"))
    assert record.digests() == first


@pytest.mark.parametrize("read", [lambda r: list(r.attempts("a")), lambda r: r.digests(), lambda r: r.spent({})])
def test_a_line_of_no_request_is_named_with_file_line_and_remedy(edition: Path, read: object) -> None:
    (edition / "pass-0.jsonl").write_bytes(line("x.r2-01234567", "?"))
    with pytest.raises(CorpusError, match=r"pass-0\.jsonl line 1: no request has the custom_id x.*corpus prune"):
        read(Record(edition, known="abc"))  # type: ignore[operator]


def test_damage_is_named_before_anything_is_yielded_from_its_file(edition: Path) -> None:
    (edition / "pass-3.jsonl").write_bytes(line("a", "a") + line("b", "b")[:-9])
    with pytest.raises(CorpusError, match=r"pass-3\.jsonl line 2 is not JSON"):
        list(Record(edition, known="abc").attempts("a"))


def test_what_was_spent_counts_failures_and_batches(edition: Path) -> None:
    usage = {"usage": {"prompt_tokens": 3, "completion_tokens": 0}}
    body = {"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], **usage}
    batch = {"custom_id": "b", "response": {"status_code": 200, "body": body}, "error": None}
    completion = Completion("a", "m", "x", "stop", body)
    (edition / "pass-3.jsonl").write_bytes(
        failed("a") + output_line(completion, CALL) + json.dumps(batch).encode() + b"\n"
    )
    record = Record(edition, known="abc")
    assert record.spent(dict.fromkeys("abc", MEMBER)) == Decimal("3.3")


def test_a_plain_file_beside_its_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(line("a", "a"))
    (tmp_path / "a.jsonl.gz").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"beside its own \.gz"):
        edition_files(tmp_path)


def test_a_missing_folder_has_no_files(tmp_path: Path) -> None:
    assert edition_files(tmp_path / "2031.01") == []
    assert list(Record(tmp_path / "2031.01", known="a").attempts("a")) == []


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "gone")
    with pytest.raises(CorpusError, match=r"a\.jsonl cannot be read"):
        Record(tmp_path).state()
