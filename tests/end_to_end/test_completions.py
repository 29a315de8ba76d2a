"""The stage that asks, as Dagster runs it: what arrived is kept, what is missing is asked for again, keys stay out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from pipeline.assets.completions import ask
from pipeline.assets.requests import requests
from pipeline.build import dagster_instance
from pipeline.definitions import resources_for
from pipeline.elicitation.panel import Endpoint, Member, load_panel
from pipeline.partitions import DIMENSION_KEYS, MODEL_KEYS
from pipeline.prompts.render import Request
from pipeline.resources import Build
from tests.support.asking import USD, Scripted
from tests.support.builds import fresh, table
from tests.support.corpora import EDITION, answer

KEY = "sk-or-0123456789abcdef"
FIRST, LAST = DIMENSION_KEYS[0], DIMENSION_KEYS[2]
DIMENSIONS = [key.split("/")[1] for key in DIMENSION_KEYS[:3]]
ONE, TWO = MODEL_KEYS[:2]


def live(member: Member) -> Member:
    endpoint = Endpoint(base_url="http://127.0.0.1:9", key_variable="SOME_KEY")
    return member.model_copy(update={"source": "live", "endpoint": endpoint})


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """An edition of two live members, with nothing answered yet."""
    monkeypatch.setattr("pipeline.plan.members_of", lambda folder: tuple(map(live, load_panel()[:2])))
    monkeypatch.setenv("SOME_KEY", KEY)
    folder = tmp_path / "corpus" / EDITION
    folder.mkdir(parents=True)
    (folder / "PROVENANCE.md").write_text("made up for a test")
    return fresh(tmp_path, tmp_path / "corpus")


def good(build: Build) -> Callable[[Request], str]:
    return lambda request: answer(build.plan, request, np.random.default_rng(1))


def run(
    build: Build, asker: Scripted, models: tuple[str, str] = (ONE, TWO), **settings: str
) -> dg.ExecuteInProcessResult:
    build = Build(home=build.home, edition=build.edition, corpus=build.corpus, **settings)  # type: ignore[arg-type]
    with dagster_instance(build) as instance:
        return dg.materialize(
            [requests, ask],
            instance=instance,
            resources={**resources_for(build), "asker": asker},
            tags={
                "dagster/asset_partition_range_start": f"{FIRST}|{models[0]}",
                "dagster/asset_partition_range_end": f"{LAST}|{models[1]}",
            },
            raise_on_error=False,
        )


def earned(build: Build, model: str) -> set[str]:
    done = {(s, c.dimension) for s, c in build.fresh() if s in ("completions", "calls") and c.model == model}
    return {d for d in DIMENSIONS if ("completions", d) in done and ("calls", d) in done}


def reasons(result: dg.ExecuteInProcessResult) -> list[tuple[bool, str]]:
    return [(e.passed, str(e.metadata["reason"].value)) for e in result.get_asset_check_evaluations()]


def materialized(build: Build) -> set[str]:
    """The cells that Dagster shows as made."""
    with dagster_instance(build) as instance:
        return instance.get_materialized_partitions(dg.AssetKey("completions"))


def test_a_failure_in_the_middle_keeps_what_arrived_and_the_next_run_goes_on(build: Build) -> None:
    right = good(build)
    lost = build.plan.requests["us", DIMENSIONS[1], ONE][0].custom_id
    result = run(build, Scripted(lambda r: None if r.custom_id == lost else right(r)), (ONE, ONE))
    assert not result.success
    assert earned(build, ONE) == set(DIMENSIONS) - {DIMENSIONS[1]}
    assert materialized(build) == {f"us/{d}|{ONE}" for d in earned(build, ONE)}
    asked = sum(len(build.plan.requests["us", d, ONE]) for d in DIMENSIONS)
    assert table(build, "select count(*), count(distinct custom_id) from completions") == [(asked - 1, asked - 1)]
    assert table(build, "select outcome, count(*) from calls group by 1 order by 1") == [
        ("answered", asked - 1),
        ("cut_off", 1),
    ]

    again = Scripted(right)
    result = run(build, again, (ONE, ONE))
    assert result.success and again.asked == [lost] and reasons(result) == [(True, "nothing is left")]
    assert earned(build, ONE) == set(DIMENSIONS)
    assert table(build, "select calls, answered, tokens_in, usd, median_seconds from spend") == [
        (asked + 1, asked, 100 * asked, USD * (asked + 1), 1.5)
    ]
    nobody = Scripted(right)
    assert run(build, nobody, (ONE, ONE)).success and not nobody.asked and earned(build, ONE) == set(DIMENSIONS)


def test_a_dead_member_does_not_stop_the_others_and_is_told(build: Build) -> None:
    right = good(build)
    result = run(build, Scripted(lambda r: right(r) if r.model == TWO else None, error="nobody there"))
    assert result.success and reasons(result) == [(False, "nobody there")]
    assert earned(build, TWO) == set(DIMENSIONS) and not earned(build, ONE)


def test_a_rejected_answer_is_asked_again_and_filed_under_its_request(build: Build) -> None:
    right = good(build)
    first = build.plan.requests["us", DIMENSIONS[0], ONE][0].custom_id
    assert run(build, Scripted(lambda r: "I cannot." if r.custom_id == first else right(r)), (ONE, ONE)).success
    rows = table(build, f"select attempt, asked_as from completions where custom_id = '{first}' order by attempt")
    assert [row[0] for row in rows] == [1, 2] and rows[0][1] == first
    assert str(rows[1][1]).startswith(f"{first}.r2-")


def test_the_budget_stops_the_run_and_what_it_bought_is_kept(build: Build) -> None:
    result = run(build, Scripted(good(build)), budget="2usd")
    assert not result.success and reasons(result) == [(False, "2.0 of 2 usd are spent")]
    (stop,) = table(build, 'select spent, budget, "left" from budget_stops')
    asked = sum(len(build.plan.requests["us", d, m]) for d in DIMENSIONS for m in (ONE, TWO))
    assert stop == (2.0, 2.0, asked - 4)
    assert table(build, "select count(*) from completions") == [(4,)]
    more = Scripted(good(build))
    assert run(build, more, budget="1000usd").success and len(more.asked) == asked - 4


@pytest.mark.parametrize("told", ["text", "body", "failure"])
def test_a_key_that_an_endpoint_repeats_is_nowhere(
    build: Build, told: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    right = good(build)
    asker = {
        "text": Scripted(lambda r: f"the key is {KEY}"),
        "body": Scripted(right, fields={"headers": {"authorization": f"Bearer {KEY}"}, KEY: KEY}),
        "failure": Scripted(lambda r: None, error=f"HTTP 401: {KEY} is no key"),
    }[told]
    result = run(build, asker, (ONE, ONE))
    assert not result.success and table(build, "select count(*) from completions") == [(0,)]
    assert table(build, "select count(*) > 0 from calls") == [(True,)]
    written = [path for path in build.folder.rglob("*") if path.is_file()]
    assert build.database in written and any(p.suffix == ".jsonl" for p in written)
    assert any(p.suffix == ".db" for p in written)  # Dagster's own record of the run
    assert [p for p in written if KEY.encode() in p.read_bytes()] == []
    for table_name in ("requests", "completions", "calls"):
        assert KEY not in str(table(build, f"select * from {table_name}"))
    assert KEY not in str(result.all_events) + caplog.text + "".join(capfd.readouterr())
