"""The warehouse file: replacing partitions as a whole, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from warehouse.database import connect, home, query, read_cells, replace_cells
from warehouse.errors import WarehouseError

ROWS = {"stage": "maps", "model": "", "fingerprint": "f"}


def rows(*dimensions: str, fingerprint: str = "f") -> pl.DataFrame:
    return pl.DataFrame(
        [{**ROWS, "population": "us", "dimension": d, "fingerprint": fingerprint} for d in dimensions],
        schema_overrides={"dimension": pl.String},
    )


def test_replacing_cells_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "w.duckdb"
    with connect(path) as connection:
        replace_cells(connection, "fingerprints", rows("a", "b").select("dimension"), rows("a", "b"))
        replace_cells(connection, "fingerprints", rows("b").select("dimension"), rows("b", fingerprint="g"))
    with connect(path) as connection:
        got = query(connection, "select dimension, fingerprint from fingerprints order by 1").rows()
    assert got == [("a", "f"), ("b", "g")]


def test_no_rows_means_deleting(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection:
        replace_cells(connection, "fingerprints", rows("a").select("dimension"), rows("a"))
        replace_cells(connection, "fingerprints", rows("a").select("dimension"), rows().clear())
        assert query(connection, "select * from fingerprints").height == 0


def test_a_failed_replacement_changes_nothing(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection:
        replace_cells(connection, "fingerprints", rows("a").select("dimension"), rows("a"))
        wrong = rows("a").with_columns(surprise=pl.lit(1))
        with pytest.raises(duckdb.Error):
            replace_cells(connection, "fingerprints", rows("a").select("dimension"), wrong)
        assert query(connection, "select dimension from fingerprints").rows() == [("a",)]


def test_reading_cells_filters_by_cells_and_values(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection:
        replace_cells(connection, "fingerprints", rows("a").select("dimension"), rows("a", "b", "c"))
        cells = pl.DataFrame({"dimension": ["a", "c"]})
        assert read_cells(connection, "fingerprints", cells, {"stage": "maps"})["dimension"].to_list() == ["a", "c"]
        assert read_cells(connection, "fingerprints", cells, {"stage": "other"}).height == 0


def test_an_unknown_table_is_named(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection, pytest.raises(WarehouseError, match="no table 'mops'"):
        replace_cells(connection, "mops", pl.DataFrame(), pl.DataFrame())


def test_a_damaged_file_is_a_one_line_error_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(WarehouseError, match=r"damaged or no DuckDB database.*build again") as caught, connect(path):
        pass
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match="PERSONAGEN_HOME"), connect(tmp_path / "file" / "w.duckdb"):
        pass


def test_home_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAGEN_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("PERSONAGEN_HOME")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / "warehouse" / "build"


def test_the_view_reads_like_probabilities(tmp_path: Path) -> None:
    one = {
        "population": "us", "edition": "e", "dimension": "smoking", "given": ["age", "sex"],
        "condition": ["18_24", "female"], "category": "daily", "probability": 0.0512345, "spread": 0.1,
        "models": 2, "support": 2.0,
    }  # fmt: skip
    base = {**one, "given": [], "condition": []}
    schema = {"given": pl.List(pl.String), "condition": pl.List(pl.String)}
    with connect(tmp_path / "w.duckdb") as connection:
        replace_cells(
            connection,
            "maps",
            pl.DataFrame({"dimension": ["smoking"]}),
            pl.DataFrame([one, base], schema_overrides=schema),
        )
        got = query(connection, "select row_name, percent from map_rows order by 1").rows()
    assert got == [("P(smoking | age=18_24, sex=female)", 5.123), ("P(smoking)", 5.123)]


def test_a_warehouse_of_an_earlier_release_keeps_its_edition(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table snapshots (population varchar, snapshot_id varchar, edition varchar)")
        connection.execute("insert into snapshots values ('us', 's', '2031.01')")
        connection.execute(
            "create table fingerprints (stage varchar, population varchar, dimension varchar, model varchar, "
            "fingerprint varchar)"
        )
        connection.execute("insert into fingerprints values ('maps', 'us', 'age', '', 'f')")
    for _ in range(2):
        with connect(path) as connection:
            assert query(connection, "select edition, fingerprint from fingerprints").rows() == [("2031.01", "f")]
