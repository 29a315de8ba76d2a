"""Joint shares of ethnicity, nativity and heritage from the pooled maps."""

from __future__ import annotations

from itertools import product

import polars as pl
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.heritage_shares import CHAIN, joint_shares
from tests.support.name_facts import people_maps
from warehouse.errors import WarehouseError

CATALOGUE = load_catalogue("us")
IDS = {dimension: CATALOGUE.dimension(dimension).category_ids for dimension in CHAIN}


def test_the_maps_are_multiplied() -> None:
    joint = joint_shares(CATALOGUE, people_maps())
    assert joint["share"].sum() == pytest.approx(1)
    asian = joint.filter(ethnicity="asian", nativity="foreign_born", heritage="korean")["share"].item()
    e, n, h = (
        IDS[d].index(c) for d, c in (("ethnicity", "asian"), ("nativity", "foreign_born"), ("heritage", "korean"))
    )
    counts = [len(IDS[d]) for d in CHAIN]
    expected = 1.0
    for place, shift, count in ((e, 0, counts[0]), (n, e, counts[1]), (h, e + n, counts[2])):
        expected *= (place + 1 + shift) / sum(other + 1 + shift for other in range(count))
    assert asian == pytest.approx(expected)


def test_rows_stand_in_catalogue_order() -> None:
    joint = joint_shares(CATALOGUE, people_maps())
    assert joint.select(*CHAIN).rows() == list(product(*IDS.values()))


@pytest.mark.parametrize("dimension", CHAIN)
def test_a_missing_map_is_named(dimension: str) -> None:
    rest = people_maps().filter(pl.col("dimension") != dimension)
    with pytest.raises(WarehouseError, match=rf"lacks the map P\({dimension}.*personagen build"):
        joint_shares(CATALOGUE, rest)


def test_a_map_that_lacks_a_row_is_named() -> None:
    part = people_maps().filter(pl.col("condition").list.get(0, null_on_oob=True).fill_null("") != "asian")
    with pytest.raises(WarehouseError, match=r"P\(nativity \| ethnicity\)"):
        joint_shares(CATALOGUE, part)
