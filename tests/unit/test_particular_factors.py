"""From places and titles to factors: likelihoods, and shares that come out among the people who are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.particulars.answers import read_places, read_titles
from pipeline.particulars.factors import FLOOR, NEEDS, fitted, place_table, title_table, written
from pipeline.particulars.requests import load_settings
from serving.particulars import Particulars
from tests.support.particulars import answer
from warehouse.particulars import PLACES, TITLES

US = load_catalogue("us")
SETTINGS = load_settings(US)
CATEGORIES = {d.id: d.category_ids for d in US.dimensions}


def people(n: int = 6_000, **fixed: str) -> dict[str, np.ndarray]:
    """People whose values are uneven and independent, but for those that are fixed."""
    rng = np.random.default_rng(1)
    found = {}
    for name in NEEDS:
        weights = rng.dirichlet(np.ones(len(CATEGORIES[name])))
        found[name] = rng.choice(len(weights), n, p=weights).astype(np.uint8)
    for name, category in fixed.items():
        found[name][:] = CATEGORIES[name].index(category)
    return found


def test_factors_are_likelihoods() -> None:
    table = title_table(read_titles(answer(US, "title", "sales"), US, SETTINGS), US, SETTINGS)
    sex, education, industry, income = table.factors
    female, bachelor = CATEGORIES["sex"].index("female"), CATEGORIES["education"].index("bachelor")
    assert (sex[0, female], sex[1, female]) == (0.05, 0.95)
    assert (education[0, bachelor], education[2, bachelor]) == (0.9, 0.1)
    assert industry[0, 0] == 0.8 and industry[0].min() == FLOOR
    bands = income.reshape(len(sex), len(CATEGORIES["employment"]), -1)
    full_time = bands[0, CATEGORIES["employment"].index("full_time")]
    # Half of the mass lies between quartiles of 20,000 and 30,000, and so all but none of it below 10,000.
    assert full_time[CATEGORIES["personal_income"].index("20k_35k")] > 0.5
    assert full_time[0] == FLOOR and full_time.sum() == pytest.approx(1, abs=8 * FLOOR)
    assert (bands[0, CATEGORIES["employment"].index("part_time")] == 1).all()


def test_what_was_not_told_of_a_heritage_is_as_everywhere() -> None:
    table = place_table(read_places(answer(US, "place", "maine"), US, SETTINGS), US)
    kinds, heritages = table.factors
    assert kinds[0, 0] == 1 and kinds[0, 1] == FLOOR
    assert heritages[0].tolist() == [5, *[1] * (len(CATEGORIES["heritage"]) - 1)]


@pytest.mark.parametrize("kind", ["place", "title"])
def test_the_people_who_are_drawn_come_out_by_the_shares_that_were_told(kind: str) -> None:
    if kind == "place":
        category, these, file = "maine", people(region="maine"), PLACES
        told = place_table(read_places(answer(US, "place", category), US, SETTINGS), US)
    else:
        category, these, file = "sales", people(occupation="sales"), TITLES
        told = title_table(read_titles(answer(US, "title", category), US, SETTINGS), US, SETTINGS)
    index = np.arange(6_000, dtype=np.uint64)
    shares = []
    for table in (told, fitted(told, kind, category, US, these)):  # type: ignore[arg-type]
        content = written(kind, {category: table}, US)  # type: ignore[arg-type]
        assert content == written(kind, {category: table}, US)  # type: ignore[arg-type]
        drawn = Particulars.read(content, file, CATEGORIES).draw_rows(1, kind, index, these)
        shares.append(np.bincount(drawn, minlength=len(table.names)) / len(index))
    assert np.abs(shares[0] - told.shares).sum() > 0.2
    assert np.abs(shares[1] - told.shares).sum() < 0.06  # of drawing 6,000


def test_of_a_category_that_nobody_is_of_the_shares_stay() -> None:
    told = place_table(read_places(answer(US, "place", "maine"), US, SETTINGS), US)
    assert fitted(told, "place", "maine", US, people(region="ohio")) is told
