"""Stage `particular_files`: what a snapshot carries beside its weights. The work is `pipeline.particulars`."""

import dagster as dg

from pipeline.combination.reference import ReferencePopulation
from pipeline.elicitation.batch import write_whole
from pipeline.frames import weight_factors
from pipeline.particulars.factors import DRAWN_BY
from pipeline.particulars.files import PEOPLE, files_of
from pipeline.particulars.requests import plural
from pipeline.partitions import by_population, dimension_to_population
from pipeline.progress import advance
from pipeline.resources import Build
from warehouse.database import query
from warehouse.errors import WarehouseError
from warehouse.particulars import FILES


@dg.asset(
    name="particular_files",
    group_name="particulars",
    kinds={"parquet"},
    partitions_def=by_population,
    pool="warehouse",
    deps=[dg.AssetDep("weights", partition_mapping=dimension_to_population)],
    description="Places of each region, job titles of each occupation and what other categories leave open, with the "
    "factors that they are drawn by; how low the lowest incomes are; how years lie within bands of ages. A population "
    "that is asked nothing has no files.\n\n"
    "**Owner's note**: answers are those of `warehouse/corpus/particulars`; nobody is asked from here. Shares of "
    "places and titles are scaled to the people whom the weights draw.",
)
def write_particular_files(context: dg.AssetExecutionContext, build: Build) -> None:
    """Write the files of these populations."""
    for population in context.partition_keys:
        if population in build.plan.particulars:
            made = _files(context, build, population)
            folder = build.particulars_folder(population)
            folder.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                if name in made:
                    write_whole(folder / name, made[name])
                else:
                    (folder / name).unlink(missing_ok=True)
        build.mark("particular_files", population)
        advance()


def _files(context: dg.AssetExecutionContext, build: Build, population: str) -> dict[str, bytes]:
    enrichment, catalogue = build.plan.particulars[population], build.catalogue(population)
    outcomes = {kind: enrichment.outcome(kind) for kind in DRAWN_BY}
    people = dict(zip(PEOPLE, _people(build, population).codes(PEOPLE).T, strict=True))
    made = files_of(catalogue, outcomes, people)
    told = {f"{name}, bytes": len(content) for name, content in made.items()}
    for kind, outcome in outcomes.items():
        told[plural(kind)] = sum(map(len, outcome.rows.values()))
        context.add_asset_metadata(
            {f"{plural(kind)}, {what}": one for what, one in outcome.metadata.items()}, partition_key=population
        )
    context.add_asset_metadata(told, partition_key=population)
    return made


def _people(build: Build, population: str) -> ReferencePopulation:
    """People drawn with the stored weights, those that the snapshot will draw."""
    with build.connect() as connection:
        stored = query(
            connection, "select * from weights where population = ? and edition = ?", [population, build.edition]
        )
    catalogue, factors = build.catalogue(population), weight_factors(stored)
    people = ReferencePopulation(catalogue, build.reference_size, "particulars")
    for needed in dict.fromkeys([*PEOPLE, *(one for name in PEOPLE for one in catalogue.ancestors(name))]):
        if needed not in factors:
            raise WarehouseError(f"the warehouse lacks weights of '{needed}': run `personagen build`")
        people.add(needed, factors[needed])
    return people
