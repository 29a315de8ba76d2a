"""Tables and arrays carry the same numbers, and a table with holes is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.combination.problem import ElicitedMap, Factor
from pipeline.frames import estimate_arrays, map_arrays, map_frame, shape_of, weight_factors, weight_frame
from warehouse.errors import WarehouseError

US = load_catalogue("us")
HANDEDNESS = US.dimension("handedness")


def random_maps(seed: int = 0) -> list[ElicitedMap]:
    rng = np.random.default_rng(seed)
    maps = []
    for given in HANDEDNESS.givens:
        shape = shape_of(US, HANDEDNESS, given)
        p = rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])
        maps.append(ElicitedMap(given, p, rng.uniform(0, 1, shape), 1.5))
    return maps


def as_frame(maps: list[ElicitedMap]) -> pl.DataFrame:
    return map_frame("e", US, HANDEDNESS, maps, dict.fromkeys(HANDEDNESS.givens, 2))


def test_maps_survive_the_round_trip_whatever_the_order_of_rows() -> None:
    maps = random_maps()
    back = map_arrays(as_frame(maps).sample(fraction=1.0, shuffle=True, seed=1), US, HANDEDNESS)
    assert list(back) == list(HANDEDNESS.givens)
    for one in maps:
        np.testing.assert_array_equal(back[one.given].p, one.p)
        np.testing.assert_array_equal(back[one.given].spread, one.spread)
        assert back[one.given].support == one.support


def test_a_missing_map_and_a_missing_cell_are_named() -> None:
    frame = as_frame(random_maps())
    with pytest.raises(WarehouseError, match=r"P\(handedness \| sex\) is missing: materialise maps of 'handedness'"):
        map_arrays(frame.filter(pl.col("given").list.len() == 0), US, HANDEDNESS)
    with pytest.raises(WarehouseError, match=r"P\(handedness \| sex\) has 5 cells instead of 6"):
        map_arrays(frame.head(frame.height - 1), US, HANDEDNESS)


def test_an_unknown_category_is_named() -> None:
    frame = as_frame(random_maps()).with_columns(pl.col("category").str.replace("left", "sinister"))
    with pytest.raises(WarehouseError, match="'sinister', unknown to the catalogue"):
        map_arrays(frame, US, HANDEDNESS)


def test_estimates_are_kept_apart_by_member() -> None:
    frame = as_frame(random_maps())
    both = pl.concat([frame.with_columns(model=pl.lit("a")), frame.with_columns(model=pl.lit("b"))])
    arrays = estimate_arrays(both, US, HANDEDNESS)
    assert {g: list(a) for g, a in arrays.items()} == {g: ["a", "b"] for g in HANDEDNESS.givens}
    assert estimate_arrays(both.clear(), US, HANDEDNESS) == {g: {} for g in HANDEDNESS.givens}


def test_factors_survive_the_round_trip_in_order() -> None:
    factors = [Factor((), np.array([0.9, 0.1, 0.2])), Factor(("sex",), np.arange(6.0).reshape(2, 3))]
    back = weight_factors(weight_frame("us", "e", "handedness", factors).reverse())["handedness"]
    assert [f.given for f in back] == [f.given for f in factors]
    for old, new in zip(factors, back, strict=True):
        np.testing.assert_array_equal(old.values, new.values)
