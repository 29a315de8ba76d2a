from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from pipeline.combination.noise import Scales
from pipeline.combination.people import collapse
from pipeline.combination.posterior import ENOUGH, Posterior
from pipeline.combination.problem import ElicitedMap, Problem
from tests.support.problems import make

SPREAD = 0.03
SIZE = 5
PEOPLE = 4000


def noisy_problem(overlap: float, seed: int = 5) -> Problem:
    """Six parents who all tell of one hidden thing, each with a share `overlap` of people; maps with noise."""
    rng = np.random.default_rng(seed)
    hidden = rng.integers(0, SIZE, PEOPLE)
    tells = rng.random((PEOPLE, 6)) < overlap
    codes = np.where(tells, hidden[:, np.newaxis], rng.integers(0, SIZE, (PEOPLE, 6))).astype(np.uint8)
    truth = np.exp(rng.normal(0, 1, (SIZE, 3)))
    rows = (truth / truth.sum(axis=1, keepdims=True))[hidden]
    maps = []
    for column, parent in enumerate("abcdef"):
        p = np.array([rows[codes[:, column] == v].mean(axis=0) for v in range(SIZE)])
        p *= np.exp(rng.normal(0, SPREAD, p.shape))
        p /= p.sum(axis=1, keepdims=True)
        maps.append(ElicitedMap((parent,), p, np.full_like(p, SPREAD)))
    base = ElicitedMap((), rows.mean(axis=0), np.full(3, SPREAD))
    return replace(make(), parents=tuple("abcdef"), sizes=(SIZE,) * 6, base=base, maps=tuple(maps), reference=codes)


def posterior(problem: Problem) -> Posterior:
    return Posterior.of(problem, collapse(problem), Scales())


def test_the_gradient_is_that_of_the_misfit() -> None:
    scene = posterior(noisy_problem(0.5))
    vector = np.random.default_rng(1).normal(0, 0.5, scene.precision.size)
    _, gradient = scene.misfit(vector)
    numeric = approx_fprime(vector, lambda v: scene.misfit(v)[0], 1e-6)
    assert np.allclose(gradient, numeric, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("overlap", [0.0, 0.9])
def test_the_mode_is_the_one_that_a_plain_search_finds(overlap: float) -> None:
    scene = posterior(noisy_problem(overlap))
    found, _, converged = scene.solve(scene.outset(), 12)
    plain = minimize(scene.misfit, scene.outset(), jac=True, method="BFGS", options={"maxiter": 20_000, "gtol": 1e-8})
    assert converged
    assert scene.misfit(found)[0] == pytest.approx(plain.fun, abs=ENOUGH)
    assert np.allclose(scene.table(found), scene.table(plain.x), atol=5e-3)


def test_overlapping_parents_cost_few_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    """They make the misfit a narrow valley, along which a search creeps unless its coordinates undo it."""
    scene = posterior(noisy_problem(0.9))
    _, iterations, converged = scene.solve(scene.outset(), 12)
    identity = np.tile(np.eye(scene.precision.shape[0]), (3, 1, 1))
    monkeypatch.setattr(Posterior, "_rounding", lambda *_: (identity, identity))
    _, plain, _ = scene.solve(scene.outset(), 100)
    assert converged
    assert iterations < plain / 2


def test_a_search_cut_short_says_so() -> None:
    scene = posterior(noisy_problem(0.5))
    assert not scene.solve(scene.outset(), 1)[2]
