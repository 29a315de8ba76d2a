"""Stage `weights`: strategies tried, one chosen, its factors stored. Combining is `pipeline.combination`."""

from collections.abc import Sequence

import dagster as dg
import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from pipeline.assets.pictures import trials_table
from pipeline.catalogue.models import Catalogue
from pipeline.combination.choice import Choice, choose
from pipeline.combination.problem import Factor
from pipeline.combination.reference import ReferencePopulation
from pipeline.combination.strategies import STRATEGIES
from pipeline.combination.trial import run_trials
from pipeline.frames import WEIGHT_COLUMNS, map_arrays, weight_factors, weight_frame
from pipeline.partitions import by_dimension, cell_of
from pipeline.problems import dimension_problem
from pipeline.progress import advance
from pipeline.resources import Build
from pipeline.trial_frames import TRIAL_COLUMNS, TRIAL_MAP_COLUMNS, trial_map_rows, trial_rows
from warehouse.database import query


@dg.multi_asset(
    name="combine",
    group_name="weights",
    partitions_def=by_dimension,
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.single_run(),
    ins={"maps": dg.AssetIn("maps", input_manager_key="warehouse")},
    outs={
        "weights": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb", "scipy"},
            description="Factors of P(dimension | all parents) by the chosen strategy: all that the sampler reads.\n\n"
            "**Owner's note**: dimensions depend on each other here. The fit of one draws its parents from the stored "
            "weights of its ancestors, so ancestors come first (keys stand in that order). Re-fitting one with another "
            "outcome marks those below it as out of date: `personagen build` re-fits them.",
        ),
        "trials": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="Every strategy tried on every dimension, scored on people and maps that the fit did not see.",
        ),
        "trial_maps": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="The trials map by map: distances with intervals, chi-square of a drawn batch, effect size.",
        ),
    },
)
def combine(
    context: dg.AssetExecutionContext, build: Build, maps: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Fit and try these dimensions, in sampling order."""
    weights, trials, trial_maps = [pl.DataFrame(schema=WEIGHT_COLUMNS)], [], []
    by_cell = maps.partition_by("population", "dimension", as_dict=True)
    people: dict[str, _People] = {}
    for key in context.partition_keys:
        cell = cell_of(key)
        catalogue = build.catalogue(cell.population)
        dimension = catalogue.dimension(cell.dimension)
        if cell.population not in people:
            people[cell.population] = _People(build, catalogue)
        known = people[cell.population]
        pooled = map_arrays(by_cell.get((cell.population, cell.dimension), maps.clear()), catalogue, dimension)
        problem = dimension_problem(catalogue, dimension, pooled, known.reference.codes(dimension.parents))
        held_out = [pooled[g] for g in dimension.held_out]
        # The number of threads decides the last digits of a sum, and a search that stops at a tolerance enlarges them.
        with threadpool_limits(1, "blas"):
            tried, declined = run_trials(problem, held_out, known.fresh.codes(dimension.parents), STRATEGIES)
        override = dimension.override
        choice = choose(dimension.id, tried, (override.strategy, override.reason) if override else None)
        changed = known.add(dimension.id, choice.winner.model.factors)
        stale = build.mark_stale(cell, set(context.partition_keys)) if changed else 0
        weights.append(weight_frame(cell.population, build.edition, dimension.id, choice.winner.model.factors))
        where = {"population": cell.population, "edition": build.edition, "dimension": dimension.id}
        trials += [{**where, **row} for row in trial_rows(tried, declined, choice)]
        trial_maps += [{**where, **row} for row in trial_map_rows(tried)]
        _describe(context, key, choice, changed, stale)
        context.add_asset_metadata(
            {"scores": dg.MetadataValue.md(trials_table(tried, declined, choice))},
            asset_key="trials",
            partition_key=key,
        )
        advance()
    return (
        pl.concat(weights),
        pl.DataFrame(trials, schema=TRIAL_COLUMNS),
        pl.DataFrame(trial_maps, schema=TRIAL_MAP_COLUMNS),
    )


def _describe(context: dg.AssetExecutionContext, key: str, choice: Choice, changed: bool, stale: int) -> None:
    winner, diagnostics = choice.winner, choice.winner.model.diagnostics
    context.add_asset_metadata(
        {
            "strategy": winner.strategy,
            "reason": choice.reason,
            "overridden": choice.override is not None,
            "marginal_tv": winner.marginal_tv,
            "one_way_tv": winner.one_way_tv,
            "two_way_tv": winner.two_way_tv,
            "converged": diagnostics.converged if diagnostics else True,
            "iterations": diagnostics.iterations if diagnostics else 0,
            "changed": changed,
            "marked_stale": stale,
        },
        asset_key="weights",
        partition_key=key,
    )


class _People:
    """Reference and trial populations of one catalogue, with the weights that are stored already."""

    def __init__(self, build: Build, catalogue: Catalogue) -> None:
        with build.connect() as connection:
            stored = query(
                connection,
                "select * from weights where population = ? and edition = ?",
                [catalogue.population.id, build.edition],
            )
        self._factors = weight_factors(stored)
        self.reference = ReferencePopulation(catalogue, build.reference_size, "reference")
        self.fresh = ReferencePopulation(catalogue, build.trial_size, "trial")
        for dimension in catalogue.dimensions:
            if dimension.id in self._factors:
                for group in (self.reference, self.fresh):
                    group.add(dimension.id, self._factors[dimension.id])

    def add(self, dimension: str, factors: Sequence[Factor]) -> bool:
        """Put a dimension's new factors in; returns whether they differ from those stored."""
        before = self._factors.get(dimension, ())
        for group in (self.reference, self.fresh):
            group.add(dimension, factors)
        return len(before) != len(factors) or any(
            a.given != b.given or not np.array_equal(a.values, b.values) for a, b in zip(before, factors, strict=True)
        )
