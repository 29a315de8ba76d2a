"""Weights that follow from answers: who keeps theirs, who loses it, and what that does to the pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.combination.agreement import Agreement
from pipeline.combination.pooling import pool
from pipeline.combination.problem import CombinationError
from pipeline.combination.scorecards import Standing, standings
from pipeline.combination.scores import total_variation
from tests.support.panels import BAD, panel, panel_maps, world

LIMIT = 0.02
KINDS = ["swapped", *(k for k in BAD if k != "swapped")]


def judged(
    honest: int, bad: Sequence[str], seed: int = 1, acceptance: Sequence[float] | None = None
) -> dict[str, Standing]:
    truth = world(seed)
    members = panel(truth, honest, bad, seed + 100)
    agreement = Agreement.of(panel_maps(truth, members), list(members))
    return {s.model: s for s in standings(agreement, acceptance or [1.0] * len(members))}


@pytest.mark.parametrize("copied", ["copy of good", "copy of bad"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_eight_bad_members_of_25_hardly_move_the_pool(copied: str, seed: int) -> None:
    truth = world(seed)
    members = panel(truth, 17, [*KINDS, copied], seed + 100)
    maps = panel_maps(truth, members)
    weights = [s.weight for s in standings(Agreement.of(maps, list(members)), [1.0] * 25)]
    good = [m for m in members if m.startswith("good")]
    moved, rows, unweighted = [], [], []
    for one in maps:
        alone = pool(one.given, [one.answers[m] for m in good])
        pooled = pool(one.given, list(one.answers.values()), weights)
        apart = total_variation(pooled.p, alone.p).reshape(-1)
        moved.append(one.mass @ apart)
        assert moved[-1] <= LIMIT, (one.dimension, one.given)
        assert pooled.spread.mean() == pytest.approx(alone.spread.mean(), rel=0.15)
        rows.append(apart.max())
        plain = pool(one.given, list(one.answers.values()))
        unweighted.append(one.mass @ total_variation(plain.p, alone.p).reshape(-1))
    assert max(rows) <= LIMIT  # the worst single row as well
    assert max(unweighted) > 5 * max(moved)  # robustness within rows alone does not do it


@pytest.mark.parametrize("kind", list(BAD))
def test_eight_bad_members_of_one_kind_are_shut_out(kind: str) -> None:
    found = judged(17, [kind] * 8)
    bad = [s.weight for s in found.values() if not s.model.startswith("good")]
    assert sum(bad) <= 0.2
    assert all(s.weight >= 0.5 for s in found.values() if s.model.startswith("good"))


def test_a_measure_says_why_a_member_is_bad() -> None:
    found = judged(17, ["uniform", "constant", "noisy", "inverted"])
    assert found["uniform 0"].hedging > 0.1
    assert found["uniform 0"].information == pytest.approx(0, abs=1e-9)
    assert found["constant 1"].information < 0.05 and abs(found["constant 1"].hedging) < 0.1
    assert found["noisy 2"].hedging < -0.1
    assert found["inverted 3"].distance > 3 * found["good-03"].distance
    assert found["inverted 3"].tv > 3 * found["good-03"].tv


def test_copies_share_one_weight() -> None:
    found = judged(6, ["copy of good"] * 3)
    copies = ["good-00", "copy of good 0", "copy of good 1", "copy of good 2"]
    others = [s.weight for s in found.values() if s.model not in copies]
    assert sum(found[m].weight for m in copies) == pytest.approx(np.mean(others), rel=0.15)
    assert found["good-00"].nearest in copies
    assert found["good-00"].similarity == pytest.approx(1)


def test_two_that_disagree_count_equally() -> None:
    for bad in BAD:
        assert [s.weight for s in judged(1, [bad]).values()] == [1.0, 1.0]


def test_of_two_the_one_whose_answers_are_mostly_rejected_loses() -> None:
    assert [s.weight for s in judged(2, [], acceptance=[1.0, 0.8]).values()] == [1.0, 1.0]
    assert [s.weight for s in judged(2, [], acceptance=[1.0, 0.5]).values()] == [1.0, 0.5]
    assert [s.weight for s in judged(2, [], acceptance=[1.0, 0.2]).values()] == [1.0, 0.0]


@pytest.mark.parametrize("kind", ["uniform", "swapped", "constant", "rounded", "inverted"])
def test_in_a_panel_of_three_the_odd_one_is_shut_out(kind: str) -> None:
    first, second, third = judged(2, [kind]).values()
    assert (first.weight, second.weight, third.weight) == (1.0, 1.0, 0.0)


def test_two_copies_do_not_outvote_a_third() -> None:
    first, other, copy = judged(2, ["copy of good"]).values()
    assert (first.weight, other.weight, copy.weight) == (0.5, 1.0, 0.5)


def test_one_member_alone_counts_fully_and_nobody_counts_nothing() -> None:
    assert [s.weight for s in judged(1, []).values()] == [1.0]
    assert [s.weight for s in judged(3, [], acceptance=[0.0, 0.0, 0.0]).values()] == [0.0, 0.0, 0.0]


def test_a_member_without_an_accepted_answer_has_weight_zero_and_no_measures() -> None:
    truth = world(1)
    members = panel(truth, 3, [], 2)
    agreement = Agreement.of(panel_maps(truth, members), [*members, "silent"])
    silent = standings(agreement, [1.0, 1.0, 1.0, 0.0])[-1]
    assert silent.weight == 0
    assert np.isnan([silent.hedging, silent.distance, silent.tv, silent.information]).all()


def test_the_order_of_members_and_the_repetition_change_nothing() -> None:
    truth = world(4)
    members = panel(truth, 5, ["noisy", "uniform", "copy of good"], 5)
    maps, order = panel_maps(truth, members), list(members)
    one = {s.model: s.weight for s in standings(Agreement.of(maps, order), [1.0] * 8)}
    other = {s.model: s.weight for s in standings(Agreement.of(maps, order[::-1]), [1.0] * 8)}
    assert one == other


def test_an_acceptance_that_is_no_share_is_refused() -> None:
    for wrong in ([1.0], [1.0, 1.5]):
        with pytest.raises(CombinationError, match="one acceptance between 0 and 1 per member"):
            judged(2, [], acceptance=wrong)
