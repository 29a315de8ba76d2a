"""The rules every catalogue must hold to, each enforced with an error naming file, dimension and rule.

Which ids, counts and cut points are required is data (`data/rules.toml`); how each is checked stands here.
Whether a parent *matters* is a question about its map, answered where maps are checked, not here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.catalogue.models import Dimension, StructuralZero
from warehouse.errors import CatalogueError

_SNAKE = re.compile(r"^[a-z0-9]+(_[a-z0-9]+)*$")
_MOST_CATEGORIES = 255  # codes are unsigned bytes downstream


@dataclass(frozen=True, slots=True)
class Located:
    """A dimension together with the file it stands in, so that an error can name both."""

    file: str
    dimension: Dimension


@dataclass(frozen=True, slots=True)
class Tier:
    """What one tier holds: its label, the allowed number of parents, and its dimension ids."""

    label: str
    least_parents: int
    most_parents: int
    dimensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules file, resolved for one population."""

    tiers: dict[int, Tier]
    least_pairs: int
    most_pairs: int
    categories: dict[str, tuple[str, ...]]
    least_categories: dict[str, int]
    must_reach: tuple[tuple[str, str], ...]
    must_not_reach: tuple[tuple[str, str], ...]


def load_rules(raw: dict[str, Any], population: str) -> Rules:
    """Resolve the raw rules file for one population. Raises `CatalogueError` if a part is missing."""
    try:
        tiers = {
            int(k): Tier(v["label"], v["parents"][0], v["parents"][1], tuple(v["dimensions"]))
            for k, v in raw["tier"].items()
        }
        influence = _resolve(raw["influence"], population)
        return Rules(
            tiers=tiers,
            least_pairs=raw["pairs"]["least"],
            most_pairs=raw["pairs"]["most"],
            categories={k: tuple(v) for k, v in _resolve(raw["categories"], population).items()},
            least_categories=_resolve(raw["least_categories"], population),
            must_reach=tuple((a, b) for a, b in influence["must_reach"]),
            must_not_reach=tuple((a, b) for a, b in influence["must_not_reach"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CatalogueError(f"rules.toml: part {error} is missing or malformed: restore it") from error


def check_catalogue(located: Sequence[Located], rules: Rules) -> None:
    """Raise `CatalogueError` for the first rule that is broken; return nothing when all hold."""
    earlier: dict[str, Dimension] = {}
    for item in located:
        _check_identity(item, earlier, rules)
        _check_categories(item, rules)
        _check_parents(item, earlier, rules)
        _check_pairs(item, rules)
        _check_zeros(item, earlier)
        earlier[item.dimension.id] = item.dimension
    for item in located:
        override = item.dimension.override
        if override is not None and not override.reason.strip():
            raise _fail(item, "an override of the strategy gives its reason: add it")
    _check_complete(earlier, rules)
    _check_influence({i.dimension.id: i for i in located}, rules)


def _fail(item: Located, rule: str) -> CatalogueError:
    return CatalogueError(f"{item.file}: dimension '{item.dimension.id}': {rule}")


def _check_identity(item: Located, earlier: dict[str, Dimension], rules: Rules) -> None:
    d = item.dimension
    if not _SNAKE.match(d.id):
        raise _fail(item, "ids are snake_case: rename it")
    if d.id in earlier:
        raise _fail(item, "an id stands only once in the catalogue: remove one of the two")
    if d.id not in rules.tiers[d.tier].dimensions:
        raise _fail(item, f"tier {d.tier} has no dimension of this id: move, rename or remove it")
    if not d.label.strip():
        raise _fail(item, "every dimension has a label: add it")
    if not d.definition.strip() or "\n" in d.definition:
        raise _fail(item, "every dimension has a definition of one line: add it")


def _check_categories(item: Located, rules: Rules) -> None:
    d = item.dimension
    if not 2 <= len(d.categories) <= _MOST_CATEGORIES:
        raise _fail(item, f"a dimension has 2 to {_MOST_CATEGORIES} categories, this has {len(d.categories)}")
    for c in d.categories:
        if not _SNAKE.match(c.id):
            raise _fail(item, f"category ids are snake_case: rename '{c.id}'")
        if not c.label.strip():
            raise _fail(item, f"every category has a label: add that of '{c.id}'")
    labels = [c.label for c in d.categories]
    if len(set(labels)) < len(labels):
        raise _fail(item, "labels tell the categories apart: two are the same")
    missing = [c for c in rules.categories.get(d.id, ()) if c not in d.category_ids]
    if missing:
        raise _fail(item, f"categories are never coarsened: '{missing[0]}' is missing")
    kept = [c for c in d.category_ids if c in rules.categories.get(d.id, ())]
    if d.ordinal and kept != list(rules.categories.get(d.id, ())):
        raise _fail(item, f"ordinal categories keep their order: {', '.join(rules.categories[d.id])}")
    least = rules.least_categories.get(d.id, 0)
    if len(d.categories) < least:
        raise _fail(item, f"categories are never coarsened: at least {least} are needed")


def _check_parents(item: Located, earlier: dict[str, Dimension], rules: Rules) -> None:
    d, tier = item.dimension, rules.tiers[item.dimension.tier]
    if not tier.least_parents <= len(d.parents) <= tier.most_parents:
        raise _fail(
            item,
            f"tier {d.tier} takes {tier.least_parents} to {tier.most_parents} parents, this has {len(d.parents)}",
        )
    if len(set(d.parents)) < len(d.parents):
        raise _fail(item, "a parent stands only once: remove the repeated one")
    for parent in d.parents:
        if parent not in earlier:
            raise _fail(
                item,
                f"parents come earlier, which also rules out cycles: '{parent}' does not stand before it",
            )


def _check_pairs(item: Located, rules: Rules) -> None:
    d = item.dimension
    least, most = (rules.least_pairs, rules.most_pairs) if len(d.parents) > 1 else (0, 0)
    if not least <= len(d.pairs) <= most:
        raise _fail(item, f"{len(d.parents)} parents take {least} to {most} two-way maps, this has {len(d.pairs)}")
    if len({frozenset(p) for p in d.pairs}) < len(d.pairs):
        raise _fail(item, "a pair stands only once, whatever its order: remove the repeated one")
    for pair in (*d.pairs, *d.held_out):
        for member in pair:
            if member not in d.parents or pair[0] == pair[1]:
                raise _fail(item, f"a pair names two different parents: correct {list(pair)}")
    seen = [frozenset(p) for p in (*d.pairs, *d.held_out)]
    if len(set(seen)) < len(seen):
        raise _fail(item, "a held-out pair is unknown to the fit: take the repeated one out of pairs or held_out")


def _check_zeros(item: Located, earlier: dict[str, Dimension]) -> None:
    d = item.dimension
    dead: dict[tuple[str, str], set[str]] = {}
    for zero in d.zeros:
        _check_zero(item, zero, earlier)
        if len(zero.given) == 1:
            ((parent, values),) = zero.given.items()
            for value in values:
                dead.setdefault((parent, value), set()).update(zero.never)
    for (parent, value), never in dead.items():
        if never >= set(d.category_ids):
            raise _fail(item, f"structural zeros leave something possible: nothing is for {parent}={value}")


def _check_zero(item: Located, zero: StructuralZero, earlier: dict[str, Dimension]) -> None:
    d = item.dimension
    if not zero.given or not zero.never or not zero.reason.strip():
        raise _fail(item, "a structural zero says given, never and reason: complete it")
    if len(zero.given) > 2:
        raise _fail(item, "a structural zero conditions on one parent or two: split it")
    for parent, values in zero.given.items():
        if parent not in d.parents:
            raise _fail(item, f"a structural zero conditions on parents: '{parent}' is none")
        unknown = [v for v in values if v not in earlier[parent].category_ids]
        if unknown:
            raise _fail(item, f"a structural zero names '{unknown[0]}', which '{parent}' does not have")
    unknown = [c for c in zero.never if c not in d.category_ids]
    if unknown:
        raise _fail(item, f"a structural zero names '{unknown[0]}', which is not among the categories")


def _check_complete(found: dict[str, Dimension], rules: Rules) -> None:
    for number, tier in rules.tiers.items():
        missing = [d for d in tier.dimensions if d not in found]
        if missing:
            raise CatalogueError(f"catalogue: dimension '{missing[0]}': tier {number} needs it: add it")


def _check_influence(items: dict[str, Located], rules: Rules) -> None:
    reach: dict[str, set[str]] = {}
    for name, item in items.items():
        parents = item.dimension.parents
        reach[name] = set(parents).union(*(reach[p] for p in parents)) if parents else set()
    for source, target in rules.must_reach:
        if source not in reach[target]:
            raise _fail(items[target], f"a parent that matters is not missing: '{source}' must reach it")
    for source, target in rules.must_not_reach:
        if source in reach[target]:
            raise _fail(items[target], f"a parent that does not matter is a defect: '{source}' reaches it")


def _resolve(table: dict[str, Any], population: str) -> dict[str, Any]:
    """Lay a population's own entries over the shared ones; other populations' tables drop out."""
    shared = {k: v for k, v in table.items() if not isinstance(v, dict)}
    return {**shared, **table.get(population, {})}
