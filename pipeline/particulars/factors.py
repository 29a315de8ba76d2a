"""From places and job titles to the factors that a snapshot carries.

Belongs here: likelihoods of what is known of a person given a place or title, and fitting shares to the people who are
drawn. Does not belong here: answers (`answers`), the layout of the files (`warehouse.particulars`), drawing.

    P(place | region, kind of surroundings, heritage) ~ share * P(kind | place) * multiple(heritage)
    P(title | occupation, sex, education, industry, income)
        ~ share * P(sex | title) P(degree | title) P(industry | title) P(band | title)

which is Bayes' rule with these independent of each other given the place or title. The people who are drawn are not
those of the answers, so that shares would come out otherwise than they were told. They are scaled until they come out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.catalogue.models import Catalogue
from pipeline.combination.raking import Margin, rake
from pipeline.particulars.answers import Place, Title
from pipeline.particulars.requests import NONE, WITHIN, Kind, Settings
from serving.derived import income_bands
from warehouse.parquet import parquet_bytes
from warehouse.particulars import METADATA, PLACES, TITLES, column_of
from warehouse.snapshot_format import round_significant

GIVENS: Mapping[Kind, tuple[tuple[str, ...], ...]] = {
    "place": (("urbanicity",), ("heritage",)),
    "title": (("sex",), ("education",), ("industry",), ("employment", "personal_income")),
}
"""What a place and a title depend on besides what it is within; dimensions of one given act together."""

NEEDS = tuple(dict.fromkeys([*WITHIN.values(), *(name for givens in GIVENS.values() for g in givens for name in g)]))
"""All dimensions that any of these depend on."""

FLOOR = 0.005
"""The least probability that a likelihood gives: nobody's title is ruled out by what was not thought of."""

FULL_TIME, FEMALE = "full_time", "female"
_QUARTILE = 0.6744897501960817  # of the standard normal distribution

Floats = npt.NDArray[np.float64]
People = Mapping[str, npt.NDArray[np.uint8]]
"""Codes by dimension of the people who are drawn, each (n,)."""


@dataclass(frozen=True, slots=True)
class Table:
    """Names within one category: shares (names,), and a factor for each given, (names, combinations of categories)."""

    names: tuple[str, ...]
    shares: Floats
    factors: tuple[Floats, ...]


def place_table(places: Sequence[Place], catalogue: Catalogue) -> Table:
    """The places of a region as they were told."""
    kinds = np.maximum([place.kinds for place in places], FLOOR)
    heritages = catalogue.dimension("heritage").category_ids
    multiples = np.array([[place.multiples.get(h, 1.0) for h in heritages] for place in places])
    shares = np.array([place.share for place in places])
    return Table(tuple(place.name for place in places), shares, (kinds, np.maximum(multiples, FLOOR)))


def title_table(titles: Sequence[Title], catalogue: Catalogue, settings: Settings) -> Table:
    """The titles of an occupation as they were told."""
    sexes, educations = (catalogue.dimension(name).category_ids for name in ("sex", "education"))
    industries, employments = (catalogue.dimension(name).category_ids for name in ("industry", "employment"))
    women = [[t.women if sex == FEMALE else 1 - t.women for sex in sexes] for t in titles]
    degree = [[t.degree if one in settings.degree else 1 - t.degree for one in educations] for t in titles]
    industry = []
    for t in titles:
        unlisted = [one for one in industries if one != NONE and one not in t.industries]
        rest = (1 - sum(t.industries.values())) / max(len(unlisted), 1)
        industry.append([t.industries.get(one, rest) for one in industries])
    bands = np.maximum([_in_bands(t.pay, catalogue) for t in titles], FLOOR)
    # Pay was told of people who work full time; of others a band says nothing about the title.
    income = np.ones((len(titles), len(employments), bands.shape[1]))
    income[:, employments.index(FULL_TIME)] = bands
    factors = (np.maximum(women, FLOOR), np.maximum(degree, FLOOR), np.maximum(industry, FLOOR))
    shares = np.array([t.share for t in titles])
    return Table(tuple(t.name for t in titles), shares, (*factors, income.reshape(len(titles), -1)))


def _in_bands(pay: tuple[float, float], catalogue: Catalogue) -> Floats:
    """Mass in the bands of income of the lognormal distribution that has these quartiles."""
    bands = income_bands(catalogue.dimension("personal_income").category_ids)
    begins = bands.values[np.searchsorted(bands.edges, bands.base, side="right")]
    low, high = math.log(pay[0]), math.log(pay[1])
    middle, width = (low + high) / 2, (high - low) / (2 * _QUARTILE)
    below = [0.5 * (1 + math.erf((math.log(b) - middle) / width / math.sqrt(2))) for b in begins[1:].tolist()]
    return np.diff([0.0, *below, 1.0])


def fitted(table: Table, kind: Kind, category: str, catalogue: Catalogue, people: People) -> Table:
    """The same table with shares scaled so that the people of this category who are drawn come out as was told.

    Of a category that nobody is of, the shares stay.
    """
    within = catalogue.dimension(WITHIN[kind]).category_ids
    these = people[WITHIN[kind]] == within.index(category)
    if not these.any():
        return table
    cells = np.stack([_cells(given, catalogue, people)[these] for given in GIVENS[kind]], axis=1)
    kinds, counts = np.unique(cells, axis=0, return_counts=True)
    start = np.tile(table.shares, (len(kinds), 1))
    for factors, cell in zip(table.factors, kinds.T, strict=True):
        start *= factors.T[cell]
    everybody = Margin(np.zeros(len(kinds), dtype=np.intp), table.shares[None, :])
    raked = rake(counts / counts.sum(), start, [everybody])
    shares = table.shares * np.exp(raked.logs[0][0])
    return Table(table.names, shares / shares.sum(), table.factors)


def _cells(given: Sequence[str], catalogue: Catalogue, people: People) -> npt.NDArray[np.intp]:
    sizes = tuple(len(catalogue.dimension(name).categories) for name in given)
    return np.ravel_multi_index(tuple(people[name].astype(np.intp) for name in given), sizes)


def written(kind: Kind, tables: Mapping[str, Table], catalogue: Catalogue) -> bytes:
    """The snapshot's file of this kind, from tables by category."""
    within, givens = catalogue.dimension(WITHIN[kind]), GIVENS[kind]
    ordered = [(category, tables[category]) for category in within.category_ids if category in tables]
    columns: dict[str, pa.Array] = {
        "within": pa.array([category for category, table in ordered for _ in table.names], pa.string()),
        "name": pa.array([name for _, table in ordered for name in table.names], pa.string()),
        "share": pa.array(_rounded([table.shares for _, table in ordered]), pa.float64()),
    }
    for place, given in enumerate(givens):
        rows = [row for _, table in ordered for row in _relative(table.factors[place])]
        columns[column_of(given)] = pa.array([_rounded([row]) for row in rows], pa.list_(pa.float64()))
    dimensions = dict.fromkeys([within.id, *(name for given in givens for name in given)])
    told = {
        "within": within.id,
        "givens": [list(given) for given in givens],
        "categories": {name: list(catalogue.dimension(name).category_ids) for name in dimensions},
    }
    metadata = {METADATA: json.dumps(told, sort_keys=True).encode()}
    return parquet_bytes(pa.table(columns).replace_schema_metadata(metadata), store_schema=True)


def _relative(factors: Floats) -> Floats:
    """Factors divided by the largest of their combination, which changes no draw: the same for all is 1."""
    return np.asarray(factors / factors.max(axis=0))


def _rounded(arrays: Sequence[Floats]) -> list[float]:
    return [round_significant(value, 4) for array in arrays for value in array.tolist()]


FILE_OF: Mapping[Kind, str] = {"place": PLACES, "title": TITLES}
"""The file of each kind."""
