"""Stage `weights`: strategies tried, one chosen, its factors stored. Combining is `pipeline.combination`."""

from typing import Any

import dagster as dg
import polars as pl

from pipeline.catalogue.models import Catalogue, Dimension
from pipeline.combination.problem import Bools, Codes, ElicitedMap, Given, Problem
from pipeline.combination.reference import ReferencePopulation
from pipeline.combination.strategies import STRATEGIES
from pipeline.combination.trial import choose, run_trials
from pipeline.frames import WEIGHT_COLUMNS, map_arrays, weight_factors, weight_frame
from pipeline.partitions import by_dimension, cell_of
from pipeline.progress import advance
from pipeline.prompts.validation import allowed_mask
from pipeline.resources import Build
from warehouse.database import query

TRIAL_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "dimension": pl.String,
    "strategy": pl.String,
    "chosen": pl.Boolean,
    "reason": pl.String,
    "marginal_tv": pl.Float64,
    "one_way_tv": pl.Float64,
    "one_way_worst": pl.Float64,
    "two_way_tv": pl.Float64,
    "js": pl.Float64,
}


@dg.multi_asset(
    name="combine",
    group_name="weights",
    partitions_def=by_dimension,
    backfill_policy=dg.BackfillPolicy.single_run(),
    ins={"maps": dg.AssetIn("maps", input_manager_key="warehouse")},
    outs={
        "weights": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb", "scipy"},
            description="Factors of P(dimension | all parents) by the chosen strategy: all that the sampler reads.\n\n"
            "**Owner's note**: dimensions depend on each other here. The fit of one draws its parents from the stored "
            "weights of its ancestors, so ancestors come first (keys stand in that order), and re-fitting one "
            "dimension makes those below it out of date: `personagen build` re-fits them.",
        ),
        "trials": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="Every strategy tried on every dimension, scored on people that the fit did not see.",
        ),
    },
)
def combine(context: dg.AssetExecutionContext, build: Build, maps: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fit and try these dimensions, in sampling order."""
    weights, trials = [pl.DataFrame(schema=WEIGHT_COLUMNS)], []
    by_cell = maps.partition_by("population", "dimension", as_dict=True)
    people: dict[str, tuple[ReferencePopulation, ReferencePopulation]] = {}
    for key in context.partition_keys:
        cell = cell_of(key)
        catalogue = build.catalogue(cell.population)
        dimension = catalogue.dimension(cell.dimension)
        if cell.population not in people:
            people[cell.population] = _people(build, catalogue)
        reference, fresh = people[cell.population]
        pooled = map_arrays(by_cell.get((cell.population, cell.dimension), maps.clear()), catalogue, dimension)
        problem = _problem(catalogue, dimension, pooled, reference.codes(dimension.parents))
        tried, models = run_trials(problem, fresh.codes(dimension.parents), STRATEGIES)
        choice = choose(dimension.id, models)
        for group in (reference, fresh):
            group.add(dimension.id, choice.model.factors)
        weights.append(weight_frame(cell.population, build.edition, dimension.id, choice.model.factors))
        trials += [
            {
                "population": cell.population,
                "edition": build.edition,
                "dimension": dimension.id,
                "strategy": t.strategy,
                "chosen": t.strategy == choice.strategy,
                "reason": choice.reason if t.strategy == choice.strategy else "",
                "marginal_tv": t.marginal_tv,
                "one_way_tv": t.one_way_tv,
                "one_way_worst": t.one_way_worst,
                "two_way_tv": t.two_way_tv,
                "js": t.js,
            }
            for t in tried
        ]
        shipped = next(t for t in tried if t.strategy == choice.strategy)
        diagnostics = choice.model.diagnostics
        context.add_asset_metadata(
            {
                "strategy": choice.strategy,
                "reason": choice.reason,
                "marginal_tv": shipped.marginal_tv,
                "one_way_tv": shipped.one_way_tv,
                "two_way_tv": shipped.two_way_tv,
                "converged": diagnostics.converged if diagnostics else True,
                "iterations": diagnostics.iterations if diagnostics else 0,
            },
            asset_key="weights",
            partition_key=key,
        )
        advance()
    return pl.concat(weights), pl.DataFrame(trials, schema=TRIAL_COLUMNS)


def _people(build: Build, catalogue: Catalogue) -> tuple[ReferencePopulation, ReferencePopulation]:
    """Reference and trial populations, with the weights that are stored already."""
    with build.connect() as connection:
        stored = query(
            connection,
            "select * from weights where population = ? and edition = ?",
            [catalogue.population.id, build.edition],
        )
    factors = weight_factors(stored)
    groups = (
        ReferencePopulation(catalogue, build.reference_size, "reference"),
        ReferencePopulation(catalogue, build.trial_size, "trial"),
    )
    for dimension in catalogue.dimensions:
        if dimension.id in factors:
            for group in groups:
                group.add(dimension.id, factors[dimension.id])
    return groups


def _problem(catalogue: Catalogue, dimension: Dimension, pooled: dict[Given, ElicitedMap], reference: Codes) -> Problem:
    return Problem(
        dimension=dimension.id,
        ordinal=dimension.ordinal,
        categories=dimension.category_ids,
        parents=dimension.parents,
        sizes=tuple(len(catalogue.dimension(p).categories) for p in dimension.parents),
        base=pooled[()],
        maps=tuple(m for given, m in pooled.items() if given),
        reference=reference,
        allowed=tuple(_allowed(catalogue, dimension)),
    )


def _allowed(catalogue: Catalogue, dimension: Dimension) -> list[tuple[Given, Bools]]:
    """The structural zeros as masks, one per set of parents that some zero conditions on."""
    conditions = dict.fromkeys(tuple(p for p in dimension.parents if p in zero.given) for zero in dimension.zeros)
    return [(g, allowed_mask(dimension, [catalogue.dimension(p) for p in g])) for g in conditions]
