"""Cramer's V and its comparison."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.grounding.association import contingency, cramers_v, effective, pair_rows
from pipeline.grounding.crosswalk import People, crosswalk


def test_v_is_one_for_a_function_and_zero_for_independence_whatever_the_shape() -> None:
    assert cramers_v(np.diag([5_000.0, 3_000.0, 2_000.0])) == pytest.approx(1.0)
    assert cramers_v(np.outer([100.0, 300.0], [10.0, 20.0, 30.0])) == 0.0
    assert cramers_v(np.array([[10.0, 20.0]])) == 0.0
    assert cramers_v(np.array([[0.0, 0.0], [10.0, 20.0]])) == 0.0


def test_v_of_a_fourfold_table_is_the_size_of_phi() -> None:
    assert cramers_v(np.array([[4e5, 1e5], [1e5, 4e5]])) == pytest.approx(0.6, abs=1e-4)


def test_v_has_next_to_no_bias_where_the_plain_one_has_a_lot() -> None:
    rng = np.random.default_rng(0)
    tables = rng.multinomial(200, np.full(40, 1 / 40), 200).reshape(-1, 8, 5).astype(float)
    plain = [np.sqrt(_phi(t) / 4) for t in tables]
    assert np.mean(plain) > 0.17
    assert np.mean([cramers_v(t) for t in tables]) < 0.06


def test_weights_count_for_as_many_people_as_they_are_worth() -> None:
    people = People(np.array([[0, 0], [1, 1], [1, 0]], dtype=np.int16), np.array([1.0, 1.0, 2.0]))
    assert effective(people.weights) == pytest.approx(16 / 6)
    table = contingency(people, (2, 2))
    assert table.sum() == pytest.approx(16 / 6)
    assert table[1, 0] == pytest.approx(table[0, 0] * 2)


def test_pairs_are_compared_worst_first_and_marked_by_the_catalogues_edges() -> None:
    exact = {"match": "exact", "column": "x", "values": {}}
    source = {"groups": [], "adults": True, "columns": {"age": exact, "sex": exact, "handedness": exact}}
    walk = crosswalk("made_up", source, load_catalogue("us"))
    rng = np.random.default_rng(1)
    codes = np.stack([rng.integers(0, k, 4_000) for k in (7, 2, 3)], axis=1).astype(np.int16)
    tied = codes.copy()
    tied[:, 2] = np.where(rng.random(4_000) < 0.7, tied[:, 1], tied[:, 2])  # handedness by sex
    tied[::50, 0] = -1
    rows = pair_rows(walk, People(codes, np.ones(4_000)), People(tied, np.ones(4_000)))
    assert (rows[0].first, rows[0].second) == ("sex", "handedness")
    assert rows[0].difference.value == pytest.approx(0.7, abs=0.1)
    assert rows[0].difference.low > 0.5
    assert {(r.first, r.second): r.edge for r in rows} == {
        ("sex", "handedness"): True,
        ("age", "sex"): True,
        ("age", "handedness"): False,
    }
    assert all(r.difference.low < 0 < r.difference.high for r in rows[1:])


def _phi(counts: np.ndarray) -> float:  # type: ignore[type-arg]
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    return float(((counts - expected) ** 2 / expected).sum() / counts.sum())
