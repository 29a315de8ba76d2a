"""Dagster partitions: which keys exist, what a key means, and ranges of them. Nothing else belongs here.

A dimension key is `population/dimension`, so that maps of two populations never mix; the second axis is the panel
member. Keys stand in catalogue order, which is sampling order: a range of keys is worked off parents first. Names have
keys of their own, `population/kind`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg
import polars as pl

from pipeline.catalogue.loader import load_catalogue, populations
from pipeline.elicitation.panel import load_panel
from pipeline.names.candidates import KINDS
from pipeline.names.ways import lender
from pipeline.plan import COUNTED, NAMED, Cell

DIMENSION_KEYS = tuple(
    f"{population}/{dimension.id}"
    for population in populations()
    for dimension in load_catalogue(population).dimensions
)
EDITION_TAG = "personagen/edition"  # on every run: which edition it builds
MODEL_KEYS = tuple(member.id for member in load_panel())

NAME_KEYS = tuple(f"{population}/{kind}" for population in COUNTED for kind in KINDS)

by_dimension = dg.StaticPartitionsDefinition(list(DIMENSION_KEYS))
by_model = dg.StaticPartitionsDefinition(list(MODEL_KEYS))
by_dimension_and_model = dg.MultiPartitionsDefinition({"dimension": by_dimension, "model": by_model})
TIERS = {
    f"{population}/tier_{tier}": frozenset(
        f"{population}/{d.id}" for d in load_catalogue(population).dimensions if d.tier == tier
    )
    for population in populations()
    for tier in (1, 2, 3)
}
by_tier = dg.StaticPartitionsDefinition(list(TIERS))
by_population = dg.StaticPartitionsDefinition(list(populations()))
by_name_kind = dg.StaticPartitionsDefinition(list(NAME_KEYS))
kind_to_population = dg.StaticPartitionMapping(
    {key: [population for population in NAMED if lender(population) == key.split("/", 1)[0]] for key in NAME_KEYS}
)
dimension_to_population = dg.StaticPartitionMapping({key: key.split("/", 1)[0] for key in DIMENSION_KEYS})
population_to_dimension = dg.StaticPartitionMapping(
    {population: [k for k in DIMENSION_KEYS if k.split("/", 1)[0] == population] for population in populations()}
)


def cell_of(key: str) -> Cell:
    """The cell that a partition key of any of the definitions above names."""
    if isinstance(key, dg.MultiPartitionKey):
        parts = key.keys_by_dimension
        population, dimension = parts["dimension"].split("/", 1)
        return Cell(population, dimension, parts["model"])
    population, _, dimension = key.partition("/")
    return Cell(population, dimension)


def cells_frame(keys: Iterable[str]) -> pl.DataFrame:
    """Cells as a frame with the columns that the keys have: population, and dimension and model where present; those of
    names have population and kind.
    """
    keys = list(keys)
    cells = [cell_of(key) for key in keys]
    frame = pl.DataFrame(
        {
            "population": [c.population for c in cells],
            "dimension": [c.dimension for c in cells],
            "model": [c.model for c in cells],
        },
        schema={"population": pl.String, "dimension": pl.String, "model": pl.String},
    )
    frame = frame.drop([column for column in ("dimension", "model") if not any(frame[column].to_list())])
    return frame.rename({"dimension": "kind"}) if keys and set(keys) <= set(NAME_KEYS) else frame


def neighbours(places: Sequence[int], at_once: int) -> Iterator[tuple[int, int]]:
    """Group ascending places into unbroken ranges of limited length."""
    first: int | None = None
    last = -2
    for place in places:
        if first is None or place != last + 1 or place - first >= at_once:
            if first is not None:
                yield first, last
            first = place
        last = place
    if first is not None:
        yield first, last


def range_tags(start: str, end: str) -> dict[str, str]:
    """The tags by which Dagster knows a run over a range of partitions; none for a single one."""
    if start == end:
        return {}
    return {"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end}
