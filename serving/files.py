"""Writing batches into files that hold many of them: Parquet and DuckDB.

Here belongs opening such a file once for all batches of a request. What a row looks like is `serving.batch`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from warehouse.errors import SamplingError

if TYPE_CHECKING:
    from serving.batch import Batch


def parquet_writer(path: str | os.PathLike[str], like: Batch) -> Any:
    """A writer for tables such as this batch gives; a context manager, `pyarrow.parquet.ParquetWriter`."""
    import pyarrow.parquet as pq  # noqa: PLC0415  # keeps `import serving` light

    return pq.ParquetWriter(path, like.to_arrow().schema, compression="zstd")


@contextmanager
def duckdb_writer(path: str | os.PathLike[str], table: str) -> Iterator[Callable[[Batch], None]]:
    """A function that adds batches to a table of a DuckDB file, all of them or, on an error, none.

    Raises SamplingError if the file cannot be opened or the table has other columns.
    """
    import duckdb  # noqa: PLC0415  # keeps `import serving` light

    try:
        connection = duckdb.connect(os.fspath(path))
    except duckdb.Error as error:
        raise SamplingError(f"cannot open {os.fspath(path)}: {_first_line(error)}; name another file") from None
    with connection:
        name = _quoted(table)

        # Found by nobody's name but this one: a Python variable would give way to a table of the same name.
        source = _quoted(f"batch for {table}")

        def write(batch: Batch) -> None:
            try:
                connection.register(f"batch for {table}", batch.to_arrow())
                rows = f"select {_columns(batch)} from temp.{source}"
                connection.execute(f"create table if not exists {name} as {rows} limit 0")
                connection.execute(f"insert into {name} by name {rows}")
            except duckdb.Error as error:
                raise SamplingError(
                    f"cannot add to table {table!r} of {os.fspath(path)}: {_first_line(error)}; name another table"
                ) from None

        connection.begin()
        yield write
        connection.commit()


def _columns(batch: Batch) -> str:
    """The columns of a batch, dimensions as ENUM of all their categories."""
    known = {dimension.id: dimension.categories for dimension in batch.snapshot.dimensions}
    columns = []
    for name in ("seed", "index", "snapshot_id", *batch.fields):
        quoted = _quoted(name)
        if name in known:
            values = ", ".join("'" + category.replace("'", "''") + "'" for category in known[name])
            columns.append(f"{quoted}::enum({values}) as {quoted}")
        else:
            columns.append(quoted)
    return ", ".join(columns)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
