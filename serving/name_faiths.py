"""Names by faith: of a heritage whose names differ by faith, which of them people of one faith have.

Here belongs what a name file tells of faiths, and the lists that come of it within a cell. Whose names these are, the
draw, and all that does not hang on faith is `serving.name_cells`.

A heritage has weights w(n) of its names in a cell, and shares of faiths among its people. The joint of both has these
margins, and is as near as can be to w(n) P(faith | n) (iterative proportional fitting). So its people, of all faiths
together, have names as often as they would without. A name that nobody was asked about is taken to be of every faith
alike, and gives way first. Every sum runs from left to right, so that the lists are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from serving.name_files import NOBODY, NameFile

ROUNDS = 12

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
        self._told = told
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
        among = self._among[heritage[of]]
        place = self._place[rows[of]]
        told = np.where((place >= 0)[:, None], self._told[place], 0.0) if len(self._told) else np.zeros(among.shape)
        joint = by_faith(weights[of], heritage[of], np.where(_across(told)[:, None] > 0, told, among), self._among)
        groups = among.shape[1]
        number = self._first[heritage[of], None] + np.arange(groups)
        # Where nobody has the names of a faith, its people have those of all.
        some = np.bincount(number.ravel(), joint.ravel(), self.lists) > 0
        joint = np.where(some[number], joint, weights[of, None])
        kept = np.flatnonzero(joint.ravel() > 0)
        kept = kept[np.argsort(number.ravel()[kept], kind="stable")]
        return of[kept // groups], joint.ravel()[kept], np.bincount(number.ravel()[kept], minlength=self.lists)


def by_faith(weights: Floats, heritage: Ints, told: Floats, among: Floats) -> Floats:
    """The joint of names and faiths, (names, faiths): its sums over faiths are `weights` and, as far as that can be,
    those over the names of a heritage its faiths in proportion to `among`.

    Args:
        weights: of names, (n,).
        heritage: of which they are names, (n,).
        told: how far each is of each faith, (n, faiths), in any unit, some above 0.
        among: share of each faith, above 0, (heritages, faiths).
    """
    wanted = among * np.bincount(heritage, weights, len(among))[:, None]
    joint = told * (weights / _across(told))[:, None]
    for _ in range(ROUNDS):
        for faith in range(joint.shape[1]):
            found = np.bincount(heritage, joint[:, faith], len(among)).astype(np.float64)  # of none they are integers
            scale = np.divide(wanted[:, faith], found, out=np.ones_like(found), where=found > 0)
            joint[:, faith] *= scale[heritage]
        joint *= (weights / _across(joint))[:, None]
    return joint


def _across(table: Floats) -> Floats:
    """Sums of the rows of a table of few columns, from left to right."""
    return np.asarray(np.cumsum(table, axis=1)[:, -1])
