"""Derived fields: inside their bands, consistent with each other and with the calendar."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import derived
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import AGES, MONTHS, build_snapshot
from warehouse.errors import SnapshotError

HEIGHTS = ("under_150", "150_154", "155_159", "190_plus")
AS_OF = st.dates(date(1990, 1, 1), date(2100, 12, 31))
LEAP_DAYS = st.sampled_from(
    [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2026, 2, 28), date(2026, 3, 1)]
)


def dates(seed: int | str, ages: list[int], months: list[int], as_of: date) -> list[date]:
    indices = np.arange(len(ages), dtype=np.uint64)
    births = derived.birth_dates(seed, indices, np.array(ages, np.int64), np.array(months, np.int64), as_of)
    converted: list[date] = births.astype(object).tolist()
    return converted


@given(st.integers(), st.lists(st.tuples(st.integers(0, 110), st.integers(1, 12)), max_size=30), AS_OF | LEAP_DAYS)
def test_birth_dates_fit_age_month_and_day(seed: int, people: list[tuple[int, int]], as_of: date) -> None:
    ages, months = [age for age, _ in people], [month for _, month in people]
    for born, age, month in zip(dates(seed, ages, months, as_of), ages, months, strict=True):
        assert born.month == month
        assert derived.age_on(born, as_of) == age


@pytest.mark.parametrize("as_of", [date(2026, 11, 1), date(2024, 2, 29), date(2026, 2, 28), date(2026, 2, 14)])
def test_every_day_that_fits_occurs(as_of: date) -> None:
    for age, month in ((26, 2), (25, 2), (40, as_of.month), (40, 12)):
        day, fitting = date(as_of.year - age - 1, 1, 1), set()
        while day <= as_of:
            if day.month == month and derived.age_on(day, as_of) == age:
                fitting.add(day)
            day += timedelta(days=1)
        assert set(dates("days", [age] * 3000, [month] * 3000, as_of)) == fitting


def test_leap_day_children_complete_a_year_on_the_first_of_march() -> None:
    born = date(2004, 2, 29)
    assert derived.age_on(born, date(2026, 2, 28)) == 21
    assert derived.age_on(born, date(2026, 3, 1)) == 22
    assert derived.age_on(born, date(2028, 2, 29)) == 24


def test_exact_ages_lie_in_their_band_and_fill_it() -> None:
    bands = derived.age_bands(AGES)
    codes = np.repeat(np.arange(7, dtype=np.uint8), 3000)
    ages = derived.exact_ages(1, np.arange(21_000, dtype=np.uint64), codes, bands)
    for code, (low, high) in enumerate([(18, 24), (25, 34), (35, 44), (45, 54), (55, 64), (65, 74), (75, 100)]):
        assert set(ages[codes == code].tolist()) <= set(range(low, high + 1))
        assert (ages[codes == code].min(), len(set(ages[codes == code].tolist())) > 6) == (low, True)


def test_the_old_thin_out_as_survival_does() -> None:
    bands = derived.age_bands(AGES)
    n = 100_000
    ages = derived.exact_ages(2, np.arange(n, dtype=np.uint64), np.full(n, 6, dtype=np.uint8), bands)
    counts = Counter(ages.tolist())
    assert max(counts) == 100
    decades = [sum(counts[age] for age in range(low, low + 5)) for low in (75, 80, 85, 90, 95)]
    assert decades == sorted(decades, reverse=True)
    # Of Americans of 75 and over, about a quarter are 85 and over (Census Bureau estimates for 2023).
    assert 0.2 < sum(decades[2:]) / n < 0.32


def test_heights_lie_in_their_band() -> None:
    bands = derived.height_bands(HEIGHTS)
    codes = np.repeat(np.arange(4, dtype=np.uint8), 2000)
    heights = derived.heights_cm(3, np.arange(8000, dtype=np.uint64), codes, bands)
    for code, (low, high) in enumerate([(135, 149), (150, 154), (155, 159), (190, 204)]):
        drawn = heights[codes == code]
        assert low <= drawn.min() <= drawn.max() <= high
    assert np.median(heights[codes == 0]) >= 146
    assert np.median(heights[codes == 3]) <= 193


def test_a_category_that_is_no_band_is_named() -> None:
    with pytest.raises(SnapshotError, match="'tall' of dimension 'height' is no band"):
        derived.height_bands(("150_154", "tall"))
    with pytest.raises(SnapshotError, match="'birth_month' are not january to december"):
        derived.months_of(("brumaire",))


@pytest.mark.parametrize(
    ("born", "generation"),
    [
        ("1890-05-05", "greatest"),
        ("1927-12-31", "greatest"),
        ("1928-01-01", "silent"),
        ("1945-12-31", "silent"),
        ("1946-01-01", "baby_boomer"),
        ("1964-12-31", "baby_boomer"),
        ("1965-01-01", "generation_x"),
        ("1980-12-31", "generation_x"),
        ("1981-01-01", "millennial"),
        ("1996-12-31", "millennial"),
        ("1997-01-01", "generation_z"),
        ("2012-12-31", "generation_z"),
        ("2013-01-01", "generation_alpha"),
    ],
)
def test_generations_have_the_published_bounds(born: str, generation: str) -> None:
    code = derived.generation_codes(np.array([born], dtype="datetime64[D]"))[0]
    assert list(derived.GENERATIONS)[code] == generation


@pytest.mark.parametrize(
    ("born", "sign"),
    [
        ("2000-01-01", "capricorn"),
        ("2000-01-19", "capricorn"),
        ("2000-01-20", "aquarius"),
        ("2000-02-29", "pisces"),
        ("1999-03-20", "pisces"),
        ("1999-03-21", "aries"),
        ("1965-07-22", "cancer"),
        ("1965-07-23", "leo"),
        ("1965-12-21", "sagittarius"),
        ("1965-12-22", "capricorn"),
        ("1965-12-31", "capricorn"),
    ],
)
def test_star_signs_have_the_usual_bounds(born: str, sign: str) -> None:
    code = derived.star_sign_codes(np.array([born], dtype="datetime64[D]"))[0]
    assert list(derived.STAR_SIGNS)[code] == sign


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    folder: Path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(folder)
    return Sampler(Snapshot.load(folder))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers() | st.text(max_size=5), as_of=AS_OF)
def test_a_persona_agrees_with_itself_at_any_date(sampler: Sampler, seed: int | str, as_of: date) -> None:
    for persona in sampler.sample(20, seed, as_of=as_of).to_dicts():
        born, age = persona["birth_date"], persona["age_years"]
        assert isinstance(born, date)
        assert isinstance(age, int)
        assert derived.age_on(born, as_of) == age
        assert MONTHS[born.month - 1] == persona["birth_month"]
        low, _, high = str(persona["age"]).replace("plus", "100").partition("_")
        assert int(low) <= age <= int(high)


def test_without_a_date_the_snapshot_says_when(sampler: Sampler) -> None:
    assert sampler.sample(20).to_dicts() == sampler.sample(20, as_of=date(2026, 11, 1)).to_dicts()


def test_another_date_keeps_ages_and_moves_births(sampler: Sampler) -> None:
    now, later = sampler.sample(50).to_dicts(), sampler.sample(50, as_of=date(2036, 11, 1)).to_dicts()
    assert [p["age_years"] for p in now] == [p["age_years"] for p in later]
    for before, after in zip(now, later, strict=True):
        assert isinstance(before["birth_date"], date)
        assert isinstance(after["birth_date"], date)
        assert after["birth_date"].year == before["birth_date"].year + 10


def test_a_derived_field_depends_on_its_own_index_alone(sampler: Sampler) -> None:
    fields = ["birth_date", "height_cm", "star_sign", "generation"]
    whole = sampler.sample(40, "x", fields=fields).to_dicts()
    assert sampler.sample(1, "x", start=33, fields=fields).to_dicts() == whole[33:34]
