"""How years lie within a band of ages: characteristics keep their people, years theirs, and courses have no steps."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.particulars.ages import AGED_BY, FEW, age_tables, course, joint
from serving.ages import least_ages

YEARS = [list(range(18, 25)), list(range(25, 35)), list(range(35, 45))]
SHARES = [np.full(len(years), 1 / len(years)) for years in YEARS]
COUNTS = np.array([[60.0, 640.0], [500.0, 500.0], [900.0, 100.0]])
"""Of 700, 1,000 and 1,000 people those who have something, and the others."""


def shares_by_year(courses: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """The part of each year's people who have the first category."""
    having = np.concatenate([one * count for one, count in zip(courses, counts, strict=True)])
    return np.asarray(having[:, 0] / having.sum(axis=1))


def test_a_course_rises_from_band_to_band_without_steps() -> None:
    found = course(COUNTS, YEARS, SHARES, [0, 0])
    for one, share, count in zip(found, SHARES, COUNTS, strict=True):
        assert one.sum(axis=0) == pytest.approx(1)
        assert (one * count).sum(axis=1) / count.sum() == pytest.approx(share, abs=1e-6)
    by_year = shares_by_year(found, COUNTS)
    assert (np.diff(by_year) > 0).all()
    # Even years in bands would have steps of .41 and .40 at 25 and 35.
    assert np.diff(by_year).max() < 0.12


def test_what_does_not_change_with_age_is_even() -> None:
    counts = np.array([[70.0, 630.0], [100.0, 900.0], [100.0, 900.0]])
    for one, share in zip(course(counts, YEARS, SHARES, [0, 0]), SHARES, strict=True):
        assert one == pytest.approx(np.stack([share, share], axis=1), abs=1e-6)


def test_nobody_has_it_before_the_least_age_and_every_year_has_its_people() -> None:
    first, *_ = course(COUNTS, YEARS, SHARES, [21, 0])
    assert (first[:3, 0] == 0).all() and (first[3:, 0] > 0).all()
    assert (first * COUNTS[0]).sum(axis=1) / 700 == pytest.approx(SHARES[0], abs=1e-6)


def test_nobody_is_ruled_out_where_a_course_is_flat() -> None:
    counts = np.array([[0.0, 700.0], [0.0, 1000.0], [400.0, 600.0]])
    counts[0, 0] = 1.0
    first, second, _ = course(counts, YEARS, SHARES, [0, 0])
    assert first[:, 0].min() > 0.1 * FEW
    assert second[:, 0] == pytest.approx(SHARES[1])  # of what nobody in the band has


def test_a_band_that_nobody_is_of_is_even() -> None:
    counts = COUNTS.copy()
    counts[1] = 0
    found = course(counts, YEARS, SHARES, [0, 0])
    assert found[1] == pytest.approx(np.stack([SHARES[1], SHARES[1]], axis=1))
    factors = joint([found[1]], SHARES[1], np.empty((0, 1), dtype=np.uint8))
    assert (factors[0] == 1).all()


def test_where_everybody_has_what_nobody_has_before_a_year_the_years_before_have_nobody() -> None:
    counts = COUNTS.copy()
    counts[0] = [700, 0]
    first, *_ = course(counts, YEARS, SHARES, [21, 0])
    assert first[:, 0].sum() == pytest.approx(1) and (first[:3, 0] == 0).all() and (first[3:, 0] > 0).all()
    factors = joint([first], SHARES[0], np.zeros((50, 1), dtype=np.uint8))
    assert (factors[0][:3, 0] == 0).all() and np.isfinite(factors[0]).all()


def test_several_characteristics_that_go_together_all_keep_their_courses() -> None:
    """The married are those with children, nearly: as if they were independent, years would count twice."""
    rng = np.random.default_rng(1)
    married = rng.random(40_000) < 0.4
    children = np.where(rng.random(40_000) < 0.1, ~married, married)
    codes = np.stack([married, children], axis=1).astype(np.uint8)
    ramp = np.linspace(1, 3, 10)
    courses = [
        np.stack([SHARES[1] * 2 - up * SHARES[1], up * SHARES[1]], axis=1)
        for up in (ramp / ramp.mean(), (ramp / ramp.mean()) ** 0.5 / ((ramp / ramp.mean()) ** 0.5).mean())
    ]
    counts = [np.bincount(column, minlength=2) for column in codes.T]
    courses = [_agreeing(one, count) for one, count in zip(courses, counts, strict=True)]
    factors = joint(courses, SHARES[1], codes)
    weights = SHARES[1] * factors[0][:, codes[:, 0]].T * factors[1][:, codes[:, 1]].T
    weights /= weights.sum(axis=1, keepdims=True)
    assert weights.mean(axis=0) == pytest.approx(SHARES[1], abs=1e-4)
    for column, told in zip(codes.T, courses, strict=True):
        for category in (0, 1):
            assert weights[column == category].mean(axis=0) == pytest.approx(told[:, category], abs=1e-4)


def _agreeing(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Scaled until both its years are even and its columns sum to 1."""
    table = table * counts
    for _ in range(200):
        table = table / table.sum(axis=1, keepdims=True) / len(table) * counts.sum()
        table = table / table.sum(axis=0) * counts
    return np.asarray(table / table.sum(axis=0))


def test_tables_of_a_catalogue_rule_out_by_education_alone() -> None:
    catalogue = load_catalogue("us")
    rng = np.random.default_rng(2)
    people = {
        name: rng.integers(0, len(catalogue.dimension(name).categories), 30_000).astype(np.uint8)
        for name in ("age", *AGED_BY)
    }
    tables = age_tables(catalogue, people)
    assert list(tables) == list(catalogue.dimension("age").category_ids)
    young = tables["18_24"]
    assert young.names == tuple(str(year) for year in range(18, 25))
    education, *others = young.factors
    for code, level in enumerate(catalogue.dimension("education").category_ids):
        first = least_ages().get(level, 0)
        assert [bool(one) for one in education[:, code] > 0] == [int(year) >= first for year in young.names]
    assert all((one > 0).all() for one in others)
    assert all((one > 0).all() for name, table in tables.items() if name != "18_24" for one in table.factors)
