"""The batch tables: personas in DuckDB, a column per dimension, ENUM typed. Only storing belongs here.

An edition has a table of its own; what serves is a copy, so that building an edition changes nobody's personas.
Drawing is `serving.sampler`'s; which batch is written is the pipeline's decision.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from warehouse.database import transaction
from warehouse.errors import WarehouseError


def table_name(population: str, edition: str) -> str:
    """The batch table of an edition: `personas_us_2026.11`."""
    return f"personas_{population}_{edition}"


def serving_table(population: str) -> str:
    """The batch table that serves: `personas` for `us`, `personas_gb` and so on for others."""
    return "personas" if population == "us" else f"personas_{population}"


def serve_personas(connection: duckdb.DuckDBPyConnection, population: str, edition: str, snapshot_id: str) -> int:
    """Make an edition's batch the one that serves, all or nothing; returns how many personas that are.

    Raises `WarehouseError` if the edition has no batch of that snapshot.
    """
    source, target = table_name(population, edition), serving_table(population)
    if not _stored_columns(connection, source):
        raise WarehouseError(f"edition '{edition}' has no table '{source}': run `personagen build --edition {edition}`")
    with transaction(connection):
        connection.execute(
            f'create or replace table "{target}" as select * from "{source}" where snapshot_id = ?', [snapshot_id]
        )
        (count,) = connection.execute(f'select count(*) from "{target}"').fetchall()[0]
        if not count:
            raise WarehouseError(
                f"table '{source}' holds nobody of snapshot {snapshot_id}: run `personagen build --edition {edition}`"
            )
    return int(count)


def write_personas(connection: duckdb.DuckDBPyConnection, table: str, batch: pa.Table) -> int:
    """Write a batch, replacing the same (snapshot, seed, index range); returns the rows that the table then has.

    `batch` has the columns seed, index and snapshot_id beside its fields; dictionary-encoded columns become ENUM.
    Where the columns or categories are not those of the table, the table holds personas of another catalogue: it is
    made anew. All of it happens in one transaction.
    """
    if batch.num_rows == 0:
        raise WarehouseError(f"table {table}: a batch without personas: ask for at least one")
    connection.register("batch", batch)
    try:
        with transaction(connection):
            wanted = _wanted_columns(connection, batch)
            if _stored_columns(connection, table) != wanted:
                connection.execute(f'drop table if exists "{table}"')
                columns = ", ".join(f'"{name}" {kind}' for name, kind in wanted)
                connection.execute(f'create table "{table}" ({columns})')
            connection.execute(
                f"""delete from "{table}" t using
                    (select snapshot_id, seed, min("index") as low, max("index") as high from batch group by all) b
                    where t.snapshot_id = b.snapshot_id and t.seed = b.seed and t."index" between b.low and b.high"""
            )
            connection.execute(f'insert into "{table}" by name select * from batch')
    finally:
        connection.unregister("batch")
    (count,) = connection.execute(f'select count(*) from "{table}"').fetchall()[0]
    return int(count)


def keep_snapshot(connection: duckdb.DuckDBPyConnection, table: str, snapshot_id: str) -> None:
    """Drop the personas of other snapshots, so that whoever counts rows counts people of one generation."""
    connection.execute(f'delete from "{table}" where snapshot_id <> ?', [snapshot_id])


def _wanted_columns(connection: duckdb.DuckDBPyConnection, batch: pa.Table) -> list[tuple[str, str]]:
    """Names and types that a batch asks for: ENUM in category order where it is dictionary-encoded."""
    described = connection.execute("describe select * from batch").fetchall()
    kinds = []
    for name, kind, *_ in described:
        column = batch.column(name)
        if pa.types.is_dictionary(column.type):
            values = column.chunk(0).dictionary.to_pylist()
            kinds.append((name, "ENUM({})".format(", ".join("'" + v.replace("'", "''") + "'" for v in values))))
        else:
            kinds.append((name, kind))
    return kinds


def _stored_columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """Names and types of a table's columns; none if there is no such table."""
    return connection.execute(
        "select column_name, data_type from duckdb_columns() where table_name = ? order by column_index", [table]
    ).fetchall()
