"""Names: the files that the exporter writes, the draws, and both measured against the published tables."""

from __future__ import annotations

import json
import subprocess
import sys
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.counter import stream_start, uniform
from serving.names import ETHNICITIES, EVERYBODY, FIRST_FILE, FIRST_STREAM, LAST_FILE, SEXES, Names
from warehouse.errors import SnapshotError
from warehouse.names import casing, export

VENDORED = Path(export.__file__).parent
CODE = {ethnicity: code for code, ethnicity in enumerate(ETHNICITIES)}
MEGABYTE = 1_000_000
# Draws of one check, and the number of standard errors that one of its few hundred comparisons may be off:
# seeds are fixed, so a check either holds for good or the tables or the draw have changed.
DRAWS = 200_000
BOUND = 5.0

Ints = npt.NDArray[np.int64]

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
    for name, content in export.name_files().items():
        (path / name).write_bytes(content)
    return path


@pytest.fixture(scope="module")
def names(folder: Path) -> Names:
    loaded = Names.load(folder)
    assert loaded is not None
    return loaded


@pytest.fixture(scope="module")
def births() -> pl.DataFrame:
    return pl.read_parquet(VENDORED / "first_names.parquet").filter(pl.col("key") != export.REST)


@pytest.fixture(scope="module")
def bearers() -> pl.DataFrame:
    return pl.read_parquet(VENDORED / "surnames.parquet")


def draw(
    names: Names,
    ethnicity: str | Ints,
    *,
    sex: str = "female",
    years: int | Ints = 1970,
    foreign: bool | None = False,
    n: int = DRAWS,
    seed: int = 0,
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    return names.draw(
        seed,
        np.arange(n, dtype=np.uint64),
        ethnicity=np.broadcast_to(CODE[ethnicity] if isinstance(ethnicity, str) else ethnicity, n),
        sex=np.full(n, SEXES.index(sex)),
        birth_year=np.broadcast_to(years, n),
        foreign_born=None if foreign is None else np.full(n, foreign),
    )


def shares_of(drawn: npt.NDArray[np.object_]) -> dict[str, float]:
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
    assert sum((folder / name).stat().st_size for name in (FIRST_FILE, LAST_FILE)) <= 4 * MEGABYTE
    first, last = pl.read_parquet(folder / FIRST_FILE), pl.read_parquet(folder / LAST_FILE)
    assert first["name"].n_unique() >= 10_000
    assert last["name"].n_unique() >= 20_000
    assert first.select("name", "sex").is_unique().all()
    assert last["name"].is_unique().all()


def test_export_is_deterministic(tmp_path: Path) -> None:
    for name in ("first_names.parquet", "surnames.parquet"):
        table = pl.read_parquet(VENDORED / name)
        rest = table.filter(pl.col("key") == export.REST)
        pl.concat([table.gather_every(25), rest]).unique(maintain_order=True).write_parquet(tmp_path / name)
    assert export.name_files(tmp_path) == export.name_files(tmp_path)


def test_export_names_the_remedy_when_the_tables_are_missing(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"run warehouse\.names\.build_names"):
        export.name_files(tmp_path)


def test_shares_of_the_ethnicities_add_up(folder: Path) -> None:
    for name in (FIRST_FILE, LAST_FILE):
        table = pl.read_parquet(folder / name)
        total = table.select(pl.sum_horizontal(pl.col(f"share_{e}").cast(int) for e in export.ETHNICITIES))
        # Seven roundings here, and six in the published percentages.
        assert total.to_series().is_between(export.SHARE_UNIT - 7, export.SHARE_UNIT + 7).all()


def test_non_names_are_dropped(folder: Path) -> None:
    first, last = pl.read_parquet(folder / FIRST_FILE)["name"], pl.read_parquet(folder / LAST_FILE)["name"]
    assert not set(first.str.to_uppercase()) & set(casing.read_list("non_names_first.txt"))
    assert not set(last.str.to_uppercase()) & set(casing.read_list("non_names_last.txt"))
    assert {"Doe", "Ref", "Miss"}.isdisjoint(last)


def test_no_first_name_of_the_other_sex_by_clerical_error(folder: Path) -> None:
    first = pl.read_parquet(folder / FIRST_FILE)
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


@st.composite
def batches(draw_from: st.DrawFn) -> tuple[npt.NDArray[np.uint64], dict[str, Ints], npt.NDArray[np.bool_]]:
    n = draw_from(st.integers(1, 40))
    rng = np.random.default_rng(draw_from(st.integers(0, 2**32)))
    codes = {
        "ethnicity": rng.integers(0, len(ETHNICITIES), n),
        "sex": rng.integers(0, 2, n),
        "birth_year": rng.integers(1900, 2020, n),
    }
    return rng.integers(0, 2**63, n, dtype=np.uint64), codes, rng.random(n) < 0.3


@settings(max_examples=15, deadline=None)
@given(batch=batches(), seed=st.one_of(st.integers(), st.text()), mixed=st.booleans())
def test_a_name_depends_on_nobody_else_in_the_batch(
    names: Names,
    batch: tuple[npt.NDArray[np.uint64], dict[str, Ints], npt.NDArray[np.bool_]],
    seed: int | str,
    mixed: bool,
) -> None:
    index, codes, foreign = batch
    whole = names.draw_rows(seed, index, **codes, foreign_born=None if mixed else foreign)
    for place in (slice(0, 1), slice(None, None, -1), slice(0, None, 3)):
        part = names.draw_rows(
            seed,
            index[place],
            **{field: code[place] for field, code in codes.items()},
            foreign_born=None if mixed else foreign[place],
        )
        for rows, expected in zip(part, whole, strict=True):
            np.testing.assert_array_equal(rows, expected[place])


def test_an_empty_batch_has_no_names(names: Names) -> None:
    first, last = draw(names, "white", n=0)
    assert first.shape == last.shape == (0,)


def test_draws_follow_the_definition(names: Names, folder: Path) -> None:
    table = pl.read_parquet(folder / FIRST_FILE).filter(pl.col("sex") == "male")
    weights = [b * s for b, s in table.select("births_1985", "share_black").iter_rows()]
    cumulative = list(accumulate(weights))
    start = stream_start(7, FIRST_STREAM)
    expected = [table["name"][bisect_right(cumulative, uniform(start, index) * cumulative[-1])] for index in range(200)]
    assert draw(names, "black", sex="male", years=1987, n=200, seed=7)[0].tolist() == expected


def test_years_beyond_the_tables_count_to_the_nearest_cohort(names: Names) -> None:
    for beyond, within in ((1850, 1910), (2100, 2016)):
        np.testing.assert_array_equal(
            draw(names, "white", years=beyond, n=50)[0], draw(names, "white", years=within, n=50)[0]
        )


def test_ethnicity_and_birth_do_not_move_the_other_name(names: Names) -> None:
    here, there = draw(names, "hispanic", foreign=False, n=100), draw(names, "hispanic", foreign=True, n=100)
    np.testing.assert_array_equal(here[1], there[1])
    assert (here[0] != there[0]).any()


# Loading


def test_a_folder_without_names_has_none(tmp_path: Path) -> None:
    assert Names.load(tmp_path) is None


@pytest.mark.parametrize("damaged", [FIRST_FILE, LAST_FILE])
def test_damaged_names_are_an_error_of_one_line(folder: Path, tmp_path: Path, damaged: str) -> None:
    for name in (FIRST_FILE, LAST_FILE):
        (tmp_path / name).write_bytes((folder / name).read_bytes()[: 1000 if name == damaged else None])
    with pytest.raises(SnapshotError, match="cannot be read") as caught:
        Names.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("categories", [{"ethnicities": ("white", "klingon")}, {"sexes": ("female", "klingon")}])
def test_an_unknown_category_is_an_error_at_load(folder: Path, categories: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(SnapshotError, match="klingon"):
        Names.load(folder, **categories)


def test_codes_follow_the_order_given_to_load(folder: Path, names: Names) -> None:
    turned = Names.load(folder, sexes=SEXES[::-1], ethnicities=ETHNICITIES[::-1])
    assert turned is not None
    usual = draw(names, "asian", sex="female", n=100)
    mirrored = draw(turned, ETHNICITIES[len(ETHNICITIES) - 1 - CODE["asian"]], sex="male", n=100)
    for one, other in zip(usual, mirrored, strict=True):
        np.testing.assert_array_equal(one, other)


def test_names_need_no_pandas(folder: Path) -> None:
    code = (
        "import sys, pathlib, numpy as np; from serving.names import Names; "
        f"names = Names.load(pathlib.Path({str(folder)!r})); one = np.zeros(1, dtype=np.uint64); "
        "names.draw(0, one, ethnicity=one, sex=one, birth_year=one); "
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
    table = pl.read_parquet(folder / file)
    if sex:
        table = table.filter(pl.col("sex") == sex)
    mass = np.array(
        [table.select((pl.col(weight).cast(float) * pl.col(f"share_{e}")).sum()).item() for e in export.ETHNICITIES]
    )
    return np.searchsorted(np.cumsum(mass) / mass.sum(), (np.arange(DRAWS) + 0.5) / DRAWS)


@pytest.mark.parametrize("sex", SEXES)
def test_first_names_of_all_ethnicities_together_are_those_of_all_births(
    names: Names, folder: Path, births: pl.DataFrame, sex: str
) -> None:
    codes = implied_ethnicities(folder, FIRST_FILE, "births_1980", sex)
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
    codes = implied_ethnicities(folder, FIRST_FILE, "births_1980", "male")
    drawn, _ = draw(names, codes, sex="male", years=1982)
    top = births.filter(pl.col("sex") == "M").top_k(30, by="births_1980")
    assert_composed_as_published(drawn, codes, top, atleast=DRAWS // 4)


def test_race_shares_of_drawn_surnames_are_those_of_the_census(
    names: Names, folder: Path, bearers: pl.DataFrame
) -> None:
    codes = implied_ethnicities(folder, LAST_FILE, "bearers")
    _, drawn = draw(names, codes)
    usable = bearers.filter(~pl.col("key").is_in(casing.read_list("non_names_last.txt")))
    assert_composed_as_published(drawn, codes, usable.top_k(30, by="count"), atleast=DRAWS // 10)


@pytest.mark.parametrize("group", ["white", "black", "hispanic", "aian", "two"])
def test_surnames_of_an_ethnicity_are_those_of_the_census(names: Names, bearers: pl.DataFrame, group: str) -> None:
    ethnicity = {"aian": "native_american", "two": "two_or_more"}.get(group, group)
    usable = bearers.filter(~pl.col("key").is_in(casing.read_list("non_names_last.txt")))
    mass = usable.select("key", n=pl.col("count").cast(float) * pl.col(group))
    top = mass.top_k(100, by="n").with_columns(pl.col("n") / mass["n"].sum())
    # Rare surnames are left out and smoothed: the others are that much more frequent, or less.
    assert_close(shares_of(draw(names, ethnicity)[1]), dict(top.iter_rows()), DRAWS, relative=0.15)


def test_the_two_origins_are_mixed_in_the_proportion_of_the_ethnicity(names: Names, folder: Path) -> None:
    metadata = pq.read_schema(folder / FIRST_FILE).metadata[b"personagen"]
    abroad = json.loads(metadata)["foreign_born"]["hispanic"]
    here, there, mixed = (
        shares_of(draw(names, "hispanic", sex="male", years=1985, foreign=origin, seed=seed)[0])
        for seed, origin in enumerate((False, True, None))
    )
    for key in sorted(mixed, key=mixed.__getitem__, reverse=True)[:50]:
        expected = (1 - abroad) * here.get(key, 0.0) + abroad * there.get(key, 0.0)
        assert abs(mixed[key] - expected) <= BOUND * np.sqrt(2 * mixed[key] / DRAWS)


def test_names_differ_as_lives_do(names: Names) -> None:
    def share(name: str, ethnicity: str, sex: str, year: int, foreign: bool = False) -> float:
        first, _ = draw(names, ethnicity, sex=sex, years=year, foreign=foreign, n=50_000)
        return shares_of(first).get(name.upper(), 0.0)

    assert share("Ethel", "white", "female", 1920) > 20 * share("Ethel", "white", "female", 1975)
    assert share("Jose", "hispanic", "male", 1980) > 20 * share("Jose", "white", "male", 1980)
    assert share("Jose", "hispanic", "male", 1980, True) > share("Jose", "hispanic", "male", 1980)
    assert share("DeShawn", "black", "male", 1990) > 5 * share("DeShawn", "white", "male", 1990)
    assert share("Rajesh", "asian", "male", 1980, True) > 5 * share("Rajesh", "asian", "male", 1980)
