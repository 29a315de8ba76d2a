"""Names that are borrowed: from made-up people, who bears which."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.names.ways import borrowing
from serving.names import Names
from tests.support import name_facts
from warehouse.errors import SnapshotError
from warehouse.names import borrowed, casing
from warehouse.names.borrowed import Borrowing, Given, Heritage, _filled, borrowed_files
from warehouse.names.export import COHORTS, Told
from warehouse.names.files import EVERYONE, FILES, FOREIGN, LAST

NATIVITIES = ("native_parents", FOREIGN)
ETHNICITIES = ("settled", "asian", "other")
HERITAGES = ("english", "welsh", "indian", "vietnamese")
PEOPLE = {"settled": {"english": 0.7, "welsh": 0.1}, "asian": {"indian": 0.1}, "other": {"vietnamese": 0.1}}
BORN_ABROAD = {"settled": 0.05, "asian": 0.6, "other": 0.6}


def heritage(
    *told: str, kept: float = 1.0, listed: float = 0.0, named: float = 0.0, **names: tuple[str, ...]
) -> Heritage:
    by_hand = {"female": (), "male": (), "last": ()} | names
    return Heritage(told, 1.0, listed, {"first": named, "last": named}, (kept, kept, kept), by_hand)


HERE = Borrowing(
    "gb",
    "english",
    {
        "english": heritage(
            "english", listed=1.0, named=0.5, female=("Susan", "Janet"), male=("David", "Paul", "Mark")
        ),
        "welsh": heritage("english", listed=0.2, named=0.8, female=("Angharad",), male=("Ieuan",), last=("Llwyd",)),
        "indian": heritage("indian"),
        "vietnamese": heritage("vietnamese", kept=0.5),
    },
    left_out=frozenset({"Patel"}),
)


GIVEN = (
    Given("english", "male", 1920, 1959, {"Percy": 0.5, "Norman": 0.25, "Basil": 0.05}),
    Given("english", "male", 1960, 1979, {"Darren": 0.4, "Wayne": 0.3}),
    Given("english", "male", 1980, 2009, {"Alfie": 0.6, "Liam": 0.3}),
    Given("welsh", "male", 1960, 1979, {"Gethin": 0.8}),
)


def people() -> pl.DataFrame:
    rows = []
    for cohort in (EVERYONE, *COHORTS):
        part = [
            [cohort, e, n, h, PEOPLE[e].get(h, 0.0) * (BORN_ABROAD[e] if n == FOREIGN else 1 - BORN_ABROAD[e])]
            for e in ETHNICITIES
            for n in NATIVITIES
            if cohort == EVERYONE or n != FOREIGN
            for h in HERITAGES
        ]
        whole = sum(row[-1] for row in part)  # type: ignore[misc]
        rows += [[*row[:-1], row[-1] / whole] for row in part]  # type: ignore[operator]
    return pl.DataFrame(rows, schema=["cohort", "ethnicity", "nativity", "heritage", "share"], orient="row")


def told() -> Told:
    there = name_facts.told()
    return Told(people(), there.heritage, there.facts, there.standing)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return borrowed_files(HERE, told())


@pytest.fixture(scope="module")
def names(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Names:
    return load(files, tmp_path_factory.mktemp("names"))


def load(files: dict[str, bytes], folder: Path) -> Names:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    found = Names.load(
        folder, sexes=("female", "male"), ethnicities=ETHNICITIES, nativities=NATIVITIES, heritages=HERITAGES
    )
    assert found is not None
    return found


def draw(  # noqa: PLR0917
    names: Names, ethnicity: str, heritage: str, nativity: str = FOREIGN, sex: int = 1, year: int = 1980
) -> tuple[Any, Any]:
    n = 2_000
    first, last = names.draw(
        5,
        np.arange(n, dtype=np.uint64),
        heritage=np.full(n, HERITAGES.index(heritage)),
        ethnicity=np.full(n, ETHNICITIES.index(ethnicity)),
        sex=np.full(n, sex),
        birth_year=np.full(n, year),
        nativity=np.full(n, NATIVITIES.index(nativity)),
    )
    return Counter(first.tolist()), Counter(last.tolist())


def test_the_same_facts_make_the_same_files(files: dict[str, bytes]) -> None:
    assert set(files) == set(FILES)
    assert borrowed_files(HERE, told()) == files


def test_what_is_told_of_faiths_is_borrowed_too() -> None:
    whose = told()
    plain = pl.read_parquet(borrowed_files(HERE, whose)[LAST])
    name = plain["name"][3]
    shares = pl.DataFrame({"kind": ["last"], "key": [casing.key_of(name)], "faiths": [[0.0, 0.25, 0.75, 0.0, 0.0]]})
    with_faiths = replace(whose, faiths=replace(name_facts.faiths(), shares=shares))
    table = pl.read_parquet(borrowed_files(HERE, with_faiths)[LAST])
    assert table.filter(pl.col("faith_share").list.len() > 0).select("name", "faith_share").rows() == [
        (name, [0, 50, 150, 0, 0])
    ]
    assert table.drop("faith_share").equals(plain)


@pytest.fixture(scope="module")
def fashions(tmp_path_factory: pytest.TempPathFactory) -> Names:
    return load(borrowed_files(HERE, told(), GIVEN), tmp_path_factory.mktemp("names"))


def test_first_names_are_those_that_were_given_in_these_years(fashions: Names) -> None:
    born = {year: draw(fashions, "settled", "english", "native_parents", year=year)[0] for year in (1938, 1970, 2004)}
    n = 2_000
    assert born[1938]["Percy"] / n == pytest.approx(0.5, abs=0.1)
    assert born[1970]["Darren"] / n == pytest.approx(0.4, abs=0.06)
    assert born[2004]["Alfie"] / n == pytest.approx(0.6, abs=0.06)
    # What a list leaves open goes to names of other lists, each rarer than the last of this one.
    assert 0 < born[1970]["Percy"] / n < 0.3 * 0.8
    assert born[2004]["Percy"] < born[1970]["Percy"] < born[1938]["Percy"]
    # Between the middles of two spans, fashions change bit by bit: 1962 is a quarter of the way from 1970 to 1940.
    between = draw(fashions, "settled", "english", "native_parents", year=1962)[0]
    assert born[1938]["Percy"] > between["Percy"] > born[1970]["Percy"]


def test_what_is_told_of_one_heritage_is_not_of_another(fashions: Names) -> None:
    first, _ = draw(fashions, "settled", "welsh", "native_parents", year=1970)
    assert first["Gethin"] / 2_000 == pytest.approx(0.8, abs=0.08) and 0 < first["Darren"] < 400
    assert draw(fashions, "settled", "english", "native_parents", year=1970)[0]["Gethin"] < 40
    first, _ = draw(fashions, "asian", "indian", "native_parents")
    assert first["Rajesh"] > 600
    # Nothing was told of women: theirs are as before.
    assert draw(fashions, "settled", "welsh", "native_parents", sex=0)[0]["Angharad"] > 500


def test_what_is_shared_out_stays_below_what_it_may_be() -> None:
    found = _filled(np.array([8.0, 1.0, 1.0, 0.0]), 0.5, 0.3)
    assert found.tolist() == pytest.approx([0.3, 0.1, 0.1, 0])
    assert _filled(np.array([1.0, 1.0]), 0.9, 0.2).tolist() == [0.2, 0.2]
    assert _filled(np.array([1.0, 1.0]), 0.0, 0.2).tolist() == [0, 0]


def test_people_have_the_names_of_their_heritage(names: Names) -> None:
    first, _ = draw(names, "asian", "indian")
    assert first["Rajesh"] > 600
    first, last = draw(names, "settled", "welsh", "native_parents")
    assert 0.5 < first["Ieuan"] / 2_000 < 0.95 and first["Rajesh"] == 0
    assert 0.5 < last["Llwyd"] / 2_000 < 0.95
    assert draw(names, "settled", "english", "native_parents")[1]["Llwyd"] < 40


def test_the_last_ethnicity_is_one_like_all_others(names: Names) -> None:
    """`other` has its own column here: its people do not draw from everybody's names."""
    first, last = draw(names, "other", "vietnamese")
    assert first["Hung"] > 600 and last["Nguyen"] > 600


def test_those_without_a_name_of_their_own_have_a_common_one(names: Names) -> None:
    first, _ = draw(names, "other", "vietnamese", "native_parents")
    assert first["Hung"] < 1_700
    assert first["David"] + first["Paul"] + first["Mark"] > 10


def test_a_surname_that_is_left_out_is_nobodys(files: dict[str, bytes]) -> None:
    last = pl.read_parquet(files[LAST])
    assert "Patel" not in last["name"] and {"Smith", "Llwyd"} <= set(last["name"])


def test_a_heritage_of_one_side_only_is_named() -> None:
    fewer = Borrowing("gb", "english", {h: one for h, one in HERE.heritages.items() if h != "indian"})
    with pytest.raises(SnapshotError, match="nothing says whose names 'indian' has"):
        borrowed_files(fewer, told())
    more = Borrowing("gb", "english", {**HERE.heritages, "martian": heritage("english")})
    with pytest.raises(SnapshotError, match="the catalogue has no heritage 'martian'"):
        borrowed_files(more, told())


def test_the_lists_of_great_britain_are_there() -> None:
    lists = pl.read_parquet(Path(borrowed.__file__).with_name("listed_names.parquet")).filter(population="gb")
    assert lists.sort("weight")["name"].last() == "Smith"
    assert lists["weight"].min() > 0  # type: ignore[operator]
    assert borrowing("gb") is not None
