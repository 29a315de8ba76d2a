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


def with_rare_categories() -> Problem:
    """Of twelve categories, ten are below what answers resolve for nine people in ten, and common for the tenth."""
    codes = np.repeat(np.array([[0], [1]], dtype=np.uint8), [900, 100], axis=0)
    most, few = np.r_[0.99, 0.006, np.full(10, 0.0004)], np.r_[0.1, 0.1, np.full(10, 0.08)]
    by_a = ElicitedMap(("a",), np.array([most, few]), np.full((2, 12), 0.3))
    base = ElicitedMap((), 0.9 * most + 0.1 * few, np.full(12, 0.1))
    return replace(
        make(),
        categories=tuple("abcdefghijkl"),
        parents=("a",),
        sizes=(2,),
        base=base,
        maps=(by_a,),
        reference=codes,
        allowed=(),
    )


@pytest.mark.parametrize("problem", [noisy_problem(0.5), with_rare_categories()])
def test_the_gradient_is_that_of_the_misfit(problem: Problem) -> None:
    scene = posterior(problem)
    vector = np.random.default_rng(1).normal(0, 0.5, scene.rare.size)
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
    identity = np.tile(np.eye(scene.rare.shape[0]), (3, 1, 1))
    monkeypatch.setattr(Posterior, "_rounding", lambda *_: (identity, identity))
    _, plain, _ = scene.solve(scene.outset(), 100)
    assert converged
    assert iterations < plain / 2


def test_a_search_cut_short_says_so() -> None:
    scene = posterior(noisy_problem(0.5))
    assert not scene.solve(scene.outset(), 1)[2]


def test_categories_that_are_rare_together_are_told_together() -> None:
    scene = posterior(with_rare_categories())
    assert scene.rare[1].tolist() == [0, 0, *[1] * 10]
    assert not scene.rare[[0, 2]].any()
    assert np.exp(scene.log_target[1, -1]) == pytest.approx(0.004 + scene.resolution)
    assert (scene.precision[:, -1] > 0).tolist() == [False, True, False]


def test_what_is_rare_stays_rare_where_a_base_map_wants_more_of_it() -> None:
    """Ten categories with half of a percent too many in the base map: it is not most people who have them."""
    problem = with_rare_categories()
    more = problem.base.p + np.r_[-0.05, 0, np.full(10, 0.005)]
    torn = replace(problem, base=ElicitedMap((), more, problem.base.spread))

    def rare_of_most(scales: Scales) -> float:
        scene = Posterior.of(torn, collapse(torn), scales)
        found, _, _ = scene.solve(scene.outset(), 100)
        return float(scene.implied(found)[1][0, 2:].sum())

    assert rare_of_most(Scales()) < 0.85 * rare_of_most(Scales(rare=0.0))


def test_a_tilt_reaches_the_base_rate_and_leaves_odds_ratios() -> None:
    scene = posterior(noisy_problem(0.5))
    vector = np.random.default_rng(1).normal(0, 0.5, scene.rare.size)
    base = np.array([0.2, 0.3, 0.5])
    tilted = scene.tilted(vector, base)
    assert np.allclose(scene.implied(tilted)[0][0], base, atol=1e-6)
    moved = np.log(scene.table(tilted) / scene.table(vector))
    assert np.allclose(moved - moved[:, :1], (moved - moved[:, :1])[0])
