"""Intervals by resampling conditions: reproducible, paired, and as wide as the conditions differ."""

from __future__ import annotations

import numpy as np

from pipeline.combination.bootstrap import Resamples, interval

MASS = np.array([0.25, 0.25, 0.25, 0.25])


def test_the_first_replicate_is_the_sample() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4])
    found = interval(Resamples.of([MASS]).means([MASS], [scores]))
    assert np.isclose(found.value, 0.25)
    assert found.low < 0.2
    assert found.high > 0.3


def test_equal_scores_leave_no_width() -> None:
    found = interval(Resamples.of([MASS]).means([MASS], [np.full(4, 0.3)]))
    assert np.allclose([found.low, found.high], 0.3)


def test_the_width_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    mass, scores = np.full(400, 1 / 400), rng.normal(0, 1, 400)
    found = interval(Resamples.of([mass], 4000).means([mass], [scores]))
    assert np.isclose(found.high - found.low, 2 * 1.96 * scores.std() / 20, rtol=0.06)


def test_conditions_without_people_never_count() -> None:
    mass = np.array([0.5, 0.5, 0.0])
    means = Resamples.of([mass]).means([mass], [np.array([0.1, 0.1, 9.0])])
    assert np.allclose(means, 0.1)


def test_maps_weigh_equally_and_differences_are_paired() -> None:
    resamples = Resamples.of([MASS, MASS])
    low, high = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.2, 0.3, 0.4, 0.5])
    difference = resamples.means([MASS, MASS], [high, low]) - resamples.means([MASS, MASS], [low, low])
    assert np.allclose(difference, 0.05)
