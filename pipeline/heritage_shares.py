"""Who the people are that names are drawn for: joint shares of ethnicity, nativity and heritage, from the pooled maps.

Belongs here: reading these maps into one table. Does not belong here: names (`warehouse.names`, `pipeline.names`).
"""

from __future__ import annotations

import polars as pl

from pipeline.catalogue.models import Catalogue
from warehouse.errors import WarehouseError

CHAIN = {"ethnicity": (), "nativity": ("ethnicity",), "heritage": ("ethnicity", "nativity")}
"""The maps that are multiplied: P(ethnicity) P(nativity | ethnicity) P(heritage | ethnicity, nativity)."""


def joint_shares(catalogue: Catalogue, maps: pl.DataFrame) -> pl.DataFrame:
    """Columns ethnicity, nativity, heritage, share; a row for each combination, in catalogue order, summing to 1.

    `maps` has rows of the table `maps` of one population and edition. Raises WarehouseError if one of the three is not
    there, or lacks a row.
    """
    places = {d: {c: i for i, c in enumerate(catalogue.dimension(d).category_ids)} for d in CHAIN}
    joint = pl.DataFrame({"share": [1.0]})
    for dimension, given in CHAIN.items():
        rows = maps.filter(pl.col("dimension") == dimension, pl.col("given") == list(given))
        step = rows.select(
            *(pl.col("condition").list.get(place).alias(parent) for place, parent in enumerate(given)),
            pl.col("category").alias(dimension),
            "probability",
        )
        joint = joint.join(step, on=given, how="left") if given else joint.join(step, how="cross")
        if joint.is_empty() or joint["probability"].null_count():
            name = f"P({dimension} | {', '.join(given)})" if given else f"P({dimension})"
            raise WarehouseError(f"the warehouse lacks the map {name}: run `personagen build`")
        joint = joint.with_columns(share=pl.col("share") * pl.col("probability")).drop("probability")
    order = [pl.col(d).replace_strict(places[d], return_dtype=pl.Int32) for d in CHAIN]
    return joint.sort(order).select(*CHAIN, pl.col("share") / pl.col("share").sum())
