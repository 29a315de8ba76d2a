"""The HTTP API: the library's people, cached and streamed, and every mistake told as problem details."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from serving.api.app import PART, create_app
from serving.api.requests import MOST_BODY
from serving.explaining import explain
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path: Path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path)
    return Snapshot.load(path)


@pytest.fixture(scope="module")
def client(snapshot: Snapshot) -> Iterator[TestClient]:
    with TestClient(create_app({"us": snapshot}), raise_server_exceptions=False) as client:
        yield client


def as_json(batch: Any) -> list[Any]:
    return [json.loads(line) for line in batch.to_jsonl()]


def test_get_and_post_give_the_people_of_the_library(client: TestClient, snapshot: Snapshot) -> None:
    expected = as_json(
        Sampler(snapshot).sample(5, 42, 3, {"age": "25..34", "sex": ["female", "male"]}, {"education": "doctorate"})
    )
    query = "n=5&seed=42&start=3&evidence.age=25..34&evidence.sex=female,male&do.education=doctorate"
    got = client.get(f"/v1/personas?{query}")
    body = {"n": 5, "seed": 42, "start": 3, "evidence": {"age": "25..34", "sex": ["female", "male"]}}
    posted = client.post("/v1/personas", json={**body, "do": {"education": "doctorate"}})
    assert got.status_code == posted.status_code == 200
    assert got.json() == posted.json() == {"personas": expected}
    assert got.headers["x-snapshot-id"] == snapshot.id


def test_many_are_streamed_in_parts_that_join(client: TestClient, snapshot: Snapshot) -> None:
    n = 2 * PART + 7
    expected = Sampler(snapshot).sample(n, "x")
    lines = client.get(f"/v1/personas?n={n}&seed=x&format=jsonl")
    assert lines.text == "".join(f"{line}\n" for line in expected.to_jsonl())
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert client.get(f"/v1/personas?n={n}&seed=x").json()["personas"] == as_json(expected)
    arrow = client.get(f"/v1/personas?n={n}&seed=x&format=arrow")
    assert pa.ipc.open_stream(arrow.content).read_all().to_pylist() == expected.to_arrow().to_pylist()
    assert client.get("/v1/personas?n=0").json() == {"personas": []}
    assert client.get("/v1/personas?n=0&format=jsonl").text == ""


def test_a_quota_holds_for_the_whole_answer(client: TestClient) -> None:
    n = PART + 500
    people = client.post("/v1/personas", json={"n": n, "quota": {"sex": {"female": 1400}}, "fields": ["sex"]}).json()
    assert sum(p["sex"] == "female" for p in people["personas"]) == 1400 and len(people["personas"]) == n


def test_who_has_the_answer_is_told_so(client: TestClient) -> None:
    first = client.get("/v1/personas?n=2&seed=1")
    tag = first.headers["etag"]
    again = client.get("/v1/personas?n=2&seed=1", headers={"If-None-Match": f'"other", {tag}'})
    assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == tag
    assert client.get("/v1/personas?n=2&seed=2", headers={"If-None-Match": tag}).status_code == 200
    assert client.post("/v1/personas", json={"n": 2, "seed": 1}).headers["etag"] == tag
    catalogue = client.get("/v1/catalogue")
    assert client.get("/v1/catalogue", headers={"If-None-Match": catalogue.headers["etag"]}).status_code == 304


def test_explanations_are_those_of_the_library(client: TestClient, snapshot: Snapshot) -> None:
    told = client.post("/v1/explain", json={"dimension": "party", "seed": 5, "index": 9}).json()
    why = explain(Sampler(snapshot).sample(1, 5, 9)[0], "party")
    assert told["category"] == why.category and told["probability"] == pytest.approx(why.probability)
    assert [c["given"] for c in told["contributions"]] == [dict(c.given) for c in why.contributions]
    assert told["index"] == 9 and told["base"]["models"] == 2


def test_what_there_is_can_be_asked(client: TestClient, snapshot: Snapshot) -> None:
    dimensions = client.get("/v1/catalogue").json()["dimensions"]
    assert [d["id"] for d in dimensions] == [d.id for d in snapshot.dimensions]
    cells = client.get("/v1/maps/sex").json()["cells"]
    assert [c["category"] for c in cells] == ["female", "male"]
    assert client.get("/v1/snapshots").json()["snapshots"][0]["snapshot_id"] == snapshot.id
    assert client.get("/healthz").json() == {"status": "ok"}
    paths = client.get("/v1/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/personas",
        "/v1/explain",
        "/v1/catalogue",
        "/v1/maps/{dimension}",
        "/v1/snapshots",
        "/v1/trials",
        "/v1/shares",
        "/healthz",
    }


@pytest.mark.parametrize(
    ("path", "status", "parameter", "said"),
    [
        ("/v1/personas?n=-1", 422, "n", "whole number from 0"),
        ("/v1/personas?n=100001", 422, "n", "from 0 to 100000"),
        ("/v1/personas?n=1&n=2", 422, "n", "given twice"),
        ("/v1/personas?start=1e3", 422, "start", "whole number"),
        ("/v1/personas?m=3", 422, "m", "unknown parameter 'm'"),
        ("/v1/personas?format=xml", 422, "format", "one of json, jsonl, arrow, prompt"),
        ("/v1/personas?accents=1", 422, "accents", "true or false"),
        ("/v1/personas?as_of=today", 422, "as_of", "a date such as"),
        ("/v1/personas?population=mars", 422, "population", "unknown population 'mars'"),
        ("/v1/personas?evidence.sex=man", 422, "", "has no category 'man'"),
        ("/v1/personas?evidence.job=x", 422, "", "unknown dimension 'job'"),
        ("/v1/personas?fields=x", 422, "", "unknown field 'x'"),
        ("/v1/personas?evidence.sex=male&do.sex=male", 422, "", "leave one of them out"),
        ("/v1/maps/job", 422, "", "unknown dimension"),
        ("/v1/nothing", 404, "", "Not Found"),
        ("/v1/explain", 405, "", "Method Not Allowed"),
    ],
)
def test_mistakes_are_problem_details(client: TestClient, path: str, status: int, parameter: str, said: str) -> None:
    answer = client.get(path)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in problem["detail"] and problem.get("parameter", "") == parameter and problem["title"]
    if parameter in ("format", "population", "m"):
        assert problem["allowed"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"[" * 100_000, "application/json", 413, "larger than"),
        (b"[1]", "application/json", 400, "no JSON object"),
        (b"n=1", "application/x-www-form-urlencoded", 415, "must be application/json"),
        (b'{"n": true}', "application/json", 422, "'n' must be"),
        (b'{"evidence": 3}', "application/json", 422, "'evidence' must be an object"),
        (b'{"evidence": {"sex": {"a": 1}}}', "application/json", 422, "must be a category"),
        (b'{"target_marginal": {"sex": {"male": "x"}}}', "application/json", 422, "must be from 0 to 1"),
        (b'{"seed": 99999999999999999999}', "application/json", 422, "64 bits"),
        (b'{"fields": "sex"}', "application/json", 422, "'fields' must be a list"),
        (b'{"likelihood": {"sex": {"male": NaN}}}', "application/json", 422, "must be a number from 0"),
    ],
)
def test_bodies_that_are_wrong(client: TestClient, body: bytes, kind: str, status: int, said: str) -> None:
    answer = client.post("/v1/personas", content=body, headers={"content-type": kind})
    assert answer.status_code == status and said in answer.json()["detail"]


def test_a_body_is_read_no_further_than_it_may_be_long(client: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 8192
            yield b" " * 8192

    answer = client.post("/v1/personas", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413 and sent >= MOST_BODY


def test_too_many_conditions_are_refused(client: TestClient) -> None:
    many = {f"d{i}": "x" for i in range(101)}
    answer = client.post("/v1/personas", json={"evidence": many})
    assert answer.status_code == 422 and "more than the 100 allowed" in answer.json()["detail"]
