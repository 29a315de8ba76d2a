"""Who the people are that names are drawn for: those that the sampler draws, from the same weights.

Belongs here: joint shares of ethnicity, nativity and heritage, of everybody and of birth cohorts, and religions by
heritage. Does not belong here: names (`warehouse.names`, `pipeline.names`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.catalogue.models import Catalogue
from warehouse.errors import WarehouseError
from warehouse.names.files import EVERYONE, FOREIGN

CHAIN = ("age", "ethnicity", "nativity", "heritage")
"""The dimensions that decide, each depending on some of those before it."""

RELIGION = "childhood_religion"
"""What names depend on besides, in some heritages; it may depend on all of CHAIN."""

COHORT_YEARS = 5

Floats = npt.NDArray[np.float64]


def people_shares(catalogue: Catalogue, weights: pl.DataFrame, cohorts: Sequence[int]) -> pl.DataFrame:
    """Columns cohort, ethnicity, nativity, heritage, share, a row for each combination, in catalogue order.

    Cohort EVERYONE is all people; the others are those born here in the five years from `cohort` on. The shares of a
    cohort sum to 1. `weights` has rows of the table `weights` of one population and edition. Raises WarehouseError if
    those of a dimension are not there, or it depends on something else.
    """
    ages, by_age = _by_age(catalogue, weights)
    parts = {EVERYONE: np.tensordot(ages, by_age, axes=1)}
    native = np.array([nativity != FOREIGN for nativity in catalogue.dimension("nativity").category_ids])
    lowest = [int(age.split("_")[0]) for age in catalogue.dimension("age").category_ids]
    for cohort in cohorts:
        years = catalogue.population.year - cohort - np.arange(COHORT_YEARS)
        bands = np.maximum(np.searchsorted(lowest, years, side="right") - 1, 0)
        parts[cohort] = by_age[bands].mean(axis=0) * native[:, None]
    codes = np.indices(by_age.shape[1:]).reshape(3, -1)
    columns = {
        dimension: np.array(catalogue.dimension(dimension).category_ids)[code]
        for dimension, code in zip(CHAIN[1:], codes, strict=True)
    }
    frames = [
        pl.DataFrame({"cohort": np.full(codes.shape[1], cohort), **columns, "share": (part / part.sum()).ravel()})
        for cohort, part in parts.items()
    ]
    return pl.concat(frames)


def religion_shares(catalogue: Catalogue, weights: pl.DataFrame) -> dict[str, dict[str, float]]:
    """By heritage, the share of each category of RELIGION among its people; those of a heritage sum to 1.

    Of `weights` it takes what `people_shares` does, and raises as that does.
    """
    ages, by_age = _by_age(catalogue, weights)
    of_heritage = np.einsum("a,aenh,aenhr->hr", ages, by_age, _conditional(catalogue, weights, RELIGION))
    shares = of_heritage / of_heritage.sum(axis=1, keepdims=True)
    heritages, religions = (catalogue.dimension(one).category_ids for one in (CHAIN[-1], RELIGION))
    return {h: dict(zip(religions, row, strict=True)) for h, row in zip(heritages, shares.tolist(), strict=True)}


def _by_age(catalogue: Catalogue, weights: pl.DataFrame) -> tuple[Floats, Floats]:
    """P(age), and the joint of the rest of CHAIN given the age, an axis for each."""
    ages, *steps = (_conditional(catalogue, weights, dimension) for dimension in CHAIN)
    return ages, steps[0][:, :, None, None] * steps[1][:, :, :, None] * steps[2]


def _conditional(catalogue: Catalogue, weights: pl.DataFrame, dimension: str) -> Floats:
    """P(dimension | those before it in CHAIN), an axis for each of these and the last for the dimension itself."""
    axes = CHAIN[: CHAIN.index(dimension) + 1] if dimension in CHAIN else (*CHAIN, dimension)
    if others := [parent for parent in catalogue.dimension(dimension).parents if parent not in axes]:
        raise WarehouseError(
            f"names cannot follow '{dimension}', which depends on '{others[0]}': see `heritage_shares`"
        )
    rows = weights.filter(pl.col("dimension") == dimension).sort("order")
    if rows.is_empty():
        raise WarehouseError(f"the warehouse lacks weights of '{dimension}': run `personagen build`")
    product = np.ones([len(catalogue.dimension(axis).categories) for axis in axes])
    for given, shape, factors in rows.select("given", "shape", "factors").iter_rows():
        stored = [axes.index(axis) for axis in (*given, dimension)]
        factor = np.array(factors).reshape(shape).transpose(np.argsort(stored))
        product *= factor.reshape([size if place in stored else 1 for place, size in enumerate(product.shape)])
    return np.asarray(product / product.sum(axis=-1, keepdims=True))
