"""Stage `maps`: estimates pooled across the panel. Pooling is `pipeline.combination.pooling`."""

import dagster as dg
import polars as pl

from pipeline.assets.pictures import map_table, maps_picture
from pipeline.combination.pooling import pool
from pipeline.frames import MAP_COLUMNS, estimate_arrays, map_frame
from pipeline.partitions import by_dimension, cell_of, population_to_dimension
from pipeline.progress import advance
from pipeline.prompts.validation import allowed_mask
from pipeline.resources import Build
from warehouse.errors import CorpusError, WarehouseError


@dg.asset(
    group_name="maps",
    kinds={"duckdb"},
    partitions_def=by_dimension,
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="warehouse",
    ins={"estimates": dg.AssetIn("estimates", input_manager_key="warehouse")},
    deps=[dg.AssetDep("scorecards", partition_mapping=population_to_dimension)],
    description="P(dimension | given), pooled across the panel, with the between-model spread of each cell.\n\n"
    "**Owner's note**: a logarithmic opinion pool. The spread is evidence: it sets how strongly the combination may "
    "trust the cell. Members count by the weight of their scorecard. One member's missing map is tolerated, a map that "
    "nobody with a weight answered is an error.",
)
def maps(context: dg.AssetExecutionContext, build: Build, estimates: pl.DataFrame) -> pl.DataFrame:
    """Pool the estimates of these dimensions."""
    frames = [pl.DataFrame(schema=MAP_COLUMNS)]
    by_cell = estimates.partition_by("population", "dimension", as_dict=True)
    weights = {(population, model): weight for population, model, weight in build.panel_weights()}
    unjudged = [
        m.id
        for k in context.partition_keys
        for m in build.plan.panels[cell_of(k).population]
        if (cell_of(k).population, m.id) not in weights
    ]
    if unjudged:
        raise WarehouseError(f"panel member '{unjudged[0]}' has no scorecard: materialise `scorecards` first")
    for key in context.partition_keys:
        cell = cell_of(key)
        catalogue = build.catalogue(cell.population)
        dimension = catalogue.dimension(cell.dimension)
        rows = by_cell.get((cell.population, cell.dimension), estimates.clear())
        # A member that is shut out is left out here, so that a map's count of models counts those that made it.
        heard = [m.id for m in build.plan.panels[cell.population] if weights[cell.population, m.id] > 0]
        arrays = estimate_arrays(rows.filter(pl.col("model").is_in(heard)), catalogue, dimension)
        pooled = []
        for given, answers in arrays.items():
            if not answers:
                raise CorpusError(
                    f"nobody with a weight answered P({dimension.id} | {', '.join(given)}): "
                    "see its rejections and the scorecards, ask again and import"
                )
            allowed = allowed_mask(dimension, [catalogue.dimension(g) for g in given])
            shares = [weights[cell.population, m] for m in answers]
            pooled.append(pool(given, list(answers.values()), shares, allowed))
        frames.append(
            map_frame(
                build.edition,
                catalogue,
                dimension,
                pooled,
                {g: len(a) for g, a in arrays.items()},
            )
        )
        context.add_asset_metadata(
            {
                "maps": len(pooled),
                "mean_spread": float(frames[-1]["spread"].mean() or 0.0),  # type: ignore[arg-type]
                "base": dg.MetadataValue.md(map_table(catalogue, dimension, pooled[0])),
                "picture": dg.MetadataValue.md(maps_picture(catalogue, dimension, pooled)),
            },
            partition_key=key,
        )
        advance()
    return pl.concat(frames)
