"""Names of personas: what they follow and what they leave alone, from a whole snapshot with made-up weights."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.frames import dimension_frame
from pipeline.heritage_shares import CHAIN
from serving.cli import main
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.name_facts import people_weights, told
from warehouse.errors import SnapshotError
from warehouse.names.export import name_files
from warehouse.snapshot_format import MAPS, PopulationInfo, arrow_schema, write_snapshot

DIMENSIONS = (*CHAIN, "sex", "birth_month", "handedness")
NAMES = ["first_name", "last_name"]


def write(folder: Path, dimensions: pl.DataFrame) -> None:
    write_snapshot(
        folder,
        population=PopulationInfo("us", "us", 2025, "USD"),
        edition="2026.11",
        catalogue_hash="0",
        dimensions=dimensions,
        weights=people_weights(DIMENSIONS),
        maps=pl.DataFrame(arrow_schema(MAPS).empty_table()),
        extra_files=name_files(told()),
    )


def dimensions() -> pl.DataFrame:
    return dimension_frame(load_catalogue("us")).filter(pl.col("id").is_in(list(DIMENSIONS)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshots") / "us"
    write(path, dimensions())
    return path


@pytest.fixture(scope="module")
def sampler(folder: Path) -> Sampler:
    return Sampler(Snapshot.load(folder))


def test_five_people_are_the_head_of_ten_whatever_else_is_drawn(sampler: Sampler) -> None:
    ten = sampler.sample(10, seed=3, fields=NAMES).to_dicts()
    assert sampler.sample(5, seed=3, fields=NAMES).to_dicts() == ten[:5]
    assert sampler.sample(5, seed=3, start=5, fields=NAMES).to_dicts() == ten[5:]
    everything = sampler.sample(10, seed=3).to_dicts()
    assert [[one[name] for name in NAMES] for one in everything] == [[one[name] for name in NAMES] for one in ten]


def test_what_does_not_concern_names_leaves_them_alone(sampler: Sampler) -> None:
    before = sampler.sample(50, seed=3, fields=NAMES).to_dicts()
    assert sampler.sample(50, seed=3, do={"handedness": "left"}, fields=NAMES).to_dicts() == before
    assert sampler.sample(50, seed=3, do={"sex": "male"}, fields=["last_name"]).values("last_name") == [
        one["last_name"] for one in before
    ]


def test_names_follow_a_heritage_that_is_set(sampler: Sampler) -> None:
    do = {"ethnicity": "asian", "nativity": "foreign_born", "heritage": "vietnamese"}
    vietnamese = sampler.sample(3_000, do=do, fields=NAMES).values("last_name")
    indian = sampler.sample(3_000, do=do | {"heritage": "indian"}, fields=NAMES).values("last_name")
    assert vietnamese.count("Nguyen") > 10 * indian.count("Nguyen") + 50
    assert indian.count("Patel") > 10 * vietnamese.count("Patel") + 50


def test_accents_are_written_when_asked_for(folder: Path, sampler: Sampler, capsys: pytest.CaptureFixture[str]) -> None:
    do = {"ethnicity": "asian", "heritage": "vietnamese"}
    plain = sampler.sample(500, do=do, fields=NAMES)
    accented = sampler.sample(500, do=do, fields=NAMES, accents=True)
    assert [str(n).replace("Nguyễn", "Nguyen") for n in accented.values("last_name")] == plain.values("last_name")
    assert "Nguyễn" in accented.to_arrow()["last_name"].to_pylist()
    place = accented.values("last_name").index("Nguyễn")
    assert accented[place].last_name == "Nguyễn"
    options = ["--snapshot", str(folder), "-n", "500", "-f", "jsonl", "--accents", "--fields", "last_name"]
    assert main(["generate", *options, *(part for pair in do.items() for part in ("--do", "=".join(pair)))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["last_name"] for line in lines] == accented.values("last_name")


def test_a_heritage_that_the_names_do_not_know_is_an_error_at_load(tmp_path: Path) -> None:
    renamed = [
        ["klingon" if category == "greek" else category for category in row["categories"]]
        for row in dimensions().iter_rows(named=True)
    ]
    write(tmp_path / "us", dimensions().with_columns(categories=pl.Series(renamed)))
    with pytest.raises(SnapshotError, match="no names for heritage 'klingon'"):
        Snapshot.load(tmp_path / "us")
