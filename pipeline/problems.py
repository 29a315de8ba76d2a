"""From the catalogue, pooled maps and a reference population to the problem that strategies solve.

Belongs here: putting together a `Problem`. Does not belong here: reading maps (`frames`), solving it (`combination`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.catalogue.models import Catalogue, Dimension
from pipeline.combination.asking import PairWorth, pair_worth
from pipeline.combination.problem import Bools, Codes, ElicitedMap, Given, Problem
from pipeline.frames import map_arrays
from pipeline.prompts.validation import allowed_mask
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.errors import CatalogueError

PEOPLE = 20_000


def dimension_problem(
    catalogue: Catalogue, dimension: Dimension, pooled: Mapping[Given, ElicitedMap], reference: Codes
) -> Problem:
    """The problem of one dimension; `reference` holds the codes of its parents, uint8 (n, P)."""
    return Problem(
        dimension=dimension.id,
        ordinal=dimension.ordinal,
        categories=dimension.category_ids,
        parents=dimension.parents,
        sizes=tuple(len(catalogue.dimension(p).categories) for p in dimension.parents),
        base=pooled[()],
        maps=tuple(pooled[given] for given in dimension.givens if given),
        reference=reference,
        allowed=tuple(_allowed(catalogue, dimension)),
    )


def snapshot_pairs(catalogue: Catalogue, snapshot: Snapshot, dimension: str) -> tuple[PairWorth, ...]:
    """What is to be learnt from the two-way maps of a dimension, told from a snapshot's one-way maps (see `asking`).

    Raises:
        CatalogueError: If the catalogue has no such dimension.
        WarehouseError: If the snapshot was made from another catalogue and lacks its maps.
    """
    if dimension not in catalogue.by_id:
        raise CatalogueError(f"unknown dimension '{dimension}': `personagen catalogue` lists them")
    target = catalogue.dimension(dimension)
    maps = pl.from_arrow(snapshot.maps())
    assert isinstance(maps, pl.DataFrame)
    rounded = pl.col("probability")  # as a snapshot stores it; forecasts read nothing else, so support may be anything
    mine = maps.filter(pl.col("dimension") == dimension).with_columns(
        rounded / rounded.sum().over("given", "condition"), support=pl.lit(1.0)
    )
    people = Sampler(snapshot).sample(PEOPLE, "reference", fields=list(target.parents))
    reference = np.stack([people.codes(p) for p in target.parents], axis=1) if target.parents else np.empty((PEOPLE, 0))
    return pair_worth(
        dimension_problem(catalogue, target, map_arrays(mine, catalogue, target), reference.astype(np.uint8))
    )


def _allowed(catalogue: Catalogue, dimension: Dimension) -> list[tuple[Given, Bools]]:
    """The structural zeros as masks, one per set of parents that some zero conditions on."""
    conditions = dict.fromkeys(tuple(p for p in dimension.parents if p in zero.given) for zero in dimension.zeros)
    return [(g, allowed_mask(dimension, [catalogue.dimension(p) for p in g])) for g in conditions]
