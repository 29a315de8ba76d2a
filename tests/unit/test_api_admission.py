"""Who is let in: keys, rates, room and time, each refusal a problem that says what to do."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.testclient import TestClient

from serving.api.admission import Gate
from serving.api.app import create_app
from serving.api.keys import create_key, revoke_key
from serving.api.settings import Limits, Settings
from serving.interruption import checkpoint
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.errors import KeyFileError


@contextmanager
def client(snapshot: Snapshot, **settings: Any) -> Iterator[TestClient]:
    with TestClient(create_app({"us": snapshot}, Settings(**settings)), raise_server_exceptions=False) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_keys_are_asked_for_everywhere_but_for_health(snapshot: Snapshot, tmp_path: Path) -> None:
    key = create_key(tmp_path / "keys.json", "one")
    with client(snapshot, keys=tmp_path / "keys.json") as api:
        paths = [
            path.replace("{dimension}", "sex")
            for path in api.get("/v1/openapi.json", headers=bearer(key)).json()["paths"]
        ]
        assert len(paths) > 6
        for path in paths:
            verb = "POST" if path == "/v1/explain" else "GET"
            refused = api.request(verb, path)
            assert refused.status_code == (200 if path == "/healthz" else 401), path
            assert api.request(verb, path, headers=bearer(key)).status_code in (200, 422), path
            if path != "/healthz":
                assert refused.headers["www-authenticate"] == 'Bearer realm="personagen"'
                assert refused.json()["title"] == "Unauthorized" and "Bearer KEY" in refused.json()["detail"]


def test_wrong_keys_and_schemes_are_refused(snapshot: Snapshot, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = create_key(path, "one")
    with client(snapshot, keys=path) as api:
        for sent in (f"Bearer {key}x", f"Basic {key}", key, "Bearer", "Bearer  "):
            assert api.get("/v1/personas", headers={"Authorization": sent}).status_code == 401, sent
        wrong = api.get("/v1/personas", headers=bearer("pg_0"))
        assert wrong.headers["www-authenticate"] == 'Bearer realm="personagen", error="invalid_token"'
        assert api.get("/v1/personas", headers={"Authorization": f"bearer  {key}"}).status_code == 200
        other = create_key(path, "two")  # while it runs
        assert api.get("/v1/personas", headers=bearer(other)).status_code == 200
        revoke_key(path, "one")
        assert api.get("/v1/personas", headers=bearer(key)).status_code == 401
        schemes = api.get("/v1/openapi.json", headers=bearer(other)).json()["components"]["securitySchemes"]
        assert schemes == {"key": {"type": "http", "scheme": "bearer"}}


def test_a_key_file_that_is_missing_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="there is no key file"):
        Gate(Settings(keys=tmp_path / "keys.json"))


def test_requests_and_personas_are_limited_by_key(snapshot: Snapshot, tmp_path: Path) -> None:
    one, two = (create_key(tmp_path / "keys.json", name) for name in ("one", "two"))
    settings: dict[str, Any] = {"requests_per_minute": 4, "personas_per_minute": 100}
    with client(snapshot, keys=tmp_path / "keys.json", **settings) as api:
        first = api.get("/v1/personas?n=60", headers=bearer(one))
        assert re.match(r'"requests";r=3;t=\d+, "personas";r=4\d;t=\d+$', first.headers["ratelimit"])
        assert first.headers["ratelimit-policy"] == '"requests";q=4;w=60, "personas";q=100;w=60'
        known = {**bearer(one), "If-None-Match": first.headers["etag"]}
        assert api.get("/v1/personas?n=60", headers=known).status_code == 304  # which draws nobody
        many = api.get("/v1/personas?n=60", headers=bearer(one))
        assert many.status_code == 429 and "too many personas" in many.json()["detail"]
        assert 1 <= int(many.headers["retry-after"]) <= 12
        assert api.get("/v1/snapshots", headers=bearer(one)).status_code == 200
        often = api.get("/v1/snapshots", headers=bearer(one))
        assert often.status_code == 429 and "too many requests" in often.json()["detail"]
        assert 1 <= int(often.headers["retry-after"]) <= 15 and "r=0" in often.headers["ratelimit"]
        assert api.get("/v1/personas?n=60", headers=bearer(two)).status_code == 200


def test_only_what_is_drawn_counts(snapshot: Snapshot) -> None:
    with client(snapshot, personas_per_minute=1500) as api:
        for path in ("personas?n=1500&fields=job", "personas?n=1500&do.sex=man", "shares?n=1500&evidence.sex=man"):
            refused = api.get(f"/v1/{path}")
            assert refused.status_code == 422 and '"personas";r=1500;' in refused.headers["ratelimit"], path
        assert api.post("/v1/explain", json={"dimension": "sex", "do": {"sex": "man"}}).status_code == 422
        assert '"personas";r=500;' in api.head("/v1/personas?n=1500").headers["ratelimit"]  # which draws one part


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [("192.0.2.1", "192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2:0:0:9", "2001:db8:0:1::1")],
)
def test_without_keys_addresses_are_limited(snapshot: Snapshot, first: str, same: str, other: str) -> None:
    app = create_app({"us": snapshot}, Settings(requests_per_minute=1))
    told = [
        TestClient(app, client=(host, 5000), raise_server_exceptions=False).get("/v1/snapshots").status_code
        for host in (first, same, other)
    ]
    assert told == [200, 429, 200]


def test_without_limits_no_headers_tell_of_them(snapshot: Snapshot) -> None:
    with client(snapshot) as api:
        assert "ratelimit" not in api.get("/v1/personas").headers


def test_limits_of_a_request_can_be_set(snapshot: Snapshot) -> None:
    with client(snapshot, limits=Limits(personas=5, conditions=1, body=60)) as api:
        assert api.get("/v1/personas?n=5").status_code == 200
        assert "from 0 to 5" in api.get("/v1/personas?n=6").json()["detail"]
        two = api.get("/v1/personas?do.sex=male&evidence.age=25..34")
        assert two.status_code == 422 and two.json()["parameter"] == "evidence"
        assert api.get(f"/v1/personas?seed={'x' * 60}").status_code == 414
        assert api.post("/v1/personas", json={"seed": "x" * 60}).status_code == 413
        schema = api.get("/v1/openapi.json").json()["paths"]["/v1/personas"]["post"]["requestBody"]
        assert schema["content"]["application/json"]["schema"]["properties"]["n"]["maximum"] == 5


def endless(*_: Any, **__: Any) -> Any:
    """Draws until it is broken off."""
    while True:
        checkpoint()


def test_what_takes_too_long_ends_and_frees_its_thread(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(snapshot, timeout=0.1, threads=1) as api:
        with monkeypatch.context() as patched:
            patched.setattr(Sampler, "sample", endless)
            late = api.get("/v1/personas?n=2")
            assert late.status_code == 503 and "longer than 0.1 s" in late.json()["detail"]
            assert late.headers["retry-after"] == "1"
            assert api.post("/v1/explain", json={"dimension": "sex"}).status_code == 503
        assert api.get("/v1/personas?n=2").status_code == 200  # by the one thread that there is


@pytest.mark.parametrize("begun", [True, False])
def test_a_body_that_does_not_come_is_told_from_an_answer_that_takes_long(snapshot: Snapshot, begun: bool) -> None:
    app = create_app({"us": snapshot}, Settings(timeout=0.1))
    received = iter([{"type": "http.request", "body": b'{"n":', "more_body": True}] if begun else [])
    sent: list[Any] = []

    async def receive() -> Any:
        message = next(received, None)
        if message is None:
            await anyio.sleep_forever()
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/personas", "query_string": b"", "headers": []}
    anyio.run(app, scope, receive, send)
    assert sent[0]["status"] == 408 and (b"connection", b"close") in sent[0]["headers"]
    assert b"has not come within 0.1 s" in sent[1]["body"]


def test_a_search_ends_when_its_client_leaves(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app({"us": snapshot}, Settings(timeout=30))
    monkeypatch.setattr(Sampler, "sample", endless)
    received = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])
    sent = []

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/v1/personas", "query_string": b"evidence.sex=male"}
    anyio.run(app, {**scope, "headers": []}, receive, send)
    assert sent[0]["status"] == 400  # which nobody reads; 503 would be the time limit


def test_rare_evidence_keeps_nobody_waiting_who_asks_for_anybody(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, left = threading.Event(), threading.Event()
    sample = Sampler.sample

    def searching(*arguments: Any, **named: Any) -> Any:
        if arguments[4]:  # the evidence
            entered.set()
            assert left.wait(30)
        return sample(*arguments, **named)

    with client(snapshot, threads=1) as api:
        monkeypatch.setattr(Sampler, "sample", searching)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(api.get("/v1/personas?evidence.sex=male").status_code))
        asking.start()
        assert entered.wait(30)
        assert api.get("/v1/personas?do.sex=male").status_code == 200
        left.set()
        asking.join()
        assert answers == [200]


def test_who_finds_no_room_is_told_to_come_again(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, left = threading.Event(), threading.Event()
    sample = Sampler.sample

    def slow(*arguments: Any, **named: Any) -> Any:
        entered.set()
        assert left.wait(30)
        return sample(*arguments, **named)

    with client(snapshot, in_flight=1) as api:
        monkeypatch.setattr(Sampler, "sample", slow)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(api.get("/v1/personas?n=2").status_code))
        asking.start()
        assert entered.wait(30)
        full = api.get("/v1/snapshots")
        assert api.get("/healthz").status_code == 200
        left.set()
        asking.join()
        assert full.status_code == 503 and full.headers["retry-after"] == "1" and answers == [200]
        assert api.get("/v1/snapshots").status_code == 200
