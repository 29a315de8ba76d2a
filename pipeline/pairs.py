"""What there is to learn from the two-way maps of a dimension, told from a snapshot alone.

Belongs here: reading a snapshot for the forecast. Does not belong here: the forecast itself (`combination.asking`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipeline.catalogue.models import Catalogue
from pipeline.combination.asking import PairWorth, pair_worth
from pipeline.frames import map_arrays
from pipeline.problems import dimension_problem
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.errors import CatalogueError

PEOPLE = 20_000


def snapshot_pairs(catalogue: Catalogue, snapshot: Snapshot, dimension: str) -> tuple[PairWorth, ...]:
    """Rank the pairs of a dimension's parents from a snapshot's one-way maps (see `asking`).

    Raises:
        CatalogueError: If the catalogue has no such dimension.
        WarehouseError: If the snapshot was made from another catalogue and lacks its maps.
    """
    if dimension not in catalogue.by_id:
        raise CatalogueError(f"unknown dimension '{dimension}': `personagen catalogue` lists them")
    target = catalogue.dimension(dimension)
    if not target.parents:
        return ()
    maps = pl.from_arrow(snapshot.maps())
    assert isinstance(maps, pl.DataFrame)
    rounded = pl.col("probability")  # as a snapshot stores it; forecasts read nothing else, so support may be anything
    mine = maps.filter(pl.col("dimension") == dimension).with_columns(
        rounded / rounded.sum().over("given", "condition"), support=pl.lit(1.0)
    )
    people = Sampler(snapshot).sample(PEOPLE, "reference", fields=list(target.parents))
    reference = np.stack([people.codes(p) for p in target.parents], axis=1)
    return pair_worth(dimension_problem(catalogue, target, map_arrays(mine, catalogue, target), reference))
