from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.combination.factors import compile_factors, rounded
from pipeline.combination.problem import (
    CombinationError,
    Diagnostics,
    ElicitedMap,
    Factor,
    FactorModel,
    Problem,
    normalised_rows,
)


def flat(given: tuple[str, ...], *shape: int) -> ElicitedMap:
    return ElicitedMap(given, np.full(shape, 1 / shape[-1]), np.zeros(shape))


def sample(**changes: object) -> Problem:
    problem = Problem(
        "drink",
        False,
        ("tea", "coffee"),
        ("age", "sex"),
        (3, 2),
        flat((), 2),
        (flat(("age",), 3, 2), flat(("sex",), 2, 2)),
        np.array([[0, 0], [1, 1], [2, 0]], dtype=np.uint8),
    )
    return replace(problem, **changes)  # type: ignore[arg-type]


def test_one_way_and_higher_split_the_maps() -> None:
    pair = flat(("sex", "age"), 2, 3, 2)
    problem = sample(maps=(flat(("age",), 3, 2), pair))
    assert [m.given for m in problem.one_way] == [("age",)]
    assert problem.higher == (pair,)
    assert problem.shape_of(("sex", "age")) == (2, 3, 2)
    assert problem.columns_of(("sex", "age")) == (1, 0)


@pytest.mark.parametrize(
    ("p", "spread", "support", "message"),
    [
        ([[0.5, 0.5]], [[0.0, 0.0]], 1, "axes"),
        ([0.5, 0.4], [0.0, 0.0], 1, "off 1"),
        ([1.5, -0.5], [0.0, 0.0], 1, "negative"),
        ([np.nan, 1.0], [0.0, 0.0], 1, "non-finite"),
        ([0.5, 0.5], [0.0], 1, "spread"),
        ([0.5, 0.5], [0.0, -1.0], 1, "spread"),
        ([0.5, 0.5], [0.0, 0.0], 0.5, "support"),
    ],
)
def test_malformed_maps_are_refused(p: list[float], spread: list[float], support: float, message: str) -> None:
    with pytest.raises(CombinationError, match=message):
        ElicitedMap((), np.array(p), np.array(spread), support)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parents": ("age", "age")}, "distinct"),
        ({"base": flat(("sex",), 2, 2)}, "base"),
        ({"base": flat((), 3)}, "shape"),
        ({"maps": (flat(("age",), 2, 2),)}, "shape"),
        ({"maps": (flat(("height",), 3, 2),)}, "parents"),
        ({"maps": (flat(("age", "sex"), 3, 2, 2), flat(("sex", "age"), 2, 3, 2))}, "share one given"),
        ({"maps": (flat((), 2),)}, "condition on a parent"),
        ({"reference": np.zeros((2, 2), dtype=np.int64)}, "uint8"),
        ({"reference": np.zeros((0, 2), dtype=np.uint8)}, "uint8"),
        ({"reference": np.array([[3, 0]], dtype=np.uint8)}, "age beyond"),
        ({"allowed": ((("sex",), np.array([[True, True], [False, False]])),)}, "forbid every"),
    ],
)
def test_malformed_problems_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CombinationError, match=message) as error:
        sample(**changes)
    assert str(error.value).startswith("drink: ")
    assert "\n" not in str(error.value)


def test_zeros_that_together_forbid_everything_for_a_reference_person_are_refused() -> None:
    age = np.array([[False, True], [True, True], [True, True]])
    sex = np.array([[True, False], [True, True]])
    with pytest.raises(CombinationError, match="some reference people"):
        sample(allowed=((("age",), age), (("sex",), sex)))


def test_zeros_are_broadcast_to_finer_givens_in_any_axis_order() -> None:
    age = np.array([[False, True], [True, True], [True, True]])
    both = np.ones((2, 3, 2), dtype=np.bool_)
    both[1, 2, 1] = False
    problem = sample(allowed=((("age",), age), (("sex", "age"), both)))
    seen = problem.allowed_given(("age", "sex"))
    assert seen.shape == (3, 2, 2)
    assert (~seen).nonzero()[0].tolist() == [0, 0, 2]
    assert not seen[2, 1, 1]
    assert problem.allowed_given(("sex",)).all()
    assert problem.allowed_rows(np.array([[0, 0], [2, 1]], dtype=np.uint8)).tolist() == [
        [False, True],
        [True, False],
    ]


def test_factor_model_multiplies_and_normalises() -> None:
    model = FactorModel(
        "drink",
        ("age", "sex"),
        (Factor((), np.array([0.5, 0.5])), Factor(("sex",), np.array([[3.0, 1.0], [1.0, 1.0]]))),
    )
    assert np.allclose(model.probabilities(np.array([[0, 0], [2, 1]], dtype=np.uint8)), [[0.75, 0.25], [0.5, 0.5]])


def test_factor_model_starts_with_the_base() -> None:
    with pytest.raises(CombinationError, match="first factor"):
        FactorModel("drink", (), ())


def test_rows_without_mass_are_an_error_that_names_the_dimension() -> None:
    with pytest.raises(CombinationError, match="drink"):
        normalised_rows(np.zeros((1, 2)), "drink")


def test_compiled_factors_hold_zeros_once_and_stay_in_range() -> None:
    age = np.array([[False, True], [True, True], [True, True]])
    both = np.ones((3, 2, 2), dtype=np.bool_)
    both[1, 1, 0] = False
    problem = sample(allowed=((("age",), age), (("age", "sex"), both)))
    logs = [((), np.zeros(2)), (("age",), np.array([[0.0, 0.0], [900.0, -900.0], [0.0, np.log(4.0)]]))]
    model = compile_factors(problem, logs)
    assert [f.given for f in model.factors] == [(), ("age",), ("age", "sex")]
    assert model.factors[1].values[0, 0] == 0
    assert model.factors[2].values[1, 1, 0] == 0
    values = np.concatenate([f.values.ravel() for f in model.factors])
    assert values.max() <= 1.001e12
    assert values[values > 0].min() >= 0.999e-12
    assert np.allclose(model.probabilities(np.array([[2, 0]], dtype=np.uint8)), [[0.2, 0.8]])


def test_rounding_keeps_four_digits_and_everything_else() -> None:
    diagnostics = Diagnostics(True, 3, 0.0, 1, 0.0)
    values = np.array([1.23456789e-7, 98765.4321, 0.0])
    model = rounded(FactorModel("drink", (), (Factor((), values),), diagnostics))
    assert model.factors[0].values.tolist() == [1.235e-7, 98770.0, 0.0]
    assert model.diagnostics is diagnostics
    jittered = FactorModel("drink", (), (Factor((), values * (1 + 1e-14)),))
    assert rounded(jittered).factors[0].values.tolist() == model.factors[0].values.tolist()
