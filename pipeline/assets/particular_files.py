"""Stage `particular_files`: what a snapshot carries beside its weights. The work is `pipeline.particulars`."""

import dagster as dg

from pipeline.combination.reference import ReferencePopulation
from pipeline.elicitation.batch import write_whole
from pipeline.frames import weight_factors
from pipeline.particulars.ages import AGED_BY, PEOPLE, age_tables
from pipeline.particulars.factors import (
    DRAWN_BY,
    FILE_OF,
    GIVENS,
    Table,
    fitted,
    place_table,
    title_table,
    written,
    written_incomes,
)
from pipeline.particulars.requests import WITHIN, Kind, load_settings
from pipeline.partitions import by_population, dimension_to_population
from pipeline.progress import advance
from pipeline.resources import Build
from serving.ages import AGE
from warehouse.database import query
from warehouse.errors import WarehouseError
from warehouse.particulars import AGES, FILES, INCOMES


@dg.asset(
    name="particular_files",
    group_name="particulars",
    kinds={"parquet"},
    partitions_def=by_population,
    pool="warehouse",
    deps=[dg.AssetDep("weights", partition_mapping=dimension_to_population)],
    description="Places of each region and job titles of each occupation, with the factors that they are drawn by; "
    "how low the lowest incomes are; how years lie within bands of ages. A population that is asked nothing has no "
    "files.\n\n"
    "**Owner's note**: answers are those of `warehouse/corpus/particulars`; nobody is asked from here. Shares are "
    "scaled to the people whom the weights draw.",
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
    settings = load_settings(catalogue)
    outcomes = {kind: enrichment.outcome(kind) for kind in DRAWN_BY}
    parts, homes, holders, terms = (outcomes[kind].rows for kind in ("part", "home", "holder", "arrangement"))
    told: dict[Kind, dict[str, Table]] = {
        "place": {
            one: place_table(rows, parts.get(one, ()), homes.get(one, ()), catalogue)
            for one, rows in outcomes["place"].rows.items()
        },
        "title": {
            one: title_table(rows, holders.get(one, ()), terms.get(one, ()), catalogue, settings)
            for one, rows in outcomes["title"].rows.items()
        },
    }
    people = dict(zip(PEOPLE, _people(build, population).codes(PEOPLE).T, strict=True))
    made = {}
    for kind, rows in told.items():
        tables = {one: fitted(table, kind, one, catalogue, people) for one, table in rows.items()}
        if tables:
            made[FILE_OF[kind]] = written(WITHIN[kind], GIVENS[kind], tables, catalogue)
        names = sum(len(table.names) for table in tables.values())
        context.add_asset_metadata({f"{kind}s": names}, partition_key=population)
    made[AGES] = written(AGE, [(name,) for name in AGED_BY], age_tables(catalogue, people), catalogue)
    if incomes := outcomes["income"].rows:
        made[INCOMES] = written_incomes(incomes, catalogue)
    sizes = {f"{kind}s, bytes": len(made.get(file, b"")) for kind, file in FILE_OF.items()}
    context.add_asset_metadata(sizes, partition_key=population)
    for kind, outcome in outcomes.items():
        context.add_asset_metadata(
            {f"{kind}s, {what}": one for what, one in outcome.metadata.items()}, partition_key=population
        )
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
