"""Stage `trial_report`: the page about the trials. What it shows is `pipeline.pages.trials`."""

import dagster as dg

from pipeline.pages.trials import render_trials
from pipeline.partitions import by_population, dimension_to_population
from pipeline.progress import advance
from pipeline.resources import Build
from warehouse.database import query


@dg.asset(
    group_name="weights",
    kinds={"html"},
    partitions_def=by_population,
    pool="warehouse",
    deps=[dg.AssetDep(name, partition_mapping=dimension_to_population) for name in ("trials", "trial_maps")],
    description="A page per population: every dimension's strategies, scores, winner and why; worst first.",
)
def trial_report(context: dg.AssetExecutionContext, build: Build) -> dg.MaterializeResult[None]:
    """Write the page of a population."""
    metadata: dict[str, dg.MetadataValue] = {}
    for population in context.partition_keys:
        catalogue = build.catalogue(population)
        where = "where population = ? and edition = ? and list_contains(?, dimension)"
        key = [population, build.edition, list(catalogue.by_id)]
        with build.connect() as connection:
            trials = query(connection, f"select * from trials {where}", key)
            trial_maps = query(connection, f"select * from trial_maps {where}", key)
        page = build.trial_page(population)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(render_trials(catalogue, build.edition, trials, trial_maps), encoding="utf-8")
        build.mark("trial_report", population)
        metadata = {"page": dg.MetadataValue.path(str(page)), "open": dg.MetadataValue.url(page.as_uri())}
        advance()
    return dg.MaterializeResult(metadata=metadata)
