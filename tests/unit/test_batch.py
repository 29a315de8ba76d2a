"""Batch files: what is written for an endpoint, what is read back, and what is never taken for an answer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalogue.models import Category, Dimension
from pipeline.elicitation.batch import (
    Failure,
    drop_unfinished_line,
    edition_files,
    export_requests,
    import_output,
    json_schema_format,
    output_line,
    read_lines,
)
from pipeline.elicitation.protocol import Completion
from pipeline.prompts.render import Request
from warehouse.errors import CorpusError


def request(custom_id: str, model: str = "maker/model") -> Request:
    messages = ({"role": "system", "content": "Be exact."}, {"role": "user", "content": f"How many? é {custom_id}"})
    settings = {"temperature": 0, "max_tokens": 100}
    return Request(custom_id, "us", "2026.11", "sex", (), "v", model, messages, settings, "percent_keyed")


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


def test_exports_one_batch_call_per_line(tmp_path: Path) -> None:
    (path,) = export_requests([request("a"), request("b")], tmp_path)
    calls = [json.loads(one) for one in path.read_text(encoding="utf-8").splitlines()]
    assert [call["custom_id"] for call in calls] == ["a", "b"]
    assert {(call["method"], call["url"]) for call in calls} == {("POST", "/v1/chat/completions")}
    assert calls[0]["body"] == {
        "model": "maker/model",
        "messages": [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "How many? é a"}],
        "temperature": 0,
        "max_tokens": 100,
    }


def test_exports_a_file_per_model_within_the_limits(tmp_path: Path) -> None:
    requests = [request(str(i), model) for i in range(5) for model in ("a/b", "a_b", "../../etc")]
    files = export_requests(requests, tmp_path / "out", max_requests=2)
    assert sorted(path.name for path in files) == sorted(
        f"{stem}-{n:03d}.jsonl" for stem in ("a_b", "a_b_2", "etc") for n in (1, 2, 3)
    )
    assert {path.parent for path in files} == {tmp_path / "out"}
    for path in files:
        models = {json.loads(one)["body"]["model"] for one in path.read_text().splitlines()}
        assert len(models) == 1
    one_size = len(export_requests([request("0")], tmp_path / "one")[0].read_bytes())
    assert len(export_requests([request(str(i)) for i in range(4)], tmp_path / "b", max_bytes=2 * one_size)) == 2


def test_never_overwrites_an_export(tmp_path: Path) -> None:
    (path,) = export_requests([request("a")], tmp_path)
    with pytest.raises(CorpusError, match="exists already"):
        export_requests([request("b")], tmp_path)
    assert '"a"' in path.read_text()


def test_structured_output_carries_the_answer_schema(tmp_path: Path) -> None:
    sex = Dimension(
        id="sex",
        label="Sex",
        tier=1,
        definition="-",
        categories=(Category(id="female", label="Female"), Category(id="male", label="Male")),
        parents=(),
        pairs=(),
    )
    (path,) = export_requests([request("a")], tmp_path, response_format=json_schema_format({"sex": sex}.__getitem__))
    sent = json.loads(path.read_text())["body"]["response_format"]
    assert (sent["type"], sent["json_schema"]["strict"]) == ("json_schema", True)
    assert sent["json_schema"]["schema"]["properties"]["everyone"]["required"] == ["female", "male"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_reads_text_verbatim(tmp_path: Path, name: str) -> None:
    text = 'Sure:\u2028```json\n{"a": "é 12 %"}\r\n```\n\n'
    content = (line("a", body(text)) + "\r\n\n" + line("b", body(None))).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    first, second = (one.content for one in read_lines(path))
    assert isinstance(first, Completion)
    assert (first.custom_id, first.model, first.text, first.finish_reason) == ("a", "model-0301", text, "stop")
    assert first.received == body(text)
    assert isinstance(second, Completion)
    assert second.text is None


FAILURES: dict[str, str] = {
    "error": line("a", None, error={"code": "batch_expired", "message": "expired"}),
    "neither": line("a", None),
    "rate limit": line("a", {"error": {"message": "slow down\nplease"}}, status=429),
    "error in a body of 200": line("a", {"error": {"message": "overloaded", "code": 502}}),
    "not a chat completion": line("a", {"object": "list"}),
    "no choices": line("a", body(choices=[])),
    "content is no text": line("a", body(choices=[{"message": {"content": [1]}, "finish_reason": "stop"}])),
    "stopped with an error": line("a", body(choices=[{"message": {"content": "{"}, "finish_reason": "error"}])),
    "an HTML page": line("a", "<html>Bad gateway</html>"),
}


@pytest.mark.parametrize("failed", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_no_answer(tmp_path: Path, failed: str) -> None:
    (read,) = read_lines(write(tmp_path / "a.jsonl", failed))
    assert isinstance(read.content, Failure)
    assert read.content.where.endswith("a.jsonl line 1")
    assert read.content.reason
    assert "\n" not in read.content.reason


def test_text_that_no_file_could_hold_is_made_storable(tmp_path: Path) -> None:
    (read,) = read_lines(write(tmp_path / "a.jsonl", line("a", body("12 \ud83d %"))))
    assert isinstance(read.content, Completion)
    assert read.content.text is not None
    assert read.content.text.encode().startswith(b"12 ")


DAMAGED = {
    "cut": line("a", body())[:40],
    "no JSON": "hello",
    "no custom id": '{"response": null}',
    "custom id no text": '{"custom_id": 7, "response": null}',
    "a list": "[]",
    "not UTF-8": "\udcff",
    "nested without end": "[" * 100_000,
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_names_file_and_line_of_damage(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(f"{line('a', body())}\n{damaged}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(CorpusError, match=r"a\.jsonl line 2 ") as caught:
        list(read_lines(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:-9], lambda b: b[:30], lambda b: b"no gzip", lambda b: b[:-8] + b"01234567"]
)
def test_names_a_damaged_gzip_file(tmp_path: Path, spoil: Any) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(spoil(gzip.compress(b"".join(f"{line(str(i), body())}\n".encode() for i in range(50)))))
    with pytest.raises(CorpusError, match=r"a\.jsonl\.gz is damaged"):
        list(read_lines(path))


def test_imports_answers_byte_for_byte_and_reports_the_rest(tmp_path: Path) -> None:
    edition = tmp_path / "2026.11"
    write(edition / "pass-1.jsonl", line("a", body("first")))
    odd = line("a", body("second")).replace('": ', '":   ')
    output = write(tmp_path / "output.jsonl", odd, line("b", {"error": {"message": "no"}}, status=500))
    errors = write(tmp_path / "errors.jsonl", line("c", None, error={"message": "expired"}))
    requests = [request(i) for i in "abcd"]
    report = import_output([output, errors], requests, edition)
    assert [(c.custom_id, c.text, c.attempt) for c in report.completions] == [("a", "second", 2)]
    assert [(f.custom_id, f.reason) for f in report.failures] == [("b", "HTTP 500: no"), ("c", "expired")]
    assert report.missing == ("b", "c", "d")
    assert (edition / "zz-import-0001.jsonl").read_text() == f"{odd}\n"
    assert [path.name for path in edition_files(edition)] == ["pass-1.jsonl", "zz-import-0001.jsonl"]

    again = import_output([output], requests, edition)
    assert (again.completions, again.repeated) == ((), 1)
    more = write(tmp_path / "more.jsonl", line("b", body("at last")))
    assert import_output([more], requests, edition).missing == ("c", "d")
    assert len(edition_files(edition)) == 3


def test_an_import_with_an_unknown_id_stores_nothing(tmp_path: Path) -> None:
    output = write(tmp_path / "output.jsonl", line("a", body()), line("x\n../../x", body()))
    with pytest.raises(CorpusError, match=r"output\.jsonl line 2: no request has the custom_id") as caught:
        import_output([output], [request("a")], tmp_path / "edition")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "edition").exists()


def test_a_file_that_cannot_be_written_is_named_and_not_left_half(tmp_path: Path) -> None:
    (tmp_path / "edition").write_text("a file where the folder should be")
    output = write(tmp_path / "output.jsonl", line("a", body()))
    with pytest.raises(CorpusError, match="cannot be written"):
        import_output([output], [request("a")], tmp_path / "edition")


def test_a_plain_file_beside_its_gzip_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", line("a", body()))
    (tmp_path / "a.jsonl.gz").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"beside its own \.gz"):
        edition_files(tmp_path)


def test_a_completion_survives_being_written_and_read(tmp_path: Path) -> None:
    completion = Completion("a", "model-0301", 'é\n"', "stop", body('é\n"', reasoning="\ud83d"))
    (read,) = read_lines(write(tmp_path / "a.jsonl", output_line(completion)))
    assert read.content == completion


def test_cuts_off_only_an_unfinished_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    drop_unfinished_line(path)
    assert not path.exists()
    path.write_text("whole\nhal")
    drop_unfinished_line(path)
    assert path.read_text() == "whole\n"
    drop_unfinished_line(path)
    assert path.read_text() == "whole\n"
