"""Writing batches into files that hold many of them: Parquet and DuckDB.

Here belongs opening such a file once for all batches of a request. What a row looks like is `serving.batch`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.errors import SamplingError

if TYPE_CHECKING:
    import pyarrow as pa

    from serving.batch import Batch

SHOWN = 40  # characters of a type in an error


def parquet_writer(path: str | os.PathLike[str], schema: pa.Schema) -> Any:
    """A writer for tables of this schema, which has a column `index`; a context manager."""
    import pyarrow.parquet as pq  # noqa: PLC0415  # keeps `import serving` light

    # Indices ascend: as differences they take next to nothing, in a dictionary more than as they are.
    coded = [name for name in schema.names if name != "index"]
    encoding = {"index": "DELTA_BINARY_PACKED"}
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=coded, column_encoding=encoding)


@contextmanager
def duckdb_writer(path: str | os.PathLike[str], table: str) -> Iterator[Callable[[Batch], None]]:
    """A function that adds batches to a table of a DuckDB file, all of them or, on an error, none.

    A file that was not there before is removed again on an error. Raises SamplingError if the file cannot be opened or
    the table has other columns, of another name or type; KeyboardInterrupt, as ever, if interrupted.
    """
    import duckdb  # noqa: PLC0415  # keeps `import serving` light

    shown = os.fspath(path)
    if shown.startswith(":memory:"):
        raise SamplingError(f"{shown} is no file, so that nothing would be kept: name a file")
    target = Path(os.path.abspath(shown))  # noqa: PTH100  # which takes the meaning from names such as `md:x`
    new = not target.exists()
    try:
        connection = duckdb.connect(target)
    except duckdb.Error as error:
        raise SamplingError(f"cannot open {shown}: {_first_line(error)}; name another file") from None
    name = _quoted(table)
    # Found by nobody's name but this one: a Python variable would give way to a table of the same name.
    source = f"batch for {table}"

    def write(batch: Batch) -> None:
        try:
            connection.register(source, batch.to_arrow())
            rows = f"select {_columns(batch)} from temp.{_quoted(source)}"
            connection.execute(f"create table if not exists {name} as {rows} limit 0")
            there = dict(connection.execute(f"select column_name, column_type from (describe {name})").fetchall())
            given = dict(connection.execute(f"select column_name, column_type from (describe {rows})").fetchall())
            reason = _difference(there, given)
            if not reason:
                connection.execute(f"insert into {name} by name {rows}")
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            reason = _first_line(error)
        except RuntimeError as error:  # what DuckDB makes of a KeyboardInterrupt
            if "interrupted" not in str(error):
                raise
            raise KeyboardInterrupt from None
        if reason:
            raise SamplingError(f"cannot add to table {table!r} of {shown}: {reason}; name another table")

    try:
        with connection:
            connection.begin()
            yield write
            connection.commit()
    except BaseException:
        if new:
            for left in (target, target.with_name(f"{target.name}.wal")):
                left.unlink(missing_ok=True)
        raise


def _difference(there: Mapping[str, str], given: Mapping[str, str]) -> str:
    """How the columns of a table, name -> type, differ from those of a batch; empty if they do not."""
    for name in [*given, *there]:
        if name not in there:
            return f"it has no column {name!r}"
        if name not in given:
            return f"it has the column {name!r} besides"
        if there[name] != given[name]:
            kinds = [kind if len(kind) <= SHOWN else f"{kind[:SHOWN]}..." for kind in (there[name], given[name])]
            return f"its column {name!r} is {kinds[0]}, not {kinds[1]}"
    return ""


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
