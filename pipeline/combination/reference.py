"""The reference population: simulated people over which a dimension's parents occur together as they will be served.

Belongs here: drawing the parents of the dimension to be fitted from the factors of the dimensions fitted before, with
the very engine that serves. Does not belong here: fitting, scores, storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.catalogue.models import Catalogue, Dimension
from pipeline.combination.problem import Codes, CombinationError, Factor
from serving.engine import Engine
from serving.snapshot import Factor as ServedFactor
from serving.snapshot import Snapshot, SnapshotDimension
from warehouse.snapshot_format import Manifest, PopulationInfo

REFERENCE_SIZE = 200_000
"""People over whom weights are fitted: the smallest of 51 regions has some hundred."""

_NOWHERE = Path()  # a snapshot in memory has no folder, and nothing reads from it


class ReferencePopulation:
    """`size` simulated people whose dimensions are added one by one, parents first.

    Draws depend on `seed` and the factors only, so that re-fitting one dimension alone sees the same people as
    fitting all of them in one go.
    """

    def __init__(self, catalogue: Catalogue, size: int, seed: str) -> None:
        self._catalogue = catalogue
        self._size = size
        self._seed = seed
        self._factors: dict[str, tuple[Factor, ...]] = {}
        self._codes: dict[str, Codes] = {}

    def add(self, dimension: str, factors: Sequence[Factor]) -> None:
        """Add a fitted dimension; its parents must have been added before it is drawn."""
        self._factors[dimension] = tuple(factors)
        for drawn in [d for d in self._codes if d == dimension or dimension in self._catalogue.ancestors(d)]:
            del self._codes[drawn]

    def codes(self, dimensions: Sequence[str]) -> Codes:
        """Category codes of these dimensions, uint8 (size, number of dimensions), columns in the given order.

        Raises `CombinationError` naming a dimension, or an ancestor of one, that has not been added.
        """
        needed = set(dimensions).union(*(self._catalogue.ancestors(d) for d in dimensions))
        missing = sorted(needed - self._factors.keys())
        if missing:
            raise CombinationError(f"weights of '{missing[0]}' are missing: materialise them before what depends on it")
        for dimension in self._catalogue.dimensions:
            if dimension.id in needed and dimension.id not in self._codes:
                self._codes[dimension.id] = self._drawn(dimension)
        if not dimensions:
            return np.empty((self._size, 0), dtype=np.uint8)
        return np.stack([self._codes[d] for d in dimensions], axis=1)

    def _drawn(self, dimension: Dimension) -> Codes:
        """Codes of a dimension whose parents have been drawn, (size,): only the dimension itself is drawn."""
        parents = [self._catalogue.dimension(d) for d in dimension.parents]
        factors = tuple(
            ServedFactor(f.given, f.values.shape[:-1], f.values.reshape(-1, f.values.shape[-1]))
            for f in self._factors[dimension.id]
        )
        served = [_served(d, at, (_even(d),)) for at, d in enumerate(parents)]
        served.append(_served(dimension, len(parents), factors))
        people = self._catalogue.population
        manifest = Manifest(
            population=PopulationInfo(people.id, people.label, people.year, people.currency),
            edition="reference",
            catalogue_hash=self._catalogue.hash,
            files={},
        )
        engine = Engine(Snapshot(manifest, tuple(served), _NOWHERE), "numpy")
        everybody = np.arange(self._size, dtype=np.uint64)
        fixed = {at: self._codes[d.id] for at, d in enumerate(parents)}
        return engine.draw(everybody, self._seed, [len(parents)], fixed)[len(parents)]


def _even(dimension: Dimension) -> ServedFactor:
    """A factor for a dimension that is not drawn."""
    return ServedFactor((), (), np.ones((1, len(dimension.categories))))


def _served(dimension: Dimension, position: int, factors: tuple[ServedFactor, ...]) -> SnapshotDimension:
    return SnapshotDimension(
        position=position,
        id=dimension.id,
        label=dimension.label,
        tier=dimension.tier,
        definition=dimension.definition,
        ordinal=dimension.ordinal,
        sensitive=dimension.sensitive,
        categories=dimension.category_ids,
        category_labels=tuple(c.label for c in dimension.categories),
        parents=dimension.parents,
        factors=factors,
        code_of={c: code for code, c in enumerate(dimension.category_ids)},
    )
