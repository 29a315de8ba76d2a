"""The whole arrow through Dagster, on made-up answers: stages, staleness, resuming, gates, and bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipeline.build import STAGES, Work, alone, prune, run_work, stale_work
from pipeline.resources import Build
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.corpora import EDITION, answer_line, write_corpus
from warehouse.errors import PersonaGenError, WarehouseError

PERSONAS = 2_000


def build_all(build: Build) -> dict[str, int]:
    """Run every stale stage; returns how many units each did."""
    done = {}
    for stage in STAGES:
        work = stale_work(build, stage)
        units: list[int] = []
        run_work(build, work, units.append)
        done[stage.name] = sum(units) if work.runs else 0
    return done


def fresh(tmp_path: Path, corpus: Path) -> Build:
    return Build(
        home=str(tmp_path / "home"),
        edition=EDITION,
        corpus=str(corpus),
        personas=PERSONAS,
        seed=3,
        reference_size=2_000,
        trial_size=500,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Build:
    build = fresh(tmp_path_factory.mktemp("built"), corpus)
    done = build_all(build)
    assert done["weights"] == 77 and done["personas"] == PERSONAS
    return build


def table(build: Build, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(build.database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_the_batch_is_read_with_plain_duckdb(built: Build) -> None:
    kinds = dict(table(built, "select column_name, data_type from duckdb_columns() where table_name = 'personas'"))
    dimensions = [d.id for d in built.catalogue("us").dimensions]
    assert all(str(kinds[d]).startswith("ENUM(") for d in dimensions)
    assert {"seed", "index", "snapshot_id", "first_name", "birth_date", "height_cm"} <= set(kinds)
    assert table(built, 'select count(*), min("index"), max("index") from personas') == [(PERSONAS, 0, PERSONAS - 1)]


def test_the_batch_is_what_the_snapshot_serves(built: Build) -> None:
    batch = Sampler(Snapshot.load(built.snapshot_folder("us"))).sample(PERSONAS, 3)
    stored = table(built, 'select education::varchar, hobby::varchar, first_name from personas order by "index"')
    served = zip(*(batch.values(n) for n in ("education", "hobby", "first_name")), strict=True)
    assert stored == list(served)


def test_a_second_build_has_nothing_to_do(built: Build) -> None:
    assert not any(stale_work(built, stage).runs for stage in STAGES)


def test_every_answer_is_counted_once(built: Build) -> None:
    requests = len([r for rs in built.plan.requests.values() for r in rs])
    assert table(built, "select count(*) from requests") == [(requests,)]
    assert table(built, "select sum(accepted), sum(rejected_answers) from answer_counts") == [(requests, 0)]


def test_redoing_one_map_touches_that_dimension_only(built: Build) -> None:
    before = table(built, "select dimension, rowid from maps where dimension <> 'diet' order by rowid")
    stage = next(s for s in STAGES if s.name == "maps")
    run_work(built, Work(stage, (("us/diet", "us/diet"),), 1), lambda steps: None)
    assert table(built, "select dimension, rowid from maps where dimension <> 'diet' order by rowid") == before
    assert table(built, "select count(distinct given) from maps where dimension = 'diet'") == [
        (len(built.catalogue("us").dimension("diet").givens),)
    ]


def test_a_lost_or_damaged_snapshot_is_made_again(built: Build) -> None:
    stage, folder = STAGES[6], built.snapshot_folder("us")
    before = Snapshot.load(folder).id
    weights = folder / "weights.parquet"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert stale_work(built, stage).runs
    shutil.rmtree(folder)
    run_work(built, stale_work(built, stage), lambda steps: None)
    assert Snapshot.load(folder).id == before and not stale_work(built, stage).runs


def test_a_map_made_from_stale_estimates_stays_stale(built: Build) -> None:
    with duckdb.connect(str(built.database)) as connection:
        connection.execute(
            "update fingerprints set fingerprint = 'old' where stage = 'estimates' and dimension = 'sport'"
        )
    stage = next(s for s in STAGES if s.name == "maps")
    run_work(built, Work(stage, (("us/sport", "us/sport"),), 1), lambda steps: None)
    assert stale_work(built, stage).runs == (("us/sport", "us/sport"),)
    assert sum(build_all(built).values()) > 0
    assert not any(stale_work(built, stage).runs for stage in STAGES)


def test_a_second_build_in_the_same_folder_is_kept_out(built: Build) -> None:
    with alone(built), pytest.raises(WarehouseError, match="another build is running"), alone(built):
        pass


def test_what_the_catalogue_no_longer_has_is_dropped(built: Build) -> None:
    with duckdb.connect(str(built.database)) as connection:
        connection.execute("insert into rejections (population, dimension, model) values ('us', 'sport', 'long-gone')")
        connection.execute("insert into trials (population, dimension) values ('us', 'astrology')")
    prune(built)
    assert table(built, "select count(*) from rejections where model = 'long-gone'") == [(0,)]
    assert table(built, "select count(*) from trials where dimension = 'astrology'") == [(0,)]
    assert not any(stale_work(built, stage).runs for stage in STAGES)


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
    assert table(build, "select accepted from answer_counts") == [(642,), (642,)]


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
    (lacking / "answers.jsonl").write_text("".join(whole[:-3]))
    (lacking / "PROVENANCE.md").write_text("x")
    build = fresh(tmp_path, tmp_path / "corpus")
    for stage in STAGES[:2]:
        run_work(build, stale_work(build, stage), lambda steps: None)
    with pytest.raises(PersonaGenError, match="lacks answers to 3 of"):
        run_work(build, stale_work(build, STAGES[2]), lambda steps: None)
    done = table(build, "select count(*) from fingerprints where stage = 'completions'")[0][0]
    assert isinstance(done, int) and 0 < done < 154  # what could be stored was kept

    (lacking / "answers.jsonl").write_text("".join(whole))
    build = fresh(tmp_path, tmp_path / "corpus")
    work = stale_work(build, STAGES[2])
    assert work.total == 154 - done
    run_work(build, work, lambda steps: None)
    assert not stale_work(build, STAGES[2]).runs


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda home, corpus: (home / "personagen.duckdb").write_bytes(b"x" * 5000), "damaged or no DuckDB database"),
        (lambda home, corpus: (corpus / EDITION / "a.jsonl").write_text("{"), "a.jsonl line 1 is not JSON"),
        (
            lambda home, corpus: (corpus / EDITION / "a.jsonl").write_text(
                json.dumps({"custom_id": "us-0", "response": None, "error": "x"})
            ),
            "no request has the custom_id us-0",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, damage: object, message: str) -> None:
    home, corpus = tmp_path / "home", tmp_path / "corpus"
    home.mkdir()
    (corpus / EDITION).mkdir(parents=True)
    (corpus / EDITION / "PROVENANCE.md").write_text("x")
    damage(home, corpus)  # type: ignore[operator]
    command = [sys.executable, "-m", "serving.cli", "build", "--home", home, "--corpus", corpus, "--edition", EDITION]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
