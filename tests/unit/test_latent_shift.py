"""Latent shift: ordered targets only, overlapping parents counted once, the base rate kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from pipeline.combination.latent_shift import latent_shift
from pipeline.combination.problem import StrategyDeclinedError
from tests.support.problems import CODES, A, B, certain, make

CUTS = np.array([-0.5, 0.7])


def ordered(shift: np.ndarray) -> np.ndarray:
    """Shares of three categories cut at -0.5 and 0.7 from a normal variable moved by `shift`."""
    below = ndtr(CUTS - shift[..., np.newaxis])
    return np.diff(np.concatenate([np.zeros_like(below[..., :1]), below, np.ones_like(below[..., :1])], -1), axis=-1)


def test_nominal_targets_are_declined() -> None:
    with pytest.raises(StrategyDeclinedError, match="target: latent_shift needs ordered categories"):
        latent_shift(make(A, B))


def test_small_shifts_of_independent_parents_add_up() -> None:
    a, b = np.array([-0.2, 0.2]), np.array([-0.1, 0.1])
    truth = ordered(a[:, np.newaxis] + b[np.newaxis])
    maps = (certain(("a",), truth.mean(axis=1)), certain(("b",), truth.mean(axis=0)))
    problem = replace(make(*maps), ordinal=True, base=certain((), truth.mean(axis=(0, 1))))
    assert np.allclose(latent_shift(problem).probabilities(CODES).reshape(2, 2, 3), truth, atol=0.01)


def test_a_parent_that_repeats_another_is_not_counted_twice() -> None:
    copies = np.array([[0, 0], [1, 1]], dtype=np.uint8)
    truth = ordered(np.array([-0.3, 0.3]))
    maps = (certain(("a",), truth), certain(("b",), truth))
    problem = replace(make(*maps), ordinal=True, base=certain((), truth.mean(axis=0)), reference=copies)
    found = latent_shift(problem).probabilities(copies)
    assert np.allclose(found, truth, atol=0.02)
    assert np.allclose(found.mean(axis=0), truth.mean(axis=0), atol=1e-6)
