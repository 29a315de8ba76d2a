from __future__ import annotations

import numpy as np
import pytest

from pipeline.combination.agreement import Agreement, PanelMap
from tests.support.panels import panel, panel_maps, world

A, B = np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]]), np.array([[0.6, 0.2, 0.2], [0.3, 0.5, 0.2]])
MASS = np.array([0.75, 0.25])


def one(answers: dict[str, np.ndarray], given: tuple[str, ...] = ("age",)) -> PanelMap:
    return PanelMap("d", given, answers, MASS, np.ones(A.shape, dtype=np.bool_))


def test_the_distance_of_two_is_that_of_their_centred_logs() -> None:
    middle = np.sqrt(A * B)
    middle /= middle.sum(axis=1, keepdims=True)
    apart = np.log(A / B)
    apart -= (middle * apart).sum(axis=1, keepdims=True)
    expected = float(MASS @ (middle * apart**2).sum(axis=1))
    agreement = Agreement.of([one({"a": A, "b": B})], ["a", "b"])
    assert agreement.between == pytest.approx(np.array([[0, expected], [expected, 0]]))
    assert agreement.from_others(np.ones(2)) == pytest.approx(np.sqrt([expected, expected]))


def test_distances_from_a_pool_agree_with_the_pool_itself() -> None:
    """The shortcut through inner products gives what the cells give, for maps that not all members answered."""
    truth = world(3)
    members = panel(truth, 5, ["noisy"], 4)
    maps = panel_maps(truth, members)
    maps[2] = PanelMap(
        maps[2].dimension, maps[2].given, dict(list(maps[2].answers.items())[2:]), maps[2].mass, maps[2].allowed
    )
    weights = np.array([1.0, 0.5, 0.0, 1.0, 0.25, 0.1])
    whole = Agreement.of(maps, list(members))
    pools = []
    for m in maps:
        others = [x for x in members if x != "good-01" and x in m.answers]
        shares = np.array([weights[list(members).index(x)] for x in others])
        logs = np.tensordot(shares / shares.sum(), np.log([m.answers[x] for x in others]), axes=1)
        p = np.exp(logs)
        answers = {**m.answers, "pool": p / p.sum(axis=-1, keepdims=True)}
        pools.append(PanelMap(m.dimension, m.given, answers, m.mass, m.allowed))
    # The pool as one member more moves the cells' importance a little, hence the tolerance.
    names = [*members, "pool"]
    beside = Agreement.of(pools, names)
    assert np.sqrt(beside.between[1, -1]) == pytest.approx(whole.from_others(weights)[1], rel=0.02)
    assert whole.present[2].tolist() == [False, False, True, True, True, True]


def test_a_copy_is_alike_and_independent_noise_is_not() -> None:
    truth = world(5)
    members = panel(truth, 8, ["copy of good"], 6)
    alike = Agreement.of(panel_maps(truth, members), list(members)).similarity(np.ones(len(members)), 0.1)
    assert alike[0, -1] == pytest.approx(1)
    assert np.abs(alike[1:-1, 1:-1] - np.eye(7)).max() < 0.3


def test_members_that_share_no_map_have_no_distance() -> None:
    agreement = Agreement.of([one({"a": A}), one({"b": B})], ["a", "b"])
    assert np.isnan(agreement.between[0, 1])
    assert np.isnan(agreement.from_others(np.ones(2))).all()
    assert np.isnan(agreement.total_variation(np.ones(2))).all()
    assert agreement.similarity(np.ones(2), 0.1)[0, 1] == 0


def test_entropy_and_information_are_those_of_the_rows() -> None:
    agreement = Agreement.of([one({"a": A, "b": A})], ["a", "b"])
    rows = -(A * np.log(A)).sum(axis=1)
    own, pool, most = agreement.entropy(np.ones(2))
    assert own == pytest.approx([MASS @ rows] * 2)
    assert pool == pytest.approx(own)
    assert most == pytest.approx([np.log(3)] * 2)
    mean = MASS @ A
    told, known = agreement.information(np.ones(2))
    assert told == pytest.approx([-(mean * np.log(mean)).sum() - MASS @ rows] * 2)
    assert known == pytest.approx(told)


def test_structural_zeros_take_no_part() -> None:
    allowed = np.array([[True, True, False], [True, True, True]])
    answers = {"a": np.where(allowed, A, 0.0), "b": np.where(allowed, A, 0.0)}
    agreement = Agreement.of([PanelMap("d", ("age",), answers, MASS, allowed)], ["a", "b"])
    assert agreement.between == pytest.approx(np.zeros((2, 2)))
    assert agreement.entropy(np.ones(2))[2] == pytest.approx([MASS @ np.log([2, 3])] * 2)


def test_a_panel_without_answers_has_nothing_to_measure() -> None:
    agreement = Agreement.of([one({})], ["a", "b"])
    assert agreement.present.shape == (0, 2)
    assert np.isnan(agreement.from_others(np.ones(2))).all()
