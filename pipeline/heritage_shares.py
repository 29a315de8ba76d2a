"""Who the people are that names are drawn for, read from the pooled maps.

Belongs here: joint shares of ethnicity, nativity and heritage, and the ethnicities of birth cohorts. Does not belong
here: names (`warehouse.names`, `pipeline.names`).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from pipeline.catalogue.models import Catalogue
from warehouse.errors import WarehouseError
from warehouse.names.files import FOREIGN

CHAIN = {"ethnicity": (), "nativity": ("ethnicity",), "heritage": ("ethnicity", "nativity")}
"""The maps that are multiplied: P(ethnicity) P(nativity | ethnicity) P(heritage | ethnicity, nativity)."""

COHORT_YEARS = 5


def joint_shares(catalogue: Catalogue, maps: pl.DataFrame) -> pl.DataFrame:
    """Columns ethnicity, nativity, heritage, share; a row for each combination, in catalogue order, summing to 1.

    `maps` has rows of the table `maps` of one population and edition. Raises WarehouseError if one of the three is not
    there, or lacks a row.
    """
    joint = pl.DataFrame({"share": [1.0]})
    for dimension, given in CHAIN.items():
        joint = _times(joint, maps, dimension, given)
    places = {d: {c: i for i, c in enumerate(catalogue.dimension(d).category_ids)} for d in CHAIN}
    order = [pl.col(d).replace_strict(places[d], return_dtype=pl.Int32) for d in CHAIN]
    return joint.sort(order).select(*CHAIN, pl.col("share") / pl.col("share").sum())


def native_shares(catalogue: Catalogue, maps: pl.DataFrame, cohorts: Iterable[int]) -> pl.DataFrame:
    """Columns cohort, ethnicity, share: the ethnicities of those born here in the five years from `cohort` on.

    P(ethnicity | age) P(nativity | age, ethnicity), in the year that the population is of; who is younger or older than
    its ages counts to the nearest. A cohort's shares sum to 1. Raises WarehouseError as `joint_shares` does.
    """
    bands = {int(category.split("_")[0]): category for category in catalogue.dimension("age").category_ids}
    years = [(cohort, cohort + after) for cohort in cohorts for after in range(COHORT_YEARS)]
    ages = [max(min(bands), catalogue.population.year - year) for _, year in years]
    of_age = [bands[max(low for low in bands if low <= age)] for age in ages]
    born = pl.DataFrame({"cohort": [cohort for cohort, _ in years], "age": of_age, "share": 1.0})
    people = _times(_times(born, maps, "ethnicity", ("age",)), maps, "nativity", ("age", "ethnicity"))
    native = people.filter(pl.col("nativity") != FOREIGN)
    of_cohort = native.group_by("cohort", "ethnicity", maintain_order=True).agg(pl.col("share").sum())
    return of_cohort.with_columns(pl.col("share") / pl.col("share").sum().over("cohort"))


def _times(people: pl.DataFrame, maps: pl.DataFrame, dimension: str, given: tuple[str, ...]) -> pl.DataFrame:
    """People with the column `dimension` added and their share multiplied by P(dimension | given)."""
    rows = maps.filter(pl.col("dimension") == dimension, pl.col("given") == list(given))
    step = rows.select(
        *(pl.col("condition").list.get(place).alias(parent) for place, parent in enumerate(given)),
        pl.col("category").alias(dimension),
        "probability",
    )
    if given:
        joined = people.join(step, on=given, how="left", maintain_order="left_right")
    else:
        joined = people.join(step, how="cross")
    if joined.is_empty() or joined["probability"].null_count():
        name = f"P({dimension} | {', '.join(given)})" if given else f"P({dimension})"
        raise WarehouseError(f"the warehouse lacks the map {name}: run `personagen build`")
    return joined.with_columns(share=pl.col("share") * pl.col("probability")).drop("probability")
