"""Names by faith: of a heritage whose names differ by faith, which of them people of one faith have.

Here belongs what a name file tells of faiths, and the lists that come of it within a cell. Whose names these are, the
draw, and all that does not hang on faith is `serving.name_cells`.

A heritage has weights w(n) of its names in a cell, and shares of faiths among its people. The joint of both is
w(n) P(faith | n), tilted by a factor for each faith such that the faiths have their shares: so its people, of all
faiths together, have names as often as they would without. What was told is tilted by TILT at most. Where that does not
do, as more people bear names of a faith than are of it, or fewer, it is the names that give way and become rarer or
more frequent. A name that nobody was asked about is taken to be like all of the heritage that were. Every sum runs from
left to right, so that the lists are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from serving.name_files import NOBODY, NameFile
from warehouse.names.files import HERITAGE_UNIT

ROUNDS = 20
LEAST = 0.03
"""A smaller share of a name is left out: of many names of a large faith it would be most of what a small one has."""

TILT = 2.0
"""So much more or less than was told may a name be of a faith, against the most common one of the heritage. Without a
bound, of Christians with African roots a quarter would have Muslim surnames, as these are many in the lending lists."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class NameFaiths:
    """What is known of the faiths of the names of a file.

    Categories of religion that stand for the same faiths share their lists. The lists that a cell has beside those of
    heritages are numbered heritage by heritage.

    Attributes:
        lists: how many these are.
        number: by heritage and religion, int64 (heritages, religions), whose list a person has: that of such a list,
            or -1 for that of the whole heritage.
    """

    def __init__(self, file: NameFile, heritages: Sequence[str], religions: Sequence[str]) -> None:
        facts = file.facts["faiths"]
        groups = sorted({tuple(faiths) for faiths in facts["of"].values()})
        columns = [[facts["names"].index(faith) for faith in group] for group in groups]
        stored, row = file.lists("faith_share")
        each = stored.reshape(-1, len(facts["names"])).astype(np.float64)
        told = np.stack([sum((each[:, c] for c in those), np.zeros(len(each))) for those in columns], axis=1)
        self._place = np.full(file.rows, -1, dtype=np.int32)
        self._place[row[:: len(facts["names"])]] = np.arange(len(each))
        self._told = np.where(told >= LEAST * HERITAGE_UNIT, told, 0.0)
        self._among = np.zeros((len(heritages), len(groups)))
        self._first = np.full(len(heritages), -1, dtype=np.int64)
        self.number = np.full((len(heritages), len(religions)), -1, dtype=np.int64)
        for place, (heritage, shares) in enumerate(facts["among"].items()):
            code = list(heritages).index(heritage)
            self._first[code] = place * len(groups)
            for religion, faiths in facts["of"].items():
                group = groups.index(tuple(faiths))
                self._among[code, group] += shares[religion]
                self.number[code, list(religions).index(religion)] = self._first[code] + group
            self._among[code] = np.maximum(self._among[code], NOBODY)
            self._among[code] /= np.cumsum(self._among[code])[-1]
        self.lists = len(facts["among"]) * len(groups)

    def lists_of(self, rows: Ints, heritage: Ints, weights: Floats) -> tuple[Ints, Floats, Ints]:
        """The lists of a cell, one after the other: which of these names, their weights, and how many a list has.

        Args:
            rows: names of heritages, (n,).
            heritage: the heritage that each is listed for, in ascending order.
            weights: their weights, above 0.
        """
        of = np.flatnonzero(self._first[heritage] >= 0)
        place = self._place[rows[of]]
        told = np.zeros((len(of), self._among.shape[1]))
        told[place >= 0] = self._told[place[place >= 0]]
        joint = by_faith(weights[of], heritage[of], told, self._among)
        groups = joint.shape[1]
        number = self._first[heritage[of], None] + np.arange(groups)
        # Where nobody has the names of a faith, its people have those of all.
        some = np.bincount(number.ravel(), joint.ravel(), self.lists) > 0
        joint = np.where(some[number], joint, weights[of, None])
        kept = np.flatnonzero(joint.ravel() > 0)
        kept = kept[np.argsort(number.ravel()[kept], kind="stable")]
        return of[kept // groups], joint.ravel()[kept], np.bincount(number.ravel()[kept], minlength=self.lists)


def by_faith(weights: Floats, heritage: Ints, told: Floats, among: Floats) -> Floats:
    """The joint of names and faiths, (names, faiths): its sums over faiths are `weights` and, as far as TILT lets them,
    those over the names of a heritage its faiths in proportion to `among`.

    Args:
        weights: of names, (n,).
        heritage: of which they are names, (n,).
        told: how far each is of each faith, (n, faiths), in any unit; 0 throughout for a name that nobody told of.
        among: share of each faith, (heritages, faiths).
    """

    def over_names(values: Floats) -> Floats:
        columns = [np.bincount(heritage, column, len(among)).astype(np.float64) for column in values.T]
        return np.stack(columns, axis=1)

    whole = _across(told)
    shares = told / np.where(whole > 0, whole, 1)[:, None]
    usual = over_names(shares * weights[:, None])
    usual = np.where(_across(usual)[:, None] > 0, usual, among)
    usual /= np.maximum(_across(usual), NOBODY)[:, None]
    shares = np.where(whole[:, None] > 0, shares, usual[heritage])
    wanted = among * over_names(weights[:, None])
    common = np.arange(len(among)), np.argmax(among, axis=1)
    tilt = np.ones(among.shape)
    for left in range(ROUNDS, -1, -1):
        joint = shares * tilt[heritage]
        joint *= (weights / _across(joint))[:, None]
        if left:
            found = over_names(joint)
            tilt *= np.divide(wanted, found, out=np.ones_like(found), where=found > 0)
            tilt = np.clip(tilt / np.maximum(tilt[common], NOBODY)[:, None], 1 / TILT, TILT)
    return joint


def _across(table: Floats) -> Floats:
    """Sums of the rows of a table of few columns, from left to right."""
    return np.asarray(np.cumsum(table, axis=1)[:, -1])
