"""Stage `name_files`: what a snapshot knows of names. Their content is `warehouse.names.export`."""

from collections.abc import Collection

import dagster as dg
import polars as pl

from pipeline.catalogue.models import Catalogue
from pipeline.elicitation.batch import write_whole
from pipeline.heritage_shares import CHAIN, RELIGION, people_shares, religion_shares
from pipeline.names.faiths import FAITHS
from pipeline.names.frames import faith_shares, heritage_shares, name_facts
from pipeline.names.rare import standing
from pipeline.names.ways import borrowing, faith_map, lender, surname_forms
from pipeline.particulars.requests import groups
from pipeline.partitions import by_population, dimension_to_population, kind_to_population
from pipeline.plan import COUNTED, NAMED
from pipeline.progress import advance
from pipeline.resources import Build
from warehouse.database import query
from warehouse.errors import CatalogueError
from warehouse.names.borrowed import Given, borrowed_files
from warehouse.names.export import COHORTS, Faiths, Told, listed_surnames, name_files


@dg.asset(
    name="name_files",
    group_name="names",
    kinds={"parquet"},
    partitions_def=by_population,
    pool="warehouse",
    deps=[
        dg.AssetDep("weights", partition_mapping=dimension_to_population),
        dg.AssetDep("name_estimates", partition_mapping=kind_to_population),
    ],
    description="First names and surnames with all that a draw needs: births, Census shares, heritages that were told, "
    "and who the people are. A population without names has no files.\n\n"
    "**Owner's note**: weights say how many people have a heritage, and estimates whose names these are; the "
    "tables that are drawn from are made of both when a snapshot is used.",
)
def write_name_files(context: dg.AssetExecutionContext, build: Build) -> None:
    """Write the name files of these populations."""
    for population in context.partition_keys:
        if population in NAMED:
            told, borrowed = _told(build, population), borrowing(population)
            made = (
                name_files(told)
                if borrowed is None
                else borrowed_files(borrowed, told, _given(context, build, population))
            )
            folder = build.name_folder(population)
            for name, content in made.items():
                write_whole(folder / name, content)
                context.add_asset_metadata({f"{name}, bytes": len(content)}, partition_key=population)
            names = told.heritage.group_by("kind").agg(pl.col("key").n_unique())
            context.add_asset_metadata(
                {
                    **{f"{kind} names told of": count for kind, count in names.iter_rows()},
                    "names told the faith of": 0 if told.faiths is None else len(told.faiths.shares),
                },
                partition_key=population,
            )
        build.mark("name_files", population)
        advance()


def _given(context: dg.AssetExecutionContext, build: Build, population: str) -> list[Given]:
    """The first names that were told to be given in this population."""
    if population not in build.plan.particulars:
        return []
    outcome, of = build.plan.particulars[population].outcome("name"), groups(build.catalogue(population))
    told = {f"lists of first names, {what}": one for what, one in outcome.metadata.items()}
    context.add_asset_metadata({"lists of first names": len(outcome.rows), **told}, partition_key=population)
    return [
        Given(
            of[key].heritage.id,
            of[key].sex.id,
            of[key].first,
            of[key].last,
            {one.name: one.share for one in names},
        )
        for key, names in outcome.rows.items()
    ]


def _told(build: Build, population: str) -> Told:
    where, key = "where population = ? and edition = ?", [population, build.edition]
    with build.connect() as connection:
        weights = query(
            connection,
            f"select * from weights {where} and list_contains(?, dimension)",
            [*key, [*CHAIN, RELIGION]],
        )
        estimates = query(connection, f"select * from name_estimates {where}", [lender(population), build.edition])
    people, tags = people_shares(build.catalogue(population), weights, COHORTS), heritage_shares(estimates)
    faiths, forms = _faiths(build, population, weights), _surname_forms(build, population)
    if population not in COUNTED:
        rare = pl.DataFrame(schema={"key": pl.String, "factor": pl.Float64})
        return Told(people, tags, name_facts(estimates), rare, faiths, forms)
    surnames, everybody = listed_surnames()
    rare = standing(surnames, everybody, tags.filter(kind="last"), people)
    return Told(people, tags, name_facts(estimates), rare, faiths, forms)


def _surname_forms(build: Build, population: str) -> list[dict[str, object]]:
    """What is said of surnames as one sex bears them; `CatalogueError` if it is told of another category."""
    catalogue, found = build.catalogue(population), []
    for one in surname_forms(population):
        for dimension, named in (
            *(("sex", [one.sex]), ("heritage", one.heritages)),
            *(("nativity", one.nativities), (RELIGION, one.religions)),
        ):
            _check_known(catalogue, dimension, named)
        found.append(one.model_dump())
    return found


def _check_known(catalogue: Catalogue, dimension: str, named: Collection[str]) -> None:
    known = catalogue.dimension(dimension).category_ids if dimension in catalogue.by_id else ()
    if unknown := [one for one in named if one not in known]:
        where = f"names of population '{catalogue.population.id}'"
        raise CatalogueError(f"{where}: {dimension} has no '{unknown[0]}': correct it")


def _faiths(build: Build, population: str, weights: pl.DataFrame) -> Faiths | None:
    """What was told of the faiths of families, and of whom; None if nothing was, or nobody has a religion."""
    shares = faith_shares(build.plan.enrichments[lender(population)])
    known = faith_map(population)
    catalogue = build.catalogue(population)
    if shares.is_empty() or not known.split or RELIGION not in catalogue.by_id:
        return None
    _check_known(catalogue, "heritage", known.split)
    _check_known(catalogue, RELIGION, known.of)
    among = religion_shares(catalogue, weights)
    return Faiths(
        shares,
        FAITHS,
        RELIGION,
        known.of,
        {heritage: {one: among[heritage][one] for one in known.of} for heritage in known.split},
    )
