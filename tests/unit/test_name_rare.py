"""Surnames that stand for unlisted ones: for whom, how many, and that nobody's ethnicity moves."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.names.rare import shared_out, standing
from warehouse.names.export import ETHNICITIES, listed_surnames
from warehouse.names.files import EVERYONE, MARKED, SHARE_UNIT

SURNAMES = pl.DataFrame({"key": ["SMITH", "PAPAS", "ROSSI", "COSTA"], "bearers": [9_000, 100, 800, 100]}).with_columns(
    *(pl.lit(SHARE_UNIT if e == "white" else 0).alias(f"share_{e}") for e in ETHNICITIES)
)
TAGS = pl.DataFrame(
    [
        ("SMITH", "english", 0.5),
        ("SMITH", "italian", 0.02),
        ("PAPAS", "greek", 0.98),
        ("ROSSI", "italian", 0.98),
        ("COSTA", "italian", 0.5),
        ("COSTA", "greek", 0.1),
    ],
    schema=["key", "heritage", "share"],
    orient="row",
)
HERITAGES = {"english": 0.5, "greek": 0.1, "italian": 0.1, "mixed_other": 0.3}
PEOPLE = pl.DataFrame(
    [
        (EVERYONE, e, n, h, share / len(MARKED) * (e == "white"))
        for e in ETHNICITIES
        for n in MARKED
        for h, share in HERITAGES.items()
    ],
    schema=["cohort", "ethnicity", "nativity", "heritage", "share"],
    orient="row",
)


def factors(unlisted: float) -> dict[str, float]:
    whole = dict.fromkeys(ETHNICITIES, 0.0) | {"white": 10_000 + unlisted}
    found = dict(standing(SURNAMES, whole, TAGS, PEOPLE).iter_rows())
    return {key: found.get(key, 1.0) for key in SURNAMES["key"]}


def test_the_unlisted_bear_names_of_the_heritages_that_lack_them() -> None:
    found = factors(2_000)
    assert found["SMITH"] == 1.0  # the English have names enough
    assert found["ROSSI"] == pytest.approx(1.0, abs=0.1)  # 858 of 1,200 Italians: more than those of whom it is wanted
    assert found["PAPAS"] > 4
    assert 1 < found["COSTA"] < found["PAPAS"] / 4  # a rare name is one people's


def test_no_more_people_are_shared_out_than_there_are() -> None:
    bearers = dict(SURNAMES.select("key", "bearers").iter_rows())
    for unlisted in (0, 50, 300):
        more = sum(bearers[key] * (factor - 1) for key, factor in factors(unlisted).items())
        assert more == pytest.approx(unlisted, abs=1)


def test_a_surname_that_nobody_was_told_of_stands_for_itself() -> None:
    assert standing(SURNAMES, {"white": 20_000.0}, TAGS.clear(), PEOPLE).is_empty()


@given(seed=st.integers(0, 2**32), part=st.floats(0, 2))
def test_each_gets_the_same_part_of_what_it_wants(seed: int, part: float) -> None:
    rng = np.random.default_rng(seed)
    wanted, had = rng.random(5), rng.random(5)
    available = part * np.maximum(wanted - had, 0).sum()
    got = shared_out(available, wanted, had)
    assert (got >= 0).all()
    assert (got <= np.maximum(wanted - had, 0) + 1e-12).all()
    if part < 1:
        assert got.sum() == pytest.approx(available, abs=1e-9)
    levels = ((got + had) / wanted)[got > 1e-9]
    assert np.ptp(levels) < 1e-6 if len(levels) else True


def test_everybody_is_more_than_the_listed() -> None:
    surnames, people = listed_surnames()
    listed = surnames["bearers"].sum()
    assert sum(people.values()) == pytest.approx(298_866_900, rel=1e-4)  # of whom 262,612,981 have a listed surname
    assert 1.13 < sum(people.values()) / listed < 1.18
    for ethnicity in ETHNICITIES:
        borne = surnames.select(pl.col("bearers").cast(float).dot(f"share_{ethnicity}")).item() / SHARE_UNIT
        assert borne < people[ethnicity]
