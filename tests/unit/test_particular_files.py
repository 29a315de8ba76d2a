"""The record of answers about places and titles, and the stage that makes a snapshot's files of them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from pipeline.build import STAGES, Scope, run_work, stale_work
from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.particulars import particulars_group
from pipeline.particulars.ages import AGED_BY
from pipeline.particulars.answers import Place
from pipeline.particulars.enrichment import KINDS, Enrichment
from pipeline.particulars.files import PEOPLE, files_told
from pipeline.particulars.gazetteer import unlisted
from pipeline.particulars.requests import Kind
from pipeline.resources import Build
from serving.particulars import Particulars
from tests.support.name_facts import people_weights
from tests.support.particulars import answer, write
from warehouse.database import query, replace_cells
from warehouse.errors import CatalogueError, WarehouseError
from warehouse.particulars import AGES, DETAIL_FILES, PLACES, TITLES, title_categories

US = load_catalogue("us")
TOLD: tuple[tuple[Kind, str], ...] = (
    *(("place", "maine"), ("title", "sales"), ("title", "legal")),
    *(("detail", "mother_tongue.slavic"), ("detail", "pet.other"), ("detail", "subject.trades")),
)
SCOPE = Scope(populations=frozenset({"us"}))
STAGE = next(stage for stage in STAGES if stage.name == "particular_files")


def test_the_last_accepted_answer_counts_and_rejected_ones_are_asked_again(tmp_path: Path) -> None:
    enrichment = Enrichment(US, tmp_path)
    requests = {r.category: r for r in enrichment.requests("place")}
    assert len(enrichment.left("place")) == len(requests)
    maine, ohio = requests["maine"], requests["ohio"]
    write(tmp_path / "us" / "a.jsonl", {maine.custom_id: answer(US, "place", "maine"), ohio.custom_id: "no idea"})
    assert list(enrichment.places()) == ["maine"]
    left = {r.category: r for r in enrichment.left("place")}
    assert "maine" not in left and left["utah"].custom_id == requests["utah"].custom_id
    again = left["ohio"]
    assert again.custom_id.startswith(f"{ohio.custom_id}.r2-")
    assert "could not be used: not_json" in again.messages[1]["content"]
    write(tmp_path / "us" / "b.jsonl", {again.custom_id: answer(US, "place", "ohio"), maine.custom_id: "{}"})
    outcome = enrichment.outcome("place")
    assert list(outcome.rows) == ["maine", "ohio"] and outcome.answers["ohio"] == 2
    assert [(one.category, one.attempt) for one in outcome.rejected] == [("ohio", 1), ("maine", 2)]


def test_who_never_answers_well_is_not_asked_for_ever(tmp_path: Path) -> None:
    enrichment = Enrichment(US, tmp_path)
    for n in range(3):
        request = next(r for r in enrichment.left("title") if r.category == "sales")
        write(tmp_path / "us" / f"{n}.jsonl", {request.custom_id: "{}"})
    assert "sales" not in {r.category for r in enrichment.left("title")}


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # put back afterwards
    edition = tmp_path / "corpus" / "made-up"
    edition.mkdir(parents=True)
    (edition / "PROVENANCE.md").write_text("made up for a test\n", encoding="utf-8")
    return Build(home=str(tmp_path / "home"), corpus=str(tmp_path / "corpus"), edition="made-up", reference_size=200)


def store_weights(build: Build) -> None:
    needed = [d.id for d in US.dimensions if d.id in {*PEOPLE, *(one for n in PEOPLE for one in US.ancestors(n))}]
    weights = people_weights(needed).with_columns(population=pl.lit("us"), edition=pl.lit("made-up"))
    with build.connect() as connection:
        columns = query(connection, "select * from weights limit 0").columns
        replace_cells(connection, "weights", weights.select("population", "edition").unique(), weights.select(columns))


def told(build: Build) -> None:
    enrichment = build.plan.particulars["us"]
    answers = {
        next(r for r in enrichment.requests(kind) if r.category == category).custom_id: answer(US, kind, category)
        for kind, category in TOLD
    }
    write(build.told_folder / "us" / "a.jsonl", answers)


def test_answers_and_weights_become_files_that_can_be_drawn_from(build: Build) -> None:
    store_weights(build)
    told(build)
    run_work(build, stale_work(build, STAGE, SCOPE), lambda steps: None)
    categories = {d.id: d.category_ids for d in US.dimensions}
    folder = build.particulars_folder("us")
    places = Particulars.read((folder / PLACES).read_bytes(), PLACES, categories)
    living = {"dwelling", "vehicle", "commute_mode"}
    assert set(places.needs) == {"region", "urbanicity", "heritage"} | living and len(places.names) == 21
    titles = Particulars.read((folder / TITLES).read_bytes(), TITLES, categories)
    ages = Particulars.read((folder / AGES).read_bytes(), AGES, categories)
    assert ages.needs == ("age", *AGED_BY) and ages.names[:2].tolist() == ["18", "19"]
    mother, home = (
        Particulars.read((folder / DETAIL_FILES[field]).read_bytes(), field, categories)
        for field in ("mother_tongue", "home_tongue")
    )
    assert mother.needs == ("first_language", "heritage") and home.needs == ("home_language", "heritage")
    assert mother.names.tolist() == home.names.tolist()
    assert {path.name for path in folder.iterdir()} == files_told(build.plan.particulars["us"])
    subjects = (folder / DETAIL_FILES["subject"]).read_bytes()
    titled = Particulars.read(subjects, "subject", categories | {"job_title": title_categories(titles.names[:-1])})
    assert titled.needs == ("field_of_study", "sex", "age", "education", "job_title")
    assert len(titles.names) == 41 and titles.names[0] == "legal worker 0"  # in the order of the catalogue


def test_files_that_are_gone_and_answers_that_came_make_the_stage_stale(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_weights(build)
    before = build.plan.fingerprint("particular_files", "us")
    run_work(build, stale_work(build, STAGE, SCOPE), lambda steps: None)
    assert [path.name for path in build.particulars_folder("us").iterdir()] == [AGES]  # of which nobody is asked
    told(build)
    assert build.plan.fingerprint("particular_files", "us") != before
    monkeypatch.setattr(Build, "fresh", lambda self: set(self.plan.partitions))
    assert stale_work(build, STAGE, SCOPE).runs == (("us", "us"),)
    run_work(build, stale_work(build, STAGE, SCOPE), lambda steps: None)
    assert stale_work(build, STAGE, SCOPE).runs == ()
    (build.particulars_folder("us") / TITLES).unlink()
    assert stale_work(build, STAGE, SCOPE).runs == (("us", "us"),)


def test_missing_weights_are_named(build: Build) -> None:
    told(build)
    with pytest.raises(WarehouseError, match="lacks weights of 'region': run `personagen build`"):
        run_work(build, stale_work(build, STAGE, SCOPE), lambda steps: None)


def test_the_command_line_exports_imports_and_tells(tmp_path: Path) -> None:
    runner = CliRunner()
    where = ["--corpus", str(tmp_path)]
    done = runner.invoke(particulars_group, ["export", str(tmp_path / "batch"), *where])
    assert done.exit_code == 0, done.output
    lines = next((tmp_path / "batch").iterdir()).read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line)["custom_id"] for line in lines]
    assert asked == [r.custom_id for kind in KINDS for r in Enrichment(US, tmp_path).requests(kind)]
    output = write(tmp_path / "out.jsonl", {asked[0]: answer(US, "place", "alabama"), asked[1]: "no idea"})
    done = runner.invoke(particulars_group, ["import", str(output), *where])
    assert done.output.startswith("2 answers imported, 0 were there already, 0 failures")
    done = runner.invoke(particulars_group, ["status", *where])
    assert "places: 20, of 1 of 51 requests; 1 answers rejected" in done.output
    assert "alaska, attempt 1: not_json" in done.output
    done = runner.invoke(particulars_group, ["status", "--population", "fr", *where])
    assert isinstance(done.exception, CatalogueError) and "of 'fr'" in str(done.exception)


def test_places_that_no_gazetteer_lists_in_their_region_are_told() -> None:
    known = {"bangor": frozenset({"ME", "PA"}), "portland": frozenset({"ME", "OR"}), "salem": frozenset({"OR"})}
    places = [Place(name, 0.25, (1, 0, 0, 0, 0), {}) for name in ("Bangor", "Portland", "Salem", "Castle Rock")]
    assert unlisted(places, known) == ["Salem", "Castle Rock"]
