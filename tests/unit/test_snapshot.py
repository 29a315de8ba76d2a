"""Loading: what is whole loads, what is damaged is refused by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from serving.snapshot import Snapshot, packaged_populations
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot, frames
from warehouse.errors import SamplingError, SnapshotError
from warehouse.snapshot_format import MANIFEST, MAPS, WEIGHTS, PopulationInfo, write_snapshot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_snapshot(tmp_path / "toy")
    return tmp_path / "toy"


def write_weights(folder: Path, weights: pl.DataFrame, dimensions: pl.DataFrame | None = None) -> None:
    """A snapshot with fitting hashes, but with weights or dimensions that may make no sense."""
    good_dimensions, _, maps = frames(TOY)
    write_snapshot(
        folder,
        population=PopulationInfo("us", "Toy adults", 2025, "USD"),
        edition="2026.11",
        catalogue_hash="0" * 64,
        dimensions=good_dimensions if dimensions is None else dimensions,
        weights=weights,
        maps=maps,
    )


def test_a_snapshot_loads_with_its_dimensions_in_sampling_order(folder: Path) -> None:
    snapshot = Snapshot.load(folder)
    assert [dimension.id for dimension in snapshot.dimensions] == [dimension.id for dimension in TOY]
    education = snapshot.dimension("education")
    assert education.parents == ("age", "ethnicity", "sex")
    assert [factor.given for factor in education.factors] == [(), ("age",), ("ethnicity",), ("age", "sex")]
    assert education.factors[3].table.shape == (14, 3)
    assert education.factors[1].table[0, 2] == 0.0
    assert snapshot.id == snapshot.manifest.snapshot_id
    assert snapshot.sensitive == ("ethnicity", "party")
    assert "age" in snapshot
    assert "income" not in snapshot


def test_tables_are_read_only(folder: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        Snapshot.load(folder).dimension("age").factors[0].table[0, 0] = 1.0


def test_a_row_of_a_table_is_the_mixed_radix_index_of_the_codes(folder: Path) -> None:
    _, weights, _ = frames(TOY)
    row = weights.filter(pl.col("dimension") == "education", pl.col("order") == 3).row(0, named=True)
    cells = np.array(row["factors"]).reshape(7, 2, 3)
    table = Snapshot.load(folder).dimension("education").factors[3].table
    assert table[4 * 2 + 1].tolist() == pytest.approx(cells[4, 1].tolist(), rel=1e-5)


@pytest.mark.parametrize("name", ["dimensions.parquet", "weights.parquet", "maps.parquet"])
def test_one_changed_bit_is_noticed(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(SnapshotError, match=rf"is damaged: {name} does not match its SHA-256; export it again"):
        Snapshot.load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(SnapshotError, match=r"incomplete: cannot read weights.parquet \(No such file"):
        Snapshot.load(folder)


def test_an_unknown_format_version_asks_for_an_upgrade(folder: Path) -> None:
    body = json.loads((folder / MANIFEST).read_text()) | {"format_version": 99}
    (folder / MANIFEST).write_text(json.dumps(body))
    with pytest.raises(SnapshotError, match=r"format version 99 is unknown.*upgrade personagen"):
        Snapshot.load(folder)


def test_an_edited_manifest_is_noticed(folder: Path) -> None:
    body = json.loads((folder / MANIFEST).read_text()) | {"catalogue_hash": "1" * 64}
    (folder / MANIFEST).write_text(json.dumps(body))
    with pytest.raises(SnapshotError, match="does not fit its files"):
        Snapshot.load(folder)


def test_a_folder_without_manifest_and_an_unknown_population_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"is not a snapshot: it holds no manifest.json"):
        Snapshot.load(tmp_path)
    with pytest.raises(SnapshotError, match=r"no snapshot 'atlantis': .* give one of them or the path"):
        Snapshot.load("atlantis")
    with pytest.raises(SnapshotError, match="no snapshot"):
        Snapshot.load("../snapshots")
    with pytest.raises(SnapshotError, match=r"no snapshot|is not a snapshot"):
        Snapshot.load("")


def test_packaged_snapshots_are_found_by_population(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.snapshot.PACKAGED", tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    manifest = build_snapshot(tmp_path / "us")
    assert packaged_populations() == ["us"]
    assert Snapshot.load().id == manifest.snapshot_id


def test_packaged_snapshots_are_found_by_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.snapshot.PACKAGED", tmp_path)
    build_snapshot(tmp_path / "other", seed=2)
    manifest = build_snapshot(tmp_path / "us")
    assert Snapshot.load(manifest.snapshot_id).folder == (tmp_path / "us").resolve()
    with pytest.raises(SnapshotError, match=rf"no snapshot '0000': packaged are: .*us \({manifest.snapshot_id}\)"):
        Snapshot.load("0000")


def test_every_error_is_one_line(folder: Path) -> None:
    shutil.copy(folder / MAPS, folder / WEIGHTS)
    with pytest.raises(SnapshotError) as raised:
        Snapshot.load(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("edition", "expected"),
    [("2026.11", date(2026, 11, 1)), ("2027.02", date(2027, 2, 1)), ("draft", date(2025, 7, 1))],
)
def test_ages_hold_at_a_date_that_the_snapshot_fixes(tmp_path: Path, edition: str, expected: date) -> None:
    build_snapshot(tmp_path / "s", edition=edition)
    assert Snapshot.load(tmp_path / "s").as_of == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [(-1.0, "not all finite and positive"), (float("inf"), "not all finite"), (float("nan"), "not all finite")],
)
def test_weights_that_cannot_be_drawn_from_are_refused(tmp_path: Path, value: float, message: str) -> None:
    _, weights, _ = frames(TOY)
    factors = weights["factors"].to_list()
    factors[0][2] = value
    write_weights(tmp_path / "s", weights.with_columns(pl.Series("factors", factors)))
    with pytest.raises(SnapshotError, match=message):
        Snapshot.load(tmp_path / "s")


def test_weights_that_overflow_when_multiplied_are_refused(tmp_path: Path) -> None:
    _, weights, _ = frames(TOY)
    huge = weights.with_columns(pl.col("factors").list.eval(pl.element() * 1e200))
    write_weights(tmp_path / "s", huge)
    with pytest.raises(SnapshotError, match="overflow when multiplied"):
        Snapshot.load(tmp_path / "s")


def test_weights_must_have_a_base_and_the_shape_of_their_parents(tmp_path: Path) -> None:
    _, weights, _ = frames(TOY)
    write_weights(tmp_path / "a", weights.filter(~((pl.col("dimension") == "party") & (pl.col("order") == 0))))
    with pytest.raises(SnapshotError, match="'party' has no base weights"):
        Snapshot.load(tmp_path / "a")
    write_weights(
        tmp_path / "b",
        weights.with_columns(
            pl.when(pl.col("dimension") == "sex").then(pl.lit([1, 2])).otherwise(pl.col("shape")).alias("shape")
        ),
    )
    with pytest.raises(SnapshotError, match=r"weights of 'sex' given \(\) have the wrong shape"):
        Snapshot.load(tmp_path / "b")


def test_parents_must_come_first(tmp_path: Path) -> None:
    dimensions, weights, _ = frames(TOY)
    write_weights(tmp_path / "s", weights, dimensions.with_columns(position=-pl.col("position")))
    with pytest.raises(SnapshotError, match="'party' comes before its parent"):
        Snapshot.load(tmp_path / "s")


def test_more_categories_than_a_byte_holds_are_refused(tmp_path: Path) -> None:
    wide = ToyDimension("wide", tuple(f"c{code}" for code in range(256)))
    build_snapshot(tmp_path / "s", (wide,))
    with pytest.raises(SnapshotError, match="needs 1 to 255 distinct categories"):
        Snapshot.load(tmp_path / "s")
    build_snapshot(tmp_path / "s", (replace(wide, categories=wide.categories[:255]),))
    assert len(Snapshot.load(tmp_path / "s").dimension("wide").categories) == 255


def test_an_unknown_dimension_gets_a_suggestion(folder: Path) -> None:
    with pytest.raises(SamplingError, match="unknown dimension 'eduction': did you mean education"):
        Snapshot.load(folder).dimension("eduction")
    with pytest.raises(SamplingError, match="has no category 'phd': use one of high_school, bachelor, doctorate"):
        Snapshot.load(folder).dimension("education").code("phd")


def test_maps_come_as_a_table_for_explanations(folder: Path) -> None:
    maps = Snapshot.load(folder).maps()
    assert set(maps["dimension"].to_pylist()) == {dimension.id for dimension in TOY}


def test_names_are_absent_without_name_files(folder: Path) -> None:
    snapshot = Snapshot.load(folder)
    assert not snapshot.has_names
    assert snapshot.names is None
