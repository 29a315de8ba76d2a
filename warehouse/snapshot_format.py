"""The snapshot folder: its files, columns, manifest and writer.

Here belongs what the exporter and the loader must agree on, and the one function that writes a snapshot. What
goes into it is decided by the pipeline; reading and checking one is `serving.snapshot`. Nothing here depends
on time, user or machine: the same frames give the same bytes, so a rebuilt snapshot has the same id.
"""

from __future__ import annotations

import errno
import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.errors import SnapshotError
from warehouse.parquet import parquet_bytes

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

FORMAT_VERSION = 2
SIGNIFICANT_DIGITS = 6
MAX_CATEGORIES = 255

MANIFEST = "manifest.json"
REPORT = "report.html"  # the page about the snapshot; no part of what is hashed
DIMENSIONS = "dimensions.parquet"
WEIGHTS = "weights.parquet"
MAPS = "maps.parquet"
TABLES = (DIMENSIONS, WEIGHTS, MAPS)

_TEXT, _TEXTS = "string", "list<string>"
COLUMNS: Mapping[str, Mapping[str, str]] = {
    DIMENSIONS: {
        "position": "int32",
        "id": _TEXT,
        "label": _TEXT,
        "tier": "int32",
        "definition": _TEXT,
        "ordinal": "bool",
        "sensitive": "bool",
        "categories": _TEXTS,
        "category_labels": _TEXTS,
        "parents": _TEXTS,
    },
    WEIGHTS: {
        "dimension": _TEXT,
        "order": "int32",
        "given": _TEXTS,
        "shape": "list<int32>",
        "factors": "list<double>",
    },
    MAPS: {
        "dimension": _TEXT,
        "given": _TEXTS,
        "condition": _TEXTS,
        "category": _TEXT,
        "probability": "double",
        "spread": "double",
        "models": "int32",
    },
}


@dataclass(frozen=True, slots=True)
class PopulationInfo:
    """Who the probabilities are about, e.g. `us`, adults living in the United States, 2025, USD."""

    id: str
    label: str
    year: int
    currency: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of `manifest.json`.

    `strategies` holds per dimension `winner`, `runner_up`, `margin` and `override_reason`; `files` the
    SHA-256 of each file's bytes; `panel` names the models whose answers were pooled. `headlines` are the numbers of the
    report that sum the snapshot up: measured afterwards, so that no id hangs on them.
    """

    population: PopulationInfo
    edition: str
    catalogue_hash: str
    files: Mapping[str, str]
    strategies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    licence: str = ""
    provenance: str = ""
    panel: tuple[str, ...] = ()
    headlines: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def snapshot_id(self) -> str:
        """16 hex digits over the file hashes and the catalogue hash: the same content has the same id."""
        lines = [f"{name} {digest}" for name, digest in sorted(self.files.items())]
        return hashlib.sha256("\n".join([*lines, self.catalogue_hash]).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Text of the file, keys sorted, ending in a newline."""
        body = {
            "format_version": self.format_version,
            "snapshot_id": self.snapshot_id,
            "population": {
                "id": self.population.id,
                "label": self.population.label,
                "year": self.population.year,
                "currency": self.population.currency,
            },
            "edition": self.edition,
            "catalogue_hash": self.catalogue_hash,
            "strategies": {name: dict(choice) for name, choice in self.strategies.items()},
            "files": dict(self.files),
            "licence": self.licence,
            "provenance": self.provenance,
            "panel": list(self.panel),
        }
        if self.headlines:
            body["headlines"] = dict(self.headlines)
        return json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parse a manifest.

        Raises SnapshotError without naming the folder, which the caller knows: not JSON, another format
        version, a missing or ill-typed entry, a file name that is a path, or an id that does not fit the
        files.
        """
        try:
            body = json.loads(text)
        except ValueError:
            raise SnapshotError(f"{MANIFEST} is not JSON") from None
        if not isinstance(body, dict):
            raise SnapshotError(f"{MANIFEST} is not a JSON object")
        version = body.get("format_version")
        if version != FORMAT_VERSION:
            raise SnapshotError(f"format version {version!r} is unknown, this release reads {FORMAT_VERSION}")
        try:
            population = body["population"]
            manifest = cls(
                population=PopulationInfo(
                    id=str(population["id"]),
                    label=str(population["label"]),
                    year=int(population["year"]),
                    currency=str(population["currency"]),
                ),
                edition=str(body["edition"]),
                catalogue_hash=str(body["catalogue_hash"]),
                files={str(name): str(digest) for name, digest in body["files"].items()},
                strategies=body.get("strategies", {}),
                licence=str(body.get("licence", "")),
                provenance=str(body.get("provenance", "")),
                panel=tuple(str(model) for model in body.get("panel", ())),
                headlines=dict(body.get("headlines", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotError(f"{MANIFEST} lacks or garbles an entry ({error})") from None
        for name in manifest.files:
            if Path(name).name != name or name in {MANIFEST, ".", ".."}:
                raise SnapshotError(f"{MANIFEST} lists {name!r}, which is not a plain file name")
        if missing := [name for name in TABLES if name not in manifest.files]:
            raise SnapshotError(f"{MANIFEST} does not list {missing[0]}")
        if body.get("snapshot_id") != manifest.snapshot_id:
            raise SnapshotError(f"{MANIFEST} has a snapshot id that does not fit its files")
        return manifest


def file_digest(content: bytes) -> str:
    """SHA-256 of a file's bytes, hex."""
    return hashlib.sha256(content).hexdigest()


def round_significant(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """Round to significant decimal digits, correctly rounded; absorbs last-bit differences between CPUs."""
    return float(f"{value:.{digits - 1}e}")


def write_snapshot(
    folder: Path,
    *,
    population: PopulationInfo,
    edition: str,
    catalogue_hash: str,
    dimensions: pl.DataFrame,
    weights: pl.DataFrame,
    maps: pl.DataFrame,
    strategies: Mapping[str, Mapping[str, Any]] | None = None,
    licence: str = "",
    provenance: str = "",
    panel: tuple[str, ...] = (),
    extra_files: Mapping[str, pl.DataFrame | bytes] | None = None,
) -> Manifest:
    """Write a snapshot and return its manifest.

    The frames have the columns of `COLUMNS`, in any row order (`maps` may be empty). `weights.factors` are
    the exponentiated factors, row-major over (*sizes of given, categories); they and the maps' numbers are
    rounded to 6 significant digits here. `extra_files` (names and the like) are listed and hashed with the
    rest.

    The folder is written under a temporary name beside its place and renamed when complete; an older snapshot
    at that place is replaced whole. On any failure nothing is left behind and the old one stands.

    Raises SnapshotError if the frames do not fit the format or the disk is full or read-only.
    """
    import polars as pl  # noqa: PLC0415  # half a second that readers of a snapshot need not pay

    frames = dict(zip(TABLES, _in_order(dimensions, weights, maps), strict=True))
    contents = {name: _parquet_bytes(frame, name) for name, frame in frames.items()}
    for name, extra in (extra_files or {}).items():
        contents[name] = _parquet_bytes(extra, None) if isinstance(extra, pl.DataFrame) else extra
    manifest = Manifest(
        population=population,
        edition=edition,
        catalogue_hash=catalogue_hash,
        files={name: file_digest(content) for name, content in sorted(contents.items())},
        strategies=strategies or {},
        licence=licence,
        provenance=provenance,
        panel=panel,
    )
    # Round trip: whatever a reader would refuse is refused before anything is written.
    text = manifest.to_json()
    Manifest.from_json(text)
    _replace_folder(folder, {**contents, MANIFEST: text.encode()})
    return manifest


def write_report(folder: Path, headlines: Mapping[str, Any], page: str) -> None:
    """Put the report beside a snapshot's files, and its headline numbers into the manifest; the id stays what it was.

    Both files are replaced in one step each, for readers who may be reading. Raises SnapshotError if there is no
    snapshot or the disk is full or read-only.
    """
    try:
        manifest = Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))
        texts = {REPORT: page, MANIFEST: replace(manifest, headlines=headlines).to_json()}
        for name, text in texts.items():
            new = folder / f".{name}.{secrets.token_hex(4)}"
            try:
                new.write_text(text, encoding="utf-8")
                new.replace(folder / name)
            finally:
                new.unlink(missing_ok=True)
    except OSError as error:
        raise SnapshotError(
            f"cannot write the report of snapshot {folder}: {error.strerror or error}; export the snapshot again"
        ) from None


def publish_snapshot(source: Path, target: Path, snapshot_id: str) -> None:
    """Put a copy of the snapshot in `source` at `target`, for readers who may be reading what is there now.

    `target` becomes a link to the folder `<target>@<snapshot id>` beside it and is switched in one step, so that it
    always names a whole snapshot; readers resolve it once. The folder that it named before stays until the next time,
    for those who still read it. Raises SnapshotError if the disk is full or read-only; then the old one stands.
    """
    folder = target.absolute().with_name(f"{target.name}@{snapshot_id}")
    link = folder.with_name(f".{target.name}.{secrets.token_hex(4)}")
    before = target.resolve() if target.is_symlink() else None
    try:
        _replace_folder(folder, {path.name: path.read_bytes() for path in source.iterdir()})
        link.symlink_to(folder.name)
        if target.is_dir() and before is None:  # a folder of an earlier release, which no link can replace in one step
            target.rename(folder.with_name(f"{target.name}@before"))
        link.replace(target)
    except OSError as error:
        link.unlink(missing_ok=True)
        raise SnapshotError(
            f"cannot publish snapshot {target}: {error.strerror or error}; free some space there and promote it again"
        ) from None
    for old in folder.parent.glob(f"{target.name}@*"):
        if old not in (folder, before):
            shutil.rmtree(old, ignore_errors=True)


def _in_order(
    dimensions: pl.DataFrame, weights: pl.DataFrame, maps: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows in one canonical order and numbers rounded, so that equal content is equal bytes."""
    import polars as pl  # noqa: PLC0415

    for name, frame in zip(TABLES, (dimensions, weights, maps), strict=True):
        if missing := [column for column in COLUMNS[name] if column not in frame.columns]:
            raise SnapshotError(f"cannot write {name}: the frame lacks column {missing[0]!r}")

    dimensions = dimensions.sort("position")
    rank = {identifier: place for place, identifier in enumerate(dimensions["id"].to_list())}
    for name, frame in ((WEIGHTS, weights), (MAPS, maps)):
        if unknown := set(frame["dimension"].to_list()) - rank.keys():
            raise SnapshotError(f"cannot write {name}: {min(unknown)!r} is not among the dimensions")

    rounded = [[round_significant(value) for value in row] for row in weights["factors"].to_list()]
    weights = (
        weights.with_columns(pl.Series("factors", rounded, dtype=pl.List(pl.Float64)))
        .with_columns(_rank=pl.col("dimension").replace_strict(rank, return_dtype=pl.Int32))
        .sort("_rank", "order")
    )
    category_rank = {
        (row["id"], category): place
        for row in dimensions.iter_rows(named=True)
        for place, category in enumerate(row["categories"])
    }

    def map_key(row: dict[str, Any]) -> tuple[Any, ...]:
        cells = [*zip(row["given"], row["condition"], strict=True), (row["dimension"], row["category"])]
        places = [category_rank.get(cell, MAX_CATEGORIES) for cell in cells]
        return rank[row["dimension"]], len(row["given"]), row["given"], places

    keys = [map_key(row) for row in maps.iter_rows(named=True)]
    maps = maps[sorted(range(maps.height), key=keys.__getitem__)]
    for column in ("probability", "spread"):
        values = [None if v is None else round_significant(v) for v in maps[column].to_list()]
        maps = maps.with_columns(pl.Series(column, values, dtype=pl.Float64))
    return dimensions, weights, maps


def _parquet_bytes(frame: pl.DataFrame, name: str | None) -> bytes:
    """Serialise with all settings fixed; `name` selects columns and types of the format, None keeps all."""
    import pyarrow as pa  # noqa: PLC0415

    table = frame.to_arrow()
    if name is not None:
        try:
            table = table.select(list(COLUMNS[name])).cast(arrow_schema(name))
        except pa.ArrowException as error:
            raise SnapshotError(f"cannot write {name}: {str(error).splitlines()[0]}") from None
    return parquet_bytes(table)


def arrow_schema(name: str) -> pa.Schema:
    """Arrow schema of one table of the format, by file name."""
    import pyarrow as pa  # noqa: PLC0415

    types = {
        "string": pa.string(),
        "bool": pa.bool_(),
        "int32": pa.int32(),
        "double": pa.float64(),
        "list<string>": pa.list_(pa.string()),
        "list<int32>": pa.list_(pa.int32()),
        "list<double>": pa.list_(pa.float64()),
    }
    return pa.schema([(column, types[kind]) for column, kind in COLUMNS[name].items()])


def _replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Put a folder of files in place as a whole, or not at all."""
    folder = folder.absolute()
    token = secrets.token_hex(4)
    building = folder.with_name(f".{folder.name}.writing-{token}")
    retired = folder.with_name(f".{folder.name}.retired-{token}")
    try:
        building.mkdir(parents=True)
        for name, content in contents.items():
            (building / name).write_bytes(content)
        try:
            if folder.exists():
                folder.rename(retired)
            building.rename(folder)
        except BaseException:
            if retired.exists() and not folder.exists():
                retired.rename(folder)
            raise
    except OSError as error:
        remedy = "free some space" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "choose another folder"
        raise SnapshotError(
            f"cannot write snapshot {folder}: {error.strerror or error}; {remedy} and run it again"
        ) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if folder.exists():  # else the retired one is the only copy, and stays
            shutil.rmtree(retired, ignore_errors=True)
