"""Between tables and arrays: rows of the warehouse to maps and factors, and back.

Belongs here: reshaping only. Does not belong here: any estimate, and anything about where tables are stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipeline.catalogue.models import Catalogue, Dimension, Given
from pipeline.combination.problem import ElicitedMap, Factor, Floats
from pipeline.prompts.validation import conditions_of
from warehouse.errors import WarehouseError

MAP_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "dimension": pl.String,
    "given": pl.List(pl.String),
    "held_out": pl.Boolean,
    "condition": pl.List(pl.String),
    "category": pl.String,
    "probability": pl.Float64,
    "spread": pl.Float64,
    "models": pl.Int32,
    "support": pl.Float64,
}
WEIGHT_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "dimension": pl.String,
    "order": pl.Int32,
    "given": pl.List(pl.String),
    "shape": pl.List(pl.Int32),
    "factors": pl.List(pl.Float64),
}


def dimension_frame(catalogue: Catalogue) -> pl.DataFrame:
    """The catalogue as a table, a row per dimension in sampling order, with the columns of a snapshot."""
    return pl.DataFrame(
        [
            {
                "position": position,
                "id": d.id,
                "label": d.label,
                "tier": d.tier,
                "definition": d.definition,
                "ordinal": d.ordinal,
                "sensitive": d.sensitive,
                "categories": list(d.category_ids),
                "category_labels": [c.label for c in d.categories],
                "parents": list(d.parents),
            }
            for position, d in enumerate(catalogue.dimensions)
        ],
        schema_overrides={"parents": pl.List(pl.String)},
    )


def shape_of(catalogue: Catalogue, dimension: Dimension, given: Sequence[str]) -> tuple[int, ...]:
    """Shape of the map P(dimension | given): a size per parent, then the number of categories."""
    return (*(len(catalogue.dimension(g).categories) for g in given), len(dimension.categories))


def estimate_arrays(frame: pl.DataFrame, catalogue: Catalogue, dimension: Dimension) -> dict[Given, dict[str, Floats]]:
    """Estimates of one dimension as arrays: given -> panel member -> probabilities of the given's shape.

    Raises `WarehouseError` if a stored map lacks cells.
    """
    found: dict[Given, dict[str, Floats]] = {given: {} for given in dimension.asked}
    for (given, model), rows in frame.group_by("given", "model", maintain_order=True):
        key: Given = tuple(given)
        if key in found:
            found[key][str(model)] = _array(rows, catalogue, dimension, key, "probability")
    return found


def map_frame(
    edition: str,
    catalogue: Catalogue,
    dimension: Dimension,
    maps: Sequence[ElicitedMap],
    models: Mapping[Given, int],
) -> pl.DataFrame:
    """Pooled maps as rows, a row per cell; `models` says how many panel members stand behind each given."""
    population = catalogue.population.id
    frames = [pl.DataFrame(schema=MAP_COLUMNS)]
    for one in maps:
        conditions = conditions_of([catalogue.dimension(g) for g in one.given])
        width, count = len(dimension.categories), one.p.size
        frames.append(
            pl.DataFrame(
                {
                    "population": [population] * count,
                    "edition": [edition] * count,
                    "dimension": [dimension.id] * count,
                    "given": [list(one.given)] * count,
                    "held_out": [one.given in dimension.held_out] * count,
                    "condition": [list(c) for c in conditions for _ in range(width)],
                    "category": list(dimension.category_ids) * len(conditions),
                    "probability": one.p.ravel(),
                    "spread": one.spread.ravel(),
                    "models": [models[one.given]] * count,
                    "support": [one.support] * count,
                },
                schema=MAP_COLUMNS,
            )
        )
    return pl.concat(frames)


def map_arrays(frame: pl.DataFrame, catalogue: Catalogue, dimension: Dimension) -> dict[Given, ElicitedMap]:
    """The pooled maps of one dimension, by given: those of the fit, then the held-out ones that the frame has.

    Raises `WarehouseError` if a map or a cell is missing.
    """
    rows = {tuple(g): r for (g,), r in frame.group_by("given", maintain_order=True)}
    missing = [g for g in dimension.givens if g not in rows]
    if missing:
        raise WarehouseError(
            f"map P({dimension.id} | {', '.join(missing[0])}) is missing: materialise maps of '{dimension.id}'"
        )
    return {
        given: ElicitedMap(
            given,
            _array(rows[given], catalogue, dimension, given, "probability"),
            _array(rows[given], catalogue, dimension, given, "spread"),
            float(rows[given]["support"][0]),
        )
        for given in dimension.asked
        if given in rows
    }


def weight_frame(population: str, edition: str, dimension: str, factors: Sequence[Factor]) -> pl.DataFrame:
    """Factors of one dimension as rows, in the order in which they are multiplied."""
    return pl.DataFrame(
        {
            "population": [population] * len(factors),
            "edition": [edition] * len(factors),
            "dimension": [dimension] * len(factors),
            "order": list(range(len(factors))),
            "given": [list(f.given) for f in factors],
            "shape": [list(f.values.shape) for f in factors],
            "factors": [f.values.ravel().tolist() for f in factors],
        },
        schema=WEIGHT_COLUMNS,
    )


def weight_factors(frame: pl.DataFrame) -> dict[str, tuple[Factor, ...]]:
    """Factors by dimension, in stored order."""
    found: dict[str, list[Factor]] = {}
    for row in frame.sort("dimension", "order").iter_rows(named=True):
        values = np.asarray(row["factors"], dtype=np.float64).reshape(row["shape"])
        found.setdefault(row["dimension"], []).append(Factor(tuple(row["given"]), values))
    return {name: tuple(factors) for name, factors in found.items()}


def _array(rows: pl.DataFrame, catalogue: Catalogue, dimension: Dimension, given: Given, column: str) -> Floats:
    """One column of a map's rows as an array, whatever the order of the rows."""
    shape = shape_of(catalogue, dimension, given)
    levels = [catalogue.dimension(g).category_ids for g in given] + [dimension.category_ids]
    codes = [{name: code for code, name in enumerate(level)} for level in levels]
    array = np.full(shape, np.nan)
    for condition, category, value in rows.select("condition", "category", column).iter_rows():
        try:
            array[tuple(c[name] for c, name in zip(codes, (*condition, category), strict=True))] = value
        except KeyError as error:
            raise WarehouseError(
                f"map of '{dimension.id}' holds {error}, unknown to the catalogue: rebuild it"
            ) from None
    if rows.height != math.prod(shape) or np.isnan(array).any():
        raise WarehouseError(
            f"map P({dimension.id} | {', '.join(given)}) has {rows.height} cells instead of {math.prod(shape)}: "
            f"materialise maps of '{dimension.id}' again"
        )
    return array
