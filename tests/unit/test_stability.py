"""What a seed gives, and what cannot change it: the table in docs/sampling.md, as properties.

Without conditions, `test_sampler.py` has the same; here are all kinds of conditions, and what they leave alone.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot
from warehouse.errors import SamplingError

PROPERTY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEEDS = st.one_of(st.integers(-(2**65), 2**65), st.text(max_size=10))
STARTS = st.one_of(st.integers(0, 100), st.integers(0, 2**62))
NAMES = [dimension.id for dimension in TOY]
DERIVED = ["age_years", "birth_date", "generation", "star_sign", "height_cm"]
CATEGORIES = {dimension.id: dimension.categories for dimension in TOY}


@st.composite
def conditions(draw: st.DrawFn, *, targets: bool = True) -> dict[str, Any]:
    """Conditions of any kinds but quotas on up to three dimensions, possible or not."""
    kinds = ["do", "evidence", "likelihood", *(["target_marginal"] if targets else [])]
    found: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3)):
        kind = draw(st.sampled_from(kinds))
        some = draw(st.lists(st.sampled_from(CATEGORIES[name]), unique=True, min_size=1, max_size=3))
        values = {
            "do": some[0],
            "evidence": some,
            "likelihood": dict(zip(some, (1.0, 0.5, 0.1), strict=False)),
            "target_marginal": {some[0]: 0.4},
        }
        found.setdefault(kind, {})[name] = values[kind]
    return found


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    folder = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(folder)
    return Sampler(Snapshot.load(folder))


def people(sampler: Sampler, n: int, seed: int | str, start: int, **arguments: Any) -> list[dict[str, object]]:
    """Personas as dicts; the example is given up if there can be none."""
    try:
        batch = sampler.sample(n, seed, start, **arguments)
    except SamplingError:
        assume(False)
        raise
    return [dict(persona) for persona in batch.to_dicts()]


def descendants(names: set[str]) -> set[str]:
    found = set(names)
    for dimension in TOY:
        if found & {parent for given in dimension.givens for parent in given}:
            found.add(dimension.id)
    return found


def ancestors(names: set[str]) -> set[str]:
    found = set(names)
    for dimension in reversed(TOY):
        if dimension.id in found:
            found.update(parent for given in dimension.givens for parent in given)
    return found


@pytest.mark.filterwarnings("ignore::serving.sampler.SupportWarning")
@PROPERTY
@given(asked=conditions(), seed=SEEDS, start=STARTS, cuts=st.lists(st.integers(0, 24), max_size=3), data=st.data())
def test_any_split_in_any_order_gives_the_same_people_under_any_conditions(  # noqa: PLR0917
    sampler: Sampler, asked: dict[str, Any], seed: int | str, start: int, cuts: list[int], data: st.DataObject
) -> None:
    whole = people(sampler, 24, seed, start, **asked)
    ranges = data.draw(st.permutations(list(pairwise(sorted({0, 24, *cuts})))))
    parts = {low: people(sampler, high - low, seed, start + low, **asked) for low, high in ranges}
    assert [persona for low in sorted(parts) for persona in parts[low]] == whole


@pytest.mark.filterwarnings("ignore::serving.sampler.SupportWarning")
@PROPERTY
@given(asked=conditions(targets=False), seed=SEEDS, start=STARTS)
def test_conditions_leave_alone_what_neither_depends_on_the_other(
    sampler: Sampler, asked: dict[str, Any], seed: int | str, start: int
) -> None:
    set_ones = set(asked.get("do", {}))
    known = {name for kind, named in asked.items() if kind != "do" for name in named}
    touched = descendants(set_ones) | (descendants(ancestors(known)) if known else set())
    free, conditioned = people(sampler, 20, seed, start), people(sampler, 20, seed, start, **asked)
    for name in set(NAMES) - touched:
        assert [one[name] for one in free] == [one[name] for one in conditioned], name


@pytest.mark.filterwarnings("ignore::serving.sampler.SupportWarning")
@PROPERTY
@given(
    asked=conditions(),
    seed=SEEDS,
    fields=st.lists(st.sampled_from([*NAMES, *DERIVED]), unique=True),
    exclude=st.lists(st.sampled_from([*NAMES, *DERIVED, "sensitive"]), unique=True),
)
def test_which_fields_are_carried_changes_no_value_of_them(
    sampler: Sampler, asked: dict[str, Any], seed: int | str, fields: list[str], exclude: list[str]
) -> None:
    everything = people(sampler, 15, seed, 0, **asked)
    some = people(sampler, 15, seed, 0, **asked, fields=fields, exclude=exclude)
    assert some == [{name: one[name] for name in few} for one, few in zip(everything, some, strict=True)]


@PROPERTY
@given(seed=SEEDS, as_of=st.dates(date(1950, 1, 1), date(2100, 1, 1)))
def test_the_date_changes_birth_dates_and_what_follows_from_them_only(
    sampler: Sampler, seed: int | str, as_of: date
) -> None:
    before, after = people(sampler, 15, seed, 0), people(sampler, 15, seed, 0, as_of=as_of)
    for name in [*NAMES, "age_years", "height_cm"]:
        assert [one[name] for one in before] == [one[name] for one in after]


@PROPERTY
@given(seed=SEEDS, female=st.integers(0, 12), start=STARTS)
def test_a_batch_with_quotas_is_the_same_each_time(sampler: Sampler, seed: int | str, female: int, start: int) -> None:
    quota = {"sex": {"female": female, "male": 12 - female}}
    once = people(sampler, 12, seed, start, quota=quota)
    assert people(Sampler(sampler.snapshot), 12, seed, start, quota=quota) == once
    assert sum(one["sex"] == "female" for one in once) == female


def test_a_new_dimension_leaves_the_others_as_they_were(sampler: Sampler, tmp_path: Path) -> None:
    more = (ToyDimension("hat", ("none", "cap", "beret"), (("age",),)),)
    build_snapshot(tmp_path / "s", (*TOY, *more))
    longer = Sampler(Snapshot.load(tmp_path / "s"))
    before, after = people(sampler, 200, "more", 0), people(longer, 200, "more", 0)
    for name in NAMES:
        assert [one[name] for one in before] == [one[name] for one in after]
    assert len({one["hat"] for one in after}) == 3
