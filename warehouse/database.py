"""The DuckDB warehouse as a file: where it lies, opening it, and replacing partitions in one transaction.

Belongs here: connections, the schema, and errors about the file. Does not belong here: what the tables mean to a
stage of the pipeline, and anything that knows Dagster.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import duckdb
import polars as pl

from warehouse.errors import WarehouseError

HOME_VARIABLE = "PERSONAGEN_HOME"
DEFAULT_HOME = Path("warehouse") / "build"
FILE_NAME = "personagen.duckdb"
_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false"
}  # a foreign file must not send DuckDB to the network
_IN_TRANSACTION: set[int] = set()  # DuckDB aborts a transaction that is begun twice, and cannot be asked
_LOCKED = "could not set lock"  # how DuckDB says that another process has the file open
_LOCK_PATIENCE = 20.0  # seconds to wait for another process, such as the Dagster UI, to let go of the file


def home() -> Path:
    """The folder of everything that a build makes: `$PERSONAGEN_HOME`, else `warehouse/build` here."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).absolute()


@contextmanager
def connect(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse for a short while, schema in place; waits while another process holds it.

    Raises `WarehouseError` if the file cannot be made, is damaged, or stays locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _open(path, read_only)
    except OSError as error:
        raise WarehouseError(f"warehouse {path}: {_plain(error)}") from error
    except duckdb.Error as error:
        raise WarehouseError(f"warehouse {path}: {_remedy(error)}") from error
    try:
        if not read_only:
            connection.execute(files("warehouse").joinpath("schema.sql").read_text(encoding="utf-8"))
        yield connection
    except duckdb.Error as error:
        raise WarehouseError(f"warehouse {path}: {_remedy(error)}") from error
    finally:
        connection.close()


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing for what is done inside; within another transaction it is part of that one."""
    if id(connection) in _IN_TRANSACTION:
        yield
        return
    connection.execute("begin")
    _IN_TRANSACTION.add(id(connection))
    try:
        yield
        connection.execute("commit")
    except BaseException:
        with suppress(duckdb.Error):  # a full disk has ended the transaction already, and is what to tell
            connection.execute("rollback")
        raise
    finally:
        _IN_TRANSACTION.discard(id(connection))


def replace_cells(connection: duckdb.DuckDBPyConnection, table: str, cells: pl.DataFrame, rows: pl.DataFrame) -> None:
    """Replace the rows of `table` that match `cells` (equality on its columns) by `rows`, all or nothing.

    Columns are matched by name; an empty `cells` frame deletes nothing.
    """
    _require_table(connection, table)
    keys = " and ".join(f't."{column}" = c."{column}"' for column in cells.columns)
    with transaction(connection):
        if cells.height:
            connection.register("cells_frame", cells.to_arrow())
            connection.execute(f'delete from "{table}" t where exists (select 1 from cells_frame c where {keys})')
            connection.unregister("cells_frame")
        if rows.height:
            connection.register("rows_frame", rows.to_arrow())
            connection.execute(f'insert into "{table}" by name select * from rows_frame')
            connection.unregister("rows_frame")


def read_cells(
    connection: duckdb.DuckDBPyConnection, table: str, cells: pl.DataFrame, where: Mapping[str, str]
) -> pl.DataFrame:
    """Rows of `table` that match `cells` and equal the values of `where`, in stored order."""
    _require_table(connection, table)
    connection.register("cells_frame", cells.to_arrow())
    using = ", ".join(f'"{column}"' for column in cells.columns)
    conditions = " and ".join(f'"{column}" = ?' for column in where) or "true"
    result = connection.sql(
        f'select * from "{table}" semi join cells_frame using ({using}) where {conditions} order by rowid',
        params=list(where.values()),
    )
    frame = pl.DataFrame(result.to_arrow_table())
    connection.unregister("cells_frame")
    return frame


def query(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
    """Run one statement and return its rows as a polars frame."""
    return pl.DataFrame(connection.sql(sql, params=list(parameters)).to_arrow_table())


def _open(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + _LOCK_PATIENCE
    delay = 0.05
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=_OFFLINE)
        except duckdb.IOException as error:
            if _LOCKED not in str(error).lower() or time.monotonic() > deadline:
                raise
        time.sleep(delay)
        delay = min(2 * delay, 1.0)


def _require_table(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    known = {row[0] for row in connection.execute("select table_name from information_schema.tables").fetchall()}
    if table not in known:
        raise WarehouseError(f"warehouse has no table '{table}': it knows {', '.join(sorted(known))}")


def _remedy(error: duckdb.Error) -> str:
    text = str(error).splitlines()[0]
    lower = text.lower()
    if _LOCKED in lower:
        return "another process holds it: close that one (the Dagster UI, a DuckDB shell) and try again"
    if "no space left" in lower or "could not write" in lower:
        return "the disk is full: free some space and run the same command again; nothing half-written was kept"
    if "permission denied" in lower:
        return f"it may not be opened: give yourself the right to read and write it, or set {HOME_VARIABLE}"
    if isinstance(error, duckdb.SerializationException | duckdb.IOException | duckdb.FatalException):
        return f"the file is damaged or no DuckDB database ({text}): move it away and build again"
    return text


def _plain(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full: free some space and run the same command again"
    return f"{error.strerror}: choose another folder with {HOME_VARIABLE}"
