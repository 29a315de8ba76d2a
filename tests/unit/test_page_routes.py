"""The routes of the page: files under a strict policy and cached, trials as the manifest has them, shares as drawn."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.api.app import create_app
from serving.api.keys import create_key
from serving.api.requests import COUNTED, MOST_COUNTED
from serving.api.settings import Settings
from serving.page.routes import STATIC, trials_of
from serving.sampler import Sampler
from serving.snapshot import Snapshot

SOURCES = sorted(path for path in STATIC.iterdir() if path.suffix in (".css", ".html", ".js", ".svg"))


def test_every_file_is_served_as_what_it_is_and_cached(client: TestClient) -> None:
    for path in ["/", *(f"/page/{source.name}" for source in STATIC.iterdir())]:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.content == (STATIC / (path.rpartition("/")[2] or "index.html")).read_bytes()
        again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304 and again.content == b""
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/page/main.js").headers["content-type"].startswith("text/javascript")


def test_nothing_but_the_page_itself_may_be_loaded_or_run(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self'") and "unsafe" not in policy
    assert client.get("/page/main.js").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["nothing.js", "..%2Froutes.py", "__init__.py", "%2e%2e/routes.py"])
def test_no_other_file_is_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/page/{name}")
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_sources_have_no_other_host_no_inline_code_and_no_markup_from_text(source: Path) -> None:
    text = source.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    if source.suffix == ".html":
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", text)
        assert all('src="' in tag for tag in re.findall(r"<script[^>]*>", text))


def test_what_the_sources_name_is_there() -> None:
    named = set[str]()
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        named |= set(re.findall(r'"(?:page|\.)/([\w.-]+)"', text)) | set(re.findall(r'url\("([\w.-]+)"\)', text))
    assert named >= {"style.css", "main.js", "graph.js", "newsreader.woff2"}
    assert not {name for name in named if not (STATIC / name).is_file()}


def test_trials_are_those_of_the_manifest(client: TestClient) -> None:
    packaged = Snapshot.load("us")
    told = trials_of(packaged)
    assert [trial["dimension"] for trial in told["trials"]] == [d.id for d in packaged.dimensions]
    for trial in told["trials"]:
        chosen = packaged.manifest.strategies[trial["dimension"]]
        assert {name: trial[name] for name in chosen} == dict(chosen)
    answer = client.get("/v1/trials")
    assert answer.json()["trials"] == []  # the toy was fitted by nobody
    assert client.get("/v1/trials", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_shares_are_those_of_the_people_drawn(client: TestClient, snapshot: Snapshot) -> None:
    told = client.get("/v1/shares?n=300&seed=5&evidence.age=25..34").json()
    batch = Sampler(snapshot).sample(300, 5, 0, {"age": "25..34"}, fields=["sex"])
    counts = Counter(batch.values("sex"))
    assert told["shares"]["sex"] == {sex: pytest.approx(counts[sex] / 300) for sex in ("female", "male")}
    assert told["shares"]["age"]["25_34"] == 1
    assert told["support"]["probability"] == pytest.approx(batch.support.probability)
    assert told["support"]["effective"] is None and told["support"]["warning"] == ""


def test_shares_have_a_default_and_a_limit(client: TestClient, snapshot: Snapshot) -> None:
    answer = client.get("/v1/shares")
    assert answer.json()["n"] == COUNTED and set(answer.json()["shares"]) == {d.id for d in snapshot.dimensions}
    assert client.get("/v1/shares", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    for n in (0, MOST_COUNTED + 1):
        problem = client.get(f"/v1/shares?n={n}").json()
        assert problem["status"] == 422 and problem["parameter"] == "n"
    assert client.get("/v1/shares?fields=sex").json()["parameter"] == "fields"


def test_who_has_a_key_counts_and_who_has_none_sees_the_page(snapshot: Snapshot, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = create_key(keys, "reader")
    client = TestClient(create_app({"us": snapshot}, Settings(keys=keys, personas_per_minute=50)))
    assert client.get("/").status_code == client.get("/page/main.js").status_code == 200
    assert client.get("/v1/trials").status_code == client.get("/v1/shares").status_code == 401
    holder = {"Authorization": f"Bearer {key}"}
    assert client.get("/v1/trials", headers=holder).status_code == 200
    assert [client.get(f"/v1/shares?n={n}", headers=holder).status_code for n in (50, 49)] == [200, 429]


def test_prompts_are_those_of_the_library(client: TestClient, snapshot: Snapshot) -> None:
    answer = client.get("/v1/personas?n=3&seed=4&format=prompt")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "\n\n".join(Sampler(snapshot).sample(3, 4).to_prompts()) + "\n"
    assert client.get("/v1/personas?n=0&format=prompt").text == ""


def test_the_catalogue_tells_of_derived_fields(client: TestClient, snapshot: Snapshot) -> None:
    derived = client.get("/v1/catalogue").json()["derived"]
    person = Sampler(snapshot).sample(1).to_dicts()[0]
    assert [name for name in person if name in derived] == derived and "age_years" in derived
