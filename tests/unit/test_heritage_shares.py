"""Who the people are that names are drawn for, from the weights that they are drawn with."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.heritage_shares import CHAIN, people_shares
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.name_facts import people_weights, write_people
from warehouse.errors import WarehouseError
from warehouse.names.files import EVERYONE, FOREIGN

CATALOGUE = load_catalogue("us")
IDS = {dimension: CATALOGUE.dimension(dimension).category_ids for dimension in CHAIN}
COHORTS = (1920, 1950, 1958, 2005)
PEOPLE = 400_000


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    return people_shares(CATALOGUE, people_weights(), COHORTS)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """People whom the sampler draws with the same weights."""
    folder = write_people(tmp_path_factory.mktemp("snapshot") / "us", CHAIN, {})
    return Sampler(Snapshot.load(folder)).sample(PEOPLE).to_polars()


def by(frame: pl.DataFrame, *columns: str) -> dict[tuple[str, ...], float]:
    """Shares of all combinations of some columns."""
    share = pl.col("share").sum() if "share" in frame.columns else pl.len() / len(frame)
    found = frame.group_by(columns).agg(share).with_columns(pl.col(columns).cast(pl.String))
    return {tuple(row[:-1]): row[-1] for row in found.iter_rows()}


@pytest.mark.parametrize("columns", [("ethnicity", "nativity"), ("heritage",), ("nativity", "heritage")])
def test_everyone_is_whom_the_sampler_draws(
    people: pl.DataFrame, sampled: pl.DataFrame, columns: tuple[str, ...]
) -> None:
    expected, drawn = by(people.filter(cohort=EVERYONE), *columns), by(sampled, *columns)
    for cell, share in expected.items():
        assert abs(drawn.get(cell, 0.0) - share) <= 5 * np.sqrt(share * (1 - share) / PEOPLE), cell


@pytest.mark.parametrize(("cohort", "age"), [(1920, "75_plus"), (2005, "18_24")])
def test_a_cohort_is_of_its_age_and_born_here(
    people: pl.DataFrame, sampled: pl.DataFrame, cohort: int, age: str
) -> None:
    of_age = sampled.filter(pl.col("age") == age, pl.col("nativity") != FOREIGN)
    drawn = by(of_age, "ethnicity", "nativity")
    for cell, share in by(people.filter(cohort=cohort), "ethnicity", "nativity").items():
        assert abs(drawn.get(cell, 0.0) - share) <= 5 * np.sqrt(share * (1 - share) / len(of_age)), cell


def test_each_cohort_is_whole_and_in_catalogue_order(people: pl.DataFrame) -> None:
    assert people["cohort"].unique(maintain_order=True).to_list() == [EVERYONE, *COHORTS]
    for _, rows in people.group_by("cohort"):
        assert rows.select(CHAIN[1:]).rows() == list(product(*(IDS[dimension] for dimension in CHAIN[1:])))
        assert rows["share"].sum() == pytest.approx(1)
    assert people.filter(pl.col("cohort") != EVERYONE, nativity=FOREIGN)["share"].sum() == 0


def test_a_cohort_between_two_ages_is_between_them(people: pl.DataFrame) -> None:
    """Of the years 1958 to 1962 three are of the age 65 to 74 in 2025, and two of that before."""
    years = CATALOGUE.population.year - np.arange(1958, 1963)
    assert sorted(years >= 65) == [False, False, True, True, True]
    older, younger = (people_shares(CATALOGUE, people_weights(), [c]).filter(cohort=c)["share"] for c in (1953, 1961))
    found = people.filter(cohort=1958)["share"]
    assert (found >= np.minimum(older, younger) - 1e-12).all()
    assert (found <= np.maximum(older, younger) + 1e-12).all()
    assert (found - older).abs().max() > 1e-5 < (found - younger).abs().max()


@pytest.mark.parametrize("dimension", CHAIN)
def test_missing_weights_are_named(dimension: str) -> None:
    rest = people_weights().filter(pl.col("dimension") != dimension)
    with pytest.raises(WarehouseError, match=f"lacks weights of '{dimension}': run `personagen build`"):
        people_shares(CATALOGUE, rest, COHORTS)


def test_another_parent_is_an_error(tmp_path: Path) -> None:
    heritage = CATALOGUE.dimension("heritage")
    changed = heritage.model_copy(update={"parents": (*heritage.parents, "sex")})
    dimensions = tuple(changed if d.id == "heritage" else d for d in CATALOGUE.dimensions)
    other = CATALOGUE.model_copy(update={"dimensions": dimensions})
    other.__dict__.pop("by_id", None)
    with pytest.raises(WarehouseError, match="cannot follow 'heritage', which depends on 'sex'"):
        people_shares(other, people_weights(), COHORTS)
