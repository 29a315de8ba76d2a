"""The reference population: simulated people over which a dimension's parents occur together as they will be served.

Belongs here: drawing the parents of the dimension to be fitted from the factors of the dimensions fitted before, with
the very sampler that serves. Does not belong here: fitting, scores, storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.catalogue.models import Catalogue
from pipeline.combination.problem import Codes, CombinationError, Factor
from serving.sampler import Sampler
from serving.snapshot import Factor as ServedFactor
from serving.snapshot import Snapshot, SnapshotDimension
from warehouse.snapshot_format import Manifest, PopulationInfo

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
        self._codes.pop(dimension, None)

    def codes(self, dimensions: Sequence[str]) -> Codes:
        """Category codes of these dimensions, uint8 (size, number of dimensions), columns in the given order.

        Raises `CombinationError` naming a dimension, or an ancestor of one, that has not been added.
        """
        wanted = [d for d in dimensions if d not in self._codes]
        if wanted:
            batch = Sampler(self._snapshot(wanted)).sample(self._size, self._seed, fields=wanted)
            self._codes.update({d: batch.codes(d) for d in wanted})
        if not dimensions:
            return np.empty((self._size, 0), dtype=np.uint8)
        return np.stack([self._codes[d] for d in dimensions], axis=1)

    def _snapshot(self, wanted: Sequence[str]) -> Snapshot:
        """A snapshot in memory of these dimensions and their ancestors."""
        needed = set(wanted).union(*(self._catalogue.ancestors(d) for d in wanted))
        missing = sorted(needed - self._factors.keys())
        if missing:
            raise CombinationError(f"weights of '{missing[0]}' are missing: materialise them before what depends on it")
        dimensions: list[SnapshotDimension] = []
        for d in self._catalogue.dimensions:
            if d.id in needed:
                factors = tuple(
                    ServedFactor(f.given, f.values.shape[:-1], f.values.reshape(-1, f.values.shape[-1]))
                    for f in self._factors[d.id]
                )
                dimensions.append(
                    SnapshotDimension(
                        position=len(dimensions),
                        id=d.id,
                        label=d.label,
                        tier=d.tier,
                        definition=d.definition,
                        ordinal=d.ordinal,
                        sensitive=d.sensitive,
                        categories=d.category_ids,
                        category_labels=tuple(c.label for c in d.categories),
                        parents=d.parents,
                        factors=factors,
                        code_of={c: code for code, c in enumerate(d.category_ids)},
                    )
                )
        people = self._catalogue.population
        manifest = Manifest(
            population=PopulationInfo(people.id, people.label, people.year, people.currency),
            edition="reference",
            catalogue_hash=self._catalogue.hash,
            files={},
        )
        return Snapshot(manifest, tuple(dimensions), _NOWHERE)
