"""Misspelt names: which are taken for slips, and which are left alone."""

from __future__ import annotations

import polars as pl
import pytest

from tests.support.name_facts import told
from warehouse.names.export import name_files
from warehouse.names.files import FIRST, LAST
from warehouse.names.slips import slips, swapped

FREQUENCY = {"GONZALEZ": 800_000, "GOZALEZ": 300, "GONZALES": 120_000, "GNOZALEZ": 90, "GONZZALEZ": 90, "ONZALEZ": 90}


def test_letters_left_out_and_swapped_are_slips() -> None:
    assert slips(FREQUENCY, ratio=300, doubled=False) == {"GOZALEZ": "GONZALEZ", "GNOZALEZ": "GONZALEZ"}
    assert slips(FREQUENCY, ratio=300, doubled=True).keys() == {"GOZALEZ", "GNOZALEZ", "GONZZALEZ"}


def test_what_is_not_much_rarer_or_short_is_a_name() -> None:
    assert not slips(FREQUENCY, ratio=20_000, doubled=True)
    assert not slips({"JOAN": 1_000_000, "JON": 10}, ratio=2, doubled=True)


def test_a_slip_is_one_of_the_most_frequent_name() -> None:
    assert slips({"MARTINE": 10, "MARTINES": 9_000, "MARTINEZ": 90_000}, ratio=300, doubled=False) == {
        "MARTINE": "MARTINEZ"
    }


@pytest.mark.parametrize(("slip", "name", "expected"), [("GOERGE", "GEORGE", True), ("ANDEW", "ANDREW", False)])
def test_swapped_letters_are_told_from_lost_ones(slip: str, name: str, expected: bool) -> None:
    assert swapped(slip, name) == expected


def test_nobody_bears_a_misspelt_surname_nor_came_with_a_misspelt_first_name(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("names")
    for name, content in name_files(told()).items():
        (folder / name).write_bytes(content)
    last, first = pl.read_parquet(folder / LAST), pl.read_parquet(folder / FIRST)
    assert {"Gozalez", "Garia", "Otiz"}.isdisjoint(last["name"])
    assert {"Gonzalez", "Garcia", "Andersson", "Gonzales"} <= set(last["name"])
    came = set(first.filter(pl.col("foreign") > 0)["name"])
    assert {"Andew", "Chritina", "Goerge", "Sire", "Thi"}.isdisjoint(came)
    assert {"Andrei", "Christine", "Jorge", "Thuy"} <= came
