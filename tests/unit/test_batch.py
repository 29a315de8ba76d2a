"""Batch files: what is written for an endpoint, what is read back, and what is never taken for an answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalogue.models import Category, Dimension
from pipeline.elicitation.batch import (
    Failure,
    export_requests,
    json_schema_format,
    output_line,
    read_lines,
    request_body,
    response_format_of,
)
from pipeline.elicitation.panel import Member
from pipeline.elicitation.protocol import Call, Completion
from pipeline.prompts.render import Request
from warehouse.errors import CorpusError

MEMBER = Member(id="maker/model", source="live", variant="v", model="model-1", price_in=1, price_out=2)
CALL = Call("answered", "2026-11-01T00:00:00+00:00", 1.5, 100, 50, 0.25, "reported")


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
    dimension_of = {"sex": sex}.__getitem__

    def body_of(request: Request) -> Mapping[str, Any]:
        return request_body(request, json_schema_format(dimension_of), MEMBER.model)

    (path,) = export_requests([request("a")], tmp_path, body_of=body_of)
    call = json.loads(path.read_text())["body"]
    sent = call["response_format"]
    assert path.name == "maker_model-001.jsonl" and call["model"] == "model-1"
    assert (sent["type"], sent["json_schema"]["strict"]) == ("json_schema", True)
    assert sent["json_schema"]["schema"]["properties"]["everyone"]["required"] == ["female", "male"]
    plain = MEMBER.model_copy(update={"structured_output": "json_object"})
    found = response_format_of(plain, dimension_of)
    assert found is not None and found(request("a")) == {"type": "json_object"}
    assert response_format_of(MEMBER, dimension_of) is None


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


def test_a_completion_survives_being_written_and_read(tmp_path: Path) -> None:
    completion = Completion("a", "model-0301", 'é\n"', "stop", body('é\n"', reasoning="\ud83d"))
    path = tmp_path / "a.jsonl"
    path.write_bytes(output_line(completion, CALL))
    (read,) = read_lines(path)
    assert read.content == completion and read.call_by(MEMBER) == CALL and read.answered


def test_a_failure_is_written_as_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    call = replace(CALL, outcome="cut_off", tokens_in=None, tokens_out=None, basis="estimated")
    path.write_bytes(output_line(Failure("a", "here", "half a body"), call))
    (read,) = read_lines(path)
    assert isinstance(read.content, Failure) and read.content.reason == "half a body"
    assert read.call_by(MEMBER) == call and not read.answered


def test_a_text_that_looks_like_the_books_is_none(tmp_path: Path) -> None:
    text = ',"call":{"outcome":"cut_off","started":null,"usd":99}}'
    completion = Completion("a", "m", text, "stop", body(text))
    path = tmp_path / "a.jsonl"
    path.write_bytes(output_line(completion, CALL) + line("b", body(text)).encode())
    mine, foreign = read_lines(path)
    assert mine.call_by(MEMBER) == CALL and mine.answered
    assert foreign.call_by(MEMBER) is None and foreign.answered


def test_usage_of_a_batch_is_booked_at_the_panel_s_prices(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 500}
    lines = [
        line("a", body(usage=usage, created=1_700_000_000)),
        line("b", body(choices=[], usage=usage), status=200),
        line("c", body()),
        line("d", body(usage={"prompt_tokens": "many"})),
    ]
    answered, failed, silent, odd = read_lines(write(tmp_path / "a.jsonl", *lines))
    assert answered.call_by(MEMBER) == Call("answered", "2023-11-14T22:13:20+00:00", None, 1000, 500, 0.002, "tokens")
    call = failed.call_by(MEMBER)
    assert call and (call.outcome, call.usd) == ("failed", 0.002)
    assert silent.call_by(MEMBER) is None and odd.call_by(MEMBER) is None
    free = MEMBER.model_copy(update={"price_in": None, "price_out": None})
    call = answered.call_by(free)
    assert call and (call.usd, call.basis) == (0.0, "free")


@pytest.mark.parametrize("usd", ["-1", "Infinity", "NaN", '"much"'])
def test_books_without_a_sensible_amount_are_named(tmp_path: Path, usd: str) -> None:
    written = output_line(Completion("a", "m", "x", "stop", body("x")), CALL).decode()
    (read,) = read_lines(write(tmp_path / "a.jsonl", written.replace('"usd":0.25', f'"usd":{usd}').strip()))
    with pytest.raises(CorpusError, match=r"a\.jsonl line 1: call\.usd"):
        read.call_by(MEMBER)


@pytest.mark.parametrize("end", ["", "}"])
def test_the_unfinished_line_of_a_growing_file_is_not_there_yet(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line("a", body()) + "\n" + line("b", body())[:70].rstrip("}") + end)
    assert [read.custom_id for read in read_lines(path, growing=True)] == ["a"]
    with pytest.raises(CorpusError, match="line 2"):
        list(read_lines(path))
