"""Two surveys on the columns that both have: which these are, in which categories, and what is told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.grounding import crosswalk as crosswalks
from pipeline.grounding.crosswalk import Crosswalk, load_crosswalks
from pipeline.grounding.witnesses import shared, witness
from serving import Snapshot

US = load_catalogue("us")
WALKS = {walk.id: walk for walk in load_crosswalks(US)}


def test_categories_are_the_finest_that_both_can_be_put_into() -> None:
    first, second = WALKS["TV16"], WALKS["gss_abortion"]
    columns = {column.dimension: column for column in shared(first, second)}
    assert list(columns) == ["age", "sex", "ethnicity", "education", "party"]
    assert [column.categories for column in columns.values()] == [7, 2, 4, 2, 7]
    education = columns["education"]
    # Below a bachelor's degree are three categories of the second; in both bachelor and more are the others.
    assert education.first.tolist() == [0, 1] and education.second.tolist() == [0, 0, 0, 1, 1]
    names = [first.columns[first.place("ethnicity")].categories, second.columns[second.place("ethnicity")].categories]
    ethnicity = columns["ethnicity"]
    by_name = [
        dict(zip(n, c.tolist(), strict=True)) for n, c in zip(names, (ethnicity.first, ethnicity.second), strict=True)
    ]
    assert by_name[0]["asian"] == by_name[0]["two_or_more"] == by_name[1]["other"]
    assert by_name[0]["black"] == by_name[1]["black"] != by_name[0]["white"]


def test_columns_told_of_some_people_only_are_left_out() -> None:
    assert "personal_income" not in {column.dimension for column in shared(WALKS["acs12"], WALKS["gss_wages"])}


def test_every_survey_beside_another_is_there_and_shares_columns_with_it() -> None:
    beside = [(walk, one) for walk in WALKS.values() for one in walk.source.get("beside", ())]
    assert beside
    for walk, one in beside:
        assert len(shared(walk, WALKS[one["data"]])) >= 3


def test_the_like_are_not_told_apart_and_only_rows_of_the_year_count(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="the extra 'bench' is not installed")
    rng = np.random.default_rng(0)
    n = 3_000
    ages = rng.integers(18, 90, n)
    first = pd.DataFrame({"age": ages, "female": rng.integers(0, 2, n)})
    years = np.where(np.arange(n) < n // 2, 2016, 2012)
    # Rows of another year are all young women.
    second = pd.DataFrame(
        {
            "age": np.where(years == 2016, rng.integers(18, 90, n), 20),
            "female": np.where(years == 2016, rng.integers(0, 2, n), 1),
            "year": years,
        }
    )
    frames = {"first": first, "second": second}
    monkeypatch.setattr(crosswalks, "microdata", lambda package, item: frames[item])
    tv16 = WALKS["TV16"]
    columns = tuple(column for column in tv16.columns if column.id in ("age", "sex"))

    def walk(name: str, rows: dict[str, list[int]]) -> Crosswalk:
        return replace(tv16, id=name, columns=columns, source={**tv16.source, "item": name, "rows": rows})

    found = witness(
        walk("first", {"age": [18, 120]}), walk("second", {"year": [2010, 2018]}), 2016, Snapshot.load("us")
    )
    assert found.people == n // 2 and found.columns == ("age", "sex")
    assert 0.46 < found.between.value < 0.54
    assert found.of_first.value > 0.5
