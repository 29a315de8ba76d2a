"""Writing a snapshot: same content, same bytes; whole or not at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.snapshot import Snapshot
from tests.support.toy_snapshot import TOY, build_snapshot, frames
from warehouse.errors import SnapshotError
from warehouse.snapshot_format import (
    COLUMNS,
    MANIFEST,
    REPORT,
    WEIGHTS,
    Manifest,
    PopulationInfo,
    file_digest,
    publish_snapshot,
    round_significant,
    write_report,
    write_snapshot,
)

US = PopulationInfo("us", "Toy adults", 2025, "USD")


def write(folder: Path, tables: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]) -> Manifest:
    dimensions, weights, maps = tables
    return write_snapshot(
        folder,
        population=US,
        edition="2026.11",
        catalogue_hash="f" * 64,
        dimensions=dimensions,
        weights=weights,
        maps=maps,
    )


def test_the_same_content_is_the_same_bytes_whatever_the_row_order(tmp_path: Path) -> None:
    tables = frames(TOY)
    rng = np.random.default_rng(0)
    shuffled = tuple(table[rng.permutation(table.height).tolist()] for table in tables)
    first, second = write(tmp_path / "a", tables), write(tmp_path / "b", shuffled)
    assert first == second
    for name in (*COLUMNS, MANIFEST):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_noise_in_the_last_bits_of_the_weights_does_not_change_the_snapshot(tmp_path: Path) -> None:
    dimensions, weights, maps = frames(TOY)
    noisy = weights.with_columns(pl.col("factors").list.eval(pl.element() * (1 + 2e-16)))
    assert write(tmp_path / "a", (dimensions, weights, maps)) == write(tmp_path / "b", (dimensions, noisy, maps))


def test_another_weight_is_another_snapshot(tmp_path: Path) -> None:
    assert build_snapshot(tmp_path / "a", seed=1).snapshot_id != build_snapshot(tmp_path / "b", seed=2).snapshot_id


def test_files_are_hashed_and_the_manifest_has_no_time_in_it(tmp_path: Path) -> None:
    manifest = build_snapshot(tmp_path / "s", extra_files={"names_first.parquet": b"not read here"})
    assert sorted(manifest.files) == sorted([*COLUMNS, "names_first.parquet"])
    for name, digest in manifest.files.items():
        assert file_digest((tmp_path / "s" / name).read_bytes()) == digest
    stored = json.loads((tmp_path / "s" / MANIFEST).read_text())
    assert stored["snapshot_id"] == manifest.snapshot_id
    assert Manifest.from_json((tmp_path / "s" / MANIFEST).read_text()) == manifest


def test_any_tool_can_read_the_tables(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "s")
    weights = pl.read_parquet(tmp_path / "s" / WEIGHTS)
    assert weights.columns == list(COLUMNS[WEIGHTS])
    row = weights.filter(pl.col("dimension") == "education", pl.col("order") == 3).row(0, named=True)
    assert (row["given"], row["shape"], len(row["factors"])) == (["age", "sex"], [7, 2, 3], 42)


def test_writing_replaces_an_older_snapshot_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "s", seed=1)
    (tmp_path / "s" / "stray").write_text("from an older release")
    manifest = build_snapshot(tmp_path / "s", seed=2)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == sorted([*manifest.files, MANIFEST])


def test_a_full_disk_leaves_the_old_snapshot_and_no_half_of_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build_snapshot(tmp_path / "s", seed=1)
    write_bytes = Path.write_bytes

    def write_until_full(path: Path, content: bytes) -> int:
        if path.name == WEIGHTS:
            write_bytes(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    with pytest.raises(SnapshotError, match=r"cannot write snapshot .*/s: No space left on device; free some space"):
        build_snapshot(tmp_path / "s", seed=2)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert Manifest.from_json((tmp_path / "s" / MANIFEST).read_text()) == before


def test_an_interrupt_while_renaming_puts_the_old_snapshot_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build_snapshot(tmp_path / "s", seed=1)
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if "writing" in path.name:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_snapshot(tmp_path / "s", seed=2)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert Manifest.from_json((tmp_path / "s" / MANIFEST).read_text()) == before


def test_frames_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    dimensions, weights, maps = frames(TOY)
    with pytest.raises(SnapshotError, match=r"weights.parquet: the frame lacks column 'given'"):
        write(tmp_path / "s", (dimensions, weights.drop("given"), maps))
    with pytest.raises(SnapshotError, match=r"maps.parquet: 'age' is not among the dimensions"):
        write(
            tmp_path / "s",
            (dimensions.filter(pl.col("id") != "age"), weights.filter(pl.col("dimension") != "age"), maps),
        )
    with pytest.raises(SnapshotError, match="not a plain file name"):
        build_snapshot(tmp_path / "s", extra_files={"../escape": b""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "format version 99 is unknown"),
        ({"snapshot_id": "0" * 16}, "does not fit its files"),
        ({"files": {}}, "does not list dimensions.parquet"),
        ({"files": 3}, "lacks or garbles"),
        ({"population": {}}, "lacks or garbles"),
        ({"files": {"/etc/passwd": "0"}}, "not a plain file name"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    build_snapshot(tmp_path / "s")
    body = json.loads((tmp_path / "s" / MANIFEST).read_text()) | change
    with pytest.raises(SnapshotError, match=message):
        Manifest.from_json(json.dumps(body))


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_manifest_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(SnapshotError, match="JSON"):
        Manifest.from_json(text)


@given(st.floats(1e-200, 1e200))
def test_rounding_keeps_six_digits_and_is_idempotent(value: float) -> None:
    rounded = round_significant(value)
    assert abs(rounded - value) <= 5.0000001e-6 * value
    assert round_significant(rounded) == rounded


def test_rounding_keeps_structural_zeros() -> None:
    assert round_significant(0.0) == 0.0


def test_publishing_switches_readers_to_a_whole_copy_and_keeps_the_one_before(tmp_path: Path) -> None:
    one, two = build_snapshot(tmp_path / "a", seed=1), build_snapshot(tmp_path / "b", seed=2)
    target = tmp_path / "serving" / "us"
    publish_snapshot(tmp_path / "a", target, one.snapshot_id)
    reader = Snapshot.load(target)
    publish_snapshot(tmp_path / "b", target, two.snapshot_id)
    assert Snapshot.load(target).id == two.snapshot_id
    assert reader.id == one.snapshot_id and reader.maps().num_rows  # who reads the old one may go on
    publish_snapshot(tmp_path / "a", target, one.snapshot_id)
    publish_snapshot(tmp_path / "a", target, one.snapshot_id)
    kept = {p.name for p in target.parent.iterdir()}
    assert kept == {"us", f"us@{one.snapshot_id}"}


def test_publishing_over_a_plain_folder_replaces_it(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "serving" / "us", seed=1)
    two = build_snapshot(tmp_path / "b", seed=2)
    publish_snapshot(tmp_path / "b", tmp_path / "serving" / "us", two.snapshot_id)
    assert Snapshot.load(tmp_path / "serving" / "us").id == two.snapshot_id


def test_a_publication_that_fails_leaves_what_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = build_snapshot(tmp_path / "a", seed=1), build_snapshot(tmp_path / "b", seed=2)
    target = tmp_path / "serving" / "us"
    publish_snapshot(tmp_path / "a", target, one.snapshot_id)

    def full(self: Path, *args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "symlink_to", full)
    with pytest.raises(SnapshotError, match="cannot publish snapshot"):
        publish_snapshot(tmp_path / "b", target, two.snapshot_id)
    assert Snapshot.load(target).id == one.snapshot_id


def test_a_report_changes_no_id_and_stands_beside_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    before = build_snapshot(folder).snapshot_id
    write_report(folder, {"maps": 3}, "<p>first</p>")
    write_report(folder, {"maps": 4}, "<p>second</p>")
    again = Snapshot.load(folder)
    assert (again.id, again.manifest.headlines) == (before, {"maps": 4})
    assert (folder / REPORT).read_text(encoding="utf-8") == "<p>second</p>"
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_a_report_on_no_snapshot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"cannot write the report of snapshot .*; export the snapshot again"):
        write_report(tmp_path, {}, "")
