"""Writing batches into files that hold many of them: Parquet and DuckDB.

Here belongs opening such a file once for all batches of a request. What a row looks like is `serving.batch`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from serving.arrow import numbers
from serving.lines import NAMES
from serving.particulars import FIELDS
from warehouse.errors import SamplingError

if TYPE_CHECKING:
    import pyarrow as pa

    from serving.batch import Batch

SHOWN = 40  # characters of a type in an error
GROUP = 1 << 20  # rows of a Parquet file that share one dictionary: of names, most of what they take
PAGE = 1 << 18  # rows that are compressed together
ROOM = 1 << 24  # bytes of a dictionary, so that that of a group's names finds room
THOROUGH = 9  # compression of the dictionaries of names; on codes, which look like noise, it would be wasted


@contextmanager
def parquet_writer(path: str | os.PathLike[str]) -> Iterator[Callable[[Batch], None]]:
    """A function that adds batches, all with the same fields, to a new Parquet file; up to GROUP rows wait in memory.

    Dimensions are dictionary-encoded. Categories without an order stand in the dictionary by their frequency in the
    first batch, the most frequent first, which compresses better; those with one stand in that order.
    """
    import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light
    import pyarrow.parquet as pq  # noqa: PLC0415

    waiting: list[pa.Table] = []
    orders: dict[str, npt.NDArray[np.intp]] = {}
    with ExitStack() as opened:
        file = opened.enter_context(Path(path).open("wb"))  # at once, so that whoever names no such place is told first
        writer: Any = None

        def flush() -> None:
            nonlocal writer
            table = pa.concat_tables(waiting)
            waiting.clear()
            for name in unordered:
                place = table.schema.get_field_index(name)
                column, orders[name] = _reordered(table.column(place), orders.get(name))
                table = table.set_column(place, name, column)
            writer = writer or opened.enter_context(
                pq.ParquetWriter(
                    file,
                    table.schema,
                    compression="zstd",
                    compression_level={name: THOROUGH for name in table.schema.names if name in (*NAMES, *FIELDS)},
                    # Indices ascend: as differences they take next to nothing, in a dictionary more than as they are.
                    column_encoding={"index": "DELTA_BINARY_PACKED"},
                    use_dictionary=[name for name in table.schema.names if name != "index"],
                    dictionary_pagesize_limit=ROOM,
                    max_rows_per_page=PAGE,
                    write_statistics=["index"],  # whoever is drawn, the least and the greatest of the rest say nothing
                )
            )
            writer.write_table(table, row_group_size=GROUP)

        unordered: list[str] = []

        def write(batch: Batch) -> None:
            if waiting and sum(len(table) for table in waiting) + len(batch) > GROUP:
                flush()
            unordered[:] = [d.id for d in batch.snapshot.dimensions if d.id in batch.fields and not d.ordinal]
            waiting.append(batch.to_arrow())

        yield write
        if waiting:
            flush()


def _reordered(
    column: pa.ChunkedArray, order: npt.NDArray[np.intp] | None
) -> tuple[pa.ChunkedArray, npt.NDArray[np.intp]]:
    """A column of codes in one dictionary, turned into this order of it, by default by frequency; and the order."""
    import pyarrow as pa  # noqa: PLC0415

    codes = [np.asarray(np.from_dlpack(chunk.indices), dtype=np.uint8) for chunk in column.chunks]
    dictionary = column.chunk(0).dictionary
    if order is None:
        order = np.argsort(-np.bincount(codes[0], minlength=len(dictionary)), kind="stable")
    place = np.empty(len(order), dtype=np.uint8)
    place[order] = np.arange(len(order))
    categories = dictionary.take(numbers(order))
    turned = [pa.DictionaryArray.from_arrays(numbers(np.take(place, one)), categories) for one in codes]
    return pa.chunked_array(turned), order


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
    if not new and _is_other(target):  # which DuckDB would take for a table to read, and keep nothing
        raise SamplingError(f"cannot open {shown}: it is a file of another kind; name another file")
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
        # What DuckDB makes of a KeyboardInterrupt is one of three things, by where it comes.
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            if "KeyboardInterrupt" in str(error):
                raise KeyboardInterrupt from None
            reason = _first_line(error)
        except RuntimeError as error:
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


def _is_other(path: Path) -> bool:
    """Whether a file holds something, and no DuckDB database."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:  # DuckDB tells what is wrong with it
        return False
    return bool(head) and head[8:] != b"DUCK"


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
