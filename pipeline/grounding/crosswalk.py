"""Crosswalks: respondents and personas in the same columns and categories. Reading `crosswalks.toml` and recoding.

Does not belong here: any measure of how the two differ.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.catalogue.models import Catalogue, Dimension
from pipeline.combination.problem import Floats
from pipeline.grounding.microdata import IntCodes, microdata, recoded
from serving import Batch
from warehouse.errors import GroundingError

CROSSWALKS = Path(__file__).parent / "crosswalks.toml"
MATCHES = ("exact", "rough")
BAND_SHARES = (0.1, 0.2, 0.4, 0.2, 0.1)
"""What the catalogue's definitions of the five traits say of their bands, lowest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One dimension as a data set has it.

    Attributes:
        dimension: The dimension of the catalogue.
        categories: What is compared, in the catalogue's order; with `outside`, that is the last.
        to_column: Code in `categories` by the catalogue's code, -1 for what is left out, int16 (K,).
        source: The column's table in `crosswalks.toml`.
    """

    dimension: Dimension
    categories: tuple[str, ...]
    to_column: IntCodes
    source: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Id of the dimension."""
        return self.dimension.id

    @property
    def exact(self) -> bool:
        """Whether the categories mean the same on both sides."""
        return bool(self.source["match"] == "exact")

    @property
    def joint(self) -> bool:
        """Whether it is one of the columns that are compared all at once."""
        return bool(self.source.get("joint", True))


@dataclass(frozen=True, slots=True)
class Leaning:
    """A share of one column's categories, to be compared."""

    theme: str
    label: str
    column: str
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Crosswalk:
    """One data set: its columns in the catalogue's order, and what its table in `crosswalks.toml` says."""

    id: str
    columns: tuple[Column, ...]
    leanings: tuple[Leaning, ...]
    source: Mapping[str, Any] = field(repr=False)

    @property
    def adults(self) -> bool:
        """Whether its frame is all adults."""
        return bool(self.source["adults"])

    @property
    def panel(self) -> str | None:
        """Who answers a panel that people join by themselves, as a population of its own; None for other samples."""
        told: str | None = self.source.get("panel")
        return told

    @property
    def held_out(self) -> bool:
        """Whether nothing was chosen with it in sight."""
        return bool(self.source.get("held_out", False))

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What is known of everybody in it, as the sampler takes it."""
        known: Mapping[str, Any] = self.source.get("evidence", {})
        return known

    @property
    def year(self) -> int | None:
        """The year that respondents were asked in, the middle one of several; None where it is not stated."""
        told: int | None = self.source.get("year")
        return told

    @property
    def one_of_household(self) -> bool:
        """Whether one adult of each household was asked, and nobody outside households."""
        return bool(self.source.get("one_of_household", False))

    def place(self, column: str) -> int:
        """Position of a column; `KeyError` if the data set has none of that name."""
        for place, one in enumerate(self.columns):
            if one.id == column:
                return place
        raise KeyError(column)


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Respondents or personas in a crosswalk's columns: codes, int16 (n, columns), -1 missing; weights (n,), mean 1."""

    codes: IntCodes
    weights: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def of(self, places: Sequence[int]) -> People:
        """These columns, of the people who have all of them."""
        codes = self.codes[:, list(places)]
        whole = (codes >= 0).all(axis=1)
        return People(codes[whole], self.weights[whole])

    def rows(self, chosen: np.ndarray[Any, Any]) -> People:
        """Some of the people, by index or mask."""
        return People(self.codes[chosen], self.weights[chosen])


def load_crosswalks(catalogue: Catalogue) -> tuple[Crosswalk, ...]:
    """The data sets about the catalogue's population, in the order of the file.

    Raises `GroundingError` naming data set, column and fault if one is malformed.
    """
    surveys = tomllib.loads(CROSSWALKS.read_text(encoding="utf-8"))
    people = catalogue.population.id
    return tuple(crosswalk(name, one, catalogue) for name, one in surveys.items() if one["population"] == people)


def crosswalk(name: str, source: Mapping[str, Any], catalogue: Catalogue) -> Crosswalk:
    """One data set's crosswalk from its table; see `load_crosswalks`."""
    unknown = source["columns"].keys() - catalogue.by_id.keys()
    if unknown:
        raise GroundingError(f"{name}.{min(unknown)}: the catalogue has no such dimension; name one that it has")
    columns = tuple(
        _column(name, d, source["columns"][d.id]) for d in catalogue.dimensions if d.id in source["columns"]
    )
    leanings = tuple(
        Leaning(one["theme"], one["label"], one["column"], tuple(one["categories"]))
        for one in source.get("leanings", ())
    )
    made = Crosswalk(name, columns, leanings, source)
    wanted = [(one.column, one.categories) for one in leanings] + [(group, ()) for group in source["groups"]]
    wanted += [(other, tuple(kept)) for c in columns for other, kept in c.source.get("among", {}).items()]
    for column, categories in wanted:
        known = next((c.categories for c in columns if c.id == column), None)
        if known is None or not set(categories) <= set(known):
            raise GroundingError(
                f"{name}: '{column}' with {', '.join(categories)} is referred to; it is not among its columns"
            )
    return made


def respondents(walk: Crosswalk) -> People:
    """The microdata in the crosswalk's columns, weighted as the source is."""
    frame = microdata(walk.source["package"], walk.source["item"])
    return coded_respondents(walk, frame)


def coded_respondents(walk: Crosswalk, frame: pd.DataFrame) -> People:
    """Recode a data frame with the raw columns that the crosswalk names."""
    for column, (low, high) in walk.source["rows"].items():
        frame = frame[frame[column].between(low, high)]
    codes = np.stack([_raw_codes(frame, column) for column in walk.columns], axis=1)
    weight = walk.source.get("weight")
    weights = frame[weight].to_numpy(dtype=float) if weight else np.ones(len(frame))
    return People(_among(walk, codes), weights / weights.mean())


def personas(walk: Crosswalk, batch: Batch) -> People:
    """A batch in the crosswalk's columns."""
    codes = np.stack([column.to_column[batch.codes(column.id)] for column in walk.columns], axis=1)
    return People(_among(walk, codes), np.ones(len(codes)))


def _column(survey: str, dimension: Dimension, source: Mapping[str, Any]) -> Column:
    if source["match"] not in MATCHES or (source["match"] == "rough" and "note" not in source):
        raise GroundingError(f"{survey}.{dimension.id}: match is exact, or rough with a note that says why")
    groups = source.get("personas") or {c: [c] for c in dimension.category_ids}
    members = [c for group in groups.values() for c in group]
    if not set(members) <= set(dimension.category_ids) or len(set(members)) < len(members):
        raise GroundingError(
            f"{survey}.{dimension.id}: 'personas' must sort the catalogue's categories, each once at most"
        )
    categories = tuple(groups)
    if source.get("outside", categories[-1]) != categories[-1]:
        raise GroundingError(f"{survey}.{dimension.id}: the category 'outside' must be the last")
    named = _raw_categories(source, dimension)
    if not named <= set(categories):
        raise GroundingError(
            f"{survey}.{dimension.id}: raw values lead to {min(named - set(categories))}, no category of it"
        )
    to_column = np.full(len(dimension.categories), -1, dtype=np.int16)
    for code, group in enumerate(groups.values()):
        to_column[[dimension.category_ids.index(c) for c in group]] = code
    return Column(dimension, categories, to_column, source)


def _raw_categories(source: Mapping[str, Any], dimension: Dimension) -> set[str]:
    named: set[str] = set()
    for one in (source, source.get("first", {})):
        if one.get("values") == "labels":
            named |= set(dimension.category_ids)
        else:
            named |= set(one.get("values", {}).values()) | set(one.get("cuts", {}))
        named |= {one["missing"]} if "missing" in one else set()
    return named


def _raw_codes(frame: pd.DataFrame, column: Column) -> IntCodes:
    source = column.source
    if "items" in source:
        return banded(scale_means(frame, source["items"], *source["scale"]), BAND_SHARES)
    variable = source
    if source.get("values") == "labels":
        variable = {**source, "values": {c.label: c.id for c in column.dimension.categories}}
    raw = frame[source["column"]]
    codes = recoded(raw * source["times"] if "times" in source else raw, variable, column.categories)
    if "first" in source:
        before = recoded(frame[source["first"]["column"]], source["first"], column.categories)
        codes = np.where(before >= 0, before, codes)
    if "missing" in source:
        codes = np.where(raw.isna(), column.categories.index(source["missing"]), codes).astype(np.int16)
    return codes


def scale_means(frame: pd.DataFrame, items: Sequence[str], low: int, high: int) -> Floats:
    """Mean of a scale's items, (n,), those with a minus reversed; nan for whoever left one out."""
    turned = [low + high - frame[i[1:]] if i.startswith("-") else frame[i] for i in items]
    return np.asarray(np.mean([one.to_numpy(dtype=float) for one in turned], axis=0))


def banded(scores: Floats, shares: Sequence[float]) -> IntCodes:
    """Bands of these shares by rank, lowest first, (n,); -1 for nan. Ties are broken by chance, from a fixed seed.

    A scale of few values has ties over the bounds of bands; breaking them otherwise would move the shares.
    """
    result = np.full(len(scores), -1, dtype=np.int16)
    known = np.flatnonzero(~np.isnan(scores))
    chance = np.random.default_rng(0).random(len(known))
    order = np.lexsort((chance, scores[known]))
    bounds = np.cumsum(shares)[:-1]
    result[known[order]] = np.searchsorted(bounds, (np.arange(len(known)) + 0.5) / len(known), side="right")
    return result


def _among(walk: Crosswalk, codes: IntCodes) -> IntCodes:
    """Who a column is not told of is missing in it, or in its category `outside`."""
    result = codes.copy()
    for place, column in enumerate(walk.columns):
        for other, kept in column.source.get("among", {}).items():
            there = walk.place(other)
            wanted = [walk.columns[there].categories.index(c) for c in kept]
            out = (codes[:, there] >= 0) & ~np.isin(codes[:, there], wanted)
            outside = column.source.get("outside")
            result[out, place] = -1 if outside is None else column.categories.index(outside)
            if outside is not None:
                # Somebody known to be among them is in a category of theirs, or missing.
                inside = np.isin(codes[:, there], wanted) & (codes[:, place] == column.categories.index(outside))
                result[inside, place] = -1
    return result
