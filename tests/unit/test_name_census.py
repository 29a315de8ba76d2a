"""What the Census rules out: impossible heritages, conflicts with an answer, and noise of rare names."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.names.census import (
    COMPARED,
    FORBIDDEN_TO,
    GROUPS,
    HAVE,
    Known,
    conflict,
    group_shares,
    known,
    ruled_out,
    sex_conflict,
)

IMPOSSIBLE = ruled_out(load_catalogue("us"))


def of(bearers: int, female: float = 0.0, **shares: float) -> Known:
    sexed = bearers if female else 0
    return Known(bearers, {group: shares.get(group, 0.0) for group in GROUPS}, (female, female), sexed)


def test_every_group_has_a_rule_of_heritages_that_there_are() -> None:
    heritages = set(load_catalogue("us").dimension("heritage").category_ids)
    assert HAVE.keys() | FORBIDDEN_TO.keys() == set(GROUPS) == IMPOSSIBLE.keys()
    assert all(set(names) <= heritages for names in (*HAVE.values(), *COMPARED.values()))
    assert all("mixed_other" not in names for names in IMPOSSIBLE.values())


def test_a_hispanic_name_cannot_be_irish() -> None:
    told = conflict(of(5_000, hispanic=0.95, white=0.05), {"irish": 0.8, "mexican": 0.2}, IMPOSSIBLE)
    assert told == "95% of 5000 bearers are Hispanic by the Census, but 80% were given to irish"
    assert conflict(of(5_000, hispanic=0.95, white=0.05), {"mexican": 0.85, "irish": 0.1}, IMPOSSIBLE) is None


@pytest.mark.parametrize(
    ("shares", "heritage"),
    [
        ({"white": 0.95}, {"african_american": 0.5}),
        ({"black": 0.9}, {"german": 0.6, "african_american": 0.4}),
        ({"api": 0.97}, {"mexican": 0.7, "filipino": 0.3}),
        ({"white": 0.9, "two": 0.1}, {"korean": 0.4, "english": 0.5}),
    ],
)
def test_no_group_has_what_is_ruled_out(shares: Mapping[str, float], heritage: Mapping[str, float]) -> None:
    assert conflict(of(10_000, **shares), heritage, IMPOSSIBLE) is not None


@pytest.mark.parametrize(
    ("shares", "heritage"),
    [
        ({"white": 0.7, "black": 0.23}, {"english": 0.4, "african_american": 0.25, "mixed_other": 0.25}),
        ({"api": 0.45, "hispanic": 0.5}, {"filipino": 0.45, "mexican": 0.5}),
        ({"api": 0.9}, {"hawaiian_pacific": 0.9}),
        ({"aian": 0.9}, {"native_american": 0.9}),
        ({"white": 0.9}, {"arab": 0.5, "iranian": 0.4}),
    ],
)
def test_what_can_be_is_let_pass(shares: Mapping[str, float], heritage: Mapping[str, float]) -> None:
    assert conflict(of(10_000, **shares), heritage, IMPOSSIBLE) is None


def test_few_bearers_leave_more_room_and_none_leave_all() -> None:
    heritage = {"irish": 0.28, "mexican": 0.72}
    assert conflict(of(100, hispanic=0.95), heritage, IMPOSSIBLE) is None
    assert conflict(of(100_000, hispanic=0.95), heritage, IMPOSSIBLE) is not None
    assert conflict(Known(0, {}, (0.0, 0.0), 0), heritage, IMPOSSIBLE) is None


def test_sex_is_held_against_the_counts() -> None:
    assert sex_conflict(of(10_000, female=0.99), 0.4) == (
        "99% of 10000 bearers are female by the counts, but 40% was given"
    )
    assert sex_conflict(of(10_000, female=0.75), 0.6) is None
    changed = Known(10_000, {}, (0.4, 0.8), 10_000)
    assert sex_conflict(changed, 0.3) is None and sex_conflict(changed, 0.9) is None
    assert sex_conflict(changed, 0.1) == "40% to 80% of 10000 bearers are female by the counts, but 10% was given"
    assert sex_conflict(Known(0, {}, (0.0, 0.0), 0), 0.5) is None


def test_the_vendored_tables_are_read_as_published() -> None:
    siobhan, nguyen = known("first")["SIOBHAN"], known("last")["NGUYEN"]
    assert siobhan.female[0] > 0.99 and siobhan.shares["white"] > 0.7 and siobhan.bearers > 5_000
    assert nguyen.shares["api"] > 0.9 and nguyen.sexed == 0
    born_only = next(k for k in known("first").values() if not k.bearers)
    assert born_only.sexed > 0 and born_only.shares == {}
    least, most = known("first")["REMI"].female  # more often a girl's name today than among adults
    assert 0.6 < least < most - 0.1


def test_all_names_together_are_compared_with_the_census() -> None:
    rows = [("GARCIA", "mexican", 0.7), ("GARCIA", "spanish", 0.1), ("NGUYEN", "vietnamese", 0.95)]
    told = {
        g: (a, b) for g, a, b in group_shares("last", pl.DataFrame(rows, ["key", "heritage", "share"], orient="row"))
    }
    garcia, nguyen = known("last")["GARCIA"], known("last")["NGUYEN"]
    total = garcia.bearers + nguyen.bearers
    assert told["hispanic"][0] == pytest.approx(0.8 * garcia.bearers / total)
    assert told["api"] == pytest.approx(
        (
            0.95 * nguyen.bearers / total,
            (garcia.bearers * garcia.shares["api"] + nguyen.bearers * nguyen.shares["api"]) / total,
        )
    )
    assert (
        group_shares("last", pl.DataFrame(schema={"key": pl.String, "heritage": pl.String, "share": pl.Float64})) == []
    )
