"""What a catalogue is: frozen models of populations, dimensions, categories and structural zeros.

Belongs here: the shape of the data and what can be derived from it alone. Does not belong here: reading files
(`loader`), the rules that a catalogue must obey (`rules`), prompts, or any probability.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

from pydantic import BaseModel, ConfigDict

Given = tuple[str, ...]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Category(_Frozen):
    """One value a dimension can take."""

    id: str
    label: str


class StructuralZero(_Frozen):
    """Categories that are impossible, by logic or definition, under a condition on the parents.

    `given` is a conjunction over parents; within one parent any of the listed categories satisfies it.
    """

    given: dict[str, tuple[str, ...]]
    never: tuple[str, ...]
    reason: str


class Override(_Frozen):
    """A combination strategy set by hand against the rule of choice, and why."""

    strategy: str
    reason: str


class Dimension(_Frozen):
    """One categorical variable of a persona, with what its maps condition on.

    `pairs` get a two-way map that the fit uses; `held_out` pairs get one that the fit never sees, by which the
    combination strategies are judged.
    """

    id: str
    label: str
    tier: int
    definition: str
    ordinal: bool = False
    sensitive: bool = False
    categories: tuple[Category, ...]
    parents: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    held_out: tuple[tuple[str, str], ...] = ()
    zeros: tuple[StructuralZero, ...] = ()
    override: Override | None = None

    @property
    def category_ids(self) -> tuple[str, ...]:
        """Category ids in catalogue order, which is code order everywhere downstream."""
        return tuple(c.id for c in self.categories)

    @property
    def givens(self) -> tuple[Given, ...]:
        """Every given that the fit uses: `()` for the base rate, one per parent, one per interacting pair."""
        return ((), *((p,) for p in self.parents), *self.pairs)

    @property
    def asked(self) -> tuple[Given, ...]:
        """Every given that has a map: those of the fit, then the held-out pairs."""
        return (*self.givens, *self.held_out)


class Population(_Frozen):
    """Who the probabilities are about."""

    id: str
    label: str
    year: int
    currency: str


class Catalogue(_Frozen):
    """All dimensions of one population, in sampling order (a parent before its children)."""

    population: Population
    dimensions: tuple[Dimension, ...]

    @cached_property
    def by_id(self) -> dict[str, Dimension]:
        """Dimensions by id."""
        return {d.id: d for d in self.dimensions}

    def dimension(self, dimension_id: str) -> Dimension:
        """Return one dimension; raises `KeyError` for an id that is not in the catalogue."""
        return self.by_id[dimension_id]

    def ancestors(self, dimension_id: str) -> frozenset[str]:
        """All dimensions that `dimension_id` depends on, directly or through others."""
        found: set[str] = set()
        todo = list(self.by_id[dimension_id].parents)
        while todo:
            parent = todo.pop()
            if parent not in found:
                found.add(parent)
                todo.extend(self.by_id[parent].parents)
        return frozenset(found)

    @cached_property
    def hash(self) -> str:
        """Sha256 (hex) over the whole content: two catalogues with the same hash mean the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
