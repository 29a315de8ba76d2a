"""The decisive test: populations whose joint distribution is known, so every strategy has a right answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from pipeline.combination.max_entropy import max_entropy, max_entropy_shrunk
from pipeline.combination.pooling import pool
from pipeline.combination.problem import Combined, ElicitedMap, Problem
from pipeline.combination.scores import implied_map, map_score, one_hot, total_variation
from pipeline.combination.strategies import STRATEGIES

PARENTS = ("a", "b", "c", "d", "e")
SIZES = (5, 4, 4, 3, 3)
CATEGORIES = 4
REFERENCE = 40_000
SEEDS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Population:
    """All combinations of parents, their probabilities, and P(category | combination)."""

    cells: np.ndarray
    mass: np.ndarray
    truth: np.ndarray
    pairs: tuple[tuple[int, int], ...]
    allowed: tuple[tuple[tuple[str, ...], np.ndarray], ...]

    def exact_map(self, columns: tuple[int, ...]) -> np.ndarray:
        sizes = tuple(SIZES[c] for c in columns)
        return implied_map(self.cells, self.truth, columns, sizes, self.mass)[0]

    def information(self, model: Combined) -> float:
        """Share of the information about the dimension that the model recovers; 1 is the truth itself."""
        base = self.exact_map(())
        found = model.probabilities(self.cells)
        live = self.truth > 0

        def gain(q: np.ndarray) -> float:
            logs = np.log(np.where(live, q, 1.0) / base)
            return float((self.mass[:, np.newaxis] * self.truth * np.where(live, logs, 0.0)).sum())

        return gain(found) / gain(self.truth)


@cache
def population(seed: int) -> Population:
    """A log-linear model with related parents, main effects and two true interactions; even seeds have zeros."""
    rng = np.random.default_rng(seed)
    cells = np.indices(SIZES).reshape(len(SIZES), -1).T.astype(np.uint8)
    log_mass = np.zeros(len(cells))
    for i, size in enumerate(SIZES):
        log_mass += rng.normal(0, 0.4, size)[cells[:, i]]
        for j in range(i):
            trend = rng.normal(0, 0.8) * np.outer(np.linspace(-1, 1, size), np.linspace(-1, 1, SIZES[j]))
            log_mass += (trend + rng.normal(0, 0.3, trend.shape))[cells[:, i], cells[:, j]]
    log_truth = np.tile(rng.normal(0, 0.6, CATEGORIES), (len(cells), 1))
    for i, size in enumerate(SIZES):
        log_truth += rng.normal(0, 0.6, (size, CATEGORIES))[cells[:, i]]
    every = list(combinations(range(len(SIZES)), 2))
    pairs = tuple(every[i] for i in sorted(rng.choice(len(every), 2, replace=False)))
    for i, j in pairs:
        log_truth += rng.normal(0, 0.5, (SIZES[i], SIZES[j], CATEGORIES))[cells[:, i], cells[:, j]]
    mass, truth = np.exp(log_mass), np.exp(log_truth)
    allowed: list[tuple[tuple[str, ...], np.ndarray]] = []
    if seed % 2 == 0:
        first = np.ones((SIZES[0], CATEGORIES), dtype=np.bool_)
        first[0, 0] = False
        both = np.ones((SIZES[3], SIZES[1], CATEGORIES), dtype=np.bool_)
        both[1, 2, 1:3] = False
        allowed = [(("a",), first), (("d", "b"), both)]
        truth *= first[cells[:, 0]] * both[cells[:, 3], cells[:, 1]]
    return Population(cells, mass / mass.sum(), truth / truth.sum(axis=1, keepdims=True), pairs, tuple(allowed))


def draw_parents(one: Population, rng: np.random.Generator, n: int) -> np.ndarray:
    return one.cells[rng.choice(len(one.cells), n, p=one.mass)]


def problem(one: Population, seed: int, noise: float = 0.0, models: int = 1) -> Problem:
    """The exact maps of a population, or the pool of several models that see them through log-normal noise."""
    rng = np.random.default_rng(1000 + seed)
    shell = Problem(
        "target",
        False,
        tuple(f"k{i}" for i in range(CATEGORIES)),
        PARENTS,
        SIZES,
        ElicitedMap((), one.exact_map(()), np.zeros(CATEGORIES)),
        (),
        draw_parents(one, rng, REFERENCE),
        one.allowed,
    )

    def elicit(columns: tuple[int, ...]) -> ElicitedMap:
        given = tuple(PARENTS[c] for c in columns)
        exact = one.exact_map(columns)
        if noise == 0:
            return ElicitedMap(given, exact, np.zeros(exact.shape))
        seen = [exact * np.exp(rng.normal(0, noise, exact.shape)) for _ in range(models)]
        return pool(given, [s / s.sum(-1, keepdims=True) for s in seen], allowed=shell.allowed_given(given))

    columns = [*((i,) for i in range(len(SIZES))), *one.pairs]
    return replace(shell, base=elicit(()), maps=tuple(elicit(c) for c in columns))


@cache
def fitted(seed: int) -> dict[str, Combined]:
    given = replace(problem(population(seed), seed), ordinal=True)  # so that no strategy declines
    return {name: fit(given) for name, fit in STRATEGIES.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_given_map_is_reproduced_within_sampling_error(seed: int) -> None:
    one = population(seed)
    given = problem(one, seed)
    model = fitted(seed)["max_entropy_shrunk"]
    rng = np.random.default_rng(seed)
    codes = draw_parents(one, rng, REFERENCE)
    cumulative = model.probabilities(codes).cumsum(axis=1)
    drawn = (cumulative <= rng.random((len(codes), 1))).sum(axis=1).clip(max=CATEGORIES - 1)
    for elicited in (given.base, *given.maps):
        score = map_score(elicited, codes, one_hot(drawn, CATEGORIES), PARENTS)
        columns = given.columns_of(elicited.given)
        mass = implied_map(one.cells, one.truth, columns, elicited.p.shape[:-1], one.mass)[1]
        # Mean absolute error of a binomial share is sqrt(2 / pi) deviations; the reference and the batch both err.
        deviation = np.sqrt(elicited.p * (1 - elicited.p) * mass[..., np.newaxis] / REFERENCE)
        expected = 0.5 * np.sqrt(2 / np.pi) * np.sqrt(2) * float(deviation.sum())
        assert score.tv < 1.5 * expected + 1e-3, (elicited.given, score.tv, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_max_entropy_is_nearest_to_the_truth_on_held_out_joints(seed: int) -> None:
    one = population(seed)
    held_out = [c for c in combinations(range(len(SIZES)), 2) if c not in one.pairs]
    held_out += list(combinations(range(len(SIZES)), 3))

    def distances(model: Combined) -> np.ndarray:
        found = model.probabilities(one.cells)
        result = []
        for columns in held_out:
            sizes = tuple(SIZES[c] for c in columns)
            implied, mass = implied_map(one.cells, found, columns, sizes, one.mass)
            result.append(float((mass * total_variation(implied, one.exact_map(columns))).sum()))
        return np.array(result)

    models = fitted(seed)
    best = distances(models["max_entropy_shrunk"])
    for name in ("linear_pool", "log_pool", "naive_bayes", "tempered_product", "backoff"):
        other = distances(models[name])
        assert (best < other).all(), name
        assert best.mean() < 0.25 * other.mean(), (name, best.mean(), other.mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_max_entropy_recovers_nearly_all_information_from_exact_maps(seed: int) -> None:
    one = population(seed)
    recovered = {name: one.information(model) for name, model in fitted(seed).items()}
    assert recovered["max_entropy_shrunk"] > 0.99, recovered
    # The two-way maps are what main effects alone cannot say.
    assert max(v for k, v in recovered.items() if k != "max_entropy_shrunk") < 0.95, recovered


@pytest.mark.parametrize("seed", [s for s in SEEDS if s % 2 == 0])
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_no_strategy_gives_mass_to_a_structural_zero(name: str, seed: int) -> None:
    one = population(seed)
    found = fitted(seed)[name].probabilities(one.cells)
    assert (found[one.truth == 0] == 0).all()
    assert (found[one.truth > 0] > 0).all()


def mean_recovered(noise: float, models: int) -> tuple[float, float]:
    """Information recovered by the shrunk and by the exact fit, mean over populations."""
    values = []
    for seed in SEEDS:
        one = population(seed)
        noisy = problem(one, seed, noise, models)
        values.append((one.information(max_entropy_shrunk(noisy)), one.information(max_entropy(noisy))))
    shrunk, plain = np.mean(values, axis=0)
    return float(shrunk), float(plain)


def test_shrinkage_costs_nothing_when_two_models_agree_on_the_truth() -> None:
    shrunk, plain = mean_recovered(noise=1e-3, models=2)
    assert shrunk > plain - 0.01
    assert shrunk > 0.98


@pytest.mark.parametrize("noise", [0.2, 0.35])
def test_shrinkage_pays_when_two_noisy_models_are_pooled(noise: float) -> None:
    shrunk, plain = mean_recovered(noise, models=2)
    assert shrunk > plain
    assert shrunk > 0.5


def test_maps_of_a_mildly_noisy_panel_are_kept_within_the_accepted_distance() -> None:
    marginal, one_way = [], []
    for seed in SEEDS:
        noisy = problem(population(seed), seed, noise=0.1, models=2)
        rows = max_entropy_shrunk(noisy).probabilities(noisy.reference)
        marginal.append(map_score(noisy.base, noisy.reference, rows, PARENTS).tv)
        one_way += [map_score(m, noisy.reference, rows, PARENTS).tv for m in noisy.one_way]
    assert max(marginal) < 0.015
    assert np.mean(one_way) < 0.04
