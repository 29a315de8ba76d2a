"""Surnames that stand for rarer ones of the same heritage, which no table lists.

Belongs here: how many more bearers than its own a surname is drawn for. Does not belong here: the tables
(`warehouse.names.export`), the draw (`serving.names`).

One person in eight has a surname that the Census does not list, having under a hundred bearers. Such names are as a
rule those of few immigrants: without them most Iranians and Greeks would have to be given other people's names. These
people are therefore drawn with listed surnames of their heritage, and of these with the more distinctive ones, since a
rare name is one people's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from serving.name_mixture import OWN, Told, route
from warehouse.names.files import EVERYONE, FOREIGN, MARKED, SHARE_UNIT

ROUNDS = 60
"""Of bisection; then the level is exact to rounding."""

Floats = npt.NDArray[np.float64]


def standing(
    surnames: pl.DataFrame, everybody: Mapping[str, float], tags: pl.DataFrame, people: pl.DataFrame
) -> pl.DataFrame:
    """Key and factor of the surnames that stand for rarer ones: how many times its own bearers each stands for.

    Within an ethnicity, those whose surname is not among `surnames` are shared out over the heritages that lack names:
    each should have its names for as many of its people as have one (`MARKED`) if all that were born abroad do, or for
    less where it shares its names with others. If there are too few people for that, each gets the same part of it. The
    shares of the ethnicities of each surname stay what they are.

    Args:
        surnames: key, bearers, and share_E in units of 1/SHARE_UNIT for each ethnicity E.
        everybody: people by ethnicity, in bearers.
        tags: key, heritage, share (0 to 1) of what was told of surnames.
        people: cohort, ethnicity, nativity, heritage, share, as `pipeline.heritage_shares` gives them.
    """
    heritages = people["heritage"].unique(maintain_order=True).to_list()
    told = _told(surnames["key"], tags, heritages)
    everyone = people.filter(cohort=EVERYONE)
    of = {e: _by_heritage(everyone.filter(ethnicity=e), heritages) for e in everybody}
    everywhere = _by_heritage(everyone, heritages).sum(axis=1)
    strength = np.array(list(MARKED.values())) / MARKED[FOREIGN]
    bearers = surnames["bearers"].to_numpy().astype(np.float64)
    more = np.zeros(len(surnames))
    for ethnicity, whole in everybody.items():
        borne = bearers * surnames[f"share_{ethnicity}"].to_numpy() / SHARE_UNIT
        here = of[ethnicity].sum(axis=1)
        if not here.any():
            continue
        chance = np.divide(here, everywhere, out=np.zeros_like(here), where=here > 0)
        routing = route(told, len(surnames), chance, float(here.sum() / everywhere.sum()))
        mass = borne[routing.row] * routing.share
        had = np.bincount(routing.heritage, mass, len(heritages)).astype(np.float64)
        distinct = np.bincount(routing.heritage, mass * routing.share, len(heritages))
        own = np.minimum(OWN * distinct / np.maximum(had, 1), 1)
        wanted = whole * (of[ethnicity] / here.sum()) @ strength * own
        lacking = np.where(had > 0, shared_out(max(whole - borne.sum(), 0.0), wanted, had), 0.0)
        rare = lacking / np.maximum(distinct, 1)
        more += np.bincount(routing.row, rare[routing.heritage] * mass * routing.share, len(surnames))
    factor = pl.Series("factor", 1 + more / bearers).round(4)  # absorbs the order of summation
    return pl.DataFrame([surnames["key"], factor]).filter(pl.col("factor") > 1)


def shared_out(available: float, wanted: Floats, had: Floats) -> Floats:
    """What each lacks to what it wants, or to the same part of it, so that all together have no more than `available`.

    Arrays and result of one shape.
    """

    def lacking(level: float) -> Floats:
        return np.maximum(level * wanted - had, 0)

    if lacking(1.0).sum() <= available:
        return lacking(1.0)
    low, high = 0.0, 1.0
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if lacking(middle).sum() <= available else (low, middle)
    return lacking(low)


def _by_heritage(people: pl.DataFrame, heritages: Sequence[str]) -> Floats:
    """Shares of shape (heritages, nativities), these in the order of MARKED."""
    table = np.zeros((len(heritages), len(MARKED)))
    places = {h: i for i, h in enumerate(heritages)}, {n: i for i, n in enumerate(MARKED)}
    for heritage, nativity, share in people.select("heritage", "nativity", "share").iter_rows():
        table[places[0][heritage], places[1][nativity]] += share
    return table


def _told(keys: pl.Series, tags: pl.DataFrame, heritages: Sequence[str]) -> Told:
    """The tags of these names, renumbered by their place."""
    rows = pl.DataFrame({"key": keys}).with_row_index("row")
    codes = pl.DataFrame({"heritage": heritages}).with_row_index("code")
    known = tags.join(rows, on="key").join(codes, on="heritage").sort("code", "row")
    row, code, share = (known[c].to_numpy() for c in ("row", "code", "share"))
    return Told(row.astype(np.int64), code.astype(np.int64), share.astype(np.float64))
