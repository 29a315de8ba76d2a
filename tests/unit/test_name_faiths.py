"""Names by faith: what the lists keep, what a file tells of faiths, and that nothing else moves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue.loader import load_catalogue
from pipeline.heritage_shares import CHAIN, RELIGION, religion_shares
from serving.name_faiths import TILT, NameFaiths, by_faith
from serving.name_files import NameFile, read_file
from serving.names import Names
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support import name_facts
from tests.support.name_facts import (
    AMONG,
    ETHNICITIES,
    FAITH,
    HERITAGES,
    NATIVITIES,
    SEXES,
    people_weights,
    write_people,
)
from warehouse.errors import SnapshotError
from warehouse.names.casing import key_of
from warehouse.names.export import Told, name_files
from warehouse.names.files import FIRST, HERITAGE_UNIT, LAST, METADATA

Floats = npt.NDArray[np.float64]
CATALOGUE = load_catalogue("us")
RELIGIONS = CATALOGUE.dimension(RELIGION).category_ids
DIMENSIONS = (*CHAIN, "sex", "birth_month", RELIGION)
CATEGORIES = {"sexes": SEXES, "ethnicities": ETHNICITIES, "nativities": NATIVITIES, "heritages": HERITAGES}
NAMES = ["first_name", "last_name"]


def told() -> Told:
    plain = name_facts.told()
    return Told(plain.people, plain.heritage, plain.facts, plain.standing, name_facts.faiths())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("names")
    for name, content in name_files(told()).items():
        (path / name).write_bytes(content)
    return path


# The lists


@st.composite
def joints(draw: st.DrawFn) -> tuple[Floats, npt.NDArray[np.int64], Floats, Floats]:
    n, heritages, faiths = draw(st.integers(1, 30)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    told = rng.dirichlet(np.full(faiths, 0.3), n)
    among = rng.dirichlet(np.ones(faiths), heritages)
    return rng.exponential(size=n) + 1e-6, np.sort(rng.integers(0, heritages, n)), told, among


@given(joint=joints())
@settings(deadline=None)
def test_names_stay_as_frequent_as_they_are(
    joint: tuple[Floats, npt.NDArray[np.int64], Floats, Floats],
) -> None:
    weights, heritage, told, among = joint
    found = by_faith(weights, heritage, told, among)
    np.testing.assert_allclose(found.sum(axis=1), weights, rtol=1e-9)
    assert ((found > 0) <= (told > 0)).all()


WEIGHTS = np.array([4.0, 2.0, 1.0, 3.0, 5.0])
TOLD = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.6, 0.4], [0.3, 0.7]])
OF = np.array([0, 0, 0, 1, 1])


def tilts(found: Floats, heritage: int) -> Floats:
    """How much more the first faith has of each name against the second than was told."""
    here = heritage == OF
    tilted: Floats = found[here, 0] / found[here, 1] / (TOLD[here, 0] / TOLD[here, 1])
    return tilted


def test_faiths_have_their_shares_and_names_are_tilted_alike() -> None:
    among = np.array([[0.55, 0.45], [0.5, 0.5]])
    found = by_faith(WEIGHTS, OF, TOLD, among)
    for code in (0, 1):
        np.testing.assert_allclose(found[code == OF].sum(axis=0) / WEIGHTS[code == OF].sum(), among[code], atol=1e-4)
        np.testing.assert_allclose(tilts(found, code), tilts(found, code)[0])
        # By brute force: of all factors the one with which the first faith has its share.
        factors = np.linspace(0.2, 5, 100_001)[:, None]
        first = TOLD[code == OF, 0] * factors
        mass = (WEIGHTS[code == OF] * first / (first + TOLD[code == OF, 1])).sum(axis=1)
        best = factors[np.argmin(np.abs(mass - among[code, 0] * WEIGHTS[code == OF].sum())), 0]
        assert tilts(found, code)[0] == pytest.approx(best, abs=1e-3)


def test_what_was_told_is_tilted_only_so_far() -> None:
    found = by_faith(WEIGHTS, OF, TOLD, np.array([[0.05, 0.95], [0.9, 0.1]]))
    np.testing.assert_allclose(tilts(found, 0), 1 / TILT)
    np.testing.assert_allclose(tilts(found, 1), TILT)


def test_people_of_all_faiths_together_have_the_names_of_the_heritage() -> None:
    rng = np.random.default_rng(5)
    weights, told = rng.exponential(size=40), rng.dirichlet(np.full(3, 0.5), 40)
    among = (weights @ told) ** 1.1
    among /= among.sum()
    found = by_faith(weights, np.zeros(40, dtype=np.int64), told, among[None])
    drawn = (found / found.sum(axis=0)) @ among
    np.testing.assert_allclose(drawn, weights / weights.sum(), atol=1e-4)


def test_a_name_that_nobody_told_of_is_like_the_others_of_its_heritage() -> None:
    told = np.array([[0.8, 0.2], [0.4, 0.6], [0.0, 0.0]])
    found = by_faith(np.array([1.0, 1.0, 4.0]), np.zeros(3, dtype=np.int64), told, np.array([[0.6, 0.4]]))
    np.testing.assert_allclose(found[2], [2.4, 1.6])
    untold = by_faith(np.ones(2), np.zeros(2, dtype=np.int64), np.zeros((2, 2)), np.array([[0.7, 0.3]]))
    np.testing.assert_allclose(untold, [[0.7, 0.3]] * 2)


def file_of(shares: dict[int, list[int]], among: dict[str, dict[str, float]], of: dict[str, list[str]]) -> NameFile:
    import pyarrow as pa

    lists = [shares.get(row, []) for row in range(5)]
    facts = {"names": ["sun", "moon"], "dimension": RELIGION, "of": of, "among": among}
    return NameFile({"faith_share": pa.array(lists, pa.list_(pa.uint8()))}, 5, {"faiths": facts})


def test_lists_are_of_categories_that_stand_for_a_faith_and_of_heritages_that_differ() -> None:
    of = {"solar": ["sun"], "lunar": ["moon"], "lunatic": ["moon"]}
    file = file_of({0: [200, 0], 1: [0, 200]}, {"b": {"solar": 0.33, "lunar": 0.1, "lunatic": 0.07}}, of)
    faiths = NameFaiths(file, ("a", "b"), ("none", "lunar", "solar", "lunatic"))
    assert faiths.number.tolist() == [[-1, -1, -1, -1], [-1, 0, 1, 0]] and faiths.lists == 2
    # Names 0, 1 and 2 of b, and 3 of a, which is not split.
    which, weights, sizes = faiths.lists_of(np.array([3, 0, 1, 2]), np.array([0, 1, 1, 1]), np.array([9.0, 2, 1, 1]))
    moon, sun = np.split(np.arange(len(which)), np.cumsum(sizes)[:-1])
    assert which[moon].tolist() == [2, 3] and which[sun].tolist() == [1, 3]  # nobody told of name 2
    assert weights[moon].sum() / weights.sum() == pytest.approx(0.34, abs=0.001)
    assert weights[which == 3].sum() == pytest.approx(1)


def test_a_faith_that_has_no_names_has_those_of_all() -> None:
    file = file_of(
        {0: [200, 0], 1: [200, 0]}, {"a": {"solar": 0.5, "lunar": 0.5}}, {"solar": ["sun"], "lunar": ["moon"]}
    )
    which, weights, sizes = NameFaiths(file, ("a",), ("lunar", "solar")).lists_of(
        np.array([0, 1]), np.array([0, 0]), np.array([3.0, 1.0])
    )
    assert (which.tolist(), weights.tolist(), sizes.tolist()) == ([0, 1, 0, 1], [3, 1, 3, 1], [2, 2])


# The files


def test_files_have_the_faiths_of_names_that_were_told(folder: Path) -> None:
    for name, kind in ((FIRST, "first"), (LAST, "last")):
        table = pq.read_table(folder / name)
        facts = json.loads(table.schema.metadata[METADATA])["faiths"]
        assert facts["dimension"] == RELIGION and facts["among"] == AMONG
        rows = {key_of(n): s for n, s in zip(table["name"].to_pylist(), table["faith_share"].to_pylist(), strict=True)}
        assert {key for key, shares in rows.items() if shares} == FAITH[kind].keys()
        for key, of in FAITH[kind].items():
            assert rows[key] == [round(of.get(faith, 0) * HERITAGE_UNIT) for faith in facts["names"]]


def test_without_answers_files_are_as_they_were() -> None:
    for content in list(name_files(name_facts.told()).values())[:2]:
        schema = pq.read_schema(pa_buffer(content))
        assert "faith_share" not in schema.names and "faiths" not in json.loads(schema.metadata[METADATA])


def pa_buffer(content: bytes) -> object:
    import pyarrow as pa

    return pa.BufferReader(content)


def test_religions_by_heritage_are_those_whom_the_sampler_draws(sampler: Sampler) -> None:
    shares = religion_shares(CATALOGUE, people_weights(DIMENSIONS))
    n = 40_000
    drawn = sampler.sample(n, do={}, fields=["heritage", RELIGION]).to_polars()
    heritage = HERITAGES[-1]  # made-up weights favour the last
    of = drawn.filter(pl.col("heritage") == heritage)[RELIGION].cast(pl.String)
    assert len(of) > 1_000
    for religion, share in shares[heritage].items():
        assert abs((of == religion).mean() - share) <= 5 * np.sqrt(share * (1 - share) / len(of)) + 1e-9


# The draw


def people(n: int) -> dict[str, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(3)
    ethnicity = rng.choice([ETHNICITIES.index(e) for e in ("white", "asian")], n)
    of = np.where(ethnicity == ETHNICITIES.index("asian"), HERITAGES.index("indian"), HERITAGES.index("arab"))
    return {
        "ethnicity": ethnicity,
        "heritage": of,
        "sex": rng.integers(0, 2, n),
        "birth_year": rng.integers(1930, 2008, n),
        "nativity": rng.integers(0, len(NATIVITIES), n),
    }


def test_names_without_faiths_are_drawn_as_before(folder: Path, tmp_path: Path) -> None:
    name_facts.write_files(tmp_path)
    index, codes = np.arange(3_000, dtype=np.uint64), people(3_000)
    religion = np.random.default_rng(1).integers(0, len(RELIGIONS), 3_000)
    before = name_facts.load(tmp_path).draw(0, index, **codes)
    with_religion = Names.load(tmp_path, **CATEGORIES, religions=RELIGIONS)
    without = Names.load(folder, **CATEGORIES)
    untold = Names.load(folder, **CATEGORIES, religions=RELIGIONS)
    assert with_religion and without and untold
    no_faith = np.full(3_000, RELIGIONS.index("none"))
    for found in (
        with_religion.draw(0, index, **codes, religion=religion),
        without.draw(0, index, **codes, religion=religion),
        untold.draw(0, index, **codes, religion=no_faith),
        untold.draw(0, index, **codes),
    ):
        for names, expected in zip(found, before, strict=True):
            np.testing.assert_array_equal(names, expected)


def test_other_heritages_have_their_names_whatever_their_religion(folder: Path) -> None:
    names = Names.load(folder, **CATEGORIES, religions=RELIGIONS)
    assert names
    index = np.arange(1_000, dtype=np.uint64)
    codes = people(1_000) | {"heritage": np.full(1_000, HERITAGES.index("chinese"))}
    drawn = [names.draw(0, index, **codes, religion=np.full(1_000, r))[1] for r in range(len(RELIGIONS))]
    assert all((one == drawn[0]).all() for one in drawn)


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    return Sampler(Snapshot.load(written(tmp_path_factory.mktemp("snapshots") / "us", DIMENSIONS)))


def written(folder: Path, dimensions: tuple[str, ...]) -> Path:
    return write_people(folder, dimensions, name_files(told()))


INDIAN = {"ethnicity": "asian", "heritage": "indian", "nativity": "foreign_born"}


def test_names_follow_the_religion_of_childhood(sampler: Sampler) -> None:
    found = {
        religion: sampler.sample(3_000, do=INDIAN | {RELIGION: religion}, fields=NAMES)
        for religion in ("hindu", "muslim", "none")
    }
    rajeshs = {religion: batch.values("first_name").count("Rajesh") for religion, batch in found.items()}
    muhammads = {religion: batch.values("first_name").count("Muhammad") for religion, batch in found.items()}
    assert rajeshs["hindu"] > rajeshs["muslim"] + 100 and rajeshs["none"] > rajeshs["muslim"] + 50
    assert muhammads["muslim"] > muhammads["hindu"] + 150  # others have it from the pool


def test_a_line_a_batch_and_both_engines_give_the_same_names(sampler: Sampler) -> None:
    do, fields = {"ethnicity": "asian", "heritage": "indian"}, [*NAMES, RELIGION]
    batch = sampler.sample(400, do=do, fields=fields).to_dicts()
    assert len({one[RELIGION] for one in batch}) > 5
    lines = [json.loads(sampler.lines(do, fields=fields).line(0, index)) for index in range(400)]
    assert [[line[f] for f in fields] for line in lines] == [[one[f] for f in fields] for one in batch]
    for engine in ("numpy", "numba"):
        other = Sampler(sampler.snapshot, engine)
        assert other.sample(400, do=do, fields=fields).to_dicts() == batch
    alone = sampler.sample(10, do=do, start=50, fields=NAMES).to_dicts()
    assert [[one[f] for f in NAMES] for one in alone] == [[one[f] for f in NAMES] for one in batch[50:60]]


def test_a_snapshot_that_lacks_the_dimension_is_an_error_of_one_line(tmp_path: Path) -> None:
    place = written(tmp_path / "us", (*CHAIN, "sex", "birth_month"))
    with pytest.raises(SnapshotError, match=f"no '{RELIGION}', by which it has names") as caught:
        Snapshot.load(place)
    assert "\n" not in str(caught.value)


def test_read_files_know_their_faiths(folder: Path) -> None:
    faiths = NameFaiths(read_file(folder / LAST), HERITAGES, RELIGIONS)
    differ = {HERITAGES[code] for code in np.flatnonzero((faiths.number >= 0).any(axis=1))}
    assert differ == AMONG.keys()
    assert (faiths.number[HERITAGES.index("indian"), RELIGIONS.index("none")]) == -1
