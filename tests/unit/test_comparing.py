"""Differences of snapshots: distances are those of the tables, people are those that the sampler draws."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import serving.comparing
from pipeline.heritage_shares import CHAIN
from serving.cli import main
from serving.comparing import compare, marginal_of
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.name_facts import told, write_people
from tests.support.particulars import file
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot, frames
from warehouse.errors import SnapshotError
from warehouse.names.export import name_files
from warehouse.particulars import AGES
from warehouse.snapshot_format import PopulationInfo, write_snapshot

Capture = pytest.CaptureFixture[str]


def write(
    folder: Path,
    dimensions: tuple[ToyDimension, ...] = TOY,
    *,
    weights: pl.Expr | None = None,
    maps: pl.Expr | None = None,
    strategy: str = "max_entropy",
    population: str = "us",
) -> Snapshot:
    """A toy snapshot whose factors or map probabilities are changed by an expression."""
    table, factors, cells = frames(dimensions)
    write_snapshot(
        folder,
        population=PopulationInfo(population, "Toy adults", 2025, "USD"),
        edition="2026.11",
        catalogue_hash="0" * 64,
        dimensions=table,
        weights=factors if weights is None else factors.with_columns(factors=weights),
        maps=cells if maps is None else cells.with_columns(probability=maps),
        strategies={"party": {"winner": strategy, "runner_up": "", "margin": 0.1, "override_reason": ""}},
    )
    return Snapshot.load(folder)


def first_factor_doubled(dimension: str) -> pl.Expr:
    """The base factor of the first category of a dimension, twice as large."""
    base = (pl.col("dimension") == dimension) & (pl.col("order") == 0)
    doubled = pl.concat_list(pl.col("factors").list.head(1) * 2, pl.col("factors").list.slice(1))
    return pl.when(base).then(doubled).otherwise(pl.col("factors"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return write(tmp_path_factory.mktemp("snapshots") / "toy")


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Another base of education, and a strategy of another name."""
    return write(
        tmp_path_factory.mktemp("snapshots") / "shifted",
        weights=first_factor_doubled("education"),
        strategy="naive_bayes",
    )


def test_marginals_are_those_of_many_draws(toy: Snapshot) -> None:
    n = 200_000
    batch = Sampler(toy).sample(n, 1)
    for dimension in toy.dimensions:
        exact = marginal_of(toy, dimension.id)
        assert exact is not None and exact.sum() == pytest.approx(1)
        counts = np.bincount(batch.codes(dimension.id), minlength=len(exact))
        errors = np.sqrt(exact * (1 - exact) / n)
        assert (np.abs(counts / n - exact) <= 5 * errors + 1e-9).all(), dimension.id


def test_a_marginal_over_too_many_cells_is_none(toy: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.comparing, "CELLS", 20)
    assert marginal_of(toy, "age") is not None
    assert marginal_of(toy, "height") is None


def test_a_snapshot_does_not_differ_from_itself(toy: Snapshot, tmp_path: Path) -> None:
    found = compare(toy, write(tmp_path / "again"), people=500)
    assert (found.maps, found.marginals, found.changed, found.strategies, found.name_files) == ((), (), (), {}, ())
    assert found.to_text() == f"both are snapshot {toy.id} of us: nothing differs"


def test_a_changed_weight_moves_what_descends_from_it(toy: Snapshot, shifted: Snapshot) -> None:
    found = compare(toy, shifted, people=2_000, seed="pilot")
    assert found.strategies == {"party": ("max_entropy", "naive_bayes")}
    moved = {one.dimension: one for one in found.marginals}
    assert set(moved) == {"education", "employment", "commute_mode", "party"}
    assert next(iter(moved)) == "education" == max(moved.values(), key=lambda one: one.tv).dimension
    one, other = (Sampler(s).sample(2_000, "pilot") for s in (toy, shifted))
    for name, difference in moved.items():
        exact = [marginal_of(snapshot, name) for snapshot in (toy, shifted)]
        assert difference.tv == pytest.approx(np.abs(exact[0] - exact[1]).sum() / 2) and difference.error == 0
        assert difference.changed == np.mean(one.codes(name) != other.codes(name))
    people = list(zip(one.to_dicts(), other.to_dicts(), strict=True))
    names = [dimension.id for dimension in TOY]
    assert found.changed == tuple(a["index"] for a, b in people if any(a[n] != b[n] for n in names))
    for example in found.examples:
        a, b = people[example.index]
        assert example.changes == {n: (a[n], b[n]) for n in names if a[n] != b[n]}


def test_a_distance_by_drawing_agrees_with_the_exact_one(
    toy: Snapshot, shifted: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = {one.dimension: one.tv for one in compare(toy, shifted, people=10).marginals}
    monkeypatch.setattr(serving.comparing, "CELLS", 0)
    for one in compare(toy, shifted, people=40_000).marginals:
        assert 0 < one.error < 0.01
        assert abs(one.tv - exact[one.dimension]) < 5 * one.error, one.dimension


def test_a_changed_map_is_found_with_its_worst_row(toy: Snapshot, tmp_path: Path) -> None:
    p = pl.col("probability")
    row = pl.col("dimension") == "sex"
    other = write(tmp_path / "s", maps=pl.when(row).then(1 - p).otherwise(p))  # two categories change places
    found = compare(toy, other, people=100)
    (only,) = found.maps
    share = frames(TOY)[2].filter(row)["probability"][0]
    assert (only.dimension, only.given, only.worst_condition) == ("sex", (), ())
    assert only.tv == pytest.approx(abs(1 - 2 * share), abs=1e-5) and only.worst_tv == only.tv
    assert (found.marginals, found.changed) == ((), ())


def test_dimensions_and_givens_that_only_one_has(toy: Snapshot, tmp_path: Path) -> None:
    changed = {
        "sex": replace(TOY[1], categories=("female", "male", "other")),
        "party": replace(TOY[8], givens=(("education",),)),
    }
    kept = tuple(changed.get(d.id, d) for d in TOY if d.id != "birth_month")
    other = write(tmp_path / "s", (*kept, ToyDimension("hat", ("none", "cap"))))
    found = compare(toy, other, people=50)
    assert (found.gone, found.new, found.redefined) == (("birth_month",), ("hat",), ("sex",))
    assert found.rewired["party"] == ("ethnicity, education, ethnicity x education", "education")
    assert ("birth_month",) in found.maps_gone and ("sex",) in found.maps_gone and ("hat",) in found.maps_new
    text = found.to_text()
    assert "dimensions, gone: birth_month" in text and "dimensions, other categories: sex" in text


def with_names(folder: Path, files: Mapping[str, bytes]) -> Snapshot:
    dimensions = (*CHAIN, "sex", "birth_month")
    return Snapshot.load(write_people(folder, dimensions, files))


def test_other_name_files_name_people_otherwise_and_change_nothing_else(tmp_path: Path) -> None:
    files = name_files(told())
    table = pq.read_table(pa.BufferReader(files["names_last.parquet"]))
    turned = table.set_column(0, table.field(0), table.column(0).take(list(reversed(range(table.num_rows)))))
    assert table.column_names[0] == "name"
    sink = io.BytesIO()
    pq.write_table(turned, sink)
    one = with_names(tmp_path / "one", files)
    found = compare(one, with_names(tmp_path / "two", {**files, "names_last.parquet": sink.getvalue()}), people=200)
    assert found.name_files == ("names_last.parquet",) and found.marginals == ()
    assert found.names == len(found.changed) / 200 > 0.1
    assert {name for example in found.examples for name in example.changes} == {"last_name"}
    assert "another name: " in found.to_text()
    nameless = compare(one, with_names(tmp_path / "three", {}), people=200)
    assert nameless.names is None and len(nameless.name_files) == 3 and nameless.changed == ()


def test_populations_are_not_compared_with_each_other(toy: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"is about 'us', .* about 'gb': compare snapshots of one population"):
        compare(toy, write(tmp_path / "s", population="gb"))


def test_the_command_tells_it_as_text_and_as_json(toy: Snapshot, shifted: Snapshot, capsys: Capture) -> None:
    folders = [str(toy.folder), str(shifted.folder)]
    assert main(["snapshot", "diff", *folders, "--people", "300", "--seed", "pilot", "--top", "2"]) == 0
    text = capsys.readouterr().out
    assert "people: 4 differ, the first 2" in text and "max_entropy  naive_bayes" in text
    assert "of 300 of seed 'pilot'" in text
    assert main(["snapshot", "diff", *folders, "--people", "300", "--seed", "pilot", "--json"]) == 0
    found = compare(toy, shifted, people=300, seed="pilot")
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.to_dict()))
    assert main(["snapshot", "diff", folders[0], "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("personagen: no snapshot 'nowhere'")
    assert main(["snapshot", "diff", *folders, "--people", "0"]) == 2


def test_fields_whose_files_differ_are_compared_and_with_years_the_names_are_looked_at(tmp_path: Path) -> None:
    """The same dimensions with years told otherwise: nobody has another value of these, and yet others are born."""
    bands = {"18_24": (18, 25), "25_34": (25, 35), "35_44": (35, 45), "45_54": (45, 55), "55_64": (55, 65)}
    bands |= {"65_74": (65, 75), "75_plus": (75, 101)}
    for name, lean in (("even", 0.0), ("older", 1.0)):
        rows = [
            (band, str(year), 1.0 + lean * (year - low), [1.0] * 3)
            for band, (low, high) in bands.items()
            for year in range(low, high)
        ]
        build_snapshot(tmp_path / name, extra_files={AGES: file(TOY, "age", rows, ("education",))})
    even, older = (Snapshot.load(tmp_path / name) for name in ("even", "older"))
    found = compare(even, older, people=500)
    assert found.name_files == (AGES,) and not found.marginals
    assert found.derived == {"age_years": len(found.changed) / 500} and found.derived["age_years"] > 0.3
    assert "another age_years: " in found.to_text()
    assert set(found.examples[0].changes) == {"age_years"}
    assert compare(even, even, people=50).derived == {}
