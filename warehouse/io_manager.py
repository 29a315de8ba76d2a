"""The Dagster IO manager over the DuckDB warehouse: a table per asset, rows replaced per partition.

Belongs here: turning partition keys into the rows to delete, insert or read. Does not belong here: what a stage
computes. Imported by the pipeline only; the serving path never sees Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl

from warehouse.database import connect, read_cells, replace_cells, transaction

CellsOf = Callable[[Iterable[str]], pl.DataFrame]
FingerprintsOf = Callable[[str, Sequence[str]], list[str]]


class WarehouseIOManager(dg.IOManager):
    """Stores a stage's frame of one edition in the table named like the asset, and loads it back, by partition.

    One run may cover one partition or a whole box of them: the rows of all its cells are replaced in one
    transaction, together with the fingerprints of what they were made from.
    """

    def __init__(self, path: Path, edition: str, cells_of: CellsOf, fingerprints_of: FingerprintsOf) -> None:
        self._path = path
        self._edition = edition
        self._cells_of = cells_of
        self._fingerprints_of = fingerprints_of

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        """Replace the rows of the run's partitions by `obj`."""
        table = context.asset_key.path[-1]
        keys = list(context.asset_partition_keys)
        cells = self._cells_of(keys).with_columns(edition=pl.lit(self._edition))
        fingerprints = self._fingerprints_of(table, keys)
        with connect(self._path) as connection, transaction(connection):
            replace_cells(connection, table, cells, obj)
            record_fingerprints(connection, table, self._edition, cells, fingerprints)
        context.add_output_metadata({"rows": obj.height, "table": table, "edition": self._edition})

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        """Rows of the upstream table for the partitions that this run needs."""
        if not context.has_asset_partitions:
            raise NotImplementedError("every table asset of the warehouse is partitioned")
        cells = self._cells_of(context.asset_partition_keys)
        with connect(self._path) as connection:
            return read_cells(connection, context.asset_key.path[-1], cells, {"edition": self._edition})


def record_fingerprints(
    connection: duckdb.DuckDBPyConnection, stage: str, edition: str, cells: pl.DataFrame, fingerprints: Iterable[str]
) -> None:
    """Note what each of these partitions of an edition's stage was made from; `cells` say population, or more.

    A kind of names is noted where a dimension would be.
    """
    cells = cells.rename({"kind": "dimension"}, strict=False)
    missing = [c for c in ("dimension", "model") if c not in cells.columns]
    whole = cells.with_columns(*(pl.lit("").alias(c) for c in missing), stage=pl.lit(stage), edition=pl.lit(edition))
    replace_cells(
        connection,
        "fingerprints",
        whole,
        whole.with_columns(fingerprint=pl.Series(list(fingerprints), dtype=pl.String)),
    )
