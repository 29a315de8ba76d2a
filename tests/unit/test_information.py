"""Mutual information: zero without dependence, the entropy under full dependence."""

from __future__ import annotations

import numpy as np

from pipeline.combination.information import mutual_information


def test_like_rows_tell_nothing() -> None:
    assert mutual_information(np.array([0.2, 0.8]), np.array([[0.3, 0.7], [0.3, 0.7]])) == 0.0


def test_full_dependence_tells_the_entropy() -> None:
    mass = np.array([0.25, 0.75])
    assert np.isclose(mutual_information(mass, np.eye(2)), -(mass * np.log(mass)).sum())


def test_a_textbook_value() -> None:
    # Cover & Thomas: a binary symmetric channel with uniform input has capacity ln 2 - H(error).
    error = 0.1
    channel = np.array([[1 - error, error], [error, 1 - error]])
    entropy = -(error * np.log(error) + (1 - error) * np.log(1 - error))
    assert np.isclose(mutual_information(np.array([0.5, 0.5]), channel), np.log(2) - entropy)
