"""The examples of the documentation run as they stand, offline, and say what is true."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import httpx2
import openai
import polars as pl
import pytest

from serving.sampler import Sampler
from serving.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLES)
    return import_module(request.param)


def test_the_readme_links_every_example() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/examples/{path.name}" in readme for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("example", ["agent_prompt"], indirect=True)
def test_the_agent_s_request_is_what_the_openai_client_sends(example: ModuleType) -> None:
    sent = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        message = {"role": "assistant", "content": "Higher interest."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return httpx2.Response(
            200, json={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        )

    persona = Sampler(Snapshot.load("us")).sample(1, 5, exclude=["sensitive"])[0]
    asked = example.request_for(persona, "Why?")
    with openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))) as client:
        reply = client.chat.completions.create(**asked)
    assert reply.choices[0].message.content == "Higher interest."
    assert sent == [asked]
    assert asked["messages"][0]["content"].startswith(persona.to_prompt())


def test_the_agent_s_requests_are_printed_for_people_who_work() -> None:
    decoder, rest, found = json.JSONDecoder(), run("agent_prompt.py", "42"), []
    while rest.strip():
        one, end = decoder.raw_decode(rest.lstrip())
        found.append(one)
        rest = rest.lstrip()[end:]
    assert [one["metadata"]["persona_index"] for one in found] == ["0", "1", "2"]
    assert all(" work" in one["messages"][0]["content"] for one in found)


@pytest.mark.parametrize("example", ["survey_panel"], indirect=True)
def test_the_panel_s_shares_lie_within_their_errors(example: ModuleType) -> None:
    snapshot = Snapshot.load("us")
    panel = example.panel_of(Sampler(snapshot), "test")
    sizes = dict(panel.group_by("urbanicity").len().iter_rows())
    assert set(sizes.values()) == {300} and len(sizes) == 5
    assert panel["weight"].mean() == pytest.approx(1)
    table = example.crosstab(snapshot, panel)
    assert table.group_by("age").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1.0] * 7)
    population = Sampler(snapshot).sample(100_000, "truth", fields=["age", "news_source"]).to_polars()
    truth = (
        population.group_by("age", "news_source").len().with_columns(p=pl.col("len") / pl.col("len").sum().over("age"))
    )
    compared = table.join(truth, on=["age", "news_source"]).filter(pl.col("share") >= 0.05)
    deviations = ((compared["share"] - compared["p"]) / compared["drawn"]).to_list()
    assert len(deviations) > 20 and math.sqrt(sum(d * d for d in deviations) / len(deviations)) < 1.6
    assert max(map(abs, deviations)) < 4.5
    assert "effective" in run("survey_panel.py")


@pytest.mark.parametrize("example", ["batch_table"], indirect=True)
def test_the_table_is_queried_in_the_order_of_ages(example: ModuleType, tmp_path: Path) -> None:
    sampler = Sampler(Snapshot.load("us"))
    batch = sampler.sample(5_000, 1, exclude=["first_name", "last_name"])
    batch.to_duckdb(tmp_path / "people.duckdb")
    rows = example.query(tmp_path / "people.duckdb").fetchall()
    ages = list(sampler.snapshot.dimension("age").categories)
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), key=ages.index)
    working = batch.to_polars().filter(pl.col("employment").cast(pl.String).is_in(["full_time", "part_time"]))
    rented = pl.col("housing_tenure").cast(pl.String).str.starts_with("rented").mean()
    for age, people, renting, _, _ in rows:
        some = working.filter(pl.col("age") == age)
        assert people == some.height and renting == pytest.approx(some.select(rented).item())
    assert "commonest_occupation" in run("batch_table.py", str(tmp_path / "people.duckdb"))


@pytest.mark.parametrize("example", ["distributed"], indirect=True)
def test_ranges_over_processes_are_one_draw(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "SIZE", 150)
    assert example.with_processes(example.work(400, str(tmp_path))) == 400
    assert len(list(tmp_path.iterdir())) == 3
    people = pl.read_parquet(tmp_path / "*.parquet").sort("index").cast(pl.String)
    whole = Sampler(Snapshot.load("us")).sample(400, example.SEED, **example.CONDITIONS).to_polars()
    assert people.equals(whole.cast(pl.String))
