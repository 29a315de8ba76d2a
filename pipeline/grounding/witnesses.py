"""Two surveys of the same population and year told from each other, and from personas, on the columns that both have.

What sets two surveys apart is how they sample and ask, as neither is wrong about who lived in the year. It is the
measure of what a distance between a survey and personas can mean.

Does not belong here: columns of one data set (`findings`), recoding to them (`crosswalk`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.combination.bootstrap import Interval
from pipeline.grounding.crosswalk import Crosswalk, People, personas, respondents
from pipeline.grounding.microdata import IntCodes
from pipeline.grounding.two_sample import area, auc_replicates, held_out_scores
from serving.sampler import Sampler
from serving.snapshot import Snapshot

MOST_PEOPLE = 10_000
"""People of each side."""

POOL = 40_000


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A dimension that two data sets have: codes in their finest common `categories` by the codes of each."""

    dimension: str
    ordinal: bool
    categories: int
    first: IntCodes
    second: IntCodes


@dataclass(frozen=True, slots=True)
class Witness:
    """Areas under the ROC curve between two surveys, and between each of them and personas; `people` of each side."""

    first: str
    second: str
    year: int
    columns: tuple[str, ...]
    people: int
    between: Interval
    of_first: Interval
    of_second: Interval


def witness(first: Crosswalk, second: Crosswalk, year: int, snapshot: Snapshot) -> Witness:
    """Tell the respondents of `first`, those of `second` in one year, and personas from each other."""
    columns = shared(first, second)
    rows: Mapping[str, Any] = second.source["rows"]
    then = replace(second, source={**second.source, "rows": {**rows, "year": [year, year]}})
    batch = Sampler(snapshot).sample(POOL, f"{first.id} {second.id}", fields=[c.id for c in first.columns])
    sides = [
        _recoded(first, respondents(first), columns, "first"),
        _recoded(then, respondents(then), columns, "second"),
        _recoded(first, personas(first, batch), columns, "first"),
    ]
    n = min(MOST_PEOPLE, *(len(side) for side in sides))
    one, other, made = (side.rows(np.random.default_rng(0).permutation(len(side))[:n]) for side in sides)
    nominal = [not column.ordinal for column in columns]

    def told_apart(asked: People, against: People) -> Interval:
        theirs, ours = held_out_scores(asked, against, nominal, seed=0)
        return area(auc_replicates(theirs, ours, asked.weights, seed=0))

    return Witness(
        first.id,
        second.id,
        year,
        tuple(column.dimension for column in columns),
        n,
        told_apart(one, other),
        told_apart(one, made),
        told_apart(other, made),
    )


def shared(first: Crosswalk, second: Crosswalk) -> list[Shared]:
    """The dimensions that both have of everybody, in the categories that both can be put into."""
    found = []
    for column in first.columns:
        other = next((one for one in second.columns if one.id == column.id), None)
        if other is None or not all(one.joint and "among" not in one.source for one in (column, other)):
            continue
        groups = _groups(column.to_column, other.to_column)
        codes = [np.full(len(one.categories), -1, dtype=np.int16) for one in (column, other)]
        for number, group in enumerate(groups):
            for code, one in zip(codes, (column, other), strict=True):
                code[one.to_column[group]] = number
        if len(groups) > 1:
            found.append(Shared(column.id, column.dimension.ordinal, len(groups), codes[0], codes[1]))
    return found


def _groups(first: IntCodes, second: IntCodes) -> list[list[int]]:
    """Categories of the catalogue that both have, those that either of them merges in one group."""
    groups: list[list[int]] = []
    for category in np.flatnonzero((first >= 0) & (second >= 0)).tolist():
        near = [g for g in groups if any(c[category] in c[g] for c in (first, second))]
        groups = [*(g for g in groups if g not in near), sorted([category, *(one for g in near for one in g)])]
    return sorted(groups)


def _recoded(walk: Crosswalk, people: People, columns: list[Shared], side: str) -> People:
    """People in the common categories, those who have all of them."""
    codes = np.stack(
        [
            np.where((own := people.codes[:, walk.place(column.dimension)]) >= 0, getattr(column, side)[own], -1)
            for column in columns
        ],
        axis=1,
    )
    return People(codes.astype(np.int16), people.weights).of(range(len(columns)))
