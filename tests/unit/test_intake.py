"""Importing Batch files: partial, failed, mixed and in any order; byte for byte, once, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.elicitation.intake import ImportReport, import_output
from pipeline.elicitation.panel import Member
from pipeline.elicitation.record import Record, edition_files
from warehouse.errors import CorpusError

MEMBERS = {
    i: Member(id=m, source="live", variant="v", model="maker/model", price_in=0, price_out=2)
    for i, m in zip("abcd", "mmno", strict=True)
}
KEY = "sk-0123456789"


def body(text: str | None = "{}", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "model": "model-0301", "choices": [choice], **fields}


def line(custom_id: str, answer: object, status: int = 200, error: object = None) -> str:
    response = None if answer is None else {"status_code": status, "request_id": "r", "body": answer}
    return json.dumps({"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": error})


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    return path


def take(edition: Path, *paths: Path, keys: tuple[str, ...] = ()) -> ImportReport:
    return import_output(paths, Record(edition, known=MEMBERS), MEMBERS, keys)


def test_imports_answers_byte_for_byte_and_reports_the_rest(tmp_path: Path) -> None:
    edition = tmp_path / "2026.11"
    write(edition / "pass-1.jsonl", line("a", body("first")))
    odd = line("a.r2-01234567", body("second")).replace('": ', '":   ')
    output = write(tmp_path / "output.jsonl", odd, line("b", {"error": {"message": "no"}}, status=500))
    errors = write(tmp_path / "errors.jsonl", line("c", None, error={"message": "expired"}))
    report = take(edition, errors, output)
    assert [(c.custom_id, c.text, c.attempt) for c in report.completions] == [("a", "second", 2)]
    assert [(f.custom_id, f.reason) for f in report.failures] == [("c", "expired"), ("b", "HTTP 500: no")]
    assert report.missing == ("b", "c", "d") and report.booked == 0
    assert (edition / "zz-import-0001.jsonl").read_text() == f"{odd}\n"
    assert [path.name for path in edition_files(edition)] == ["pass-1.jsonl", "zz-import-0001.jsonl"]

    again = take(edition, output)
    assert (again.completions, again.repeated) == ((), 1)
    more = write(tmp_path / "more.jsonl", line("b", body("at last")))
    assert take(edition, more).missing == ("c", "d")
    assert len(edition_files(edition)) == 3


def test_failures_that_tell_what_they_took_are_booked_once(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1_000_000}
    output = write(tmp_path / "out.jsonl", line("a", body(choices=[], usage=usage)), line("d", body("x", usage=usage)))
    report = take(tmp_path / "e", output)
    assert (len(report.completions), len(report.failures), report.booked) == (1, 1, 1)
    assert take(tmp_path / "e", output).booked == 0
    assert float(Record(tmp_path / "e", known=MEMBERS).spent(MEMBERS)) == 4.0
    assert "a" in report.missing and "a" in take(tmp_path / "e", output).missing


def test_a_file_without_a_line_is_told(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", "", " ")
    report = take(tmp_path / "e", empty, write(tmp_path / "o.jsonl", line("a", body())))
    assert report.empty == (empty,) and len(report.completions) == 1


def test_what_the_live_folder_has_is_not_taken_twice(tmp_path: Path) -> None:
    live = tmp_path / "live"
    write(live / "m.jsonl", line("a", body()))
    output = write(tmp_path / "o.jsonl", line("a", body()))
    report = import_output([output], Record(tmp_path / "e", live, MEMBERS), MEMBERS)
    assert report.repeated == 1 and not (tmp_path / "e").exists()


def test_an_import_with_an_unknown_id_stores_nothing(tmp_path: Path) -> None:
    output = write(tmp_path / "output.jsonl", line("a", body()), line("x\n../../x", body()))
    with pytest.raises(CorpusError, match=r"output\.jsonl line 2: no request has the custom_id") as caught:
        take(tmp_path / "edition", output)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "edition").exists()


def test_an_answer_that_repeats_a_key_is_left_out_and_told_without_it(tmp_path: Path) -> None:
    escaped = line("a", body(f"it is {KEY}")).replace("sk-", "\\u0073k-")
    output = write(tmp_path / "o.jsonl", escaped, line("b", body("fine")))
    report = take(tmp_path / "e", output, keys=(KEY,))
    assert [f.reason for f in report.failures] == ["the line repeats an API key"]
    assert [c.custom_id for c in report.completions] == ["b"]
    assert "0123456789" not in (tmp_path / "e" / "zz-import-0001.jsonl").read_text()


def test_no_line_of_any_kind_may_repeat_a_key(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 0}
    refused = line("a", {"error": {"message": f"Incorrect API key {KEY}"}, "usage": usage}, status=401)
    beside = line("b", body()).replace('"custom_id"', f'"note": "{KEY}", "custom_id"')
    twice = line("c", body()).replace('"custom_id"', f'"note": "{KEY}", "note": "", "custom_id"')
    unknown = line(KEY, body())
    report = take(tmp_path / "e", write(tmp_path / "o.jsonl", refused, beside, twice, unknown), keys=(KEY,))
    assert [f.reason for f in report.failures] == ["the line repeats an API key"] * 4
    assert KEY not in repr(report) and not (tmp_path / "e").exists()


def test_an_answer_of_another_model_is_told_and_not_stored(tmp_path: Path) -> None:
    output = write(tmp_path / "o.jsonl", line("a", {**body(), "model": "other-9"}), line("b", body()))
    report = take(tmp_path / "e", output)
    assert [f.reason for f in report.failures] == ["the answer is of the model other-9, not of maker/model"]
    assert [c.custom_id for c in report.completions] == ["b"] and "a" in report.missing


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"basis": "cost", "usd": -5}, r"line 2: call\.basis"),
        ({"usd": -5}, r"line 2: call\.usd"),
        ({"tokens_in": -1}, r"line 2: call\.tokens_in"),
        ({"tokens_out": 10**30}, r"line 2: call\.tokens_out"),
        ({"outcome": "timeout"}, r"line 2: call\.outcome is 'timeout'"),
    ],
)
def test_an_answer_with_books_that_no_reader_takes_is_refused(tmp_path: Path, call: dict[str, Any], said: str) -> None:
    fine = {"outcome": "answered", "started": None, "seconds": 1.0, "tokens_in": 1, "tokens_out": 1, "usd": 0.1}
    written = json.dumps({**json.loads(line("b", body())), "call": {**fine, "basis": "reported", **call}})
    output = write(tmp_path / "o.jsonl", line("a", body()), written)
    with pytest.raises(CorpusError, match=said):
        take(tmp_path / "e", output)
    assert not (tmp_path / "e").exists()


def test_a_file_that_cannot_be_written_is_named_and_not_left_half(tmp_path: Path) -> None:
    (tmp_path / "edition").write_text("a file where the folder should be")
    with pytest.raises(CorpusError, match="cannot be written"):
        take(tmp_path / "edition", write(tmp_path / "output.jsonl", line("a", body())))
