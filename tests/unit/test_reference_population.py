"""The reference population is drawn as people will be served, and the same whichever way it is built up."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.combination.problem import CombinationError, Factor
from pipeline.combination.reference import ReferencePopulation
from serving.sampler import Sampler
from serving.snapshot import Snapshot

US = load_catalogue("us")
AGE = [Factor((), np.array([12.0, 18.0, 17.0, 15.0, 16.0, 13.0, 9.0]))]
SEX = [Factor((), np.ones(2)), Factor(("age",), np.linspace(0.2, 2.0, 14).reshape(7, 2))]


def people(size: int = 20_000, seed: str = "s") -> ReferencePopulation:
    group = ReferencePopulation(US, size, seed)
    group.add("age", AGE)
    group.add("sex", SEX)
    return group


def test_codes_follow_the_factors() -> None:
    codes = people().codes(["sex", "age"])
    assert codes.dtype == np.uint8 and codes.shape == (20_000, 2)
    shares = np.bincount(codes[:, 1], minlength=7) / len(codes)
    np.testing.assert_allclose(shares, AGE[0].values / AGE[0].values.sum(), atol=0.015)
    youngest = codes[codes[:, 1] == 0, 0]
    expected = SEX[1].values[0, 1] / SEX[1].values[0].sum()
    assert abs(youngest.mean() - expected) < 0.04


def test_the_order_of_asking_does_not_matter() -> None:
    one, other = people(), people()
    one.codes(["age"])
    np.testing.assert_array_equal(one.codes(["age", "sex"]), other.codes(["age", "sex"]))


def test_another_seed_is_other_people() -> None:
    assert (people(seed="a").codes(["age"]) != people(seed="b").codes(["age"])).any()


def test_no_parents_means_no_columns() -> None:
    assert people(size=5).codes([]).shape == (5, 0)


def test_a_missing_ancestor_is_named() -> None:
    with pytest.raises(CombinationError, match="weights of 'ethnicity' are missing"):
        people().codes(["ethnicity"])


def test_a_dimension_fitted_anew_is_drawn_anew_with_all_that_depends_on_it() -> None:
    group = people()
    before = group.codes(["age", "sex"])
    group.add("age", [Factor((), np.array([1.0, 0, 0, 0, 0, 0, 0]))])
    after = group.codes(["age", "sex"])
    assert not after[:, 0].any()
    assert (before[:, 1] != after[:, 1]).any()
    group.add("age", AGE)
    np.testing.assert_array_equal(group.codes(["age", "sex"]), before)


def test_people_are_those_that_the_snapshot_serves() -> None:
    snapshot = Snapshot.load("us")
    group, wanted = ReferencePopulation(US, 500, "s"), ["education", "occupation", "marital"]
    for name in (*wanted, *(one for d in wanted for one in US.ancestors(d))):
        factors = snapshot.dimension(name).factors
        group.add(name, [Factor(f.given, f.table.reshape(*f.sizes, -1)) for f in factors])
    batch = Sampler(snapshot).sample(500, "s", fields=wanted)
    for column, name in enumerate(wanted):
        np.testing.assert_array_equal(group.codes(wanted)[:, column], batch.codes(name))
