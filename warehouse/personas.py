"""The batch table: personas in DuckDB, a column per dimension, ENUM typed. Only storing belongs here.

Drawing is `serving.sampler`'s; which batch is written is the pipeline's decision.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from warehouse.errors import WarehouseError


def table_name(population: str) -> str:
    """The batch table of a population: `personas` for `us`, `personas_gb` and so on for others."""
    return "personas" if population == "us" else f"personas_{population}"


def write_personas(connection: duckdb.DuckDBPyConnection, table: str, batch: pa.Table) -> int:
    """Write a batch, replacing the same (snapshot, seed, index range); returns the rows that the table then has.

    `batch` has the columns seed, index and snapshot_id beside its fields; dictionary-encoded columns become ENUM.
    Where the columns or categories are not those of the table, the table holds personas of another catalogue: it is
    made anew. All of it happens in one transaction.
    """
    if batch.num_rows == 0:
        raise WarehouseError(f"table {table}: a batch without personas: ask for at least one")
    connection.register("batch", batch)
    connection.execute("begin")
    try:
        connection.execute("create or replace temp table incoming as select * from batch limit 0")
        if _columns(connection, table) != _columns(connection, "incoming"):
            connection.execute(f'drop table if exists "{table}"')
            connection.execute(f'create table "{table}" as select * from batch limit 0')
        connection.execute(
            f"""delete from "{table}" t using
                (select snapshot_id, seed, min("index") as low, max("index") as high from batch group by all) b
                where t.snapshot_id = b.snapshot_id and t.seed = b.seed and t."index" between b.low and b.high"""
        )
        connection.execute(f'insert into "{table}" by name select * from batch')
        connection.execute("drop table incoming")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    finally:
        connection.unregister("batch")
    (count,) = connection.execute(f'select count(*) from "{table}"').fetchall()[0]
    return int(count)


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """Names and types of a table's columns; none if there is no such table."""
    return connection.execute(
        "select column_name, data_type from duckdb_columns() where table_name = ? order by column_index",
        [table],
    ).fetchall()
