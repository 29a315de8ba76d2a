"""Stage `catalogue`: the dimensions as a table. Loading and checking them is `pipeline.catalogue`."""

import dagster as dg
import polars as pl

from pipeline.frames import dimension_frame
from pipeline.partitions import by_population
from pipeline.resources import Build


@dg.asset(
    group_name="catalogue",
    kinds={"duckdb"},
    partitions_def=by_population,
    pool="warehouse",
    io_manager_key="warehouse",
    description="The 77 dimensions of a population: categories, definitions, parents, in sampling order.",
)
def dimensions(context: dg.AssetExecutionContext, build: Build) -> pl.DataFrame:
    """Lay the catalogue out as a table, a row per dimension."""
    frames = []
    for population in context.partition_keys:
        catalogue = build.catalogue(population)
        context.add_asset_metadata(
            {"dimensions": len(catalogue.dimensions), "catalogue_hash": catalogue.hash},
            partition_key=population,
        )
        key = {"population": pl.lit(population), "edition": pl.lit(build.edition)}
        frames.append(dimension_frame(catalogue).rename({"id": "dimension"}).with_columns(**key))
    return pl.concat(frames)
