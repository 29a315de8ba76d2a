"""The batch table: typed, idempotent per (snapshot, seed, range), made anew for another catalogue."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from warehouse.database import connect
from warehouse.errors import WarehouseError
from warehouse.personas import serve_personas, serving_table, table_name, write_personas


def batch(
    indices: range, *, seed: int = 0, snapshot: str = "s", categories: tuple[str, ...] = ("female", "male")
) -> pa.Table:
    codes = pa.array([i % len(categories) for i in indices], type=pa.uint8())
    return pa.table(
        {
            "seed": pa.array([seed] * len(indices), type=pa.int64()),
            "index": pa.array(indices, type=pa.int64()),
            "snapshot_id": [snapshot] * len(indices),
            "sex": pa.DictionaryArray.from_arrays(codes, pa.array(categories)),
        }
    )


def test_dimensions_are_enums_in_category_order(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection:
        write_personas(connection, "personas", batch(range(4)))
        (kind,) = (
            connection.execute("select data_type from duckdb_columns() where column_name = 'sex'").fetchone() or ()
        )
    assert kind == "ENUM('female', 'male')"


def test_writing_the_same_range_again_adds_nothing(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection:
        assert write_personas(connection, "personas", batch(range(10))) == 10
        assert write_personas(connection, "personas", batch(range(10))) == 10
        assert write_personas(connection, "personas", batch(range(5, 15))) == 15
        assert write_personas(connection, "personas", batch(range(5), seed=1)) == 20
        assert write_personas(connection, "personas", batch(range(5), snapshot="t")) == 25


def test_other_categories_make_the_table_anew(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection:
        write_personas(connection, "personas", batch(range(10)))
        assert write_personas(connection, "personas", batch(range(3), categories=("female", "male", "x"))) == 3


def test_an_empty_batch_is_refused(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection, pytest.raises(WarehouseError, match="at least one"):
        write_personas(connection, "personas", batch(range(0)))


def test_each_population_has_its_table() -> None:
    assert (serving_table("us"), serving_table("gb")) == ("personas", "personas_gb")
    assert table_name("us", "2026.11") == "personas_us_2026.11"


def test_what_serves_is_a_copy_that_building_leaves_alone(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection:
        write_personas(connection, table_name("us", "a"), batch(range(3), snapshot="one"))
        assert serve_personas(connection, "us", "a", "one") == 3
        write_personas(connection, table_name("us", "a"), batch(range(9), snapshot="two"))
        assert connection.execute("select count(*), min(snapshot_id) from personas").fetchall() == [(3, "one")]
        assert serve_personas(connection, "us", "a", "two") == 9
        (kind,) = connection.execute(
            "select data_type from duckdb_columns() where table_name = 'personas' and column_name = 'sex'"
        ).fetchone() or ("",)
        assert kind == "ENUM('female', 'male')"


def test_a_batch_that_is_not_there_leaves_what_serves(tmp_path: Path) -> None:
    with connect(tmp_path / "w.duckdb") as connection:
        write_personas(connection, table_name("us", "a"), batch(range(3)))
        serve_personas(connection, "us", "a", "s")
        with pytest.raises(WarehouseError, match="holds nobody of snapshot t"):
            serve_personas(connection, "us", "a", "t")
        with pytest.raises(WarehouseError, match="no table 'personas_us_b'"):
            serve_personas(connection, "us", "b", "s")
        assert connection.execute("select count(*) from personas").fetchall() == [(3,)]
