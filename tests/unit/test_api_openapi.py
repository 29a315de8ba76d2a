"""The description of the API: valid, complete, and true of the snapshots that are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from serving.api.app import create_app
from serving.api.openapi import description
from serving.api.settings import Settings
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot


def schema_of(described: dict[str, Any], name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": described["components"]}


def test_all_routes_are_described(snapshot: Snapshot) -> None:
    app = create_app({"us": snapshot})
    described = TestClient(app).get("/v1/openapi.json").json()
    routes = {
        (route.path, method.lower()) for route in app.routes if route.include_in_schema for method in route.methods
    }  # type: ignore[attr-defined]
    told = {(path, method) for path, methods in described["paths"].items() for method in methods}
    assert told == {(path, method) for path, method in routes if method != "head"}


def test_references_lead_somewhere_and_schemas_are_valid(snapshot: Snapshot) -> None:
    described = description({"us": snapshot}, keyed=True, limited=True)

    def check(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                place: Any = described
                for step in part["$ref"].removeprefix("#/").split("/"):
                    place = place[step]
            for value in part.values():
                check(value)
        elif isinstance(part, list):
            for value in part:
                check(value)

    check(described)
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert {"401", "429"} <= described["paths"]["/v1/personas"]["get"]["responses"].keys()
    assert not {"401", "429"} & description({"us": snapshot})["paths"]["/v1/personas"]["get"]["responses"].keys()


def test_examples_are_good_requests(snapshot: Snapshot) -> None:
    client = TestClient(create_app({"us": snapshot}))
    described = client.get("/v1/openapi.json").json()
    posts = {path: methods["post"] for path, methods in described["paths"].items() if "post" in methods}
    assert set(posts) == {"/v1/personas", "/v1/explain"}
    for path, post in posts.items():
        assert client.post(path, json=post["requestBody"]["content"]["application/json"]["example"]).status_code == 200


def test_categories_of_all_populations_are_listed(snapshot: Snapshot, tmp_path: Path) -> None:
    other = (ToyDimension("sex", ("female", "male", "intersex")), *(d for d in TOY if d.id in ("age", "birth_month")))
    build_snapshot(tmp_path / "other", other)
    described = description({"us": snapshot, "gb": Snapshot.load(tmp_path / "other")})
    assert described["components"]["schemas"]["category.sex"]["enum"] == ["female", "male", "intersex"]
    names = [one["name"] for one in described["paths"]["/v1/personas"]["get"]["parameters"]]
    assert len(names) == len(set(names)) and {"evidence.party", "do.sex", "n"} <= set(names)


@pytest.mark.parametrize(
    ("value", "good"),
    [(25, True), ("25..34", True), (["25_34", "35_44"], True), ([], False), ("old", False), (-1, False)],
)
def test_evidence_is_described_as_it_is_taken(snapshot: Snapshot, value: Any, good: bool) -> None:
    validator = jsonschema.Draft202012Validator(schema_of(description({"us": snapshot}), "evidence"))
    assert validator.is_valid({"age": value}) is good
    answer = TestClient(create_app({"us": snapshot}, Settings())).post(
        "/v1/personas", json={"evidence": {"age": value}}
    )
    assert (answer.status_code == 200) is good
