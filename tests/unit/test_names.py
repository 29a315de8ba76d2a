"""Names: the files that the exporter writes, the draws, and both measured against the published tables."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.alias import UNIT, parts
from serving.name_files import check_names
from serving.names import Names
from tests.support import name_facts
from tests.support.name_facts import ETHNICITIES, HERITAGES, NATIVITIES, NATIVITY, SEXES, load, told
from warehouse.errors import SnapshotError
from warehouse.names import casing, export
from warehouse.names.files import BANDS, EVERYBODY, EVERYONE, FILES, FIRST, LAST, METADATA, PEOPLE, REST, SHARE_UNIT
from warehouse.names.files import ETHNICITIES as COUNTED

VENDORED = Path(export.__file__).parent
CODE = {ethnicity: code for code, ethnicity in enumerate(ETHNICITIES)}
MEGABYTE = 1_000_000
# Draws of one check, and the number of standard errors that one of its few hundred comparisons may be off:
# seeds are fixed, so a check either holds for good or the tables or the draw have changed.
DRAWS = 200_000
BOUND = 5.0
CATEGORIES = {"sexes": SEXES, "ethnicities": ETHNICITIES, "nativities": NATIVITIES, "heritages": HERITAGES}

Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

# An underscore stands for a space.
SURNAMES = (
    "O'Brien McDonald MacDonald Mack Macias de_la_Cruz de_la_Torre de_Leon de_los_Santos del_Valle Delgado "
    "Delaney St._John Stewart Van_Buren Vance Nguyen Garcia_Lopez Hernandez_Garcia Villanueva Villaflores "
    "DeLuca D'Angelo da_Silva Ortiz Olson Oh Ng Machado Fitzgerald"
)
FIRST_NAMES = "DeShawn LaToya D'Andre McKenzie Deborah Dean Devon Jose_Luis Josefina Mariana Maria_Elena Jean-Claude"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshot")
    name_facts.write_files(path)
    return path


@pytest.fixture(scope="module")
def names(folder: Path) -> Names:
    return load(folder)


@pytest.fixture(scope="module")
def births() -> pl.DataFrame:
    return pl.read_parquet(VENDORED / "first_names.parquet").filter(pl.col("key") != export.ALL_OTHERS)


@pytest.fixture(scope="module")
def bearers() -> pl.DataFrame:
    return pl.read_parquet(VENDORED / "surnames.parquet")


def as_people(ethnicity: Ints, abroad: bool | None = None) -> tuple[Ints, Ints]:
    """Heritage and nativity codes of people of these ethnicities, in the proportions of the made-up people."""
    rng = np.random.default_rng(len(ethnicity))
    weights = np.array([NATIVITY[n] * (abroad is None or (n == "foreign_born") == abroad) for n in NATIVITIES])
    nativity = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(len(ethnicity)))
    heritage = np.empty(len(ethnicity), dtype=np.int64)
    for code in np.unique(ethnicity):
        shares = name_facts.PEOPLE[ETHNICITIES[code]][1]
        members = np.flatnonzero(ethnicity == code)
        heritage[members] = rng.choice([HERITAGES.index(h) for h in shares], len(members), p=list(shares.values()))
    return heritage, nativity


def draw(
    names: Names,
    ethnicity: str | Ints,
    *,
    sex: str = "female",
    years: int | Ints = 1970,
    heritage: str | None = None,
    nativity: str | None = None,
    abroad: bool | None = False,
    n: int = DRAWS,
    seed: int = 0,
    accents: bool = False,
) -> tuple[Objects, Objects]:
    """Names of people who have the heritages and nativities of their ethnicity, unless these are given."""
    codes = np.broadcast_to(CODE[ethnicity] if isinstance(ethnicity, str) else ethnicity, n)
    as_drawn, born = as_people(codes, abroad)
    return names.draw(
        seed,
        np.arange(n, dtype=np.uint64),
        accents=accents,
        heritage=as_drawn if heritage is None else np.full(n, HERITAGES.index(heritage)),
        ethnicity=codes,
        sex=np.full(n, SEXES.index(sex)),
        birth_year=np.broadcast_to(years, n),
        nativity=born if nativity is None else np.full(n, NATIVITIES.index(nativity)),
    )


def shares_of(drawn: Objects) -> dict[str, float]:
    found, counts = np.unique(drawn.astype(str), return_counts=True)
    shares: dict[str, float] = {}
    for name, count in zip(found, counts, strict=True):
        key = casing.key_of(str(name))
        shares[key] = shares.get(key, 0.0) + count / len(drawn)
    return shares


def assert_close(
    drawn: dict[str, float], expected: dict[str, float], n: int, relative: float, absolute: float = 0.0
) -> None:
    """Each expected share within BOUND standard errors, beside a tolerance for what the export leaves out."""
    for key, p in expected.items():
        allowed = BOUND * np.sqrt(p * (1 - p) / n) + relative * p + absolute
        assert abs(drawn.get(key, 0.0) - p) <= allowed, (key, drawn.get(key, 0.0), p)


# The files


def test_the_files_are_rich_and_small(folder: Path) -> None:
    assert sum((folder / name).stat().st_size for name in FILES) <= 4 * MEGABYTE
    first, last = pl.read_parquet(folder / FIRST), pl.read_parquet(folder / LAST)
    assert first["name"].n_unique() >= 30_000
    assert last["name"].n_unique() >= 50_000
    assert first.select("name", "sex").is_unique().all()
    assert last["name"].is_unique().all()


def test_export_is_deterministic(tmp_path: Path) -> None:
    for name in ("first_names.parquet", "surnames.parquet"):
        table = pl.read_parquet(VENDORED / name)
        rest = table.filter(pl.col("key") == export.ALL_OTHERS)
        pl.concat([table.gather_every(25), rest]).unique(maintain_order=True).write_parquet(tmp_path / name)
    asked = told()
    mixed_up = replace(asked, heritage=asked.heritage.reverse(), facts=asked.facts.reverse())
    assert export.name_files(asked, tmp_path) == export.name_files(mixed_up, tmp_path)


def test_export_names_the_remedy_when_the_tables_are_missing(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"run warehouse\.names\.build_names"):
        export.name_files(told(), tmp_path)


def test_a_heritage_that_nobody_has_is_an_error_of_the_export() -> None:
    asked = told()
    unknown = asked.heritage.with_columns(heritage=pl.lit("klingon"))
    with pytest.raises(SnapshotError, match="unknown heritage 'klingon'"):
        export.name_files(replace(asked, heritage=unknown))


def test_shares_of_the_ethnicities_leave_the_rest_to_the_white(folder: Path, bearers: pl.DataFrame) -> None:
    for name in (FIRST, LAST):
        table = pl.read_parquet(folder / name)
        total = table.select(pl.sum_horizontal(pl.col(f"share_{e}").cast(int) for e in COUNTED if e != REST))
        assert total.to_series().max() <= SHARE_UNIT + 6  # roundings
    last = pl.read_parquet(folder / LAST).with_columns(others=pl.sum_horizontal("^share_.*$"))
    yoder = last.row(by_predicate=pl.col("name") == "Yoder", named=True)
    published = bearers.row(by_predicate=pl.col("key") == "YODER", named=True)
    assert SHARE_UNIT - yoder["others"] == pytest.approx(published["white"], abs=20)


def test_what_was_told_stands_with_the_name(folder: Path) -> None:
    facts = json.loads(pq.read_schema(folder / LAST).metadata[METADATA])
    last = pl.read_parquet(folder / LAST)
    nguyen = last.row(by_predicate=pl.col("name") == "Nguyen", named=True)
    assert [facts["heritages"][code] for code in nguyen["heritage"]] == ["vietnamese"]
    assert nguyen["heritage_share"] == [192]
    assert nguyen["accented"] == "Nguyễn"
    unasked = last.row(by_predicate=pl.col("name") == "Yoder", named=True)
    assert (unasked["heritage"], unasked["heritage_share"], unasked["accented"]) == ([], [], "")
    first = pl.read_parquet(folder / FIRST)
    assert first.filter(name="Thuy")["born"].to_list()[0] == [10, 70, 90, 30]
    assert first.filter(name="Jose", sex="male")["born"].to_list() == [[]]
    people = pl.read_parquet(folder / PEOPLE)
    korean = people.filter(cohort=EVERYONE, ethnicity="asian", nativity="foreign_born", heritage="korean")
    assert korean["share"].item() == pytest.approx(0.003)


def test_what_is_told_of_spelling_yields_to_the_lists_here(folder: Path) -> None:
    asked = told()
    rows = [("last", "OBRIEN", "Obrien"), ("last", "LARUE", "LaRue"), ("last", "MUELLER", "Müller")]
    facts = pl.concat(
        [asked.facts, pl.DataFrame(rows, schema=["kind", "key", "spelling"], orient="row")], how="diagonal"
    ).unique(["kind", "key"], keep="last")
    (folder / "again").mkdir()
    (folder / "again" / LAST).write_bytes(export.name_files(replace(asked, facts=facts))[LAST])
    last = pl.read_parquet(folder / "again" / LAST)
    assert {"O'Brien", "LaRue", "Mueller"} <= set(last["name"])
    assert last.filter(name="Mueller")["accented"].to_list() == ["Müller"]
    assert last.filter(name="LaRue")["accented"].to_list() == [""]


def test_the_foreign_born_whom_no_excess_explains_have_names_like_those_born_here(folder: Path, names: Names) -> None:
    part = json.loads(pq.read_schema(folder / FIRST).metadata[METADATA])["as_born_here"]
    assert set(part) == set(COUNTED)
    assert all(0 <= share < 1 for share in part.values())
    # Of the made-up people a quarter is foreign-born, which excess explains for Asians and not for Black people.
    assert part["asian"] == 0
    assert part["black"] > 0.3
    drawn = shares_of(draw(names, "black", years=1985, sex="male", nativity="foreign_born", heritage="haitian")[0])
    here = shares_of(draw(names, "black", years=1985, sex="male", nativity="native_parents")[0])
    assert drawn["CHRISTOPHER"] > 0.3 * here["CHRISTOPHER"]


def test_only_cohorts_of_adults_are_kept(folder: Path) -> None:
    first = pl.read_parquet(folder / FIRST)
    cohorts = [c for c in first.columns if c.startswith("births_")]
    assert (cohorts[0], cohorts[-1]) == ("births_1920", "births_2005")
    assert (first.select(pl.sum_horizontal(*cohorts, "foreign")).to_series() > 0).all()


def test_non_names_are_dropped(folder: Path) -> None:
    first, last = pl.read_parquet(folder / FIRST)["name"], pl.read_parquet(folder / LAST)["name"]
    assert not set(first.str.to_uppercase()) & set(casing.read_list("non_names_first.txt"))
    assert not set(last.str.to_uppercase()) & set(casing.read_list("non_names_last.txt"))
    assert {"Doe", "Ref", "Miss"}.isdisjoint(last)


def test_no_first_name_of_the_other_sex_by_clerical_error(folder: Path) -> None:
    first = pl.read_parquet(folder / FIRST)
    listed = set(first.select(pl.format("{} {}", "name", "sex")).to_series())
    assert {"Mary female", "Michael male", "Taylor female", "Taylor male"} <= listed
    assert {"Mary male", "Michael female", "Maria male"}.isdisjoint(listed)


# Spelling


@pytest.fixture(scope="module")
def spellings(names: Names) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for kind, listed in (("first", names.first), ("last", names.last)):
        for name in listed:
            found.setdefault(f"{kind} {casing.key_of(name)}", set()).add(name)
    return found


@pytest.mark.parametrize("display", [name.replace("_", " ") for name in SURNAMES.split()])
def test_surnames_are_written_as_their_bearers_write_them(spellings: dict[str, set[str]], display: str) -> None:
    assert spellings[f"last {casing.key_of(display)}"] == {display}


@pytest.mark.parametrize("display", [name.replace("_", " ") for name in FIRST_NAMES.split()])
def test_first_names_are_written_as_their_bearers_write_them(spellings: dict[str, set[str]], display: str) -> None:
    assert spellings[f"first {casing.key_of(display)}"] == {display}


# The draw


Batch = tuple[npt.NDArray[np.uint64], dict[str, Ints]]


@st.composite
def batches(draw_from: st.DrawFn) -> Batch:
    n = draw_from(st.integers(1, 40))
    rng = np.random.default_rng(draw_from(st.integers(0, 2**32)))
    codes = {
        "heritage": rng.integers(0, len(HERITAGES), n),
        "ethnicity": rng.integers(0, len(ETHNICITIES), n),
        "sex": rng.integers(0, 2, n),
        "birth_year": rng.integers(1900, 2020, n),
        "nativity": rng.integers(0, len(NATIVITIES), n),
    }
    return rng.integers(0, 2**63, n, dtype=np.uint64), codes


@settings(max_examples=15, deadline=None)
@given(batch=batches(), seed=st.one_of(st.integers(), st.text()))
def test_a_name_depends_on_nobody_else_in_the_batch(names: Names, batch: Batch, seed: int | str) -> None:
    index, codes = batch
    whole = names.draw_rows(seed, index, **codes)
    for place in (slice(0, 1), slice(None, None, -1), slice(0, None, 3)):
        part = names.draw_rows(seed, index[place], **{field: code[place] for field, code in codes.items()})
        for rows, expected in zip(part, whole, strict=True):
            np.testing.assert_array_equal(rows, expected[place])


def test_draws_do_not_depend_on_which_tables_were_made_before(folder: Path, names: Names) -> None:
    rng = np.random.default_rng(3)
    n = 300
    codes = {
        "ethnicity": rng.integers(0, len(ETHNICITIES), n),
        "sex": rng.integers(0, 2, n),
        "birth_year": rng.integers(1930, 2008, n),
    }
    codes["heritage"], codes["nativity"] = as_people(codes["ethnicity"])
    index = np.arange(n, dtype=np.uint64)
    fresh = load(folder)
    one_by_one = [fresh.draw_rows(0, index[i : i + 1], **{k: v[i : i + 1] for k, v in codes.items()}) for i in range(n)]
    for kind, expected in enumerate(names.draw_rows(0, index, **codes)):
        np.testing.assert_array_equal(np.concatenate([rows[kind] for rows in one_by_one]), expected)
    assert fresh.nbytes > 0


def test_an_empty_batch_has_no_names(names: Names) -> None:
    first, last = draw(names, "white", n=0)
    assert first.shape == last.shape == (0,)


def table_of(names: Names, kind: str, cell: int) -> dict[str, npt.NDArray[np.float64]]:
    """P(row | heritage) of one cell as its alias tables hold it, by heritage; of shape (rows,).

    `other` is of those whose name is of another heritage than theirs, or of none.
    """
    of: Any = getattr(names, f"_{kind}")
    store, found = of._tables, {}
    for number, name in enumerate(["pool", *HERITAGES]):
        start, size = store._start[cell, number], store._size[cell, number]
        own, alias, threshold = parts(store._columns[cell][start : start + size])
        units = np.zeros(len(getattr(names, kind)))
        np.add.at(units, own, threshold)
        np.add.at(units, alias, UNIT - threshold)
        found[name] = units / max(size * UNIT, 1)
    upto = of._others.reshape(-1, of._lists)[cell] - cell
    found["other"] = np.diff(upto, prepend=0) @ np.array([found[name] for name in ("pool", *HERITAGES)])
    return found


def first_names_of(names: Names, ethnicity: str, sex: str, year: int) -> npt.NDArray[np.float64]:
    """P(row) of those born here, over all heritages and nativities of the made-up people, as the tables hold it."""
    draw(names, ethnicity, sex=sex, years=year, n=1)
    kind: Any = names._first
    cohort = int(np.searchsorted(names.cohorts, year, side="right") - 1)
    cell = (SEXES.index(sex) * (len(names.cohorts) + len(BANDS)) + cohort) * len(ETHNICITIES) + CODE[ethnicity]
    held, own = table_of(names, "first", cell), kind._own[cell]
    found = np.zeros(len(names.first))
    for heritage, share in name_facts.PEOPLE[ethnicity][1].items():
        for nativity in NATIVITIES:
            if nativity != "foreign_born":
                told_part = own[HERITAGES.index(heritage), NATIVITIES.index(nativity)]
                people = share * NATIVITY[nativity] / name_facts.NATIVE
                found += people * (told_part * held[heritage] + (1 - told_part) * held["other"])
    return found


@pytest.mark.parametrize(("year", "sex"), [(1987, "male"), (1932, "female")])
def test_over_all_people_names_are_as_frequent_as_births_say(names: Names, folder: Path, year: int, sex: str) -> None:
    found = sum(share * first_names_of(names, e, sex, year) for e, (share, _) in name_facts.PEOPLE.items())
    births = pl.read_parquet(folder / FIRST).select(
        pl.when(sex=sex).then(f"births_{year // 5 * 5}").otherwise(0).cast(pl.Float64)
    )
    expected = (births / births.sum().item()).to_series().to_numpy()
    # Factors have six digits, and what is left for the white is rounded seven times.
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-9)


def test_years_beyond_the_tables_count_to_the_nearest_cohort(names: Names) -> None:
    for beyond, within in ((1850, 1920), (2100, 2006)):
        np.testing.assert_array_equal(
            draw(names, "white", years=beyond, n=50)[0], draw(names, "white", years=within, n=50)[0]
        )


def test_sex_and_year_do_not_move_the_surname_nor_anything_the_other_stream(names: Names) -> None:
    one, other = draw(names, "hispanic", sex="male", years=1950, n=100), draw(names, "hispanic", years=1990, n=100)
    np.testing.assert_array_equal(one[1], other[1])
    assert (one[0] != other[0]).any()


def test_accents_change_the_writing_only(names: Names) -> None:
    plain, accented = (
        draw(names, "asian", heritage="vietnamese", nativity="foreign_born", n=2_000, accents=accents)
        for accents in (False, True)
    )
    assert (plain[1] == "Nguyen").sum() == (accented[1] == "Nguyễn").sum() > 100
    same = plain[1] != "Nguyen"
    np.testing.assert_array_equal(plain[1][same], accented[1][same])


@pytest.mark.parametrize(
    ("heritage", "nativity", "marked"),
    [
        ("mexican", "foreign_born", True),
        ("mexican", "second_generation", True),
        ("mexican", "native_parents", False),
        ("guatemalan", "foreign_born", False),
    ],
)
def test_accents_are_those_of_the_own_heritage_until_they_are_lost(
    names: Names, heritage: str, nativity: str, marked: bool
) -> None:
    first, _ = draw(
        names, "hispanic", heritage=heritage, nativity=nativity, sex="male", years=1980, n=5_000, accents=True
    )
    assert ("José" in first) == marked
    assert ("Jose" in first) != marked


# Heritage


def test_surnames_belong_to_the_heritage(names: Names) -> None:
    def share(name: str, heritage: str, nativity: str = "second_generation") -> float:
        return shares_of(draw(names, "asian", heritage=heritage, nativity=nativity, n=20_000)[1]).get(name.upper(), 0.0)

    for name, own in (("Nguyen", "vietnamese"), ("Patel", "indian"), ("Kim", "korean"), ("Chen", "chinese")):
        mine = share(name, own)
        for other in {"vietnamese", "indian", "korean", "chinese"} - {own}:
            assert mine > 20 * share(name, other), (name, other)
    assert share("Nguyen", "vietnamese", "foreign_born") >= share("Nguyen", "vietnamese", "native_parents")


def test_first_name_and_surname_share_a_heritage(names: Names) -> None:
    first, last = draw(names, "asian", heritage="indian", nativity="foreign_born", sex="male", n=50_000)
    assert (first == "Rajesh").sum() > 50
    assert (last == "Patel").sum() > 50
    assert not {"Nguyen", "Kim", "Chen"} & set(last[first == "Rajesh"])


def test_both_names_come_from_the_same_people_where_they_can(names: Names) -> None:
    # An Indian name is known for some of the Indians only, and more people have Vietnamese names than are Vietnamese.
    first, last = draw(names, "asian", heritage="indian", nativity="second_generation", sex="male", n=200_000)
    rajesh, patel = first == "Rajesh", last == "Patel"
    assert rajesh.sum() > 100
    assert patel[rajesh].mean() > 2 * patel[~rajesh].mean()


def test_nobody_of_ninety_has_a_name_of_today(names: Names, births: pl.DataFrame) -> None:
    foreign, old = names._foreign, names._born[0]
    listed = {name: row for row, name in enumerate(names.first)}
    for name in ("Jayden", "Aiden", "Nevaeh"):
        assert old[listed[name]] < 0.05
    told_to_be_old = names._born[0][listed["Hung"]]
    assert told_to_be_old > names._born[3][listed["Hung"]]
    assert (foreign * old).sum() > 0


def test_a_heritage_of_which_no_name_is_known_has_names_of_its_ethnicity(names: Names) -> None:
    first, _ = draw(names, "pacific_islander", heritage="hawaiian_pacific", n=500)
    assert len(set(first)) > 100
    # Nor is anybody left without a name whom the maps rule out.
    impossible = draw(names, "white", heritage="korean", n=500)
    assert len(set(impossible[1])) > 100
    assert "Kim" not in impossible[1]


def test_years_of_birth_abroad_tell_where_they_were_told(names: Names) -> None:
    def thuys(year: int) -> int:
        first, _ = draw(names, "asian", heritage="vietnamese", nativity="foreign_born", years=year, n=20_000, seed=year)
        return int((first == "Thuy").sum())

    assert thuys(1975) > 2 * thuys(1940)


# Loading


def test_a_folder_without_names_has_none(tmp_path: Path) -> None:
    assert Names.load(tmp_path, **CATEGORIES) is None


@pytest.mark.parametrize("damaged", FILES)
def test_damaged_names_are_an_error_of_one_line(folder: Path, tmp_path: Path, damaged: str) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes()[: 1000 if name == damaged else None])
    with pytest.raises(SnapshotError, match="cannot be read") as caught:
        Names.load(tmp_path, **CATEGORIES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("argument", ["sexes", "ethnicities", "nativities", "heritages"])
def test_an_unknown_category_is_an_error_at_load(folder: Path, argument: str) -> None:
    categories = {**CATEGORIES, argument: (*CATEGORIES[argument], "klingon")}
    with pytest.raises(SnapshotError, match=r"no (first )?names for .* 'klingon'"):
        Names.load(folder, **categories)
    if argument != "sexes":
        with pytest.raises(SnapshotError, match=r"no (first )?names for .* 'klingon'"):
            check_names({name: (folder / name).read_bytes() for name in FILES}, **categories)


def test_a_category_that_only_the_names_know_is_an_error_too(folder: Path) -> None:
    categories = {**CATEGORIES, "heritages": tuple(h for h in HERITAGES if h != "greek")}
    with pytest.raises(SnapshotError, match="unknown heritage 'greek'"):
        Names.load(folder, **categories)


def test_files_without_heritage_are_an_error_of_one_line(folder: Path) -> None:
    with pytest.raises(SnapshotError, match=rf"{LAST} cannot be read .*export the snapshot again"):
        check_names({name: (folder / name).read_bytes() for name in FILES} | {LAST: b"PAR1"}, **CATEGORIES)


def test_codes_follow_the_order_given_to_load(folder: Path, names: Names) -> None:
    turned = Names.load(folder, **{argument: known[::-1] for argument, known in CATEGORIES.items()})
    assert turned is not None
    codes = {"ethnicity": CODE["asian"], "sex": 0, "heritage": HERITAGES.index("korean"), "nativity": 1}
    index = np.arange(100, dtype=np.uint64)
    for year in (1950, 1990):
        usual = {name: np.full(100, code) for name, code in codes.items()}
        mirrored = {
            name: len(CATEGORIES[{"sex": "sexes", "nativity": "nativities"}.get(name, f"{name}s")]) - 1 - code
            for name, code in usual.items()
            if name != "ethnicity"
        }
        mirrored["ethnicity"] = len(ETHNICITIES) - 1 - usual["ethnicity"]
        years = np.full(100, year)
        for one, other in zip(
            names.draw(0, index, birth_year=years, **usual),
            turned.draw(0, index, birth_year=years, **mirrored),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


def test_names_need_no_pandas(folder: Path) -> None:
    code = (
        "import sys, pathlib, numpy as np; from serving.names import Names; "
        f"names = Names.load(pathlib.Path({str(folder)!r}), **{CATEGORIES!r}); one = np.zeros(1, dtype=np.uint64); "
        "names.draw(0, one, heritage=one, ethnicity=one, sex=one, birth_year=one, nativity=one); "
        "sys.exit(bool({'pandas', 'polars', 'scipy'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


# Measured against the published tables


@pytest.mark.parametrize("sex", SEXES)
@pytest.mark.parametrize("decade", [1930, 1950, 1970, 1990, 2000])
def test_top_names_of_the_us_born_are_those_of_social_security(
    names: Names, births: pl.DataFrame, decade: int, sex: str
) -> None:
    halves = [f"births_{decade}", f"births_{decade + 5}"]
    published = births.filter(pl.col("sex") == sex[0].upper()).select("key", n=pl.sum_horizontal(halves))
    later = births.filter(pl.col("sex") == sex[0].upper()).select(halves[1]).sum().item() / published["n"].sum()
    years = np.where(np.arange(DRAWS) < later * DRAWS, decade + 5, decade)
    drawn = shares_of(draw(names, EVERYBODY, sex=sex, years=years)[0])
    top = published.top_k(100, by="n").with_columns(pl.col("n") / published["n"].sum())
    assert_close(drawn, dict(top.iter_rows()), DRAWS, relative=0.06)
    twenty = set(sorted(drawn, key=drawn.__getitem__, reverse=True)[:20])
    assert len(twenty & set(top["key"][:20])) >= 18


def implied_ethnicities(folder: Path, file: str, weight: str, sex: str | None = None) -> Ints:
    """Ethnicity codes of DRAWS people, in the proportions that the table itself implies."""
    table = pl.read_parquet(folder / file).with_columns(
        share_white=SHARE_UNIT - pl.sum_horizontal(pl.col("^share_.*$").cast(int))
    )
    if sex:
        table = table.filter(pl.col("sex") == sex)
    mass = np.array([table.select((pl.col(weight).cast(float) * pl.col(f"share_{e}")).sum()).item() for e in COUNTED])
    return np.searchsorted(np.cumsum(mass) / mass.sum(), (np.arange(DRAWS) + 0.5) / DRAWS)


@pytest.mark.parametrize("sex", SEXES)
def test_first_names_of_all_ethnicities_together_are_those_of_all_births(
    names: Names, folder: Path, births: pl.DataFrame, sex: str
) -> None:
    codes = implied_ethnicities(folder, FIRST, "births_1980", sex)
    drawn = shares_of(draw(names, codes, sex=sex, years=1982)[0])
    published = births.filter(pl.col("sex") == sex[0].upper()).select("key", n="births_1980")
    top = published.top_k(100, by="n").with_columns(pl.col("n") / published["n"].sum())
    assert_close(drawn, dict(top.iter_rows()), DRAWS, relative=0.06)


def assert_composed_as_published(
    drawn: npt.NDArray[np.object_], codes: Ints, published: pl.DataFrame, atleast: int
) -> None:
    """Among those who drew a name, the six published groups have the published shares."""
    keys = np.array([casing.key_of(name) for name in drawn])
    checked = 0
    for key, *percentages in published.select("key", *export.GROUPS).iter_rows():
        found = np.bincount(codes[keys == key], minlength=len(ETHNICITIES))
        counts = dict(zip(ETHNICITIES, found, strict=True))
        api = counts["asian"] + counts["pacific_islander"]
        grouped = [counts["white"], counts["black"], api, counts["native_american"], counts["two_or_more"]]
        n = found.sum()
        p = np.array(percentages) / 10_000
        # 2/n for small counts; the pseudo-bearers move the share of a frequent name by far less than 0.005.
        allowed = BOUND * np.sqrt(p * (1 - p) / n) + 2 / n + 0.005
        assert (np.abs(np.array([*grouped, counts["hispanic"]]) / n - p) <= allowed).all(), (key, counts, p)
        checked += n
    assert checked >= atleast


def test_race_shares_of_drawn_first_names_are_those_of_the_census(
    names: Names, folder: Path, births: pl.DataFrame
) -> None:
    codes = implied_ethnicities(folder, FIRST, "births_1980", "male")
    drawn, _ = draw(names, codes, sex="male", years=1982)
    top = births.filter(pl.col("sex") == "M").top_k(30, by="births_1980")
    assert_composed_as_published(drawn, codes, top, atleast=DRAWS // 4)


def test_race_shares_of_drawn_surnames_are_those_of_the_census(
    names: Names, folder: Path, bearers: pl.DataFrame
) -> None:
    codes = implied_ethnicities(folder, LAST, "bearers")
    _, drawn = draw(names, codes, abroad=None)
    usable = bearers.filter(~pl.col("key").is_in(casing.read_list("non_names_last.txt")))
    assert_composed_as_published(drawn, codes, usable.top_k(30, by="count"), atleast=DRAWS // 10)


@pytest.mark.parametrize("group", ["white", "black", "hispanic", "aian", "two"])
def test_surnames_of_an_ethnicity_are_those_of_the_census(names: Names, bearers: pl.DataFrame, group: str) -> None:
    ethnicity = {"aian": "native_american", "two": "two_or_more"}.get(group, group)
    usable = bearers.filter(~pl.col("key").is_in(casing.read_list("non_names_last.txt")))
    mass = usable.select("key", n=pl.col("count").cast(float) * pl.col(group))
    top = mass.top_k(100, by="n").with_columns(pl.col("n") / mass["n"].sum())
    # Rare surnames are left out and smoothed: the others are that much more frequent, or less.
    assert_close(shares_of(draw(names, ethnicity, abroad=None)[1]), dict(top.iter_rows()), DRAWS, relative=0.15)


def test_names_differ_as_lives_do(names: Names) -> None:
    def share(name: str, ethnicity: str, sex: str, year: int, abroad: bool = False) -> float:
        first, _ = draw(names, ethnicity, sex=sex, years=year, abroad=abroad, n=50_000)
        return shares_of(first).get(name.upper(), 0.0)

    assert share("Ethel", "white", "female", 1920) > 20 * share("Ethel", "white", "female", 1975)
    assert share("Jose", "hispanic", "male", 1980) > 20 * share("Jose", "white", "male", 1980)
    assert share("Jose", "hispanic", "male", 1980, True) > share("Jose", "hispanic", "male", 1980)
    assert share("DeShawn", "black", "male", 1990) > 5 * share("DeShawn", "white", "male", 1990)
    assert share("Rajesh", "asian", "male", 1980, True) > 5 * share("Rajesh", "asian", "male", 1980)
