"""What differs between two snapshots: what they hold, what they say, and which personas of a seed are others.

Here belong measures on two loaded snapshots, and their text. How certain a change is, given how far the models
disagree, is a matter of editions and of the pipeline; drawing is `serving.sampler`.

Distances are total variations. One of a map or of a marginal is exact where it follows from the tables; otherwise the
same people, by seed and index, are drawn from both, and the figure comes with its standard error: with s the sign of
each category's change, the distance is the mean over people of (s[category after] - s[category before]) / 2. Never
negative, it is somewhat too large where it is no larger than its error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.batch import Batch, derived_needs
from serving.counter import Seed
from serving.incomes import INCOME
from serving.lookahead import Lookahead
from serving.particulars import FIELDS
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.errors import SnapshotError
from warehouse.names.files import FILES
from warehouse.particulars import AGES, INCOMES
from warehouse.particulars import FILES as PARTICULARS

PEOPLE = 20_000
CELLS = 2_000_000  # of the joint table of a dimension and all that it depends on, up to which a marginal is exact
NAMES = ("first_name", "last_name")
FILE_OF = {"age_years": AGES, INCOME: INCOMES, **FIELDS}
"""Derived fields that hang on a file of their own besides dimensions."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MapDifference:
    """How far one map moved.

    `tv` is the mean over its conditions, each weighing what the people drawn from both snapshots put there; `worst_tv`
    the largest of any condition, which `worst_condition` names in the order of `given`.
    """

    dimension: str
    given: tuple[str, ...]
    tv: float
    worst_tv: float
    worst_condition: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarginalDifference:
    """How far one dimension moved among the people.

    `tv` is the distance of its marginals, `error` its standard error, 0 where it is exact; `changed` the share of the
    people drawn whose value is another.
    """

    dimension: str
    tv: float
    error: float
    changed: float


@dataclass(frozen=True, slots=True)
class PersonaDifference:
    """One persona of whom something is another: field -> (before, after)."""

    index: int
    changes: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two snapshots of one population; lists of distances have the largest first.

    Attributes:
        population, before, after: its id, and the ids of the snapshots.
        manifest: entries of the manifests that differ: name -> (before, after).
        gone, new: dimensions that only the first or only the second has.
        redefined: dimensions of both whose categories differ, which are not compared further.
        rewired: dimensions of both with other givens: id -> (before, after).
        strategies: dimensions combined in another way: id -> (before, after).
        maps_gone, maps_new: maps, as (dimension, *given), that only one of them has.
        maps, marginals: those that moved.
        name_files: files of names and particulars (places, titles, ages, incomes) that differ.
        names: share of the people drawn whose first or last name is another; None if a snapshot has no names.
        derived: of the fields whose files differ, the share of the people drawn who have another.
        people, seed: how many were drawn from each, and with what.
        changed: indices of the people of whom a dimension, a name or such a field is another.
        examples: the first of them.
    """

    population: str
    before: str
    after: str
    manifest: Mapping[str, tuple[str, str]]
    gone: tuple[str, ...]
    new: tuple[str, ...]
    redefined: tuple[str, ...]
    rewired: Mapping[str, tuple[str, str]]
    strategies: Mapping[str, tuple[str, str]]
    maps_gone: tuple[tuple[str, ...], ...]
    maps_new: tuple[tuple[str, ...], ...]
    maps: tuple[MapDifference, ...]
    marginals: tuple[MarginalDifference, ...]
    name_files: tuple[str, ...]
    names: float | None
    derived: Mapping[str, float]
    people: int
    seed: Seed
    changed: tuple[int, ...]
    examples: tuple[PersonaDifference, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)

    def to_text(self, top: int = 20) -> str:
        """Lines for a terminal, at most `top` rows of each table."""
        if self.before == self.after:
            return f"both are snapshot {self.before} of {self.population}: nothing differs"
        lines = [f"population {self.population}, snapshots {self.before} and {self.after}"]
        lines += [f"{name}: {old} -> {new}" for name, (old, new) in self.manifest.items()]
        for title, ids in (("gone", self.gone), ("new", self.new), ("other categories", self.redefined)):
            if ids:
                lines.append(f"dimensions, {title}: {', '.join(ids)}")
        for title, given in (("gone", self.maps_gone), ("new", self.maps_new)):
            if given:
                shown = ", ".join(_map_name(one[0], one[1:]) for one in given[:top])
                lines.append(f"maps, {title} ({len(given)}): {shown}{', ...' if len(given) > top else ''}")
        lines += _section("givens", ("dimension", "before", "after"), _pairs(self.rewired), top)
        lines += _section("strategies", ("dimension", "before", "after"), _pairs(self.strategies), top)
        maps = [(_map_name(m.dimension, m.given), f"{m.tv:.4f}", f"{m.worst_tv:.4f}", _condition(m)) for m in self.maps]
        lines += _section("maps", ("map", "TV", "worst", "where"), maps, top)
        marginals = [(m.dimension, f"{m.tv:.4f}", _error(m), f"{m.changed:.1%}") for m in self.marginals]
        lines += _section("people", ("dimension", "TV", "error", "another value"), marginals, top)
        if self.name_files:
            lines.append(
                f"\nfiles of names, places, titles, ages and incomes that differ: {', '.join(self.name_files)}"
            )
        if self.names:
            lines.append(f"\nanother name: {_share(self.names, self.people)}")
        lines += [f"\nanother {field}: {_share(share, self.people)}" for field, share in self.derived.items()]
        share = _share(len(self.changed) / self.people, self.people)
        lines.append(f"\nanother persona in some value: {share} of {self.people:,} of seed {self.seed!r}")
        for one in self.examples:
            changes = [f"{name} {old} -> {new}" for name, (old, new) in one.changes.items()]
            more = f", and {len(changes) - 6} more" if len(changes) > 6 else ""
            lines.append(f"  index {one.index}: {', '.join(changes[:6])}{more}")
        return "\n".join(lines)


def compare(
    before: Snapshot, after: Snapshot, *, people: int = PEOPLE, seed: Seed = 0, examples: int = 3
) -> Difference:
    """Compare two snapshots on `people` personas of one seed, both drawn at the first one's date.

    Raises SnapshotError if they are of different populations.
    """
    populations = [snapshot.manifest.population.id for snapshot in (before, after)]
    if populations[0] != populations[1]:
        raise SnapshotError(
            f"{before.folder} is about {populations[0]!r}, {after.folder} about {populations[1]!r}: "
            "compare snapshots of one population"
        )
    common = [d.id for d in before.dimensions if d.id in after]
    shared = [name for name in common if before.dimension(name).categories == after.dimension(name).categories]
    named = before.has_names and after.has_names
    moved = [
        name for name in (*FILES, *PARTICULARS) if before.manifest.files.get(name) != after.manifest.files.get(name)
    ]
    known = derived_needs(before).keys() & derived_needs(after).keys()
    derived = [field for field, file in FILE_OF.items() if file in moved and field in known]
    fields = [*shared, *(NAMES if named else ()), *derived]
    old, new = (Sampler(s).sample(people, seed, fields=fields, as_of=before.as_of) for s in (before, after))
    drawn = old, new
    differs = {name: _differs(old, new, name) for name in [*shared, *derived]}
    if named:
        # The same files give who has the same values the same name, and making their tables takes seconds.
        alike = not {*FILES, AGES} & {*moved} and not any(
            differs[n].any() for n in derived_needs(before)[NAMES[0]] if n in differs
        )
        differs |= {name: np.zeros(people, dtype=np.bool_) if alike else _differs(old, new, name) for name in NAMES}
    anybody = np.any(list(differs.values()), axis=0) if differs else np.zeros(people, dtype=np.bool_)
    maps, maps_gone, maps_new = _maps(before, after, drawn, set(shared))
    marginals = [_marginal(name, before, after, drawn, float(differs[name].mean())) for name in shared]
    return Difference(
        population=populations[0],
        before=before.id,
        after=after.id,
        manifest=dict(_manifest(before, after)),
        gone=tuple(d.id for d in before.dimensions if d.id not in after),
        new=tuple(d.id for d in after.dimensions if d.id not in before),
        redefined=tuple(name for name in common if name not in shared),
        rewired={
            name: givens for name in common if (givens := (_givens(before, name), _givens(after, name)))[0] != givens[1]
        },
        strategies=dict(changed_strategies(before, after)),
        maps_gone=maps_gone,
        maps_new=maps_new,
        maps=maps,
        marginals=tuple(sorted((m for m in marginals if m.tv or m.changed), key=lambda m: -m.tv)),
        name_files=tuple(moved),
        names=float((differs[NAMES[0]] | differs[NAMES[1]]).mean()) if named else None,
        derived={field: float(differs[field].mean()) for field in derived},
        people=people,
        seed=seed,
        changed=tuple(drawn[0].indices[anybody].tolist()),
        examples=tuple(_examples(drawn, differs, np.flatnonzero(anybody)[:examples])),
    )


def changed_strategies(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, tuple[str, str]]]:
    """Dimensions that both have and that are combined by another strategy: (id, (before, after))."""
    for name, choice in after.manifest.strategies.items():
        old = before.manifest.strategies.get(name)
        if old is not None and old["winner"] != choice["winner"]:
            yield name, (str(old["winner"]), str(choice["winner"]))


def marginal_of(snapshot: Snapshot, dimension: str) -> Floats | None:
    """The exact marginal of a dimension, f64 (categories,); None if it depends on too much to enumerate."""
    everybody = Lookahead(snapshot, {}, {})
    needed = everybody.with_ancestors(dimension)
    order = [one for one in snapshot.dimensions if one.id in needed]
    if math.prod(len(one.categories) for one in order) > CELLS:
        return None
    return np.asarray(everybody.joint(order).sum(axis=tuple(range(len(order) - 1))))


def _differs(before: Batch, after: Batch, name: str) -> npt.NDArray[np.bool_]:
    """Of whom this field is another, bool (n,)."""
    coded = name in before.snapshot
    old, new = (b.codes(name) if coded else np.array(b.values(name), dtype=object) for b in (before, after))
    return np.asarray(old != new)


def _marginal(
    name: str, before: Snapshot, after: Snapshot, drawn: Sequence[Batch], changed: float
) -> MarginalDifference:
    exact = [marginal_of(snapshot, name) for snapshot in (before, after)]
    if exact[0] is not None and exact[1] is not None:
        return MarginalDifference(name, float(np.abs(exact[0] - exact[1]).sum()) / 2, 0.0, changed)
    codes = [batch.codes(name) for batch in drawn]
    width = len(before.dimension(name).categories)
    old, new = (np.bincount(one, minlength=width) for one in codes)
    sign = np.sign(new - old) / 2
    moved = sign[codes[1]] - sign[codes[0]]
    n = max(len(moved), 1)
    return MarginalDifference(name, float(moved.sum()) / n, float(moved.std()) / math.sqrt(n), changed)


def _maps(
    before: Snapshot, after: Snapshot, drawn: Sequence[Batch], shared: set[str]
) -> tuple[tuple[MapDifference, ...], tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """Maps that moved, and those that only one has or that speak of dimensions which only one has."""
    tables = [_map_tables(snapshot) for snapshot in (before, after)]
    comparable = [key for key in tables[0] if key in tables[1] and set(key) <= shared]
    found = []
    for key in comparable:
        old, new = (table[key] for table in tables)
        conditions = [condition for condition in old if condition in new]
        tv = np.array([_distance(old[condition], new[condition]) for condition in conditions])
        if not tv.any():
            continue
        shares = _shares(key[1:], drawn)
        mass = np.array([shares.get(condition, 0.0) for condition in conditions])
        worst = int(tv.argmax())
        mean = float(tv @ mass) / max(float(mass.sum()), 1e-300)
        found.append(MapDifference(key[0], key[1:], mean, float(tv[worst]), conditions[worst]))
    gone, new_ones = (tuple(key for key in table if key not in comparable) for table in tables)
    return tuple(sorted(found, key=lambda one: -one.tv)), gone, new_ones


def _map_tables(snapshot: Snapshot) -> dict[tuple[str, ...], dict[tuple[str, ...], dict[str, float]]]:
    """Probabilities by (dimension, *given), condition and category."""
    table = snapshot.maps()
    columns = [table[name].to_pylist() for name in ("dimension", "given", "condition", "category", "probability")]
    found: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, float]]] = {}
    for dimension, given, condition, category, probability in zip(*columns, strict=True):
        found.setdefault((dimension, *given), {}).setdefault(tuple(condition), {})[category] = probability
    return found


def _distance(old: Mapping[str, float], new: Mapping[str, float]) -> float:
    return math.fsum(abs(old.get(name, 0.0) - new.get(name, 0.0)) for name in {*old, *new}) / 2


def _shares(given: Sequence[str], drawn: Sequence[Batch]) -> dict[tuple[str, ...], float]:
    """Share of everybody drawn in each condition."""
    if not given:
        return {(): 1.0}
    categories = [drawn[0].snapshot.dimension(name).categories for name in given]
    sizes = tuple(map(len, categories))
    places = [np.ravel_multi_index(tuple(batch.codes(name) for name in given), sizes) for batch in drawn]
    counts = np.bincount(np.concatenate(places), minlength=math.prod(sizes))
    occupied = np.flatnonzero(counts)
    codes = zip(*(axis.tolist() for axis in np.unravel_index(occupied, sizes)), strict=True)
    whole = int(counts.sum())
    return {
        tuple(values[code] for values, code in zip(categories, one, strict=True)): int(counts[place]) / whole
        for place, one in zip(occupied, codes, strict=True)
    }


def _manifest(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, tuple[str, str]]]:
    for name in ("edition", "catalogue_hash", "licence", "panel"):
        old, new = (getattr(snapshot.manifest, name) for snapshot in (before, after))
        if old != new:
            yield name, (_shown(old), _shown(new))


def _shown(value: str | tuple[str, ...]) -> str:
    return value[:16] if isinstance(value, str) else ", ".join(value)


def _givens(snapshot: Snapshot, dimension: str) -> str:
    return ", ".join(" x ".join(factor.given) for factor in snapshot.dimension(dimension).factors if factor.given)


def _examples(
    drawn: Sequence[Batch], differs: Mapping[str, npt.NDArray[np.bool_]], places: npt.NDArray[np.intp]
) -> Iterator[PersonaDifference]:
    for place in places.tolist():
        changed = [name for name, others in differs.items() if others[place]]
        old, new = ({name: str(batch.values(name)[place]) for name in changed} for batch in drawn)
        yield PersonaDifference(int(drawn[0].indices[place]), {name: (old[name], new[name]) for name in changed})


def _map_name(dimension: str, given: Sequence[str]) -> str:
    return f"{dimension} | {', '.join(given)}" if given else dimension


def _condition(difference: MapDifference) -> str:
    return ", ".join(f"{n} = {v}" for n, v in zip(difference.given, difference.worst_condition, strict=True))


def _error(difference: MarginalDifference) -> str:
    return f"{difference.error:.4f}" if difference.error else "exact"


def _share(share: float, people: int) -> str:
    """A share of the people drawn, with its standard error."""
    return f"{share:.1%} (standard error {math.sqrt(share * (1 - share) / people):.1%})"


def _pairs(changes: Mapping[str, tuple[str, str]]) -> list[tuple[str, ...]]:
    return [(name, *change) for name, change in changes.items()]


def _section(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]], top: int) -> list[str]:
    """A table as lines, columns as wide as they must be; nothing if it has no rows."""
    if not rows:
        return []
    shown = [head, *rows[:top]]
    widths = [max(len(row[place]) for row in shown) for place in range(len(head))]
    more = f", the first {top}" if len(rows) > top else ""
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in shown]
    return ["", f"{title}: {len(rows)} differ{more}", *(f"  {line}" for line in lines)]
