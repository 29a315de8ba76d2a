"""Distances of conditionals, and what chance gives."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.combination.goodness import draw
from pipeline.combination.problem import ElicitedMap
from pipeline.grounding.crosswalk import People, crosswalk
from pipeline.grounding.maps import by_chance, conditional, map_rows, merged_map

CATALOGUE = load_catalogue("us")
EXACT = {"match": "exact", "column": "x", "values": {}}
WALK = crosswalk("made_up", {"groups": [], "adults": True, "columns": {"sex": EXACT, "handedness": EXACT}}, CATALOGUE)
TRUTH = np.array([[0.90, 0.08, 0.02], [0.60, 0.35, 0.05]])


def _people(n: int, p: np.ndarray, seed: int) -> People:  # type: ignore[type-arg]
    sex = np.random.default_rng(seed).integers(0, 2, n)
    return People(np.column_stack([sex, draw(p[sex], seed + 1)]).astype(np.int16), np.ones(n))


def test_a_conditional_counts_weights() -> None:
    people = People(np.array([[0, 0], [0, 1], [1, 1]], dtype=np.int16), np.array([1.0, 3.0, 4.0]))
    p, mass, number = conditional(people, (2, 2))
    assert p.tolist() == [[0.25, 0.75], [0.0, 1.0]]
    assert mass.tolist() == [0.5, 0.5]
    assert number.tolist() == [pytest.approx(1.6), 1.0]


def test_chance_shrinks_with_the_number_of_people_and_is_all_there_is_between_equals() -> None:
    mass = np.array([0.5, 0.5])
    few, many = (by_chance(TRUTH, mass, np.full(2, n), np.full(2, 1e6)).mean() for n in (50.0, 5_000.0))
    assert few == pytest.approx(10 * many, rel=0.1)


def test_maps_are_compared_with_chance_beside_them() -> None:
    asked, alike = _people(2_000, TRUTH, 1), _people(100_000, TRUTH, 3)
    other = _people(100_000, TRUTH[::-1], 5)
    own = {"handedness": {("sex",): ElicitedMap(("sex",), TRUTH, np.zeros_like(TRUTH))}}
    everybody = {"sex": alike.codes[:, 0].astype(np.uint8), "handedness": alike.codes[:, 1].astype(np.uint8)}
    rows = {(r.dimension, r.given): r for r in map_rows(WALK, asked, alike, CATALOGUE, maps=own, everybody=everybody)}
    assert set(rows) == {("sex", ()), ("handedness", ()), ("handedness", ("sex",))}
    row = rows[("handedness", ("sex",))]
    assert row.personas < row.chance_high
    assert row.elicited == pytest.approx(row.personas, abs=0.01)
    wrong = map_rows(WALK, asked, other, CATALOGUE, maps=own, everybody=everybody)[-1]
    assert wrong.personas == pytest.approx(0.3, abs=0.03)
    assert wrong.personas > 5 * wrong.chance_high
    assert wrong.elicited == row.elicited


def test_rows_of_a_map_that_fall_together_are_averaged_by_how_common_they_are() -> None:
    source = {
        "groups": [],
        "adults": True,
        "columns": {
            "sex": {**EXACT, "personas": {"anybody": ["female", "male"]}},
            "handedness": {**EXACT, "personas": {"right": ["right"], "left": ["left"]}},
        },
    }
    walk = crosswalk("made_up", source, CATALOGUE)
    table = merged_map(TRUTH, [walk.columns[0]], walk.columns[1], [np.repeat([0, 1], [300, 100]).astype(np.uint8)])
    whole = 0.75 * TRUTH[0] + 0.25 * TRUTH[1]
    assert table.tolist() == [pytest.approx((whole[:2] / whole[:2].sum()).tolist())]


def test_there_is_no_map_to_compare_where_the_frame_is_not_everybody() -> None:
    narrow = crosswalk("made_up", {**WALK.source, "evidence": {"age": "26..59"}}, CATALOGUE)
    asked = _people(500, TRUTH, 1)
    own = {"handedness": {("sex",): ElicitedMap(("sex",), TRUTH, np.zeros_like(TRUTH))}}
    rows = map_rows(narrow, asked, asked, CATALOGUE, maps=own, everybody={})
    assert [r.elicited for r in rows] == [None] * 3
