"""The stages of names in Dagster: from a record to tables, checks, and what is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import dagster as dg
import pytest
from click.testing import CliRunner

from pipeline.build import STAGES, Scope, run_work, stale_work
from pipeline.catalogue.loader import load_catalogue
from pipeline.checks import names_agree_with_census, names_are_covered
from pipeline.cli.names import names_group
from pipeline.names.enrichment import Enrichment
from pipeline.names.frames import estimates_frame
from pipeline.resources import Build
from tests.support.names import answer, entry, write
from warehouse.database import query, replace_cells

US = Scope(populations=frozenset({"us"}))  # nobody answered anything about whom, but names
NAMES = next(stage for stage in STAGES if stage.name == "name_requests")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # put back afterwards
    edition = tmp_path / "corpus" / "made-up"
    edition.mkdir(parents=True)
    (edition / "PROVENANCE.md").write_text("made up for a test\n", encoding="utf-8")
    (tmp_path / "corpus" / "names").mkdir()
    return Build(home=str(tmp_path / "home"), corpus=str(tmp_path / "corpus"), edition="made-up")


def answered(build: Build, name: str, requests: int, spoil: str = "") -> None:
    """Write made-up answers to the first requests of each kind; `spoil` is a surname that gets a wrong entry."""
    here = Enrichment(load_catalogue("us"), build.names_folder)
    write(
        build.names_folder / f"{name}.jsonl",
        {
            r.custom_id: answer(r, **({spoil: {"heritage": {"irish": 95}}} if spoiled else {}))
            for kind, asked in here.requests.items()
            for r in asked[:requests]
            for spoiled in [kind == "last" and spoil in r.names]
        },
    )


def verdict(check: dg.AssetChecksDefinition, build: Build) -> dg.AssetCheckResult:
    return cast(dg.AssetCheckResult, check(build))


def test_answers_become_tables_and_new_ones_make_them_stale(build: Build) -> None:
    assert run_work(build, stale_work(build, STAGES[0], US), lambda steps: None) == []
    here = Enrichment(load_catalogue("us"), build.names_folder)
    garcia = next(r for r in here.requests["last"] if "Garcia" in r.names)
    answered(build, "a", garcia.number, spoil="Garcia")
    work = stale_work(build, NAMES, US)
    assert work.runs == (("us/first", "us/last"),) and work.total == 2
    (warning,) = run_work(build, work, lambda steps: None)
    assert f"last names: {100 * garcia.number - 1} of 13141" in warning
    assert stale_work(build, NAMES, US).runs == ()
    with build.connect() as connection:
        counts = query(connection, "select kind, count(distinct key) from name_estimates group by kind order by kind")
        refused = query(connection, "select kind, key, reason from name_rejections")
        asked = query(connection, "select count(*), count(distinct kind) from name_requests")
    assert counts.rows() == [("first", 100 * garcia.number), ("last", 100 * garcia.number - 1)]
    assert refused.rows() == [("last", "GARCIA", "census_conflict")] and asked.rows() == [(263, 2)]
    assert not verdict(names_are_covered, build).passed
    assert verdict(names_agree_with_census, build).passed

    again = here.left("last")[-1]
    one = f'{{"Garcia": {entry(garcia, "Garcia")}}}'.replace("'", '"')
    write(build.names_folder / "b.jsonl", {again.custom_id: one})
    assert stale_work(build, NAMES, US).runs == (("us/last", "us/last"),)
    run_work(build, stale_work(build, NAMES, US), lambda steps: None)
    with build.connect() as connection:
        found = query(connection, "select attempt from name_estimates where key = 'GARCIA' and kind = 'last'")
    assert found.rows() == [(2,)]


def test_names_that_are_not_of_their_group_fail_the_comparison(build: Build) -> None:
    here = Enrichment(load_catalogue("us"), build.names_folder)
    answered(build, "a", 30)
    frame = estimates_frame("us", build.edition, here.outcome("last").estimates)
    with build.connect() as connection:
        replace_cells(connection, "name_estimates", frame.select("kind").unique(), frame)
    assert verdict(names_agree_with_census, build).passed
    with build.connect() as connection:
        connection.execute(
            "update name_estimates set heritage = list_transform(heritage, lambda h: "
            "{'heritage': replace(h.heritage, 'mexican', 'chinese'), 'share': h.share})"
        )
    told = verdict(names_agree_with_census, build)
    assert not told.passed and "last names, hispanic" in told.metadata


def test_the_command_tells_exports_and_imports(tmp_path: Path) -> None:
    def told(*words: str) -> str:
        result = CliRunner().invoke(names_group, [*words, "--corpus", str(tmp_path)], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    assert "last names: 0 of 13141 accepted, 132 of 132 requests without an answer" in told("status")
    assert "wrote" in told("export", str(tmp_path / "batch"))
    here = Enrichment(load_catalogue("us"), tmp_path / "names")
    one = here.requests["last"][0]
    file = write(tmp_path / "out.jsonl", {one.custom_id: answer(one, **{one.names[0]: None})})
    assert "1 answers imported, 0 were there already, 0 failures, 290 requests" in told("import", str(file))
    out = told("status")
    assert "last names: 99 of 13141 accepted" in out and f"{one.names[0]}, attempt 1: missing_name: no entry" in out
    assert "1 lines stay, 0 answer no request of today\nnothing to prune" in told("prune")


def test_only_populations_with_names_are_asked_about() -> None:
    result = CliRunner().invoke(names_group, ["status", "--population", "gb"])
    assert str(result.exception) == "names of population 'gb' are not asked about: choose us"
