"""Parquet with every setting fixed, so that equal tables are equal bytes. Only serialising belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def parquet_bytes(
    table: pa.Table,
    *,
    use_dictionary: bool | list[str] = True,
    column_encoding: dict[str, str] | None = None,
    store_schema: bool = False,
) -> bytes:
    """Serialise a table; the keywords are those of `pyarrow.parquet.write_table`, for tables that pack better so."""
    import pyarrow as pa  # noqa: PLC0415  # readers of a snapshot need not pay for it
    import pyarrow.parquet as pq  # noqa: PLC0415

    settings: dict[str, Any] = {} if column_encoding is None else {"column_encoding": column_encoding}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=9,
        use_dictionary=use_dictionary,
        write_statistics=False,
        store_schema=store_schema,
        row_group_size=1 << 20,
        **settings,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content
