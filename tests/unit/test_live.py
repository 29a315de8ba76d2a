"""The live source against a real HTTP server on loopback, and against a transport double where that is simpler."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from pipeline.elicitation.live import LiveSource
from pipeline.elicitation.protocol import Completion, Source
from pipeline.prompts.render import Request
from warehouse.errors import ElicitationError

KEY = "sk-test-0123456789abcdef-very-secret"

Answer = tuple[int, dict[str, str], bytes]


def request(custom_id: str, **settings: Any) -> Request:
    messages = ({"role": "user", "content": custom_id},)
    return Request(custom_id, "us", "2026.11", "sex", (), "v", "maker/model", messages, settings, "percent_keyed")


def completion_body(text: str | None, finish: str = "stop", **fields: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m-1", "choices": [{"message": {"content": text}, "finish_reason": finish}], **fields}


def ok(text: str | None, finish: str = "stop") -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(completion_body(text, finish)).encode()


def error(status: int, message: str = "no", **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message}}).encode()
    return status, {"Content-Type": "application/json", **headers}, body


class Endpoint:
    """A scriptable OpenAI-compatible server; `script` gets the prompt and the number of the try, from 1."""

    def __init__(self, script: Callable[[str, int], Answer]) -> None:
        self.script = script
        self.tries: Counter[str] = Counter()
        self.calls: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.running = self.most_running = 0
        self.lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body["messages"][0]["content"]
                with endpoint.lock:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    endpoint.calls.append((self.path, headers, body))
                    endpoint.tries[prompt] += 1
                    number = endpoint.tries[prompt]
                    endpoint.running += 1
                    endpoint.most_running = max(endpoint.most_running, endpoint.running)
                try:
                    status, headers, content = endpoint.script(prompt, number)
                    if status == 0:
                        self.close_connection = True
                        return
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(content)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True
                finally:
                    with endpoint.lock:
                        endpoint.running -= 1

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that hangs up is what some tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def __enter__(self) -> Endpoint:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-endpoint")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-of-another-endpoint")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-endpoint")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-another-endpoint")


def gather(source: Source, requests: list[Request]) -> tuple[dict[str, Completion], str]:
    """What was yielded, and the message of the error that ended it, if one did."""
    found: dict[str, Completion] = {}
    try:
        for completion in source.complete(requests):
            assert completion.custom_id not in found
            found[completion.custom_id] = completion
    except ElicitationError as failure:
        assert "\n" not in str(failure)
        assert KEY not in str(failure)
        assert failure.__cause__ is None
        return found, str(failure)
    return found, ""


def test_asks_each_request_once_and_keeps_the_body() -> None:
    with Endpoint(lambda prompt, _: ok(f"answer to {prompt}")) as endpoint:
        source = LiveSource(endpoint.url, key_variable="TEST_KEY", concurrency=3)
        found, message = gather(source, [request(str(i), temperature=0, top_k=5) for i in range(10)])
    assert message == ""
    assert {i: c.text for i, c in found.items()} == {str(i): f"answer to {i}" for i in range(10)}
    assert found["3"].received == completion_body("answer to 3")
    assert set(endpoint.tries.values()) == {1}
    assert endpoint.most_running <= 3
    path, headers, body = endpoint.calls[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "another-endpoint" not in str(headers)
    assert body == {
        "model": "maker/model",
        "messages": [{"role": "user", "content": body["messages"][0]["content"]}],
        "temperature": 0,
        "top_k": 5,
    }


def test_sends_the_response_format_and_needs_no_key() -> None:
    with Endpoint(lambda *_: ok("{}")) as endpoint:
        source = LiveSource(endpoint.url, response_format=lambda r: {"type": "json_object", "for": r.custom_id})
        gather(source, [request("a")])
    _, headers, body = endpoint.calls[0]
    assert body["response_format"] == {"type": "json_object", "for": "a"}
    assert "another-endpoint" not in str(headers)


def test_empty_and_cut_answers_are_answers() -> None:
    answers = {"empty": ok(""), "none": ok(None), "cut": ok('{"a', finish="length")}
    with Endpoint(lambda prompt, _: answers[prompt]) as endpoint:
        found, message = gather(LiveSource(endpoint.url), [request(name) for name in answers])
    assert message == ""
    assert {i: (c.text, c.finish_reason) for i, c in found.items()} == {
        "empty": ("", "stop"),
        "none": (None, "stop"),
        "cut": ('{"a', "length"),
    }


FAILURES: dict[str, tuple[Answer, str]] = {
    "server error": (error(500, "kaput"), "HTTP 500: kaput"),
    "rate limit": (error(429, "slow down", **{"Retry-After": "0"}), "HTTP 429: slow down"),
    "bad request": (error(400, "no response_format"), "HTTP 400: no response_format"),
    "half a body": ((200, {"Content-Type": "application/json"}, b'{"id": "c", "model'), "is not JSON"),
    "an HTML page": ((200, {"Content-Type": "text/html"}, b"<html>\n<h1>Gateway</h1></html>"), "is not JSON: <html>"),
    "error with status 200": ((200, {}, b'{"error": {"message": "overloaded"}}'), "carries an error: overloaded"),
    "no choices": ((200, {}, json.dumps(completion_body("x") | {"choices": []}).encode()), "not a chat completion"),
    "no content type": ((200, {}, b"[]"), "not a chat completion"),
    "stopped with an error": (ok("{", finish="error"), "stopped with an error"),
    "connection cut": ((0, {}, b""), ""),
    "shorter than announced": ((200, {"Content-Length": "999", "Connection": "close"}, b"{}"), ""),
}


@pytest.mark.parametrize(("answer", "reason"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_never_an_answer_and_loses_no_other(answer: Answer, reason: str) -> None:
    with Endpoint(lambda prompt, _: answer if prompt == "bad" else ok("fine")) as endpoint:
        if answer[0] == 200 and "Connection" in answer[1]:
            source = LiveSource(endpoint.url, "TEST_KEY", retries=0, timeout=1)
        else:
            source = LiveSource(endpoint.url, "TEST_KEY", retries=0)
        found, message = gather(source, [request("a"), request("bad"), request("b")])
    assert set(found) == {"a", "b"}
    assert "1 of 3 requests failed" in message
    assert reason in message
    assert "run again" in message


def test_retries_what_may_pass() -> None:
    with Endpoint(lambda _, number: error(503) if number == 1 else ok("fine")) as endpoint:
        found, message = gather(LiveSource(endpoint.url, retries=1), [request("a")])
    assert (message, found["a"].text, endpoint.tries["a"]) == ("", "fine", 2)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_stops_at_once_where_no_request_can_pass(status: int) -> None:
    with Endpoint(lambda *_: error(status, f"Incorrect API key provided: {KEY}.")) as endpoint:
        source = LiveSource(endpoint.url, "TEST_KEY", concurrency=2)
        found, message = gather(source, [request(str(i)) for i in range(50)])
    assert found == {}
    assert f"refuses maker/model (HTTP {status}: Incorrect API key provided: [key].)" in message
    assert len(endpoint.calls) <= 4


def test_gives_up_after_failures_in_a_row() -> None:
    with Endpoint(lambda *_: error(500)) as endpoint:
        source = LiveSource(endpoint.url, retries=0, concurrency=2, give_up_after=4)
        found, message = gather(source, [request(str(i)) for i in range(50)])
    assert found == {}
    assert "of 50 requests failed, gave up" in message
    assert len(endpoint.calls) <= 8


def test_an_answer_that_does_not_come_is_a_failure() -> None:
    released = threading.Event()

    def script(prompt: str, _: int) -> Answer:
        if prompt == "slow":
            released.wait(10)
        return ok("fine")

    with Endpoint(script) as endpoint:
        source = LiveSource(endpoint.url, timeout=0.3, retries=0)
        found, message = gather(source, [request("slow"), request("a")])
        released.set()
    assert set(found) == {"a"}
    assert "no answer within 0.3 s" in message


def test_an_endpoint_that_is_not_there_is_named() -> None:
    with Endpoint(lambda *_: ok("")) as endpoint:
        gone = endpoint.url
    found, message = gather(LiveSource(gone, retries=0), [request("a")])
    assert found == {}
    assert message.startswith(gone)


def test_a_response_that_repeats_the_key_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    escaped = "".join(f"\\u{ord(c):04x}" for c in KEY)
    hidden = json.dumps(completion_body("KEY")).replace("KEY", escaped).encode()
    with Endpoint(lambda *_: (200, {}, hidden)) as endpoint:
        assert "repeats the API key" in gather(LiveSource(endpoint.url, "TEST_KEY"), [request("a")])[1]
    with Endpoint(lambda *_: ok(f"Your header was Bearer {KEY}")) as endpoint:
        source = LiveSource(endpoint.url, "TEST_KEY")
        found, message = gather(source, [request("a")])
    assert found == {}
    assert "repeats the API key" in message
    assert KEY not in caplog.text.replace(f"Your header was Bearer {KEY}", "")
    assert KEY not in repr(source)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_named_before_any_call(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("TEST_KEY")
    else:
        monkeypatch.setenv("TEST_KEY", value)
    with Endpoint(lambda *_: ok("")) as endpoint:
        _, message = gather(LiveSource(endpoint.url, "TEST_KEY"), [request("a")])
    assert "TEST_KEY is not set" in message
    assert endpoint.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "http://host:port/v1",
        "http://[::1",
        "localhost:8000",
        "ftp://host/v1",
        "https://",
        "https://me:secret@host/v1?key=secret",
    ],
)
def test_a_base_url_that_is_none_is_named_without_its_secrets(url: str) -> None:
    _, message = gather(LiveSource(url), [request("a")])
    assert message.startswith("base URL")
    assert "secret" not in message


def test_breaking_off_cancels_what_is_in_flight() -> None:
    def script(prompt: str, _: int) -> Answer:
        time.sleep(0.05)
        return ok(prompt)

    with Endpoint(script) as endpoint:
        answers = LiveSource(endpoint.url, concurrency=2).complete([request(str(i)) for i in range(100)])
        next(answers)
        answers.close()  # type: ignore[attr-defined]
    assert len(endpoint.calls) <= 6


def test_streams_within_a_running_loop_over_a_transport_of_choice() -> None:
    def respond(sent: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=completion_body(json.loads(sent.content)["messages"][0]["content"]))

    def client() -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(respond))

    async def run() -> list[str]:
        source = LiveSource("http://model.invalid/v1", http_client=client)
        return sorted([c.text or "" async for c in source.stream([request("a"), request("b")])])

    assert asyncio.run(run()) == ["a", "b"]
