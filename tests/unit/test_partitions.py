"""Partition keys: catalogue order, characters that Dagster allows, and what a key means."""

from __future__ import annotations

import dagster as dg

from pipeline.catalogue.loader import load_catalogue
from pipeline.partitions import DIMENSION_KEYS, MODEL_KEYS, NAME_KEYS, by_dimension_and_model, cell_of, cells_frame
from pipeline.plan import Cell


def test_keys_stand_in_sampling_order() -> None:
    assert tuple(f"us/{d.id}" for d in load_catalogue("us").dimensions) == DIMENSION_KEYS[:77]


def test_keys_hold_no_character_that_dagster_reserves() -> None:
    assert not any(set("|[],") & set(key) for key in (*DIMENSION_KEYS, *MODEL_KEYS))


def test_a_key_names_its_cell() -> None:
    assert cell_of("us/age") == Cell("us", "age")
    assert cell_of("us") == Cell("us", "")
    both = dg.MultiPartitionKey({"dimension": "us/age", "model": MODEL_KEYS[0]})
    assert cell_of(both) == Cell("us", "age", MODEL_KEYS[0])
    assert str(both) in by_dimension_and_model.get_partition_keys()


def test_a_frame_of_cells_has_the_columns_that_the_keys_have() -> None:
    assert cells_frame(["us"]).columns == ["population"]
    assert cells_frame(["us/age", "us/sex"]).rows() == [("us", "age"), ("us", "sex")]


def test_names_have_kinds_for_dimensions() -> None:
    assert NAME_KEYS == ("us/first", "us/last")
    assert cells_frame(NAME_KEYS).rows(named=True) == [
        {"population": "us", "kind": "first"},
        {"population": "us", "kind": "last"},
    ]
