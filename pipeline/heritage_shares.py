"""Who the people are that names are drawn for, read from the pooled maps.

Belongs here: joint shares of ethnicity, nativity and heritage, of everybody and of birth cohorts. Does not belong here:
names (`warehouse.names`, `pipeline.names`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.catalogue.models import Catalogue
from warehouse.errors import WarehouseError
from warehouse.names.files import EVERYONE, FOREIGN

DIMENSIONS = ("ethnicity", "nativity", "heritage")
COHORT_YEARS = 5
ROUNDS = 100  # of proportional fitting; then nothing moves in the sixth digit

Floats = npt.NDArray[np.float64]


def people_shares(catalogue: Catalogue, maps: pl.DataFrame, cohorts: Sequence[int]) -> pl.DataFrame:
    """Columns cohort, ethnicity, nativity, heritage, share, a row for each combination, in catalogue order.

    Cohort EVERYONE is all people; the others are those born here in the five years from `cohort` on. The shares of a
    cohort sum to 1. `maps` has rows of the table `maps` of one population and edition. Raises WarehouseError if a map
    is not there, or lacks a row.
    """
    ids = {dimension: catalogue.dimension(dimension).category_ids for dimension in (*DIMENSIONS, "age")}
    given = _map(maps, ids, "heritage", "ethnicity", "nativity")
    everyone = (
        _map(maps, ids, "ethnicity")[:, None, None] * _map(maps, ids, "nativity", "ethnicity")[:, :, None] * given
    )
    parts = {EVERYONE: everyone}
    by_age = _by_age(maps, ids, given)
    native = np.array([nativity != FOREIGN for nativity in ids["nativity"]])
    lowest = [int(age.split("_")[0]) for age in ids["age"]]
    for cohort in cohorts:
        years = catalogue.population.year - cohort - np.arange(COHORT_YEARS)
        bands = np.maximum(np.searchsorted(lowest, years, side="right") - 1, 0)
        parts[cohort] = by_age[bands].mean(axis=0) * native[:, None]
    codes = np.indices(everyone.shape).reshape(3, -1)
    frames = [
        pl.DataFrame({d: np.array(ids[d])[code] for d, code in zip(DIMENSIONS, codes, strict=True)}).select(
            pl.lit(cohort, pl.Int32).alias("cohort"), *DIMENSIONS, share=pl.Series((part / part.sum()).ravel())
        )
        for cohort, part in parts.items()
    ]
    return pl.concat(frames)


def _by_age(maps: pl.DataFrame, ids: Mapping[str, Sequence[str]], given: Floats) -> Floats:
    """P(ethnicity, nativity, heritage | age), (ages, ethnicities, nativities, heritages).

    Heritage given ethnicity and nativity, raked to what the maps say of heritage at each age.
    """
    groups = _map(maps, ids, "ethnicity", "age")[:, :, None] * _map(maps, ids, "nativity", "age", "ethnicity")
    joint = groups[..., None] * given
    wanted = _map(maps, ids, "heritage", "age")
    for _ in range(ROUNDS):
        joint *= _ratio(wanted, joint.sum(axis=(1, 2)))[:, None, None, :]
        joint *= _ratio(groups, joint.sum(axis=3))[..., None]
    return joint


def _ratio(wanted: Floats, found: Floats) -> Floats:
    return np.divide(wanted, found, out=np.zeros_like(wanted), where=found > 0)


def _map(maps: pl.DataFrame, ids: Mapping[str, Sequence[str]], dimension: str, *given: str) -> Floats:
    """P(dimension | given) as an array with an axis for each of `given` and the last for the dimension."""
    rows = maps.filter(pl.col("dimension") == dimension, pl.col("given") == list(given))
    axes = [*given, dimension]
    parts = [pl.col("condition").list.get(place) for place in range(len(given))] + [pl.col("category")]
    codes = rows.select(
        part.replace_strict({c: i for i, c in enumerate(ids[axis])}, return_dtype=pl.Int64).alias(axis)
        for part, axis in zip(parts, axes, strict=True)
    ).to_numpy()
    found = np.full([len(ids[axis]) for axis in axes], np.nan)
    found[tuple(codes.T)] = rows["probability"].to_numpy()
    if np.isnan(found).any():
        name = f"P({dimension} | {', '.join(given)})" if given else f"P({dimension})"
        raise WarehouseError(f"the warehouse lacks the map {name}: run `personagen build`")
    return found
