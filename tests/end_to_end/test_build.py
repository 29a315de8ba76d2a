"""The whole arrow through Dagster, on made-up answers: stages, staleness, and what a build leaves behind."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest
from rich.console import Console

from pipeline.build import STAGES, Work, alone, first_promoted, prune, run_work, stale_work
from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.report import print_report
from pipeline.corpus import all_requests
from pipeline.report import report
from pipeline.resources import Build
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.builds import PERSONAS, build_all, fresh, table
from tests.support.corpora import EDITION, write_corpus
from tests.support.particulars import write_all
from warehouse.errors import WarehouseError
from warehouse.personas import table_name
from warehouse.snapshot_format import REPORT

PEOPLE = table_name("us", EDITION)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_corpus(tmp_path_factory.mktemp("corpus"))
    write_all(folder, load_catalogue("us"))
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Build:
    build = fresh(tmp_path_factory.mktemp("built"), corpus)
    done = build_all(build)
    assert done["weights"] == 77 and done["personas"] == PERSONAS
    return build


def test_the_batch_is_read_with_plain_duckdb(built: Build) -> None:
    kinds = dict(table(built, f"select column_name, data_type from duckdb_columns() where table_name = '{PEOPLE}'"))
    dimensions = [d.id for d in built.catalogue("us").dimensions]
    assert all(str(kinds[d]).startswith("ENUM(") for d in dimensions)
    assert {"seed", "index", "snapshot_id", "first_name", "birth_date", "height_cm"} <= set(kinds)
    assert (kinds["city"], kinds["job_title"], kinds["personal_income_figure"]) == ("VARCHAR", "VARCHAR", "INTEGER")
    assert table(built, f'select count(*), min("index"), max("index") from "{PEOPLE}"') == [(PERSONAS, 0, PERSONAS - 1)]


def test_the_batch_is_what_the_snapshot_serves(built: Build) -> None:
    batch = Sampler(Snapshot.load(built.snapshot_folder("us"))).sample(PERSONAS, 3)
    columns = "education::varchar, hobby::varchar, first_name, city, job_title"
    stored = table(built, f'select {columns} from "{PEOPLE}" order by "index"')
    served = zip(*(batch.values(n) for n in ("education", "hobby", "first_name", "city", "job_title")), strict=True)
    assert stored == list(served)


def test_a_second_build_has_nothing_to_do(built: Build) -> None:
    assert not any(stale_work(built, stage).runs for stage in STAGES)


def test_every_answer_is_counted_once(built: Build) -> None:
    requests = len([r for rs in built.plan.requests.values() for r in rs])
    assert table(built, "select count(*) from requests") == [(requests,)]
    assert table(built, "select sum(accepted), sum(rejected_answers) from answer_counts") == [(requests, 0)]


def test_the_panel_is_judged_and_its_influence_on_every_map_known(built: Build) -> None:
    cards = table(built, "select model, requests, answered, first, accepted, weight, usd_per_cell from scorecards")
    requests = len(all_requests(built.plan, built.plan.panel[0].id))
    assert sorted(cards) == [(m.id, *[requests] * 4, 1.0, None) for m in built.plan.panel]
    maps = table(built, "select count(distinct (dimension, given)) from maps")[0][0]
    assert table(
        built, "select model, count(*), bool_and(tv > 0 and tv < 1) from influences group by 1 order by 1"
    ) == [(m.id, maps, True) for m in built.plan.panel]


def test_the_page_stands_beside_the_snapshot_and_its_headlines_in_the_manifest(built: Build) -> None:
    folder = built.snapshot_folder("us")
    page = (folder / REPORT).read_text(encoding="utf-8")
    found = Snapshot.load(folder)
    assert found.id in page and "Not measured" in page
    assert found.manifest.headlines["personas"] == PERSONAS
    assert found.manifest.headlines["grounding"] is None


def test_the_report_shows_the_panel(built: Build) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_report(console, report(built, "us"))
    assert isinstance(console.file, io.StringIO)
    asked = len(all_requests(built.plan, built.plan.panel[0].id))
    row = next(line.split() for line in console.file.getvalue().splitlines() if f"{asked}/{asked}" in line)
    assert row[1:3] == [str(asked), f"{asked}/{asked}"] and row[-1] == "1.00"


def test_maps_are_redone_when_a_weight_changes_and_not_when_answers_do(built: Build) -> None:
    maps = next(s for s in STAGES if s.name == "maps")
    with duckdb.connect(str(built.database)) as connection:
        connection.execute("update scorecards set weight = 0.5 where model = 'recorded-pass-1'")
    assert stale_work(built, maps).total == 77
    run_work(built, Work(maps, (("us/diet", "us/diet"),), 1), lambda steps: None)
    assert stale_work(built, maps).total == 76
    with duckdb.connect(str(built.database)) as connection:
        connection.execute("update scorecards set weight = 1.0")
        connection.execute("update fingerprints set fingerprint = 'old' where stage in ('scorecards', 'influences')")
    assert stale_work(built, maps).total == 1
    assert build_all(built)["scorecards"] == 1
    assert not any(stale_work(built, stage).runs for stage in STAGES)


def test_maps_without_scorecards_say_what_to_do(built: Build) -> None:
    with duckdb.connect(str(built.database)) as connection:
        connection.execute("create table kept as select * from scorecards")
        connection.execute("delete from scorecards")
    maps = next(s for s in STAGES if s.name == "maps")
    with pytest.raises(WarehouseError, match="'recorded-pass-1' has no scorecard: materialise `scorecards` first"):
        run_work(built, Work(maps, (("us/diet", "us/diet"),), 1), lambda steps: None)
    with duckdb.connect(str(built.database)) as connection:
        connection.execute("insert into scorecards from kept")
        connection.execute("drop table kept")
    assert not any(stale_work(built, stage).runs for stage in STAGES)


def test_redoing_one_map_touches_that_dimension_only(built: Build) -> None:
    before = table(built, "select dimension, rowid from maps where dimension <> 'diet' order by rowid")
    stage = next(s for s in STAGES if s.name == "maps")
    run_work(built, Work(stage, (("us/diet", "us/diet"),), 1), lambda steps: None)
    assert table(built, "select dimension, rowid from maps where dimension <> 'diet' order by rowid") == before
    assert table(built, "select count(distinct given) from maps where dimension = 'diet'") == [
        (len(built.catalogue("us").dimension("diet").asked),)
    ]


def test_a_lost_or_damaged_snapshot_is_made_again(built: Build) -> None:
    stage, folder = next(s for s in STAGES if s.name == "snapshot"), built.snapshot_folder("us")
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


def test_every_dimension_has_one_winner_among_fifteen(built: Build) -> None:
    catalogue = built.catalogue("us")
    rows = table(
        built, "select dimension, count(*), count(*) filter (chosen), count(held_out_js) from trials group by 1"
    )
    assert {r[0] for r in rows} == set(catalogue.by_id)
    for dimension, tried, chosen, held_out in rows:
        assert (tried, chosen) == (15, 1)
        assert (held_out > 0) == bool(catalogue.dimension(str(dimension)).held_out)
    roles = dict(table(built, "select role, count(distinct (dimension, given)) from trial_maps group by 1"))
    assert roles["held_out"] == sum(len(d.held_out) for d in catalogue.dimensions) >= 60
    strategies = Snapshot.load(built.snapshot_folder("us")).manifest.strategies
    winners = dict(table(built, "select dimension, strategy from trials where chosen"))
    assert {d: s["winner"] for d, s in strategies.items()} == winners


def test_held_out_maps_stay_out_of_fit_and_snapshot(built: Build) -> None:
    diet = built.catalogue("us").dimension("diet")
    assert dict(
        table(built, "select held_out, count(distinct given) from maps where dimension = 'diet' group by 1")
    ) == {
        True: len(diet.held_out),
        False: len(diet.givens),
    }
    maps = pl.read_parquet(built.snapshot_folder("us") / "maps.parquet")
    assert set(map(tuple, maps.filter(pl.col("dimension") == "diet")["given"].to_list())) == set(diet.givens)


def test_the_trial_page_is_whole_and_needs_no_network(built: Build) -> None:
    page = built.trial_page("us").read_text(encoding="utf-8")
    for dimension in built.catalogue("us").dimensions:
        assert f'<details id="{dimension.id}"' in page
    for pattern in ("http:", "https:", "<script", "src="):
        assert pattern not in page
    assert "simplest" in page


def test_another_outcome_marks_what_depends_on_it_as_stale(built: Build) -> None:
    stage = next(s for s in STAGES if s.name == "weights")
    again = Work(stage, (("us/political_views", "us/political_views"),), 1)
    run_work(built, again, lambda steps: None)
    assert not stale_work(built, stage).runs  # the same outcome leaves what depends on it as it is
    with duckdb.connect(str(built.database)) as connection:
        connection.execute(
            "update weights set factors = list_transform(factors, lambda f: f * 2) where dimension = 'political_views'"
        )
    run_work(built, again, lambda steps: None)
    stale = {key for first, last in stale_work(built, stage).runs for key in (first, last)}
    assert "us/party" in stale
    assert "us/political_views" not in stale
    assert stale_work(built, next(s for s in STAGES if s.name == "snapshot")).runs
    build_all(built)
    assert not any(stale_work(built, s).runs for s in STAGES)


def test_the_first_edition_serves_and_the_next_outcome_waits(built: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    # Made-up maps contradict each other by more than the limits let pass.
    assert "this edition may not: edition 'synthetic' fails its checks: batch_fits_maps" in first_promoted(built, "us")
    assert not built.serving_folder("us").exists()
    monkeypatch.setattr("pipeline.checks.MARGINAL_LIMIT", 1.0)
    monkeypatch.setattr("pipeline.checks.ONE_WAY_LIMIT", 1.0)
    assert "first one built here: it serves 'us' from now on" in first_promoted(built, "us")
    serving = Snapshot.load(built.serving_folder("us")).id
    assert serving == Snapshot.load(built.snapshot_folder("us")).id
    assert table(built, "select count(*), min(snapshot_id) from personas") == [(PERSONAS, serving)]
    assert first_promoted(built, "us") == f"edition {EDITION} serves 'us'"
    with duckdb.connect(str(built.database)) as connection:
        connection.execute("update weights set factors = list_reverse(factors) where dimension = 'phone'")
        connection.execute(
            "delete from fingerprints where stage in ('snapshot', 'personas', 'map_distances', 'report')"
        )
    for stage in STAGES[-4:]:
        run_work(built, stale_work(built, stage), lambda steps: None)
    told = first_promoted(built, "us")
    assert f"--accept-drift {Snapshot.load(built.snapshot_folder('us')).id}" in told
    assert Snapshot.load(built.serving_folder("us")).id == serving
    assert table(built, "select min(snapshot_id), count(distinct snapshot_id) from personas") == [(serving, 1)]
    assert table(built, "select distinct dimension from drifts where kind = 'marginal' and changed > 0") == [("phone",)]
    assert "| phone |" in built.drift_page("us").read_text(encoding="utf-8")


def test_a_second_build_in_the_same_folder_is_kept_out(built: Build) -> None:
    with alone(built), pytest.raises(WarehouseError, match="another build is running"), alone(built):
        pass


def test_what_the_catalogue_no_longer_has_is_dropped(built: Build) -> None:
    with duckdb.connect(str(built.database)) as connection:
        for edition in (EDITION, "another"):
            connection.execute(
                "insert into rejections (population, edition, dimension, model) values ('us', ?, 'sport', 'gone')",
                [edition],
            )
            connection.execute(
                "insert into trials (population, edition, dimension) values ('us', ?, 'astrology')", [edition]
            )
    prune(built)
    assert table(built, "select edition from rejections where model = 'gone'") == [("another",)]
    assert table(built, "select edition from trials where dimension = 'astrology'") == [("another",)]
    assert not any(stale_work(built, stage).runs for stage in STAGES)
