"""Looking ahead: a core is the joint it says, limits are limits, and close ones; all by brute force."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

import serving.lookahead
from serving.lookahead import Floats, Lookahead
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import ToyDimension, build_snapshot
from warehouse.errors import SamplingError


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path)
    return Snapshot.load(path)


def vector(snapshot: Snapshot, name: str, **values: float) -> Floats:
    return np.array([values.get(category, 0.0) for category in snapshot.dimension(name).categories])


def part_left(snapshot: Snapshot, name: str, likelihood: Floats, given: dict[str, int]) -> float:
    """Sum of P(category | parents) * likelihood for one combination of parents; 0 where there is none."""
    dimension = snapshot.dimension(name)
    weights = np.ones(len(dimension.categories))
    for factor in dimension.factors:
        row = 0
        for parent, size in zip(factor.given, factor.sizes, strict=True):
            row = row * size + given[parent]
        weights = weights * factor.table[row]
    return float(weights @ likelihood / weights.sum()) if weights.sum() else 0.0


def combinations(snapshot: Snapshot, names: tuple[str, ...]) -> list[dict[str, int]]:
    codes = [range(len(snapshot.dimension(name).categories)) for name in names]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*codes)]


@pytest.mark.parametrize("all_of_them", [0, 2_000_000])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("education", {"doctorate": 1.0}),
        ("employment", {"retired": 1.0, "unemployed": 0.3}),
        ("commute_mode", {"transit": 0.7}),
        ("height", {"under_150": 1.0}),
    ],
)
def test_a_limit_is_the_largest_there_is_and_never_less(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, name: str, values: dict[str, float], all_of_them: int
) -> None:
    monkeypatch.setattr(serving.lookahead, "COMBINATIONS", all_of_them)
    likelihood = vector(snapshot, name, **values)
    dimension = snapshot.dimension(name)
    ahead = Lookahead(snapshot, {name: likelihood}, {})
    for size in range(len(dimension.parents) + 1):
        for names in itertools.combinations(dimension.parents, size):
            limit = ahead._limit(dimension, names)
            shape = [len(snapshot.dimension(other).categories) for other in names]
            exact = np.zeros(shape)
            for given in combinations(snapshot, dimension.parents):
                place = tuple(given[other] for other in names)
                exact[place] = max(exact[place], part_left(snapshot, name, likelihood, given))
            limit = np.broadcast_to(limit, shape)
            assert (limit >= exact).all() and (limit <= likelihood.max()).all()
            if all_of_them or (size == len(dimension.parents) and len(values) == 1):
                assert limit == pytest.approx(exact, rel=1e-6)


def test_a_core_is_the_joint_with_its_limits(snapshot: Snapshot) -> None:
    likelihoods = {
        "age": vector(snapshot, "age", **{"25_34": 1.0, "65_74": 0.5}),
        "employment": vector(snapshot, "employment", retired=1.0),
    }
    core = Lookahead(snapshot, likelihoods, {}).core()
    assert core is not None
    names = [snapshot.dimensions[position].id for position in core.positions]
    assert set(names) == {"age", "sex", "ethnicity", "education", "employment"}
    expected = {}
    for given in combinations(snapshot, tuple(names)):
        chance = math.prod(
            part_left(snapshot, name, np.eye(len(snapshot.dimension(name).categories))[given[name]], given)
            for name in names
        )
        limit = math.prod(float(likelihoods[name][given[name]]) for name in likelihoods)
        if chance * limit:
            expected[tuple(given[name] for name in names)] = (chance * limit, limit)
    places = np.unravel_index(core.cells, [len(codes) for codes in core.codes])
    cells = [
        tuple(int(codes[p]) for codes, p in zip(core.codes, place, strict=True)) for place in zip(*places, strict=True)
    ]
    assert dict(zip(cells, core.limits.tolist(), strict=True)) == {c: e[1] for c, e in expected.items()}
    assert np.diff(core.running, prepend=0) == pytest.approx([expected[cell][0] for cell in cells])
    chances = (np.arange(20_000) + 0.5) / 20_000
    drawn, limits = core.draw(chances)
    seen = np.bincount(drawn[snapshot.dimension("age").position], minlength=7) / len(chances)
    mass = sum(value for value, _ in expected.values())
    ages = [sum(v for cell, (v, _) in expected.items() if cell[names.index("age")] == age) / mass for age in range(7)]
    assert seen == pytest.approx(ages, abs=1e-3) and set(limits.tolist()) <= set(core.limits.tolist())


def test_what_is_set_is_no_part_of_a_core_and_tells_nothing_of_its_causes(snapshot: Snapshot) -> None:
    likelihoods = {"commute_mode": vector(snapshot, "commute_mode", transit=1.0)}
    employment = snapshot.dimension("employment")
    core = Lookahead(snapshot, likelihoods, {employment.position: employment.code("full_time")}).core()
    assert core is not None
    assert [snapshot.dimensions[position].id for position in core.positions] == ["age", "commute_mode"]


def test_what_cannot_be_by_all_tables_together_is_told(tmp_path: Path) -> None:
    opposite = ((("a",), (0,), 1), (("a",), (1,), 0))
    build_snapshot(
        tmp_path / "s",
        (
            ToyDimension("a", ("x", "y")),
            ToyDimension("b", ("x", "y"), (("a",),), zeros=opposite),
            ToyDimension("c", ("x", "y"), (("a",),), zeros=opposite),
        ),
    )
    with pytest.raises(SamplingError, match="the evidence has probability zero: drop or widen some of it"):
        Sampler(Snapshot.load(tmp_path / "s")).sample(5, evidence={"b": "x", "c": "y"})


def test_rare_evidence_takes_few_tries() -> None:
    sampler = Sampler(Snapshot.load("us"), "numpy")
    for evidence in ({"age": "18_24", "education": "doctorate"}, {"religion": "muslim"}, {"heritage": "haitian"}):
        support = sampler.sample(500, 1, evidence=evidence).support
        assert support.probability < 0.03 and support.excess == 0
        assert support.tries / 500 * support.probability < 0.5  # blindly it is at least 1
