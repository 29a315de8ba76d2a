"""Who the people are that names are drawn for, from the pooled maps."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.heritage_shares import DIMENSIONS, people_shares
from tests.support.name_facts import MAPS, people_maps
from warehouse.errors import WarehouseError
from warehouse.names.files import EVERYONE, FOREIGN

CATALOGUE = load_catalogue("us")
IDS = {dimension: CATALOGUE.dimension(dimension).category_ids for dimension in DIMENSIONS}
AGES = CATALOGUE.dimension("age").category_ids
COHORTS = (1920, 1950, 1958, 2005)


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    return people_shares(CATALOGUE, people_maps(), COHORTS)


def made_up(place: int, shift: int, count: int) -> float:
    """The probability that the made-up maps give to a category."""
    return (place + 1 + shift) / sum(other + 1 + shift for other in range(count))


def test_for_everyone_the_maps_are_multiplied(people: pl.DataFrame) -> None:
    cell = {"ethnicity": "asian", "nativity": "foreign_born", "heritage": "korean"}
    e, n, h = (IDS[d].index(c) for d, c in cell.items())
    counts = [len(IDS[d]) for d in DIMENSIONS]
    expected = made_up(e, 0, counts[0]) * made_up(n, e, counts[1]) * made_up(h, e + n, counts[2])
    assert people.filter(cohort=EVERYONE, **cell)["share"].item() == pytest.approx(expected)


def test_each_cohort_is_whole_and_in_catalogue_order(people: pl.DataFrame) -> None:
    assert people["cohort"].unique(maintain_order=True).to_list() == [EVERYONE, *COHORTS]
    for _, rows in people.group_by("cohort"):
        assert rows.select(*DIMENSIONS).rows() == list(product(*IDS.values()))
        assert rows["share"].sum() == pytest.approx(1)


def test_those_born_here_are_not_from_elsewhere(people: pl.DataFrame) -> None:
    assert people.filter(pl.col("cohort") != EVERYONE, nativity=FOREIGN)["share"].sum() == 0


@pytest.mark.parametrize(("cohort", "ages"), [(1920, ("75_plus",) * 5), (2005, ("18_24",) * 5)])
def test_a_cohort_has_the_ethnicities_of_its_age(people: pl.DataFrame, cohort: int, ages: tuple[str, ...]) -> None:
    found = people.filter(cohort=cohort).group_by("ethnicity", maintain_order=True).agg(pl.col("share").sum())
    expected = np.zeros(len(IDS["ethnicity"]))
    for age in map(AGES.index, ages):
        for e in range(len(expected)):
            abroad = made_up(IDS["nativity"].index(FOREIGN), age + e, len(IDS["nativity"]))
            expected[e] += made_up(e, age, len(expected)) * (1 - abroad)
    np.testing.assert_allclose(found["share"], expected / expected.sum())


def test_a_cohort_between_two_ages_is_between_them(people: pl.DataFrame) -> None:
    """Of the years 1958 to 1962 three are of the age 65 to 74 in 2025, and two of that before."""
    years = CATALOGUE.population.year - np.arange(1958, 1963)
    assert sorted(years >= 65) == [False, False, True, True, True]

    def shares(cohort: int) -> pl.Series:
        return people_shares(CATALOGUE, people_maps(), [cohort]).filter(cohort=cohort)["share"]

    found, older, younger = people.filter(cohort=1958)["share"], shares(1953), shares(1961)
    assert (found >= pl.DataFrame([older, younger.alias("y")]).min_horizontal() - 1e-12).all()
    assert (found <= pl.DataFrame([older, younger.alias("y")]).max_horizontal() + 1e-12).all()
    assert (found - older).abs().max() > 1e-5 < (found - younger).abs().max()


@pytest.mark.parametrize(("dimension", "given"), MAPS)
def test_a_missing_map_is_named(dimension: str, given: tuple[str, ...]) -> None:
    rest = people_maps().filter((pl.col("dimension") != dimension) | (pl.col("given") != list(given)))
    with pytest.raises(WarehouseError, match=rf"lacks the map P\({dimension}.*personagen build"):
        people_shares(CATALOGUE, rest, COHORTS)


def test_a_map_that_lacks_a_row_is_named() -> None:
    part = people_maps().filter(
        (pl.col("dimension") != "nativity") | (pl.col("condition").list.get(0, null_on_oob=True) != "asian")
    )
    with pytest.raises(WarehouseError, match=r"P\(nativity \| ethnicity\)"):
        people_shares(CATALOGUE, part, COHORTS)
