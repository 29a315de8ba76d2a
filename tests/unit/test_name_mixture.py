"""The mixture of a cell: what it keeps exactly, whom it gives a name to, and what it does where sources disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.name_mixture import KEPT, RAISED, Mixture, Routing, Told, mix, route, spread, total

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    names: Floats
    routing: Routing
    people: Floats
    exact: bool


def cell_of(shares: Floats, names: Floats, people: Floats, exact: bool = True) -> Cell:
    """A cell from a dense table P(heritage | name), (names, heritages), whose rows sum to less than 1."""
    heritage, row = np.nonzero(shares.T)
    routing = Routing(row, heritage, shares[row, heritage], 1 - shares.sum(axis=1), np.ones(len(shares)))
    return Cell(names, routing, people, exact)


def mixed(cell: Cell) -> Mixture:
    return mix(cell.names, cell.routing, cell.people, exact=cell.exact)


def joint(cell: Cell, mixture: Mixture) -> Floats:
    """P(name, heritage) as drawn, (names + 1, heritages); the last row is all other names."""
    untold = 1 - cell.names.sum()
    pool = np.append(mixture.pool, untold)
    special = np.zeros((len(pool), len(cell.people)))
    special[cell.routing.row, cell.routing.heritage] = mixture.special
    special /= np.maximum(special.sum(axis=0), 1e-300)
    others = pool + special @ mixture.lent
    return special * mixture.told + np.outer(others / others.sum(), cell.people - mixture.told)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    n, h = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = rng.dirichlet(np.full(h + 1, draw(st.sampled_from([0.1, 1.0, 10.0]))), n)[:, :h] * 0.99
    shares[rng.random(shares.shape) < draw(st.sampled_from([0.0, 0.5, 0.9]))] = 0
    people = rng.dirichlet(np.full(h, 0.5))
    if draw(st.booleans()):
        people[0] = 0
        people = people / people.sum() if people.any() else np.ones(h) / h
    return cell_of(shares, rng.dirichlet(np.ones(n + 1))[:n], people)


@given(cell=cells())
@settings(deadline=None)
def test_names_and_heritages_keep_their_shares_exactly(cell: Cell) -> None:
    drawn = joint(cell, mixed(cell))
    np.testing.assert_allclose(drawn.sum(axis=1)[:-1], cell.names, atol=1e-12)
    np.testing.assert_allclose(drawn.sum(axis=0), cell.people, atol=1e-12)
    assert (drawn >= -1e-15).all()


@given(cell=cells())
@settings(deadline=None)
def test_names_are_lent_only_by_heritages_that_all_have_their_own(cell: Cell) -> None:
    mixture = mixed(cell)
    found = np.bincount(cell.routing.heritage, mixture.special, len(cell.people))
    np.testing.assert_allclose(found, mixture.told + mixture.lent, atol=1e-12)
    assert (mixture.told <= cell.people + 1e-15).all()
    assert (mixture.told[mixture.lent > 0] == cell.people[mixture.lent > 0]).all()


def test_heritages_abroad_have_their_names_the_more_these_are_their_own() -> None:
    # Heritage 0 has names of its own, 1 shares its with 2, of 3 hardly anything is known.
    shares = np.array([[0.98, 0.0, 0.0, 0.0], [0.0, 0.1, 0.8, 0.0], [0.0, 0.0, 0.0, 0.98]])
    cell = cell_of(shares, np.array([0.1, 0.2, 0.001]), np.array([0.2, 0.3, 0.3, 0.2]), exact=False)
    mixture = mixed(cell)
    assert mixture.told[0] == pytest.approx(KEPT * 0.2)
    assert 0.01 < mixture.told[1] < 0.5 * KEPT * 0.3
    assert mixture.told[3] == pytest.approx(RAISED * 0.001, rel=0.1)
    np.testing.assert_allclose(joint(cell, mixture).sum(axis=0), cell.people, atol=1e-12)


def test_where_all_agree_everybody_has_a_name_of_the_own_heritage() -> None:
    shares = np.array([[0.98, 0.0], [0.0, 0.98]])
    cell = cell_of(shares, np.array([0.3, 0.7]), np.array([0.3, 0.7]))
    np.testing.assert_allclose(joint(cell, mixed(cell))[:2], np.diag([0.3, 0.7]), atol=0.01)


def test_what_is_shared_gives_way_before_what_is_distinctive() -> None:
    # Half of the people have a name that is mostly of heritage 0, but a third of them have this heritage.
    shares = np.array([[0.95, 0.03], [0.5, 0.48], [0.0, 0.98]])
    cell = cell_of(shares, np.array([0.25, 0.3, 0.45]), np.array([0.33, 0.67]))
    drawn = joint(cell, mixed(cell))
    kept = drawn[:, 0] / np.append(cell.names, 1.0)
    assert kept[0] > 0.75
    assert kept[1] < 0.45


def test_where_frequencies_are_not_exact_a_name_becomes_rarer_rather_than_go_to_others() -> None:
    shares = np.array([[0.98, 0.0], [0.0, 0.5]])
    names, people = np.array([0.6, 0.4]), np.array([0.3, 0.7])
    shared, scaled = (
        joint(cell, mixed(cell)) for cell in (cell_of(shares, names, people, exact) for exact in (True, False))
    )
    assert shared[0, 1] > 0.25
    assert scaled[0, 1] < 0.05
    assert scaled[0].sum() < 0.35
    np.testing.assert_allclose(scaled.sum(axis=0), people, atol=1e-12)


def test_a_heritage_without_names_has_those_of_everybody() -> None:
    cell = cell_of(np.array([[0.9, 0.0]]), np.array([0.5]), np.array([0.4, 0.6]))
    mixture = mixed(cell)
    assert mixture.told[1] == 0
    assert joint(cell, mixture)[-1, 1] > 0.4  # of 0.6, the most from names that nobody was asked about


# Within one ethnicity


TOLD = Told(np.array([0, 1, 0, 2, 1]), np.array([0, 0, 1, 1, 2]), np.array([0.6, 0.9, 0.35, 0.9, 0.02]))


def test_routing_is_bayes() -> None:
    routing = route(TOLD, 3, np.array([0.5, 1.0, 0.0]), 0.1)
    shares = dict(zip(zip(routing.row.tolist(), routing.heritage.tolist(), strict=True), routing.share, strict=True))
    # Name 0: 0.6 * 0.5 and 0.35 * 1; 0.05 was not told, and up to 0.02 need not be: each P(e) of it.
    assert shares[0, 0] == pytest.approx(0.3 / (0.3 + 0.35 + 0.07 * 0.1))
    assert shares[0, 1] == pytest.approx(0.35 / (0.3 + 0.35 + 0.07 * 0.1))
    assert (1, 2) not in shares
    assert routing.expected[0] == pytest.approx(0.3 + 0.35 + 0.07 * 0.1)
    np.testing.assert_allclose(np.bincount(routing.row, routing.share, 3) + routing.free, 1)
    assert (routing.free > 0).all()


def test_a_name_that_says_nothing_of_an_ethnicity_is_free_there() -> None:
    routing = route(TOLD, 3, np.array([0.0, 0.0, 0.0]), 0.2)
    assert not len(routing.row)
    np.testing.assert_array_equal(routing.free, np.ones(3))


def test_tags_of_some_names_are_renumbered() -> None:
    some = TOLD.of(np.array([0, 2]), 3)
    assert some.row.tolist() == [0, 0, 1]
    assert some.heritage.tolist() == [0, 1, 1]
    assert some.share.tolist() == [0.6, 0.35, 0.9]


# Groups of people


@given(seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_groups_have_their_share_and_no_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = rng.random((4, 3)) * (rng.random((4, 3)) < 0.8)
    told = people.sum(axis=1) * rng.random(4)
    strength = np.array([1.0, 2.0, 3.0])
    shares = spread(told, people, strength)
    np.testing.assert_allclose((shares * people).sum(axis=1), told, atol=1e-12)
    assert (shares <= 1).all()
    for row in range(4):
        there = people[row] > 0
        free = there & (shares[row] < 1)
        if free.any():
            rates = shares[row][free] / strength[free]
            np.testing.assert_allclose(rates, rates[0])


def test_a_total_is_summed_from_left_to_right() -> None:
    values = np.full(1000, 0.1)
    left = 0.0
    for value in values.tolist():
        left += value
    assert total(values) == left
    assert total(values[:0]) == 0.0
