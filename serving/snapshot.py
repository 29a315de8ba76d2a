"""Loading a snapshot: verify its hashes, check its shape, hold its tables in memory.

Here belongs everything between a folder on disk and arrays that a sampler can use. Drawing from them is
`serving.sampler`; the format itself is `warehouse.snapshot_format`.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from serving.ages import check_ages
from serving.incomes import EMPLOYMENT, Spread, read_low_incomes
from warehouse.errors import SamplingError, SnapshotError
from warehouse.names.files import FILES
from warehouse.particulars import AGES, INCOMES, JOB_TITLE, OF_NAMES, TITLES, title_categories
from warehouse.snapshot_format import (
    DIMENSIONS,
    MANIFEST,
    MAPS,
    MAX_CATEGORIES,
    WEIGHTS,
    Manifest,
    arrow_schema,
    file_digest,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from serving.names import Names
    from serving.particulars import Particulars

# Categories of these dimensions a name depends on; what a name file knows of them must be what the snapshot has.
NAMED_BY = {"sexes": "sex", "ethnicities": "ethnicity", "nativities": "nativity", "heritages": "heritage"}
PACKAGED = Path(__file__).parent / "snapshots"
DEFAULT = "us"  # population of whoever names none

# The product of the factors of one persona must stay a normal f64, or the draw is undefined.
LARGEST_PRODUCT = 1e300


@dataclass(frozen=True, slots=True)
class Factor:
    """One multiplicative factor of P(dimension | parents).

    `table` has shape (rows, categories), f64, read-only; a row is the mixed-radix index of the codes of
    `given`, the first being the most significant. `given` is () for the base.
    """

    given: tuple[str, ...]
    sizes: tuple[int, ...]
    table: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SnapshotDimension:
    """One dimension as the snapshot stores it; `factors` in the order in which they are multiplied."""

    position: int
    id: str
    label: str
    tier: int
    definition: str
    ordinal: bool
    sensitive: bool
    categories: tuple[str, ...]
    category_labels: tuple[str, ...]
    parents: tuple[str, ...]
    factors: tuple[Factor, ...]
    code_of: Mapping[str, int] = field(repr=False)

    def code(self, category: str) -> int:
        """Code of a category id; SamplingError names near ones, or all there are, if it is unknown."""
        try:
            return self.code_of[category]
        except KeyError:
            hint = f": use one of {', '.join(self.categories)}"
            if near := near_ones(category, self.categories):
                hint = f": did you mean {' or '.join(near)}?"
            raise SamplingError(
                f"dimension {self.id!r} has no category {category!r}{hint}", about=self.id, allowed=self.categories
            ) from None


class Snapshot:
    """A verified snapshot in memory.

    Attributes:
        manifest: what `manifest.json` says.
        dimensions: in sampling order, parents before children.
        folder: where it was loaded from.
        low_incomes: how the lowest band of `personal_income` is filled, for each category of `employment`, see
            `serving.incomes`; empty in snapshots that do not tell.
        named_by_faith: the dimension that tells a person's faith, where names differ by that.
    """

    def __init__(self, manifest: Manifest, dimensions: tuple[SnapshotDimension, ...], folder: Path) -> None:
        self.manifest = manifest
        self.dimensions = dimensions
        self.folder = folder
        self._by_id = {dimension.id: dimension for dimension in dimensions}
        self.named_by_faith: str | None = None
        self._particulars: dict[str, Particulars] = {}
        self.low_incomes: tuple[Spread, ...] = ()

    @classmethod
    def load(cls, place: str | os.PathLike[str] = DEFAULT) -> Snapshot:
        """Load and verify a snapshot: its folder, or of a packaged one the population, such as `us`, or the id.

        Raises SnapshotError if it is missing, of an unknown format, or does not match its hashes.
        """
        folder = find_snapshot(place).resolve()  # whatever is published there later, this one is read whole
        manifest = read_manifest(folder)
        contents = {name: _read_verified(folder, name, digest) for name, digest in manifest.files.items()}
        try:
            dimensions = _dimensions(_rows(contents[DIMENSIONS], DIMENSIONS), _rows(contents[WEIGHTS], WEIGHTS))
        except SnapshotError as error:
            raise SnapshotError(f"snapshot {folder} is malformed: {error}; export it again") from None
        loaded = cls(manifest, dimensions, folder)
        if loaded.has_names:
            from serving.name_files import check_names  # noqa: PLC0415  # read only where there are names

            loaded.named_by_faith = check_names(contents, **loaded._named_by())
            if loaded.named_by_faith not in {None, *loaded._by_id}:
                raise SnapshotError(f"snapshot {folder} has no {loaded.named_by_faith!r}, by which it has names")
        for name in OF_NAMES:
            if name in contents:
                loaded._particulars[name] = loaded._read_particulars(name, contents[name])
        if told := loaded.particulars(AGES):
            check_ages(told)
        if INCOMES in contents:
            loaded.low_incomes = read_low_incomes(contents[INCOMES], loaded.dimension(EMPLOYMENT).categories)
        return loaded

    @cached_property
    def id(self) -> str:
        """16 hex digits that stand for the whole content."""
        return self.manifest.snapshot_id

    @cached_property
    def manifest_digest(self) -> str:
        """SHA-256 of the manifest, which stands for edition, labels and strategies besides the content."""
        return hashlib.sha256(self.manifest.to_json().encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def as_of(self) -> date:
        """Default date at which ages hold: the first day of the edition's month, else 1 July of the
        population's year. Never today, so that the same call gives the same person in any year."""
        year, _, month = self.manifest.edition.partition(".")
        try:
            return date(int(year), int(month), 1)
        except ValueError:
            return date(self.manifest.population.year, 7, 1)

    def dimension(self, identifier: str) -> SnapshotDimension:
        """The dimension of that id; SamplingError names near ones if it is unknown."""
        try:
            return self._by_id[identifier]
        except KeyError:
            raise SamplingError(
                f"unknown dimension {identifier!r}{suggest(identifier, self._by_id)}",
                about=identifier,
                allowed=tuple(self._by_id),
            ) from None

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._by_id

    @cached_property
    def sensitive(self) -> tuple[str, ...]:
        """Ids of the dimensions that hold special-category data."""
        return tuple(dimension.id for dimension in self.dimensions if dimension.sensitive)

    @property
    def has_names(self) -> bool:
        """Whether the snapshot carries name tables; does not read them."""
        return set(FILES) <= self.manifest.files.keys() and self._by_id.keys() >= set(NAMED_BY.values())

    @cached_property
    def names(self) -> Names | None:
        """The name tables, read on first use; None if the snapshot carries none."""
        if not self.has_names:
            return None
        from serving.names import Names  # noqa: PLC0415  # read only when names are wanted

        religions = self.dimension(self.named_by_faith).categories if self.named_by_faith else ()
        return Names.load(self.folder, **self._named_by(), religions=religions)

    def particulars(self, name: str) -> Particulars | None:
        """The places, job titles, years of ages or details, by file name; None if the snapshot carries none."""
        return self._particulars.get(name)

    def _read_particulars(self, name: str, content: bytes) -> Particulars:
        from serving.particulars import Particulars  # noqa: PLC0415  # read only where there are any

        categories: dict[str, Sequence[str]] = {d.id: d.categories for d in self.dimensions}
        if titles := self.particulars(TITLES):  # which are read before what hangs on them
            categories[JOB_TITLE] = title_categories(titles.names[:-1])
        return Particulars.read(content, name, categories)

    def _named_by(self) -> dict[str, tuple[str, ...]]:
        return {argument: self.dimension(dimension).categories for argument, dimension in NAMED_BY.items()}

    @cached_property
    def _maps(self) -> pa.Table:
        return _table(_read_verified(self.folder, MAPS, self.manifest.files[MAPS]), MAPS)

    def maps(self) -> pa.Table:
        """The pooled maps, for explanations: columns of `COLUMNS[MAPS]`. Read on the first call, then kept."""
        return self._maps

    def cells(self, dimension: str, category: str | None = None) -> list[dict[str, Any]]:
        """The cells of one dimension's pooled maps, as `maps` has them; those of one category if it is named."""
        import pyarrow.compute as pc  # noqa: PLC0415  # keeps `import serving` light

        table = self.maps()
        chosen = pc.equal(table["dimension"], dimension)
        if category is not None:
            chosen = pc.and_(chosen, pc.equal(table["category"], category))
        found: list[dict[str, Any]] = table.filter(chosen).to_pylist()
        return found

    def __reduce__(self) -> tuple[Callable[[str, str], Snapshot], tuple[str, str]]:
        # A packaged one travels by name: elsewhere the package may be installed in another place.
        packaged = self.folder.parent == PACKAGED.resolve()
        return _loaded_again, (self.folder.name if packaged else str(self.folder), self.id)

    def __repr__(self) -> str:
        return (
            f"Snapshot({self.manifest.population.id!r}, id={self.id!r}, edition={self.manifest.edition!r}, "
            f"{len(self.dimensions)} dimensions)"
        )


@lru_cache(maxsize=4)
def _loaded_again(place: str, identifier: str) -> Snapshot:
    """Unpickle: a snapshot travels as its place and id, so that whoever receives it needs the same files."""
    snapshot = Snapshot.load(place)
    if snapshot.id != identifier:
        raise SnapshotError(f"{place!r} is snapshot {snapshot.id} here, not {identifier}: provide the same one")
    return snapshot


def suggest(wrong: str, known: Mapping[str, object] | list[str]) -> str:
    """Tail of an error message: the nearest known names, or all of them when they are few."""
    if near := near_ones(wrong, known):
        return f": did you mean {' or '.join(near)}?"
    shown = list(known)[:8]
    return f": there is {', '.join(shown)}{', ...' if len(known) > len(shown) else ''}"


def near_ones(wrong: str, known: Iterable[str]) -> list[str]:
    """The known ids, three at most, that are likest to a wrong one, whatever its capitals and spaces."""
    from difflib import get_close_matches  # noqa: PLC0415  # error path only

    return get_close_matches(wrong.casefold().replace(" ", "_"), list(known), n=3, cutoff=0.5)


def find_snapshot(place: str | os.PathLike[str]) -> Path:
    """Folder of a snapshot, by path, else by the population of a packaged one, else by its id."""
    path, text = Path(place), os.fspath(place)
    if text and (path / MANIFEST).is_file():
        return path
    if text and Path(text).name == text and (PACKAGED / text / MANIFEST).is_file():
        return PACKAGED / text
    if text and path.exists():
        raise SnapshotError(f"{path} is not a snapshot: it holds no {MANIFEST}; give the folder of one")
    packaged = {population: read_manifest(PACKAGED / population).snapshot_id for population in packaged_populations()}
    for population, identifier in packaged.items():
        if text == identifier:
            return PACKAGED / population
    said = ", ".join(f"{population} ({identifier})" for population, identifier in packaged.items())
    known = f"packaged are: {said}" if packaged else "none is packaged"
    raise SnapshotError(f"no snapshot {text!r}: {known}; give one of them or the path of a folder")


def packaged_populations() -> list[str]:
    """Populations whose snapshot is installed with the package, the default one first."""
    found = (manifest.parent.name for manifest in PACKAGED.glob(f"*/{MANIFEST}"))
    return sorted(found, key=lambda population: (population != DEFAULT, population))


def read_manifest(folder: Path) -> Manifest:
    """Manifest of a snapshot folder; errors name the folder and the remedy."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SnapshotError(f"cannot read {folder / MANIFEST}: {_reason(error)}; export the snapshot again") from None
    try:
        return Manifest.from_json(text)
    except SnapshotError as error:
        remedy = (
            "upgrade personagen, or export it again" if "format version" in str(error) else "export the snapshot again"
        )
        raise SnapshotError(f"snapshot {folder}: {error}; {remedy}") from None


def _read_verified(folder: Path, name: str, digest: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise SnapshotError(
            f"snapshot {folder} is incomplete: cannot read {name} ({_reason(error)}); export it again"
        ) from None
    if file_digest(content) != digest:
        raise SnapshotError(f"snapshot {folder} is damaged: {name} does not match its SHA-256; export it again")
    return content


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _table(content: bytes, name: str) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        # Not `pq.read_table`, and unbuffered: else threads start whatever is asked for, and one that is still there
        # when a short process ends can abort it (apache/arrow#34314).
        with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
            return file.read(arrow_schema(name).names, use_threads=False)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise SnapshotError(f"{name} cannot be read ({str(error).splitlines()[0]})") from None


def _rows(content: bytes, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table(content, name).to_pylist()
    return rows


def _dimensions(
    dimension_rows: list[dict[str, Any]], weight_rows: list[dict[str, Any]]
) -> tuple[SnapshotDimension, ...]:
    """Assemble and check: parents come first, shapes fit, factors are finite and not negative."""
    stored: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(weight_rows, key=lambda row: row["order"]):
        stored.setdefault(row["dimension"], []).append(row)

    sizes: dict[str, int] = {}
    dimensions: list[SnapshotDimension] = []
    for row in sorted(dimension_rows, key=lambda row: row["position"]):
        name, categories, parents = row["id"], tuple(row["categories"]), tuple(row["parents"])
        if name in sizes:
            raise SnapshotError(f"dimension {name!r} occurs twice")
        if not 1 <= len(categories) <= MAX_CATEGORIES or len(set(categories)) < len(categories):
            raise SnapshotError(f"dimension {name!r} needs 1 to {MAX_CATEGORIES} distinct categories")
        if len(row["category_labels"]) != len(categories):
            raise SnapshotError(f"dimension {name!r} has not one label per category")
        if unknown := [parent for parent in parents if parent not in sizes]:
            raise SnapshotError(f"dimension {name!r} comes before its parent {unknown[0]!r}")
        factors = tuple(_factor(name, len(categories), parents, sizes, weights) for weights in stored.get(name, []))
        if not factors or factors[0].given:
            raise SnapshotError(f"dimension {name!r} has no base weights")
        if math.prod(float(factor.table.max()) for factor in factors) > LARGEST_PRODUCT:
            raise SnapshotError(f"the weights of dimension {name!r} overflow when multiplied")
        sizes[name] = len(categories)
        dimensions.append(
            SnapshotDimension(
                position=len(dimensions),
                id=name,
                label=row["label"],
                tier=row["tier"],
                definition=row["definition"],
                ordinal=row["ordinal"],
                sensitive=row["sensitive"],
                categories=categories,
                category_labels=tuple(row["category_labels"]),
                parents=parents,
                factors=factors,
                code_of={category: code for code, category in enumerate(categories)},
            )
        )
    if orphan := set(stored) - sizes.keys():
        raise SnapshotError(f"there are weights for the unknown dimension {min(orphan)!r}")
    return tuple(dimensions)


def _factor(
    name: str, width: int, parents: tuple[str, ...], sizes: Mapping[str, int], row: Mapping[str, Any]
) -> Factor:
    given = tuple(row["given"])
    if unknown := [parent for parent in given if parent not in parents]:
        raise SnapshotError(f"weights of {name!r} are given {unknown[0]!r}, which is not a parent of it")
    given_sizes = tuple(sizes[parent] for parent in given)
    if tuple(row["shape"]) != (*given_sizes, width) or len(row["factors"]) != math.prod(row["shape"]):
        raise SnapshotError(f"weights of {name!r} given ({', '.join(given)}) have the wrong shape")
    table = np.array(row["factors"], dtype=np.float64).reshape(-1, width)
    if not (np.isfinite(table).all() and (table >= 0).all()):
        raise SnapshotError(f"weights of {name!r} given ({', '.join(given)}) are not all finite and positive")
    table.flags.writeable = False
    return Factor(given, given_sizes, table)
