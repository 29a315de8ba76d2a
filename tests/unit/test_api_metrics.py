"""Counters of a running API, read as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from serving.api.app import create_app
from serving.sampler import Sampler
from serving.snapshot import Snapshot


def read(client: TestClient) -> dict[tuple[str, ...], float]:
    """Value by name and labels, these in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_outcome(snapshot: Snapshot) -> None:
    client = TestClient(create_app({"us": snapshot}), raise_server_exceptions=False)
    body = client.get("/v1/personas?n=3").content
    client.get("/v1/personas?n=x")
    client.head("/v1/personas?n=2")
    client.get("/v1/maps/sex")
    client.get("/v1/maps/nothing")
    client.get("/a/b/c")
    client.request("BREW", "/v1/personas")
    client.post("/v1/catalogue")
    found = read(client)
    requests = {key[1:]: value for key, value in found.items() if key[0] == "personagen_requests_total"}
    assert requests == {
        ("GET", "/v1/personas", "200"): 1,
        ("GET", "/v1/personas", "422"): 1,
        ("HEAD", "/v1/personas", "200"): 1,
        ("GET", "/v1/maps/{dimension}", "200"): 1,
        ("GET", "/v1/maps/{dimension}", "404"): 1,
        ("GET", "none", "404"): 1,
        ("other", "/v1/personas", "405"): 1,
        ("POST", "/v1/catalogue", "405"): 1,
    }
    assert found["personagen_personas_total", "us"] == 5
    assert found["personagen_response_bytes_total", "GET", "/v1/personas"] > len(body)
    assert found["personagen_response_bytes_total", "HEAD", "/v1/personas"] == 0
    assert found["personagen_request_seconds_count", "GET", "/v1/personas"] == 2
    assert found["personagen_requests_in_flight",] == 1  # the one that asks
    assert found["personagen_snapshot_info", snapshot.manifest.edition, "us", snapshot.id] == 1
    assert not [key for key in found if key[0] == "personagen_unfinished_responses_total"]


def test_defects_are_counted_and_told_without_their_insides(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(create_app({"us": snapshot}), raise_server_exceptions=False)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Sampler, "sample", broken)
    answer = client.get("/v1/personas?n=2")
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert read(client)["personagen_requests_total", "GET", "/v1/personas", "500"] == 1


def test_each_application_counts_for_itself(snapshot: Snapshot) -> None:
    one, two = (TestClient(create_app({"us": snapshot})) for _ in range(2))
    one.get("/v1/personas")
    assert read(one)["personagen_personas_total", "us"] == 1
    assert ("personagen_personas_total", "us") not in read(two)


def test_openmetrics_is_given_to_who_prefers_it(snapshot: Snapshot) -> None:
    client = TestClient(create_app({"us": snapshot}))
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text") and answer.text.endswith("# EOF\n")
