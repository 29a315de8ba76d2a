"""Leanings by subgroup, and numbers of distinct profiles."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.grounding.crosswalk import People, crosswalk
from pipeline.grounding.leanings import diversity, leaning_rows, profiles

EXACT = {"match": "exact", "column": "x", "values": {}}
SOURCE = {
    "groups": ["sex"],
    "adults": True,
    "columns": {"sex": EXACT, "handedness": EXACT},
    "leanings": [
        {"theme": "hands", "label": "not right", "column": "handedness", "categories": ["left", "ambidextrous"]}
    ],
}


def _people(left_of_women: float, left_of_men: float, n: int = 10_000) -> People:
    rng = np.random.default_rng(n)
    sex = np.arange(n) % 2
    left = rng.random(n) < np.where(sex == 0, left_of_women, left_of_men)
    return People(np.column_stack([sex, left]).astype(np.int16), np.ones(n))


def test_a_leaning_has_a_sign_a_subgroup_and_an_interval() -> None:
    walk = crosswalk("made_up", SOURCE, load_catalogue("us"))
    everybody, women, men = leaning_rows(walk, _people(0.1, 0.1), _people(0.2, 0.1, 20_000))
    assert (everybody.group, women.category, men.category) == ("", "female", "male")
    assert everybody.difference.value == pytest.approx(5, abs=1)
    assert women.difference.value == pytest.approx(10, abs=1.5)
    assert women.difference.low > 0
    assert men.difference.low < 0 < men.difference.high
    assert women.respondents == pytest.approx(10, abs=1)


def test_a_subgroup_of_a_handful_is_left_out_and_weights_count() -> None:
    walk = crosswalk("made_up", SOURCE, load_catalogue("us"))
    asked = _people(0.1, 0.5)
    few = asked.rows((asked.codes[:, 0] == 0) | (np.arange(10_000) < 40))
    assert [r.category for r in leaning_rows(walk, few, asked)] == ["", "female"]
    heavy = People(asked.codes, np.where(asked.codes[:, 0] == 1, 9.0, 1.0))
    assert leaning_rows(walk, heavy, asked)[0].respondents == pytest.approx(46, abs=2)


def test_profiles_are_counted_by_how_evenly_people_spread_over_them() -> None:
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.int16)
    assert profiles(codes, np.ones(4)) == pytest.approx(4)
    assert profiles(codes, np.array([1.0, 1.0, 0.0, 0.0]) + 1e-12) == pytest.approx(2)


def test_personas_who_are_too_much_alike_are_found_out() -> None:
    rng = np.random.default_rng(0)
    asked = People(rng.integers(0, 3, (1_000, 4)).astype(np.int16), np.ones(1_000))
    pool = rng.integers(0, 3, (50_000, 4)).astype(np.int16)
    alike = pool.copy()
    alike[:, 1] = alike[:, 0]
    same, narrow = (diversity(asked, People(c, np.ones(50_000)), 4, 0) for c in (pool, alike))
    assert same is not None and narrow is not None
    assert same.ratio.low < 1 < same.ratio.high
    assert narrow.ratio.high < 0.5
    assert diversity(asked, People(pool, np.ones(50_000)), 5, 0) is None
    over_two = diversity(asked, People(alike, np.ones(50_000)), 2, 0)
    assert over_two is not None
    assert over_two.subsets == 6
