"""The engine: both kernels bit-identical to the definition, and the determinism that users are promised."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import serving.engine
import serving.numpy_kernel
import serving.plans
from serving.batch import ECHO, Batch
from serving.engine import KernelName
from serving.reference import ReferenceSampler
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot, large_dimensions
from warehouse.errors import SamplingError

SEEDS = st.one_of(st.integers(-(2**65), 2**65), st.text(max_size=10))
STARTS = st.one_of(st.integers(0, 100), st.integers(0, 2**62))
IDS = [dimension.id for dimension in TOY]
PINS = st.sampled_from([(d.id, category) for d in TOY for category in d.categories])
PROPERTY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path)
    return path


@pytest.fixture(scope="module", params=["numpy", "numba"])
def sampler(folder: Path, request: pytest.FixtureRequest) -> Sampler:
    return Sampler(Snapshot.load(folder), request.param)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path = tmp_path_factory.mktemp("snapshots") / "large"
    build_snapshot(path, large_dimensions())
    return Snapshot.load(path)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of 7, so that few personas cross many block borders; and no plain Python in place of numpy."""
    monkeypatch.setattr(serving.engine, "WORTH_ARRAYS", 0)
    monkeypatch.setattr(serving.numpy_kernel, "BLOCK", 7)
    yield


def codes(batch: Batch) -> dict[str, list[int]]:
    return {name: batch.codes(name).tolist() for name in IDS}


def drawn_by_definition(
    snapshot: Snapshot, n: int, seed: int | str, start: int, do: dict[str, str]
) -> list[dict[str, int]]:
    reference = ReferenceSampler(snapshot)
    return [reference.draw(index, seed, do) for index in range(start, start + n)]


@pytest.mark.usefixtures("small_blocks")
@PROPERTY
@given(seed=SEEDS, start=STARTS, n=st.integers(0, 30), pin=st.none() | PINS)
def test_kernels_equal_plain_python(
    sampler: Sampler, seed: int | str, start: int, n: int, pin: tuple[str, str] | None
) -> None:
    do = dict([pin]) if pin else {}
    batch = sampler.sample(n, seed, start, do=do)
    expected = drawn_by_definition(sampler.snapshot, n, seed, start, do)
    assert codes(batch) == {name: [persona[name] for persona in expected] for name in IDS}


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
@pytest.mark.parametrize("merged_cells", [0, 500, 10**9])
def test_kernels_equal_plain_python_on_a_large_snapshot(
    large: Snapshot, monkeypatch: pytest.MonkeyPatch, merged_cells: int, kernel: KernelName
) -> None:
    monkeypatch.setattr(serving.plans, "MERGED_CELLS", min(merged_cells, 200_000))
    batch = Sampler(large, kernel).sample(40, seed=5, start=123)
    for place, persona in enumerate(drawn_by_definition(large, 40, 5, 123, {})):
        assert {name: int(batch.codes(name)[place]) for name in persona} == persona


def test_merging_keeps_the_axes_of_parents_in_any_order(tmp_path: Path) -> None:
    chain = (
        ToyDimension("a", ("a0", "a1")),
        ToyDimension("b", ("b0", "b1", "b2")),
        ToyDimension("c", ("c0", "c1", "c2", "c3", "c4")),
        ToyDimension("d", ("d0", "d1", "d2"), (("c",), ("a",), ("b", "c"), ("a", "b"), ("c", "b", "a"))),
    )
    build_snapshot(tmp_path / "s", chain)
    snapshot = Snapshot.load(tmp_path / "s")
    batch = Sampler(snapshot).sample(300, seed=1)
    expected = drawn_by_definition(snapshot, 300, 1, 0, {})
    assert batch.codes("d").tolist() == [persona["d"] for persona in expected]


@pytest.mark.usefixtures("small_blocks")
@PROPERTY
@given(seed=SEEDS, start=STARTS, n=st.integers(0, 40), head=st.integers(0, 40))
def test_prefix_a_smaller_draw_is_the_head_of_a_larger_one(
    sampler: Sampler, seed: int | str, start: int, n: int, head: int
) -> None:
    head = min(head, n)
    whole, part = sampler.sample(n, seed, start), sampler.sample(head, seed, start)
    assert part.to_dicts() == whole.to_dicts()[:head]


@pytest.mark.usefixtures("small_blocks")
@PROPERTY
@given(seed=SEEDS, cuts=st.lists(st.integers(0, 60), max_size=5), shuffle=st.randoms(use_true_random=False))
def test_order_any_split_in_any_order_gives_the_same_people(
    sampler: Sampler, seed: int | str, cuts: list[int], shuffle: st.DataObject
) -> None:
    bounds = sorted({0, 60, *cuts})
    ranges = list(pairwise(bounds))
    shuffle.shuffle(ranges)  # type: ignore[attr-defined]
    parts = {low: sampler.sample(high - low, seed, low).to_dicts() for low, high in ranges}
    assert [p for low in sorted(parts) for p in parts[low]] == sampler.sample(60, seed).to_dicts()


def _draw_range(task: tuple[str, int, int]) -> list[dict[str, object]]:
    folder, low, high = task
    people: list[dict[str, object]] = Sampler(Snapshot.load(folder)).sample(high - low, "split", low).to_dicts()  # type: ignore[assignment]
    return people


def test_split_over_processes_gives_the_same_people(folder: Path, sampler: Sampler) -> None:
    tasks = [(str(folder), low, low + 25) for low in (75, 0, 50, 25)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = pool.map(_draw_range, tasks)
    people = sorted((persona for part in parts for persona in part), key=lambda persona: persona["index"])  # type: ignore[arg-type, return-value]
    assert people == sampler.sample(100, "split").to_dicts()


@PROPERTY
@given(seed=SEEDS, pin=PINS)
def test_pin_setting_one_dimension_leaves_all_that_do_not_descend_from_it(
    sampler: Sampler, seed: int | str, pin: tuple[str, str]
) -> None:
    descends = {pin[0]}
    for dimension in sampler.snapshot.dimensions:
        if descends & set(dimension.parents):
            descends.add(dimension.id)
    free, pinned = sampler.sample(30, seed), sampler.sample(30, seed, do=dict([pin]))
    assert set(pinned.values(pin[0])) == {pin[1]}
    for name in set(IDS) - descends:
        assert free.codes(name).tolist() == pinned.codes(name).tolist()


def test_pin_has_consequences(sampler: Sampler) -> None:
    free, pinned = sampler.sample(300), sampler.sample(300, do={"employment": "retired"})
    assert free.codes("commute_mode").tolist() != pinned.codes("commute_mode").tolist()
    assert set(pinned.values("commute_mode")) == {"not_applicable"}


@PROPERTY
@given(seed=SEEDS, fields=st.lists(st.sampled_from([*IDS, "age_years", "birth_date", "height_cm"]), unique=True))
def test_selecting_fields_changes_no_value(sampler: Sampler, seed: int | str, fields: list[str]) -> None:
    everything, some = sampler.sample(10, seed).to_dicts(), sampler.sample(10, seed, fields=fields).to_dicts()
    assert some == [{name: persona[name] for name in (*ECHO, *fields)} for persona in everything]


def test_structural_zeros_are_never_drawn(sampler: Sampler) -> None:
    frame = sampler.sample(200_000, seed=9).to_polars().cast(dict.fromkeys(IDS, pl.String))
    young = frame.filter(pl.col("age") == "18_24")
    assert young.height > 1000
    assert young.filter(pl.col("education") == "doctorate").is_empty()
    assert frame.filter(pl.col("age").is_in(["18_24", "25_34"]), pl.col("employment") == "retired").is_empty()
    works = pl.col("employment").is_in(["full_time", "part_time"])
    assert frame.filter(works == (pl.col("commute_mode") == "not_applicable")).is_empty()


def test_shares_follow_the_weights(sampler: Sampler) -> None:
    n = 200_000
    batch = sampler.sample(n, seed=3)
    weights = sampler.snapshot.dimension("ethnicity").factors[0].table[0]
    expected = weights / weights.sum()
    counts = np.bincount(batch.codes("ethnicity"), minlength=4)
    assert ((counts - n * expected) ** 2 / (n * expected)).sum() < 21  # chi-square, 3 degrees of freedom, p = 1e-4
    base, by_sex, by_age = (factor.table for factor in sampler.snapshot.dimension("height").factors)
    chosen = (batch.codes("sex") == 1) & (batch.codes("age") == 2)
    weights = base[0] * by_sex[1] * by_age[2]
    expected = weights / weights.sum() * chosen.sum()
    counts = np.bincount(batch.codes("height")[chosen], minlength=8)
    assert ((counts - expected) ** 2 / expected).sum() < 30  # 7 degrees of freedom, p = 1e-4


def test_seeds_matter_and_zero_is_one(sampler: Sampler) -> None:
    drawn = [sampler.sample(50, seed).to_dicts() for seed in (0, 1, "0", "")]
    assert all(a != b for place, a in enumerate(drawn) for b in drawn[:place])
    assert sampler.sample(50, 0).to_dicts() == sampler.sample(50).to_dicts()
    assert sampler.sample(3, np.int64(1)).to_dicts() == drawn[1][:3]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "n must be 0 or more, not -1"),
        ({"n": 2.5}, r"n must be an integer, not 2\.5"),
        ({"n": 1, "start": -1}, "start must be 0 or more"),
        ({"n": 1, "start": 2**63}, "must stay below 2\\*\\*63"),
        ({"n": 1, "as_of": "2026-11-01"}, "as_of must be a date, not '2026-11-01'"),
        ({"n": 1, "as_of": date(999, 12, 31)}, "as_of must be 1000-01-01 or later"),
        ({"n": 1, "seed": 0.5}, "seed 0.5 is no seed"),
        ({"n": 1, "do": {"job": "nurse"}}, "unknown dimension 'job'"),
        ({"n": 1, "do": {"age": "30"}}, "do takes bands of 'age', not years: use 18_24"),
        ({"n": 1, "fields": ["eduction"]}, "unknown field 'eduction': did you mean education"),
        ({"n": 1, "exclude": ["job"]}, "unknown field 'job'"),
        ({"n": 1, "fields": "age"}, "fields must be a list of names, not the string 'age'"),
        ({"n": 1, "fields": ["first_name"]}, "unknown field 'first_name'"),
    ],
)
def test_bad_requests_are_refused_in_one_line(sampler: Sampler, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SamplingError, match=message) as raised:
        sampler.sample(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
@pytest.mark.parametrize("categories", [2, 30])
def test_an_impossible_combination_is_an_error(tmp_path: Path, kernel: KernelName, categories: int) -> None:
    names = tuple(f"b{place}" for place in range(categories))
    zeros = tuple((("a",), (1,), place) for place in range(categories))
    build_snapshot(tmp_path / "s", (ToyDimension("a", ("p", "q")), ToyDimension("b", names, (("a",),), zeros=zeros)))
    sampler = Sampler(Snapshot.load(tmp_path / "s"), kernel)
    assert len(sampler.sample(5, do={"a": "p"})) == 5
    for people in (5, 20):
        with pytest.raises(SamplingError, match="no category of 'b' is possible together with the values set"):
            sampler.sample(people, do={"a": "q"})


def test_an_empty_batch_has_all_columns(sampler: Sampler) -> None:
    batch = sampler.sample(0)
    assert batch.to_dicts() == []
    assert batch.to_polars().columns == [*ECHO, *batch.fields]
    assert list(batch.to_jsonl()) == []
    assert batch.to_arrow().num_rows == 0


def test_formats_agree_with_each_other(sampler: Sampler) -> None:
    batch = sampler.sample(50, seed='a "quoted", seed', start=1000)
    people = batch.to_dicts()
    assert list(people[0])[:3] == list(ECHO)
    assert [(p["seed"], p["index"], p["snapshot_id"]) for p in people] == [
        ('a "quoted", seed', 1000 + place, sampler.snapshot.id) for place in range(50)
    ]
    assert [persona.to_dict() for persona in batch] == people
    assert batch[-1].to_dict() == people[-1]
    assert batch.to_polars().to_dicts() == people
    assert batch.to_arrow().to_pylist() == people
    lines = [json.loads(line) for line in batch.to_jsonl()]
    assert lines == [p | {"birth_date": p["birth_date"].isoformat()} for p in people]  # type: ignore[union-attr]
    csv = pl.read_csv("\n".join(batch.to_csv()).encode(), infer_schema=False)
    assert csv.to_dicts() == [{name: str(value) for name, value in p.items()} for p in people]


def test_frames_keep_categories_in_their_order(sampler: Sampler) -> None:
    batch = sampler.sample(10)
    assert batch.to_polars().schema["education"] == pl.Enum(["high_school", "bachelor", "doctorate"])
    column = batch.to_arrow().schema.field("education").type
    assert pa.types.is_dictionary(column)
    assert column.index_type == pa.uint8()


@pytest.mark.parametrize("seed", [0, -5, 2**63 - 1, 2**64, "text"])
def test_any_seed_is_echoed_as_it_was_given(sampler: Sampler, seed: int | str) -> None:
    batch = sampler.sample(2, seed)
    assert batch.to_dicts()[1]["seed"] == seed
    assert str(batch.to_polars()["seed"][1]) == str(seed)


def test_excluding_sensitive_leaves_all_of_them_out(sampler: Sampler) -> None:
    batch = sampler.sample(3, exclude=["sensitive", "birth_month"])
    assert not {"ethnicity", "party", "birth_month"} & set(batch.fields)
    assert {"age", "birth_date", "education"} <= set(batch.fields)


def test_only_what_is_needed_is_drawn(sampler: Sampler) -> None:
    batch = sampler.sample(3, fields=["height_cm"])
    with pytest.raises(SamplingError, match="dimension 'party' was not drawn: add it to fields"):
        batch.codes("party")
    assert len(batch.codes("height")) == 3


def test_personas_are_frozen_and_have_attributes(sampler: Sampler) -> None:
    persona = sampler.sample(1, seed=4)[0]
    assert persona.education == persona["education"] == persona.to_dict()["education"]
    assert persona["index"] == persona.index == 0
    assert isinstance(persona.birth_date, date)
    with pytest.raises(AttributeError):
        persona.education = "bachelor"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        persona.seed = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        persona.values["education"] = "bachelor"  # type: ignore[index]
    with pytest.raises(AttributeError, match="no field 'educaton': did you mean education"):
        _ = persona.educaton
    assert persona == sampler.sample(1, seed=4)[0]
    assert persona != sampler.sample(1, seed=5)[0]


def test_codes_are_read_only(sampler: Sampler) -> None:
    with pytest.raises(ValueError, match="read-only"):
        sampler.sample(1).codes("age")[0] = 0


def test_a_summary_is_written_on_request_from_all_that_is_not_excluded(sampler: Sampler) -> None:
    batch = sampler.sample(1, fields=["summary"], do={"ethnicity": "black", "education": "doctorate"})
    assert "Black" in str(batch[0].summary)
    assert "doctorate" in str(batch[0].summary)
    without = sampler.sample(1, fields=["summary"], exclude=["sensitive"], do={"ethnicity": "black"})
    assert "Black" not in str(without[0].summary)
    assert "summary" not in sampler.sample(1).fields


def test_twenty_golden_codes(sampler: Sampler) -> None:
    # Toy weights are fixed; a change here is a change of every persona ever drawn.
    digest = "".join(format(int(code), "x") for name in IDS for code in sampler.sample(20, seed=42).codes(name))
    assert digest == (
        "42414011401141502211"
        "10110110111110100110"
        "00322013222322002213"
        "79787167477b45987724"
        "26246066764472060447"
        "21202100000002100200"
        "31320000122221121001"
        "20221100022220020010"
        "33202002001300300322"
    )


def test_files_hold_what_a_frame_holds(sampler: Sampler, tmp_path: Path) -> None:
    batch = sampler.sample(30, "x")
    batch.to_parquet(tmp_path / "p.parquet")
    assert pl.read_parquet(tmp_path / "p.parquet").cast(pl.String).equals(batch.to_polars().cast(pl.String))
    batch.to_duckdb(tmp_path / "p.duckdb")
    sampler.sample(10, "x", 30).to_duckdb(tmp_path / "p.duckdb")
    with duckdb.connect(tmp_path / "p.duckdb") as connection:
        people = connection.sql("select * from personas order by index").pl()
        kinds = dict(
            connection.sql(
                "select column_name, data_type from duckdb_columns() where table_name = 'personas'"
            ).fetchall()
        )
    assert people.cast(pl.String).equals(sampler.sample(40, "x").to_polars().cast(pl.String))
    assert kinds["sex"] == "ENUM('female', 'male')" and kinds["birth_date"] == "DATE"


@pytest.mark.parametrize("table", ["rows", "batch", "batch for rows", "temp"])
def test_a_table_may_have_any_name_and_neighbours(sampler: Sampler, tmp_path: Path, table: str) -> None:
    for name in ("rows", table):
        sampler.sample(3, 5, fields=["sex"]).to_duckdb(tmp_path / "p.duckdb", f"{name} too")
    sampler.sample(4, 1, fields=["sex"]).to_duckdb(tmp_path / "p.duckdb", table)
    sampler.sample(6, 1, 4, fields=["sex"]).to_duckdb(tmp_path / "p.duckdb", table)
    sampler.sample(2, 9, fields=["sex"]).to_duckdb(tmp_path / "p.duckdb", "personas")
    with duckdb.connect(tmp_path / "p.duckdb") as connection:
        people = connection.table(f'"{table}"').pl()
        assert connection.sql("select seed, index from personas").fetchall() == [(9, 0), (9, 1)]
    assert people.cast(pl.String).equals(sampler.sample(10, 1, fields=["sex"]).to_polars().cast(pl.String))


@pytest.mark.parametrize(
    ("seed", "fields", "reason"),
    [
        (1, ["sex"], "it has the column 'age' besides"),
        (1, ["sex", "age", "party"], "it has no column 'party'"),
        ("pilot", ["sex", "age"], "its column 'seed' is BIGINT, not VARCHAR"),
    ],
)
def test_a_table_of_other_columns_is_left_alone(
    sampler: Sampler, tmp_path: Path, seed: int | str, fields: list[str], reason: str
) -> None:
    file, table = tmp_path / "p.duckdb", 'my "people"'
    sampler.sample(3, 1, fields=["sex", "age"]).to_duckdb(file, table)
    sampler.sample(3, 1, 3, fields=["age", "sex"]).to_duckdb(file, table)  # in another order
    with pytest.raises(SamplingError, match=rf"cannot add to table '{table}' of .*: {reason}; name another table"):
        sampler.sample(3, seed, fields=fields).to_duckdb(file, table)
    with duckdb.connect(file) as connection:
        people = connection.sql('from "my ""people"""').pl()
    assert people.cast(pl.String).equals(sampler.sample(6, 1, fields=["sex", "age"]).to_polars().cast(pl.String))


def test_a_file_of_another_kind_is_no_database(sampler: Sampler, tmp_path: Path) -> None:
    batch = sampler.sample(3)
    batch.to_parquet(tmp_path / "p.parquet")
    (tmp_path / "p.csv").write_text("a,b\n1,2\n")
    for name in ("p.parquet", "p.csv"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(SamplingError, match="it is a file of another kind; name another file"):
            batch.to_duckdb(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


def test_what_cannot_be_written_leaves_no_new_file(sampler: Sampler, tmp_path: Path) -> None:
    (tmp_path / "no.duckdb").write_text("not a database, " * 100)
    with pytest.raises(SamplingError, match=r"cannot open .*no\.duckdb"):
        sampler.sample(3).to_duckdb(tmp_path / "no.duckdb")
    with pytest.raises(SamplingError, match="cannot add to table ''"):
        sampler.sample(3).to_duckdb(tmp_path / "new.duckdb", "")
    with pytest.raises(SamplingError, match=":memory: is no file"):
        sampler.sample(3).to_duckdb(":memory:")
    assert [path.name for path in tmp_path.iterdir()] == ["no.duckdb"]
