from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.combination.asking import pair_worth
from pipeline.combination.problem import Problem
from tests.support.problems import certain, make


def problem(strength: tuple[float, float, float]) -> Problem:
    """Two categories, three independent binary parents that lift the odds of the first by e to these powers."""
    codes = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)] * 50, dtype=np.uint8)
    rows = []
    for power in strength:
        high = 0.3 * np.exp(power) / (0.3 * np.exp(power) + 0.7)
        rows.append(np.array([[0.3, 0.7], [high, 1 - high]]))
    base = np.array([0.5, 0.5])
    maps = [certain((p,), r - r.mean(axis=0) + base) for p, r in zip("abc", rows, strict=True)]
    return replace(
        make(),
        categories=("yes", "no"),
        parents=("a", "b", "c"),
        sizes=(2, 2, 2),
        base=certain((), base),
        maps=tuple(maps),
        reference=codes,
    )


def test_the_pair_of_strong_parents_comes_first() -> None:
    """Only where both move people far do the log scale and the probability scale foretell different tables."""
    ranked = pair_worth(problem((2.5, 0.1, 2.0)))
    assert ranked[0].pair == ("a", "c")
    assert ranked[0].disagreement > 3 * ranked[1].disagreement
    assert {w.pair for w in ranked} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert all(w.cells == 8 for w in ranked)


def test_parents_that_tell_nothing_leave_nothing_to_ask() -> None:
    assert max(w.disagreement for w in pair_worth(problem((0.0, 0.0, 0.0)))) < 1e-9


def test_a_two_way_map_that_was_answered_does_not_change_the_forecast() -> None:
    plain = problem((2.5, 0.5, 2.0))
    pair = certain(("a", "b"), np.random.default_rng(1).dirichlet(np.ones(2), (2, 2)))
    assert pair_worth(replace(plain, maps=(*plain.maps, pair))) == pair_worth(plain)


def test_one_parent_makes_no_pair() -> None:
    plain = problem((1.0, 1.0, 1.0))
    assert pair_worth(replace(plain, maps=plain.maps[:1])) == ()
