"""Editions through Dagster: two of them in one warehouse, and asking that breaks off and is taken up again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from pipeline import resources
from pipeline.build import STAGES, Scope, bring_up, dagster_instance
from pipeline.definitions import ALL_ASSETS, ALL_CHECKS, build_defs, resources_for
from pipeline.editions import new_edition
from pipeline.elicitation.edition import write_members
from pipeline.elicitation.panel import Endpoint, Member
from pipeline.plan import Plan
from pipeline.resources import Build
from tests.support.builds import table
from tests.support.corpora import answer, answer_line
from tests.support.toy_snapshot import build_snapshot

ONE, TWO = "2031.01", "2031.02"
DIMENSIONS = ("us/sex", "us/age")


def begun(home: Path, edition: str, seed: int) -> Build:
    """An edition in a folder of its own, with made-up answers to the requests of two dimensions."""
    build = Build(home=str(home), edition=edition, personas=500, reference_size=500, trial_size=200)
    write_members(build.live_folder, ["recorded-pass-1", "recorded-pass-2"], ["us"])
    (build.live_folder / "PROVENANCE.md").write_text("made up for a test\n", encoding="utf-8")
    rng = np.random.default_rng(seed)
    with (build.live_folder / "answers.jsonl").open("w", encoding="utf-8") as file:
        for (population, dimension, _), requests in build.plan.requests.items():
            if f"{population}/{dimension}" in DIMENSIONS:
                file.writelines(answer_line(r, answer(build.plan, r, rng)) + "\n" for r in requests)
    return Build(**build.model_dump())


def rows(build: Build, edition: str) -> dict[str, object]:
    """Everything that the warehouse holds of an edition, stage by stage."""
    return {
        name: table(build, f"select * from {name} where edition = '{edition}' order by all")
        for name in ("requests", "completions", "estimates", "maps", "weights", "trials", "fingerprints")
    }


def test_building_one_edition_leaves_the_other_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # put back afterwards
    scope = Scope(dimensions=frozenset(DIMENSIONS))
    one, two = begun(tmp_path / "home", ONE, 1), begun(tmp_path / "home", TWO, 2)
    done = list(bring_up(one, scope))
    assert {line.split(":")[0] for line in done} == {
        "requests",
        "completions",
        "estimates",
        "scorecards",
        "maps",
        "weights",
    }
    before = rows(one, ONE)
    assert before["weights"] and not rows(one, TWO)["fingerprints"]
    assert list(bring_up(two, scope))
    assert rows(two, ONE) == before
    assert rows(two, TWO)["maps"] != before["maps"]
    # Of a part nothing is asked or read again; the panel is judged as a whole, so what rests on that is not final yet.
    assert {line.split(":")[0] for line in bring_up(one, scope)} <= {"scorecards", "maps", "weights"}


def test_a_job_builds_the_edition_of_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv(
        "PERSONAGEN_HOME", str(tmp_path / "home")
    )  # as a deployment does: a run's configuration replaces ours
    build = begun(tmp_path / "home", TWO, 2)
    job = build_defs().resolve_job_def("one_dimension")
    with dagster_instance(build) as instance:
        result = job.execute_in_process(
            instance=instance,
            partition_key="us/age",
            run_config={"resources": {"build": {"config": {"edition": TWO, "reference_size": 500, "trial_size": 200}}}},
        )
    assert result.success
    assert table(build, "select distinct edition, dimension from weights") == [(TWO, "age")]


def test_regenerating_goes_through_all_stages_and_promotes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("PERSONAGEN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("pipeline.build.STAGES", STAGES[:2])  # the rest is the build's own test
    build = begun(tmp_path / "home", TWO, 2)
    build_snapshot(build.snapshot_folder("us"), edition=TWO)
    job = build_defs().resolve_job_def("regenerate")
    with dagster_instance(build) as instance:
        config = {"resources": {"build": {"config": {"edition": TWO, "budget": "1usd"}}}}
        assert job.execute_in_process(instance=instance, run_config=config).success
        runs = [r for r in instance.get_runs() if r.tags.get("personagen/edition") == TWO]
    assert {r.tags["personagen/build"] for r in runs} == {"dimensions", "requests"}
    assert table(build, "select count(*) from requests")[0][0] == sum(map(len, build.plan.requests.values()))
    assert table(build, "select * from promotions") == [] and not build.serving_folder("us").exists()


class Flaky(BaseHTTPRequestHandler):
    """An endpoint that answers the first few requests and then fails until it is mended."""

    answers: dict[str, str]
    broken_after: int
    served: list[str]

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = sent["messages"][-1]["content"]
        good = len(self.served) < self.broken_after
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self.answers[prompt]},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {
            "id": f"x{len(self.served)}",
            "object": "chat.completion",
            "created": 0,
            "model": sent["model"],
            "choices": [choice],
            "usage": usage,
        }
        if good:
            self.served.append(prompt)
        text = json.dumps(body if good else {"error": {"message": "no such key"}}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[tuple[type[Flaky], str]]:
    handler = type("Here", (Flaky,), {"answers": {}, "broken_after": 10**6, "served": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler, f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("together", [False, True], ids=["cell by cell", "as a box"])
def test_a_backfill_that_breaks_off_resumes_and_asks_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: tuple[type[Flaky], str], together: bool
) -> None:
    handler, url = endpoint
    member = Member(
        id="recorded-pass-1",  # a partition key that exists; here it is live
        source="live",
        variant="analyst.whole_map.percent_keyed",
        endpoint=Endpoint(base_url=url),
        concurrency=1,
    )
    build = Build(home=str(tmp_path), edition=TWO)
    new_edition(build, [member])
    monkeypatch.setattr(resources, "Plan", lambda *given, **named: Plan(*given, **named, panel=(member,)))
    rng = np.random.default_rng(3)
    cells = ("us/age", "us/sex", "us/ethnicity")
    wanted = [r for key in cells for r in build.plan.requests["us", key.split("/")[1], member.id]]
    handler.answers = {r.messages[-1]["content"]: answer(build.plan, r, rng) for r in wanted}
    handler.broken_after = 2

    with dg.DagsterInstance.ephemeral() as instance:

        def materialise() -> list[bool]:
            ends = [(cells[0], cells[-1])] if together else [(cell, cell) for cell in cells]
            return [
                dg.materialize(
                    [*ALL_ASSETS, *ALL_CHECKS],
                    selection=dg.AssetSelection.assets("requests", "completions", "calls"),
                    instance=instance,
                    resources=resources_for(build),
                    tags={
                        "dagster/asset_partition_range_start": f"{start}|{member.id}",
                        "dagster/asset_partition_range_end": f"{end}|{member.id}",
                    },
                    raise_on_error=False,
                ).success
                for start, end in ends
            ]

        assert not all(materialise())
        handler.broken_after = 10**6
        assert all(materialise())
        assert all(materialise())
    assert len(handler.served) == len(set(handler.served)) == len(wanted)
    stored = table(build, "select count(distinct custom_id), count(*) from completions")
    assert stored == [(len(wanted), len(wanted))]
