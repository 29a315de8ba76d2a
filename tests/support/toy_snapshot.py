"""Small synthetic snapshots for tests: invented weights, real format. Nothing here is about real people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from warehouse.snapshot_format import Manifest, PopulationInfo, write_snapshot


@dataclass(frozen=True)
class ToyDimension:
    """`zeros` lists (given, codes of the given, code of the category) whose factor is zero."""

    id: str
    categories: tuple[str, ...]
    givens: tuple[tuple[str, ...], ...] = ()
    tier: int = 1
    ordinal: bool = False
    sensitive: bool = False
    zeros: tuple[tuple[tuple[str, ...], tuple[int, ...], int], ...] = ()


MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
AGES = ("18_24", "25_34", "35_44", "45_54", "55_64", "65_74", "75_plus")

TOY = (
    ToyDimension("age", AGES, ordinal=True),
    ToyDimension("sex", ("female", "male")),
    ToyDimension("ethnicity", ("white", "black", "hispanic", "asian"), sensitive=True),
    ToyDimension("birth_month", MONTHS),
    ToyDimension(
        "height",
        ("under_150", "150_154", "155_159", "160_164", "165_169", "170_174", "175_179", "180_plus"),
        (("sex",), ("age",)),
        ordinal=True,
    ),
    ToyDimension(
        "education",
        ("high_school", "bachelor", "doctorate"),
        (("age",), ("ethnicity",), ("age", "sex")),
        tier=2,
        ordinal=True,
        zeros=((("age",), (0,), 2),),
    ),
    ToyDimension(
        "employment",
        ("full_time", "part_time", "unemployed", "retired"),
        (("age",), ("sex",), ("education",), ("age", "sex")),
        tier=2,
        zeros=((("age",), (0,), 3), (("age",), (1,), 3)),
    ),
    ToyDimension(
        "commute_mode",
        ("drive", "transit", "not_applicable"),
        (("employment",), ("age",)),
        tier=2,
        zeros=(
            (("employment",), (2,), 0),
            (("employment",), (2,), 1),
            (("employment",), (3,), 0),
            (("employment",), (3,), 1),
            (("employment",), (0,), 2),
            (("employment",), (1,), 2),
        ),
    ),
    ToyDimension(
        "party",
        ("democrat", "republican", "independent", "none"),
        (("ethnicity",), ("education",), ("ethnicity", "education")),
        tier=3,
        sensitive=True,
    ),
)


def frames(dimensions: Sequence[ToyDimension], seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The three tables of a snapshot with lognormal weights drawn from a fixed generator."""
    rng = np.random.default_rng(seed)
    sizes = {dimension.id: len(dimension.categories) for dimension in dimensions}
    weights, maps = [], []
    for dimension in dimensions:
        width = len(dimension.categories)
        for order, given in enumerate(((), *dimension.givens)):
            shape = (*(sizes[parent] for parent in given), width)
            cells = np.exp(rng.normal(0, 0.6, shape))
            for zero_given, codes, category in dimension.zeros:
                if zero_given == given:
                    cells[(*codes, category)] = 0.0
            weights.append(
                {
                    "dimension": dimension.id,
                    "order": order,
                    "given": list(given),
                    "shape": list(shape),
                    "factors": cells.ravel().tolist(),
                }
            )
        shares = rng.dirichlet(np.ones(width))
        maps += [
            {
                "dimension": dimension.id,
                "given": [],
                "condition": [],
                "category": category,
                "probability": float(share),
                "spread": 0.1,
                "models": 2,
            }
            for category, share in zip(dimension.categories, shares, strict=True)
        ]
    table = [
        {
            "position": position,
            "id": dimension.id,
            "label": dimension.id.replace("_", " ").capitalize(),
            "tier": dimension.tier,
            "definition": f"Toy {dimension.id}.",
            "ordinal": dimension.ordinal,
            "sensitive": dimension.sensitive,
            "categories": list(dimension.categories),
            "category_labels": [category.replace("_", " ").capitalize() for category in dimension.categories],
            "parents": list(dict.fromkeys(parent for given in dimension.givens for parent in given)),
        }
        for position, dimension in enumerate(dimensions)
    ]
    lists = {"given": pl.List(pl.String)}
    return (
        pl.DataFrame(table, schema_overrides={"parents": pl.List(pl.String)}),
        pl.DataFrame(weights, schema_overrides=lists),
        pl.DataFrame(maps, schema_overrides=lists | {"condition": pl.List(pl.String)}),
    )


def build_snapshot(
    folder: Path,
    dimensions: Sequence[ToyDimension] = TOY,
    *,
    seed: int = 1,
    edition: str = "2026.11",
    extra_files: Mapping[str, pl.DataFrame | bytes] | None = None,
) -> Manifest:
    """Write a toy snapshot into `folder` and return its manifest."""
    dimension_frame, weights, maps = frames(dimensions, seed)
    return write_snapshot(
        folder,
        population=PopulationInfo("us", "Toy adults", 2025, "USD"),
        edition=edition,
        catalogue_hash="0" * 64,
        dimensions=dimension_frame,
        weights=weights,
        maps=maps,
        licence="test data",
        provenance="drawn from a random number generator",
        panel=("toy",),
        extra_files=extra_files,
    )


def large_dimensions(count: int = 77, seed: int = 7) -> tuple[ToyDimension, ...]:
    """Dimensions like a real catalogue: 77, on average 8 categories and 6 parents, two-way givens."""
    rng = np.random.default_rng(seed)
    # A real catalogue has a few wide dimensions (51 regions, 40 ancestries) and many narrow ones.
    widths = {20: 40, 28: 51, 33: 24, 34: 21}
    dimensions: list[ToyDimension] = []
    for place in range(count):
        width = widths.get(place, int(rng.integers(2, 12)))
        wanted = min(place, int(rng.integers(0, 6)) if place < 28 else int(rng.integers(5, 12)))
        # Parents are narrow dimensions: nobody conditions a map on 51 regions x 24 occupations.
        eligible = [d for d in dimensions if len(d.categories) <= 24]
        parents = [eligible[i].id for i in rng.permutation(len(eligible))[:wanted]]
        pairs = [tuple(parents[2 * i : 2 * i + 2]) for i in range(min(3, len(parents) // 2))]
        small = [
            pair
            for pair in (pairs if place >= 28 else [])
            if math.prod(len(d.categories) for d in dimensions if d.id in pair) <= 150
        ]
        dimensions.append(
            ToyDimension(
                f"d{place:02d}",
                tuple(f"c{code}" for code in range(width)),
                (*((parent,) for parent in parents), *small),
                tier=1 if place < 28 else 2 if place < 57 else 3,
            )
        )
    return tuple(dimensions)
