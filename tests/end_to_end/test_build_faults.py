"""Builds that go wrong: rejected and missing answers, gates, resuming, and bad input on the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.build import STAGES, run_work, stale_work
from pipeline.corpus import all_requests
from pipeline.prompts.render import Request
from tests.support.builds import fresh, table
from tests.support.corpora import EDITION, answer_line, write_corpus
from warehouse.errors import PersonaGenError, WarehouseError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def test_a_bad_answer_is_rejected_and_a_later_good_one_counts(tmp_path: Path) -> None:
    good: dict[str, str] = {}

    def spoil(request: object, text: str) -> str:
        if getattr(request, "dimension", "") == "handedness" and getattr(request, "model", "") == "recorded-pass-1":
            good[request.custom_id] = text  # type: ignore[attr-defined]
            return "I cannot help with that."
        return text

    corpus = write_corpus(tmp_path / "corpus", spoil)
    build = fresh(tmp_path, corpus)
    for stage in STAGES[:4]:
        run_work(build, stale_work(build, stage), lambda steps: None)
    assert table(build, "select reason, count(*) from rejections group by 1") == [("refusal", len(good))]

    requests = {r.custom_id: r for rs in build.plan.requests.values() for r in rs}
    with (corpus / EDITION / "later.jsonl").open("w") as file:
        file.writelines(answer_line(requests[i], text) + "\n" for i, text in good.items())
    build = fresh(tmp_path, corpus)
    works = [stale_work(build, stage) for stage in STAGES[:4]]
    assert [w.total for w in works] == [0, 0, 2, 2]  # handedness, both members of the panel
    for work in works:
        run_work(build, work, lambda steps: None)
    assert table(build, "select accepted from answer_counts") == [
        (len(all_requests(build.plan, m.id)),) for m in build.plan.panel
    ]


def test_a_useless_member_is_shut_out_with_a_warning_and_its_costs_are_told(tmp_path: Path) -> None:
    def spoil(request: Request, text: str) -> str:
        return text if request.model == "recorded-pass-2" or request.dimension == "age" else "0, 0, 0 and so on"

    build = fresh(tmp_path, write_corpus(tmp_path / "corpus", spoil))
    warnings = []
    for stage in STAGES:
        if stage.name == "weights":
            break
        if stage.name == "scorecards":
            with build.connect() as connection:
                connection.execute(
                    "insert into calls by name select population, edition, dimension, model, custom_id, "
                    "'answered' as outcome, 2.0 as seconds, 90 as tokens_in, 10 as tokens_out, 0.01 as usd "
                    "from completions where model = 'recorded-pass-2'"
                )
        warnings += run_work(build, stale_work(build, stage), lambda steps: None)
    age = len(build.catalogue("us").dimension("age").asked)
    requests = len(all_requests(build.plan, "recorded-pass-2"))
    (warning,) = warnings
    assert "members_keep_their_record" in warning
    assert f"'recorded-pass-1' has weight 0, {age} of {requests} requests accepted" in warning
    assert table(
        build, "select model, accepted, first, weight, median_seconds, rejected from scorecards order by 1"
    ) == [
        ("recorded-pass-1", age, age, 0.0, None, [{"reason": "not_json", "answers": requests - age}]),
        ("recorded-pass-2", requests, requests, 1.0, 2.0, []),
    ]
    assert table(
        build,
        "select s.usd_per_cell * e.cells, s.tokens_per_cell * e.cells from scorecards s join "
        "(select model, count(*) as cells from estimates group by 1) e using (model) where model = 'recorded-pass-2'",
    ) == [(pytest.approx(0.01 * requests), pytest.approx(100 * requests))]
    assert table(build, "select distinct models from maps") == [(1,)]
    assert table(build, "select model, count(tv), max(tv) from influences group by 1 order by 1") == [
        ("recorded-pass-1", age, 0.0),
        ("recorded-pass-2", 0, None),  # it decides every map alone, so there is nothing to compare with
    ]


def test_a_map_that_nobody_answered_stops_the_build_at_the_gate(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", lambda r, text: "?" if r.dimension == "handedness" and r.given else text)
    build = fresh(tmp_path, corpus)
    for stage in STAGES[:3]:
        run_work(build, stale_work(build, stage), lambda steps: None)
    work = stale_work(build, STAGES[3])
    with pytest.raises(WarehouseError, match="estimates_hold"):
        run_work(build, work, lambda steps: None)
    assert stale_work(build, STAGES[3]).total == work.total  # what was refused is not built on


def test_a_corpus_that_lacks_answers_is_named_and_the_build_resumes(tmp_path: Path, corpus: Path) -> None:
    whole = (corpus / EDITION / "answers.jsonl").read_text().splitlines(keepends=True)
    lacking = tmp_path / "corpus" / EDITION
    lacking.mkdir(parents=True)
    shutil.copy(corpus / EDITION / "edition.toml", lacking)
    (lacking / "answers.jsonl").write_text("".join(whole[:-3]))
    (lacking / "PROVENANCE.md").write_text("x")
    build = fresh(tmp_path, tmp_path / "corpus")
    for stage in STAGES[:2]:
        run_work(build, stale_work(build, stage), lambda steps: None)
    with pytest.raises(PersonaGenError, match="lacks answers to 3 of"):
        run_work(build, stale_work(build, STAGES[2]), lambda steps: None)
    done = table(build, "select count(*) from fingerprints where stage = 'completions' and fingerprint <> ''")[0][0]
    assert done == 153  # all answers lack in the last cell of one member: what could be stored was kept

    (lacking / "answers.jsonl").write_text("".join(whole))
    build = fresh(tmp_path, tmp_path / "corpus")
    work = stale_work(build, STAGES[2])
    assert work.total == 2  # that dimension, for both members
    run_work(build, work, lambda steps: None)
    assert not stale_work(build, STAGES[2]).runs


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "a.jsonl").write_text("{"), "a.jsonl line 1 is not JSON"),
        (
            lambda folder: (folder / "a.jsonl").write_text(
                json.dumps({"custom_id": "us-0", "response": None, "error": "x"})
            ),
            "no request has the custom_id us-0",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    edition = tmp_path / "corpus" / EDITION
    edition.mkdir(parents=True)
    (edition / "PROVENANCE.md").write_text("x")
    damage(edition)
    assert message in refused_build(tmp_path / "home", tmp_path / "corpus")


def test_a_damaged_database_is_one_line_and_exit_code_2(tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "personagen.duckdb").write_bytes(b"x" * 5000)
    assert "damaged or no DuckDB database" in refused_build(tmp_path, corpus)


def refused_build(home: Path, corpus: Path) -> str:
    """What a build that is refused says, which is one line."""
    command = [sys.executable, "-m", "serving.cli", "build", "--home", home, "--corpus", corpus, "--edition", EDITION]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1
    return result.stderr
