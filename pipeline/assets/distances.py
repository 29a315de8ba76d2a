"""Stage `map_distances`: how far the batch lies from the maps. The distances are `pipeline.combination.scores`."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pipeline.catalogue.models import Catalogue
from pipeline.combination.scores import map_scores, one_hot
from pipeline.frames import map_arrays
from pipeline.partitions import by_population, dimension_to_population
from pipeline.progress import advance
from pipeline.resources import Build
from warehouse.database import query, replace_cells
from warehouse.personas import table_name

DISTANCE_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "snapshot_id": pl.String,
    "dimension": pl.String,
    "given": pl.List(pl.String),
    "held_out": pl.Boolean,
    "personas": pl.Int64,
    "tv": pl.Float64,
    "js": pl.Float64,
    "worst_tv": pl.Float64,
    "worst_condition": pl.List(pl.String),
    "worst_mass": pl.Float64,
}


@dg.asset(
    group_name="personas",
    kinds={"duckdb"},
    partitions_def=by_population,
    pool="warehouse",
    deps=["personas", dg.AssetDep("maps", partition_mapping=dimension_to_population)],
    description="Distance between the batch and every pooled map, in total variation and Jensen-Shannon divergence.",
)
def map_distances(context: dg.AssetExecutionContext, build: Build) -> dg.MaterializeResult[None]:
    """Score the stored batch of a population against all its maps."""
    metadata: dict[str, dg.MetadataValue | float] = {}
    for population in context.partition_keys:
        catalogue = build.catalogue(population)
        with build.connect() as connection:
            (snapshot_id,) = connection.execute(
                "select snapshot_id from snapshots where population = ? and edition = ?", [population, build.edition]
            ).fetchall()[0]
            people = query(
                connection,
                f'select columns(lambda c: c in ?) from "{table_name(population, build.edition)}" '
                "where snapshot_id = ? and seed = ?",
                [[d.id for d in catalogue.dimensions], snapshot_id, build.seed],
            )
            maps = query(
                connection,
                "select * from maps where population = ? and edition = ?",
                [population, build.edition],
            )
        frame = distances(catalogue, people, maps, snapshot_id)
        cell = pl.DataFrame({"population": [population], "edition": [build.edition]})
        with build.connect() as connection:
            replace_cells(connection, "map_distances", cell, frame.with_columns(edition=pl.lit(build.edition)))
        build.mark("map_distances", population)
        worst = frame.sort("tv", descending=True).head(10)
        metadata = {
            "worst_marginal_tv": float(frame.filter(pl.col("given").list.len() == 0)["tv"].max()),  # type: ignore[arg-type]
            "mean_one_way_tv": float(frame.filter(pl.col("given").list.len() == 1)["tv"].mean()),  # type: ignore[arg-type]
            "worst_ten": dg.MetadataValue.md(
                "\n".join(
                    ["| map | total variation |", "| --- | --- |"]
                    + [
                        f"| P({r['dimension']} \\| {', '.join(r['given'])}) | {r['tv']:.4f} |"
                        for r in worst.iter_rows(named=True)
                    ]
                )
            ),
        }
    return dg.MaterializeResult(metadata=metadata)


def distances(catalogue: Catalogue, people: pl.DataFrame, maps: pl.DataFrame, snapshot_id: str) -> pl.DataFrame:
    """Distance of a batch (a row per person, a column per dimension) from each pooled map, a row per map."""
    codes = {
        d.id: people[d.id].cast(pl.Enum(list(d.category_ids))).to_physical().cast(pl.UInt8).to_numpy()
        for d in catalogue.dimensions
    }
    by_dimension = maps.partition_by("dimension", as_dict=True)
    rows = []
    for dimension in catalogue.dimensions:
        pooled = map_arrays(by_dimension.get((dimension.id,), maps.clear()), catalogue, dimension)
        parents = (
            np.stack([codes[p] for p in dimension.parents], axis=1)
            if dimension.parents
            else np.empty((people.height, 0), dtype=np.uint8)
        )
        drawn = one_hot(codes[dimension.id], len(dimension.categories))
        for score in map_scores(pooled.values(), parents, drawn, dimension.parents):
            rows.append(
                {
                    "population": catalogue.population.id,
                    "snapshot_id": snapshot_id,
                    "dimension": dimension.id,
                    "given": list(score.given),
                    "held_out": score.given in dimension.held_out,
                    "personas": people.height,
                    "tv": score.tv,
                    "js": score.js,
                    "worst_tv": score.worst_tv,
                    "worst_condition": [
                        catalogue.dimension(g).category_ids[c]
                        for g, c in zip(score.given, score.worst_condition, strict=True)
                    ],
                    "worst_mass": score.worst_mass,
                }
            )
        advance()
    return pl.DataFrame(rows, schema=DISTANCE_COLUMNS)
