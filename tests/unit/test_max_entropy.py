from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.combination.factors import rounded
from pipeline.combination.max_entropy import Settings, max_entropy, max_entropy_shrunk
from pipeline.combination.noise import Scales
from pipeline.combination.problem import ElicitedMap, Problem
from tests.support.problems import BY_A, CODES, A, B, certain, make


def people(*cells: tuple[int, int, int]) -> np.ndarray:
    return np.array([[a, b] for a, b, n in cells for _ in range(n)], dtype=np.uint8)


def implied(problem: Problem, column: int) -> np.ndarray:
    rows = max_entropy_shrunk(problem).probabilities(problem.reference)
    return np.array([rows[problem.reference[:, column] == v].mean(axis=0) for v in (0, 1)])


def consistent(reference: np.ndarray, pairwise: np.ndarray, with_pair: bool = False) -> Problem:
    """Exact maps of P(k | a, b) = `pairwise` under the parents of `reference`."""
    rows = pairwise[reference[:, 0], reference[:, 1]]
    maps = [
        certain((name,), np.array([rows[reference[:, c] == v].mean(axis=0) for v in (0, 1)]))
        for c, name in enumerate("ab")
    ]
    if with_pair:
        maps.append(certain(("a", "b"), pairwise))
    base = certain((), rows.mean(axis=0))
    return replace(make(), base=base, maps=tuple(maps), reference=reference)


REFERENCE = people((0, 0, 4000), (0, 1, 1000), (1, 0, 500), (1, 1, 4500))


def test_one_way_maps_and_base_are_reproduced() -> None:
    problem = consistent(REFERENCE, np.random.default_rng(2).dirichlet(np.full(3, 3.0), (2, 2)))
    for column, one in enumerate(problem.maps):
        assert np.allclose(implied(problem, column), one.p, atol=1e-3)
    rows = max_entropy_shrunk(problem).probabilities(REFERENCE)
    assert np.allclose(rows.mean(axis=0), problem.base.p, atol=1e-4)


def test_without_interaction_the_truth_itself_is_found() -> None:
    rng = np.random.default_rng(3)
    weights = np.exp(rng.normal(0, 1, (2, 1, 3)) + rng.normal(0, 1, (1, 2, 3)))
    truth = weights / weights.sum(axis=-1, keepdims=True)
    found = max_entropy(consistent(REFERENCE, truth)).probabilities(CODES)
    assert np.allclose(found.reshape(2, 2, 3), truth, atol=3e-3)


def test_a_two_way_map_brings_the_interaction() -> None:
    truth = np.random.default_rng(4).dirichlet(np.ones(3), (2, 2))
    without = max_entropy_shrunk(consistent(REFERENCE, truth)).probabilities(CODES).reshape(2, 2, 3)
    found = max_entropy_shrunk(consistent(REFERENCE, truth, with_pair=True)).probabilities(CODES).reshape(2, 2, 3)
    assert np.abs(without - truth).max() > 0.05
    assert np.allclose(found, truth, atol=3e-3)


def test_a_parent_that_repeats_another_is_not_counted_twice() -> None:
    reference = people((0, 0, 5000), (1, 1, 5000))
    base = certain((), BY_A.mean(axis=0))
    problem = replace(make(), base=base, maps=(A, certain(("b",), BY_A)), reference=reference)
    assert np.allclose(max_entropy_shrunk(problem).probabilities(CODES)[[0, 3]], BY_A, atol=1e-3)


def test_consensus_stays_near_the_elicited_base() -> None:
    off = replace(make(A, B), base=certain((), np.array([0.2, 0.3, 0.5])), reference=REFERENCE)
    model = max_entropy_shrunk(off)
    rows = model.probabilities(REFERENCE)
    assert model.diagnostics is not None
    assert model.diagnostics.consensus_shift == pytest.approx(0.01, abs=5e-4)
    assert 0.5 * np.abs(rows.mean(axis=0) - off.base.p).sum() <= 0.0105
    free = max_entropy_shrunk(off, Settings(guard=1.0)).diagnostics
    assert free is not None
    assert free.consensus_shift > 0.1


@pytest.mark.parametrize("effect", [0.05, Scales().effect])
def test_disagreement_shrinks_and_agreement_does_not(effect: float) -> None:
    def lift(spread: float) -> float:
        maps = tuple(ElicitedMap(m.given, m.p, np.full(m.p.shape, spread)) for m in (A, B))
        problem = replace(make(*maps), reference=REFERENCE)
        found = max_entropy_shrunk(problem, Settings(scales=Scales(effect=effect))).probabilities(CODES)
        return float(np.log(found[0, 0] / found[3, 0]))

    # What is left where maps say next to nothing falls with the ratio of prior to noise: 2 is far enough for 0.05.
    lifts = [lift(s) for s in (0.0, 0.1, 0.3, 2.0 * effect / 0.05)]
    assert lifts == sorted(lifts, reverse=True)
    assert lifts[1] > 0.8 * lifts[0]
    assert lifts[3] == pytest.approx(0, abs=1e-3)
    assert lift(2.0) < 0.01 * lifts[0]


def test_conditions_that_no_reference_person_meets_get_the_maps_own_lift() -> None:
    reference = people((0, 0, 5000), (0, 1, 5000))
    problem = replace(make(certain(("a",), BY_A)), base=certain((), BY_A[0]), reference=reference)
    found = max_entropy_shrunk(problem).probabilities(CODES)
    assert np.allclose(found[0], BY_A[0], atol=1e-3)
    assert np.allclose(found[2], BY_A[1], atol=1e-2)


def test_structural_zeros_win_over_maps_and_base() -> None:
    # Everybody with a = 0 must be z: half the people, although the base map says a fifth.
    only_z = ((("a",), np.array([[False, False, True], [True, True, True]])),)
    problem = replace(make(B), reference=REFERENCE, allowed=only_z)
    model = max_entropy_shrunk(problem)
    rows = model.probabilities(REFERENCE)
    assert (rows[REFERENCE[:, 0] == 0][:, :2] == 0).all()
    assert rows.mean(axis=0)[2] == pytest.approx(0.5, abs=0.01)
    assert np.isfinite(rows).all()


def test_fit_reports_that_it_gave_up() -> None:
    problem = consistent(REFERENCE, np.random.default_rng(2).dirichlet(np.ones(3), (2, 2)))
    diagnostics = max_entropy_shrunk(problem, Settings(max_rounds=1)).diagnostics
    assert diagnostics is not None
    assert not diagnostics.converged
    assert diagnostics.residual > 1e-5
    done = max_entropy_shrunk(problem).diagnostics
    assert done is not None
    assert done.converged
    assert done.rows == 4


def test_fit_does_not_depend_on_the_order_of_the_reference() -> None:
    problem = consistent(REFERENCE, np.random.default_rng(2).dirichlet(np.ones(3), (2, 2)), with_pair=True)
    shuffled = replace(problem, reference=np.random.default_rng(0).permutation(REFERENCE))
    one, other = rounded(max_entropy_shrunk(problem)), rounded(max_entropy_shrunk(shuffled))
    for left, right in zip(one.factors, other.factors, strict=True):
        assert (left.values == right.values).all()


def test_factors_are_well_scaled_and_the_base_comes_first() -> None:
    model = max_entropy_shrunk(replace(make(A, B), reference=REFERENCE))
    assert [f.given for f in model.factors] == [(), ("a",), ("b",)]
    values = np.concatenate([f.values.ravel() for f in model.factors])
    assert values.min() > 1e-3
    assert values.max() < 1e3


def test_the_exact_fit_meets_the_one_way_maps_and_leaves_two_way_ones_aside() -> None:
    truth = np.random.default_rng(4).dirichlet(np.ones(3), (2, 2))
    problem = consistent(REFERENCE, truth, with_pair=True)
    model = max_entropy(problem)
    assert [f.given for f in model.factors] == [(), ("a",), ("b",)]
    rows = model.probabilities(REFERENCE)
    for column, one in enumerate(problem.one_way):
        for value in (0, 1):
            assert np.allclose(rows[REFERENCE[:, column] == value].mean(axis=0), one.p[value], atol=1e-3)


def test_a_base_in_doubt_is_not_guarded() -> None:
    doubted = ElicitedMap((), np.array([0.2, 0.3, 0.5]), np.full(3, 0.6))
    maps = tuple(ElicitedMap(m.given, m.p, np.full(m.p.shape, 0.3)) for m in (A, B))
    diagnostics = max_entropy_shrunk(replace(make(*maps), base=doubted, reference=REFERENCE)).diagnostics
    assert diagnostics is not None
    assert diagnostics.consensus_shift > 0.05


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_what_a_row_all_but_rules_out_stays_ruled_out(spread: float) -> None:
    """Rows near 0 and 1 hold the largest effects of all: the prior must not take them for none."""
    rng = np.random.default_rng(0)
    first = rng.choice(12, 8000, p=[0.12, *[0.08] * 11]).astype(np.uint8)
    second = np.where(rng.random(8000) < 0.5, first % 6, rng.integers(0, 6, 8000)).astype(np.uint8)
    by_first = rng.dirichlet(np.full(3, 2.0), 12)
    by_first[0] = [0.0003, 0.002, 0.9977]
    rows = by_first[first]
    by_second = np.array([rows[second == v].mean(axis=0) for v in range(6)])
    base, a, b = (
        ElicitedMap(given, p, np.full(p.shape, spread))
        for given, p in (((), rows.mean(axis=0)), (("a",), by_first), (("b",), by_second))
    )
    codes = np.stack([first, second], axis=1)
    problem = replace(make(), sizes=(12, 6), base=base, maps=(a, b), reference=codes)
    kept = max_entropy_shrunk(problem).probabilities(codes)[first == 0].mean(axis=0)
    assert kept[0] < 0.002
    assert kept[2] > 0.99
