"""Fits run over few rows that stand for many people, and small groups keep people among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.combination.max_entropy import max_entropy
from pipeline.combination.people import cells, collapse
from pipeline.combination.problem import ElicitedMap, Problem
from tests.support.problems import make

GROUPS, LEVELS = 60, 5
PARENTS = ("group", "p", "q", "r", "s", "t")
SIZES = (GROUPS, *[LEVELS] * 5)


def population(n: int, seed: int) -> np.ndarray:
    """Groups whose sizes fall from a fifth to a thousandth, and five things that differ from group to group."""
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(200, 1, GROUPS)
    group = rng.choice(GROUPS, n, p=sizes / sizes.sum())
    tilt = np.random.default_rng(9).dirichlet(np.ones(LEVELS), (GROUPS, 5))
    others = [(rng.random(n)[:, None] > tilt[group, c].cumsum(axis=1)).sum(axis=1).clip(max=4) for c in range(5)]
    return np.stack([group, *others], axis=1).astype(np.uint8)


def truth(codes: np.ndarray) -> np.ndarray:
    slopes = np.random.default_rng(4).normal(0, 0.7, (6, GROUPS, 3))
    logs = sum(slopes[c, codes[:, c]] for c in range(6))
    rows = np.exp(logs)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def problem(n: int) -> Problem:
    everybody = population(400_000, 1)
    rows, maps = truth(everybody), []
    for column, (name, size) in enumerate(zip(PARENTS, SIZES, strict=True)):
        p = np.array([rows[everybody[:, column] == v].mean(axis=0) for v in range(size)])
        maps.append(ElicitedMap((name,), p, np.full_like(p, 0.1)))
    base = ElicitedMap((), rows.mean(axis=0), np.full(3, 0.1))
    return replace(
        make(), parents=PARENTS, sizes=SIZES, base=base, maps=tuple(maps), reference=population(n, 2), allowed=()
    )


def by_group(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.array([rows[codes[:, 0] == g].mean(axis=0) for g in range(GROUPS)])


def test_few_rows_are_all_there_and_counted() -> None:
    whole = problem(3_000)
    people = collapse(whole)
    _, counts = np.unique(whole.reference, axis=0, return_counts=True)
    np.testing.assert_allclose(people.weights, counts / 3_000)


def test_thinned_rows_stand_for_all() -> None:
    whole = problem(100_000)
    people = collapse(whole, 10_000)
    assert 7_000 < len(people.weights) <= 10_000 < len(collapse(whole, 1_000_000).weights)
    assert len(np.unique(people.codes, axis=0)) == len(people.codes)
    np.testing.assert_allclose(people.weights.sum(), 1)
    for name, size in zip(PARENTS, SIZES, strict=True):
        shares = np.bincount(cells(whole, (name,), people.codes), people.weights, size)
        expected = np.bincount(cells(whole, (name,), whole.reference), minlength=size) / 100_000
        np.testing.assert_allclose(shares, expected, atol=0.006)


def test_small_groups_have_more_rows_than_their_share() -> None:
    whole = problem(100_000)
    rows = np.bincount(collapse(whole, 10_000).codes[:, 0], minlength=GROUPS)
    people = np.bincount(whole.reference[:, 0], minlength=GROUPS)
    smallest = people < 0.002 * 100_000
    assert smallest.sum() > 5
    assert (rows[smallest] > 1.5 * people[smallest] * len(whole.reference) / 1_000_000).all()


def test_a_fit_over_thinned_rows_holds_for_people_it_did_not_see() -> None:
    whole = problem(100_000)
    fresh = population(400_000, 3)
    few = max_entropy(replace(whole, reference=whole.reference[:40_000]))
    thinned = max_entropy(whole)  # over as many rows
    wanted = whole.maps[0].p
    off = [np.abs(by_group(fresh, m.probabilities(fresh)) - wanted).sum(axis=1).mean() / 2 for m in (few, thinned)]
    assert off[1] < 0.8 * off[0]


def test_thinning_is_the_same_every_time() -> None:
    one, other = collapse(problem(50_000), 5_000), collapse(problem(50_000), 5_000)
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.weights, other.weights)
