"""Pools and products on a problem small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.combination.controls import base_only, raw_product, strongest_parent
from pipeline.combination.evaluated import projected
from pipeline.combination.information import map_information
from pipeline.combination.linear_pools import backoff, beta_linear_pool, linear_pool, linear_pool_information
from pipeline.combination.log_pools import log_pool, log_pool_information
from pipeline.combination.problem import FactorModel
from pipeline.combination.products import naive_bayes, tau_redundancy, tempered_product
from tests.support.problems import BASE, BY_A, BY_B, CODES, A, B, certain, make

PAIR = certain(("b", "a"), np.array([[[0.1, 0.1, 0.8], [0.2, 0.2, 0.6]], [[0.3, 0.3, 0.4], [0.4, 0.4, 0.2]]]))
COPIES = np.array([[0, 0], [1, 1]], dtype=np.uint8)


def normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def test_controls() -> None:
    assert np.allclose(base_only(make(A, B)).probabilities(CODES), BASE)
    assert np.allclose(raw_product(make(A, B)).probabilities(CODES)[1], normalised(BY_A[0] * BY_B[1]))


def test_the_strongest_parent_speaks_alone() -> None:
    problem = make(A, B)
    assert map_information(problem, A) > map_information(problem, B)
    assert np.allclose(strongest_parent(problem).probabilities(CODES), BY_A[CODES[:, 0]])


def test_linear_pools_average_maps_two_way_ones_included() -> None:
    assert np.allclose(linear_pool(make(A, B)).probabilities(CODES)[1], (BY_A[0] + BY_B[1]) / 2)
    found = linear_pool(make(A, B, PAIR)).probabilities(CODES)
    assert np.allclose(found[2], (BY_A[1] + BY_B[0] + PAIR.p[0, 1]) / 3)


def test_information_decides_the_weights_of_pools() -> None:
    problem = make(A, B)
    nats = np.array([map_information(problem, A), map_information(problem, B)])
    share = nats / nats.sum()
    linear = linear_pool_information(problem).probabilities(CODES)
    assert np.allclose(linear[1], share[0] * BY_A[0] + share[1] * BY_B[1])
    geometric = log_pool_information(problem).probabilities(CODES)
    assert np.allclose(geometric[1], normalised(BY_A[0] ** share[0] * BY_B[1] ** share[1]))


def test_log_pool_is_the_geometric_mean() -> None:
    found = log_pool(make(A, B)).probabilities(CODES)
    assert np.allclose(found[1], normalised(np.sqrt(BY_A[0] * BY_B[1])))
    copy = log_pool(make(A, certain(("b",), BY_A))).probabilities(CODES)
    assert np.allclose(copy[0], BY_A[0])


def test_naive_bayes_multiplies_lifts_and_counts_a_pair_once() -> None:
    assert np.allclose(naive_bayes(make(A, B)).probabilities(CODES)[1], normalised(BY_A[0] * BY_B[1] / BASE))
    pair = np.random.default_rng(0).dirichlet(np.ones(3), (2, 2))
    found = naive_bayes(make(A, B, certain(("a", "b"), pair))).probabilities(CODES)
    assert np.allclose(found.reshape(2, 2, 3), pair)


def test_copies_of_one_parent_get_half_a_say_each() -> None:
    problem = replace(make(A, certain(("b",), BY_A)), reference=COPIES, base=certain((), BY_A.mean(axis=0)))
    for strategy in (tau_redundancy, tempered_product):
        found = strategy(problem).probabilities(COPIES)
        assert np.allclose(found, BY_A, atol=0.02), strategy.__name__
    assert naive_bayes(problem).probabilities(COPIES)[0, 0] > BY_A[0, 0] + 0.1


def test_independent_parents_keep_their_whole_lift() -> None:
    assert np.allclose(
        tau_redundancy(make(A, B)).probabilities(CODES), naive_bayes(make(A, B)).probabilities(CODES), atol=1e-9
    )


def test_the_beta_transform_sharpens_the_pool_and_leaves_the_base_where_it_is() -> None:
    problem = make(A, B)
    pooled = linear_pool_information(problem).probabilities(CODES)
    sharp = beta_linear_pool(problem).probabilities(CODES)
    assert np.abs(sharp - BASE).sum() > np.abs(pooled - BASE).sum()
    flat = make(certain(("a",), np.stack([BASE, BASE])), certain(("b",), np.stack([BASE, BASE])))
    assert np.allclose(beta_linear_pool(flat).probabilities(CODES), BASE, atol=1e-6)


def test_backing_off_lies_between_the_strongest_map_and_the_base() -> None:
    found = backoff(make(A)).probabilities(CODES)
    share = (found[0, 0] - BASE[0]) / (BY_A[0, 0] - BASE[0])
    assert 0.9 < share <= 0.95  # one map alone is best followed as far as the chain allows
    assert np.allclose(found[0], share * BY_A[0] + (1 - share) * BASE)


def test_what_is_served_for_a_mixture_has_its_margins() -> None:
    problem = make(A, B)
    mixture = linear_pool(problem)
    served = projected(problem, mixture)
    assert isinstance(served, FactorModel)
    assert [f.given for f in served.factors] == [(), ("a",), ("b",)]
    want, got = mixture.probabilities(CODES), served.probabilities(CODES)
    assert np.allclose(want.mean(axis=0), got.mean(axis=0), atol=1e-3)
    for column in (0, 1):
        for value in (0, 1):
            rows = CODES[:, column] == value
            assert np.allclose(want[rows].mean(axis=0), got[rows].mean(axis=0), atol=1e-3)


def test_a_factor_model_is_served_as_it_is() -> None:
    model = naive_bayes(make(A, B))
    assert projected(make(A, B), model) is model


@pytest.mark.parametrize("strategy", [linear_pool, beta_linear_pool, backoff])
def test_a_projected_mixture_keeps_structural_zeros(strategy: object) -> None:
    forbidden = ((("a",), np.array([[True, True, False], [True, True, True]])),)
    problem = make(A, B, allowed=forbidden)
    found = projected(problem, strategy(problem)).probabilities(CODES)  # type: ignore[operator]
    assert (found[:2, 2] == 0).all()
    assert (found[2:] > 0).all()
