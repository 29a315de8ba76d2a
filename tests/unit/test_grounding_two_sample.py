"""Areas under the ROC curve, and people chosen by their margins."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.grounding.crosswalk import People
from pipeline.grounding.two_sample import area, auc_replicates, held_out_scores, matched


def test_the_area_is_the_share_of_pairs_in_order_ties_counting_half_and_weights_counted() -> None:
    asked, made = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0])
    assert auc_replicates(asked, made, np.ones(3), 0)[0] == pytest.approx((2 + 1.5 + 1) / 6)
    assert auc_replicates(asked, made, np.array([1e-9, 1e-9, 1.0]), 0)[0] == pytest.approx(0.5)


def test_resampled_areas_have_the_spread_that_theory_gives() -> None:
    rng = np.random.default_rng(0)
    found = area(auc_replicates(rng.normal(size=400), rng.normal(size=400), np.ones(400), 1))
    error = np.sqrt((1 / 400 + 1 / 400) / 12)  # of the Mann-Whitney statistic without a difference
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.15)
    assert found.low < 0.5 < found.high


def test_arms_against_the_same_respondents_are_resampled_together() -> None:
    rng = np.random.default_rng(0)
    asked, made = rng.normal(size=300), rng.normal(size=20_000)
    first, second = (auc_replicates(asked, made + shift, np.ones(300), 7) for shift in (0.0, 0.01))
    assert np.std(first - second) < 0.1 * np.std(first)


def test_matched_people_have_the_margins_and_keep_how_columns_go_together() -> None:
    rng = np.random.default_rng(0)
    first = (rng.random(40_000) < 0.3).astype(int)
    second = np.where(rng.random(40_000) < 0.8, first, 1 - first)
    pool = People(np.column_stack([first, second]).astype(np.int16), np.ones(40_000))
    like = People(np.array([[1, 0], [1, 1], [1, 1], [0, 0], [0, 1]], dtype=np.int16), np.ones(5))
    chosen = matched(pool, like, [2, 2], 3_000, 5)
    assert chosen.codes.mean(axis=0) == pytest.approx([0.6, 0.6], abs=0.02)
    table = np.bincount(2 * chosen.codes[:, 0] + chosen.codes[:, 1], minlength=4).astype(float)
    assert table[0] * table[3] / (table[1] * table[2]) == pytest.approx(16, rel=0.2)


def test_a_classifier_finds_a_difference_that_is_in_no_margin_and_none_where_there_is_none() -> None:
    pytest.importorskip("sklearn", reason="the extra 'bench' is not installed")
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (3, 1_500, 2)).astype(np.int16)
    tied = codes[0].copy()
    tied[:750, 1] = tied[:750, 0]
    asked, same, other = (People(c, np.ones(1_500)) for c in (codes[1], codes[2], tied))
    for made, low, high in ((same, 0.45, 0.55), (other, 0.65, 0.8)):
        theirs, ours = held_out_scores(asked, made, [True, False], 0)
        assert low < auc_replicates(theirs, ours, asked.weights, 0)[0] < high
