"""The HTTP API: the library's people, cached and streamed, and every mistake told as problem details."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from serving.api.app import PART, create_app
from serving.api.settings import Limits, Settings
from serving.conditions import Support
from serving.explaining import explain
from serving.sampler import Sampler
from serving.snapshot import Snapshot


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
    for known in (f"W/{tag}", "*"):
        assert client.get("/v1/personas?n=2&seed=1", headers={"If-None-Match": known}).status_code == 304
    assert client.get("/v1/personas?n=2&seed=2", headers={"If-None-Match": tag}).status_code == 200
    posted = client.post("/v1/personas", json={"n": 2, "seed": 1}, headers={"If-None-Match": tag})
    assert posted.status_code == 200 and posted.headers["etag"] == tag  # a POST has no condition of that kind


@pytest.mark.parametrize("path", ["catalogue", "maps/sex", "trials", "shares", "snapshots", "openapi.json"])
def test_every_answer_to_a_get_has_a_tag(client: TestClient, path: str) -> None:
    for known in (client.get(f"/v1/{path}").headers["etag"], "*"):
        assert client.get(f"/v1/{path}", headers={"If-None-Match": known}).status_code == 304
    template = path.replace("/sex", "/{dimension}")
    assert "304" in client.get("/v1/openapi.json").json()["paths"][f"/v1/{template}"]["get"]["responses"]


@pytest.mark.parametrize("query", ["fields=job", "n=2&evidence.sex=man", "do.sex=man"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_asterisk_makes_no_answer_of_a_mistake(client: TestClient, query: str, method: str) -> None:
    answer = client.request(method, f"/v1/personas?{query}", headers={"If-None-Match": "*"})
    assert answer.status_code == 422


def test_another_manifest_is_another_answer(snapshot: Snapshot, tmp_path: Path) -> None:
    """Though the id of the snapshot, which stands for its people, is the same."""
    shutil.copytree(snapshot.folder, tmp_path / "later")
    manifest = json.loads((tmp_path / "later" / "manifest.json").read_text())
    manifest["strategies"]["sex"] = {"winner": "a", "runner_up": None, "margin": None, "override_reason": None}
    manifest["edition"] = "2027.03"
    (tmp_path / "later" / "manifest.json").write_text(json.dumps(manifest))
    later = Snapshot.load(tmp_path / "later")
    assert later.id == snapshot.id
    with TestClient(create_app({"us": snapshot})) as one, TestClient(create_app({"us": later})) as two:
        for path in ("/v1/trials", "/v1/snapshots", "/v1/personas?fields=birth_date", "/v1/shares"):
            assert one.get(path).headers["etag"] != two.get(path).headers["etag"], path


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
        "/v1/trials",
        "/v1/shares",
        "/v1/snapshots",
        "/v1/openapi.json",
        "/metrics",
        "/healthz",
    }


@pytest.mark.parametrize(
    ("path", "status", "parameter", "said"),
    [
        ("/v1/personas?n=-1", 422, "n", "whole number from 0"),
        ("/v1/personas?n=100001", 422, "n", "from 0 to 100000"),
        ("/v1/personas?n=1&n=2", 422, "n", "given twice"),
        ("/v1/personas?do.sex=male&do.sex=female", 422, "do.sex", "given twice: leave one out"),
        ("/v1/personas?evidence.age=18_24&evidence.age=25_34", 422, "evidence.age", "put several categories into one"),
        ("/v1/personas?start=1e3", 422, "start", "whole number"),
        ("/v1/personas?m=3", 422, "m", "unknown parameter 'm'"),
        ("/v1/personas?format=xml", 422, "format", "one of json, jsonl, arrow, prompt"),
        ("/v1/personas?accents=1", 422, "accents", "true or false"),
        ("/v1/personas?as_of=today", 422, "as_of", "a date such as"),
        ("/v1/personas?population=mars", 422, "population", "unknown population 'mars'"),
        ("/v1/personas?evidence.sex=man", 422, "evidence.sex", "has no category 'man'"),
        ("/v1/personas?evidence.job=x", 422, "evidence.job", "unknown dimension 'job'"),
        ("/v1/personas?fields=x", 422, "fields", "unknown field 'x'"),
        ("/v1/personas?evidence.sex=male&do.sex=male", 422, "do.sex", "leave one of them out"),
        ("/v1/maps/job", 404, "dimension", "unknown dimension"),
        ("/v1/maps/age_years", 404, "dimension", "derived from age"),
        ("/v1/nothing", 404, "", "there is nothing at /v1/nothing"),
        ("/v1/explain", 405, "method", "GET is no method"),
    ],
)
def test_mistakes_are_problem_details(client: TestClient, path: str, status: int, parameter: str, said: str) -> None:
    answer = client.get(path)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in problem["detail"] and problem.get("parameter", "") == parameter and problem["title"]
    if parameter in ("format", "population", "m", "evidence.sex", "evidence.job", "fields", "dimension"):
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
        (b'{"seed": 99999999999999999999}', "application/json", 422, "a whole number from -2"),
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
    assert answer.status_code == 413 and sent >= Limits().body


@pytest.mark.parametrize("route", ["personas", "shares"])
def test_a_query_string_is_refused_before_the_server_takes_it_for_no_http(client: TestClient, route: str) -> None:
    answer = client.get(f"/v1/{route}?seed={'x' * 33_000}")
    assert answer.status_code == 414 and "longer than 32768 bytes" in answer.json()["detail"]
    assert client.get(f"/v1/{route}?seed={'x' * 32_000}").status_code == 422  # too long for a seed


@pytest.mark.parametrize(
    ("query", "parameter", "said"),
    [
        ("likelihood.age=1", "likelihood.age", "body of a POST"),
        ("target_marginal=1", "target_marginal", "body of a POST"),
        ("quota.sex=3", "quota.sex", "body of a POST"),
        ("evidence=5", "evidence", "evidence.DIMENSION=CATEGORY"),
        ("do=sex", "do", "do.DIMENSION=CATEGORY"),
    ],
)
@pytest.mark.parametrize("route", ["personas", "shares"])
def test_conditions_that_no_query_holds_like_that(
    client: TestClient, route: str, query: str, parameter: str, said: str
) -> None:
    problem = client.get(f"/v1/{route}?{query}").json()
    assert problem["status"] == 422 and problem["parameter"] == parameter and "allowed" not in problem
    assert said in problem["detail"]


def test_too_many_conditions_are_refused(client: TestClient) -> None:
    many = {f"d{i}": "x" for i in range(101)}
    answer = client.post("/v1/personas", json={"evidence": many})
    assert answer.status_code == 422 and "more than the 100 allowed" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "parameter", "allowed"),
    [
        ({"evidence": {"job": "x"}}, "evidence.job", "sex"),
        ({"evidence": {"sex": "man"}}, "evidence.sex", "male"),
        ({"evidence": {"sex": []}}, "evidence.sex", "male"),
        ({"evidence": {"sex": "male..female"}}, "evidence.sex", "male"),
        ({"evidence": {"education": "doctorate..bachelor"}}, "evidence.education", "bachelor"),
        ({"evidence": {"age": "150.."}}, "evidence.age", "25_34"),
        ({"evidence": {"age": ["25..34", "18_24"]}}, "evidence.age", None),
        ({"evidence": {"age": "18_24", "education": "doctorate"}}, "evidence.education", "bachelor"),
        ({"do": {"sex": "man"}}, "do.sex", "male"),
        ({"do": {"sex": 3}}, "do.sex", None),
        ({"do": {"job": "x"}}, "do.job", "age"),
        ({"do": {"sex": "male"}, "quota": {"sex": {"male": 1}}}, "quota.sex", None),
        ({"likelihood": {"sex": {"man": 1}}}, "likelihood.sex", "female"),
        ({"likelihood": {"sex": {"male": -1}}}, "likelihood.sex", None),
        ({"likelihood": {"sex": {"male": 0}}}, "likelihood.sex", "male"),
        ({"target_marginal": {"sex": {"male": 0.7, "female": 0.7}}}, "target_marginal.sex", None),
        ({"target_marginal": {"sex": {}}}, "target_marginal.sex", "male"),
        (
            {"target_marginal": {"employment": {"retired": 0.9}, "commute_mode": {"drive": 0.9}}},
            "target_marginal",
            None,
        ),
        ({"quota": {"sex": {"male": 3}}, "n": 2}, "quota.sex", None),
        ({"quota": {"sex": {"man": 3}}, "n": 3}, "quota.sex", "male"),
        ({"fields": ["job"]}, "fields", "education"),
        ({"exclude": ["job"]}, "exclude", "sensitive"),
        ({"seed": "\ud800"}, "seed", None),
        ({"as_of": "0500-01-01"}, "as_of", None),
        ({"as_of": "20261101"}, "as_of", None),
    ],
)
def test_what_is_wrong_with_conditions_is_named(
    client: TestClient, body: dict[str, Any], parameter: str, allowed: str | None
) -> None:
    problem = client.post("/v1/personas", content=json.dumps(body), headers={"content-type": "application/json"}).json()
    assert problem["status"] == 422 and problem["parameter"] == parameter
    assert allowed in problem["allowed"] if allowed else "allowed" not in problem


def test_impossible_evidence_tells_what_would_be_possible(client: TestClient) -> None:
    problem = client.get("/v1/personas?evidence.age=18_24&evidence.education=doctorate").json()
    assert "probability zero" in problem["detail"] and problem["allowed"] == ["high_school", "bachelor"]


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "dimension"),
        ({"dimension": 3}, "dimension"),
        ({"dimension": "job"}, "dimension"),
        ({"dimension": "sex", "index": -1}, "index"),
        ({"dimension": "sex", "n": 2}, "n"),
        ({"dimension": "sex", "evidence": {"sex": "man"}}, "evidence.sex"),
    ],
)
def test_what_cannot_be_explained_is_named(client: TestClient, body: dict[str, Any], parameter: str) -> None:
    answer = client.post("/v1/explain", json=body)
    assert answer.status_code == 422 and answer.json()["parameter"] == parameter


@pytest.mark.parametrize("seed", ["--5", "5" * 5000, "٣", "-"])
def test_odd_seeds_are_text_or_refused(client: TestClient, seed: str) -> None:
    answer = client.get("/v1/personas", params={"seed": seed})
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert answer.json()["personas"][0]["seed"] == seed


def test_a_long_mistake_is_not_repeated_in_full(client: TestClient) -> None:
    assert len(client.post("/v1/personas", json={"evidence": {"sex": "x" * 60_000}}).json()["detail"]) < 1_100


def test_accept_chooses_the_form_unless_the_request_names_one(client: TestClient) -> None:
    lines = client.get("/v1/personas?n=2", headers={"Accept": "application/x-ndjson"})
    assert lines.headers["content-type"] == "application/x-ndjson" and lines.text.count("\n") == 2
    assert lines.headers["vary"] == "Accept"
    assert lines.headers["etag"] == client.get("/v1/personas?n=2&format=jsonl").headers["etag"]
    named = client.post("/v1/personas", json={"format": "json"}, headers={"Accept": "application/x-ndjson"})
    assert named.headers["content-type"] == "application/json"
    none = client.get("/v1/personas", headers={"Accept": "text/html"})
    assert none.status_code == 406 and "application/x-ndjson" in none.json()["allowed"]
    assert client.get("/v1/catalogue", headers={"Accept": "text/html"}).status_code == 406
    assert client.get("/v1/catalogue", headers={"Accept": "text/html, */*;q=0.1"}).status_code == 200


def test_head_tells_what_get_would_and_sends_nothing(client: TestClient) -> None:
    head, got = client.head("/v1/personas?n=3"), client.get("/v1/personas?n=3")
    assert head.status_code == 200 and head.content == b"" and head.headers["etag"] == got.headers["etag"]
    assert client.head("/v1/personas?n=x").status_code == 422
    assert client.head("/v1/catalogue").headers["content-length"] == str(len(client.get("/v1/catalogue").content))


def test_pages_of_other_origins_may_ask_if_they_are_named(client: TestClient, snapshot: Snapshot) -> None:
    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/personas", headers=asking).status_code == 405
    app = create_app({"us": snapshot}, Settings(cors_origins=("https://a.example",), requests_per_minute=1))
    with TestClient(app) as open_client:
        may = open_client.options(
            "/v1/personas", headers={**asking, "Access-Control-Request-Headers": "authorization,content-type"}
        )
        assert may.status_code == 200 and may.headers["access-control-allow-origin"] == "https://a.example"
        other = open_client.options("/v1/personas", headers={**asking, "Origin": "https://b.example"})
        assert other.status_code == 400
        for status in (200, 429):  # a page can read refusals as well
            answer = open_client.get("/v1/personas", headers={"Origin": "https://a.example"})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "https://a.example"
            assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_wrong_methods_name_the_right_ones(client: TestClient) -> None:
    answer = client.delete("/v1/personas")
    assert answer.status_code == 405 and set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("more", ["", "&fields=age_years,sex", "&do.education=doctorate&exclude=sensitive"])
def test_one_persona_is_the_first_of_two(client: TestClient, form: str, more: str) -> None:
    asked = f"/v1/personas?seed=a&start=5&format={form}{more}"
    one, two = client.get(f"{asked}&n=1"), client.get(f"{asked}&n=2")
    assert one.status_code == two.status_code == 200
    assert one.headers["content-type"] == two.headers["content-type"]
    if form == "json":
        assert one.json() == {"personas": two.json()["personas"][:1]}
        assert one.text == two.text.split(",\n", 1)[0] + "]}\n"
    else:
        assert one.text == two.text.splitlines(keepends=True)[0]


def test_thin_support_is_told_in_the_answer(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Support, "warning", "thin support")
    assert client.get("/v1/personas?n=2").json()["warning"] == "thin support"
