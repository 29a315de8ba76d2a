"""The name of one persona, by the tables of `serving.names`, without the overhead that arrays have.

Here belongs the draw of `Names.draw` for a single index, in plain Python numbers and to the same names. Which names
there are and how likely they are is decided there, and the tables of a cell are made there when it is first needed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.counter import Seed
from serving.names import FIRST_STREAM, LAST_PLACE, LAST_STREAM, NOBODY, TOLD_STREAM, Names, _Kind
from warehouse.names.files import BANDS

STREAMS = (TOLD_STREAM, FIRST_STREAM, LAST_STREAM)
"""Streams whose uniforms a draw takes, in this order."""


class SingleNames:
    """Draws the names of one persona at a time."""

    def __init__(self, names: Names, *, accents: bool) -> None:
        self._names = names
        self._here = names.cohorts[1:].tolist()
        self._abroad = names._abroad.tolist()
        self._near = names._near.tolist()
        self._bands = list(BANDS[1:])
        self._accents = accents
        self._texts = names.spellings
        self._told = [frozenset(kind.told_of.tolist()) for kind in names._kinds] if accents else []

    def draw(
        self, seed: Seed, index: int, uniforms: Sequence[float], *, birth_year: int, codes: Mapping[str, int]
    ) -> tuple[str, str]:
        """First name and surname.

        `uniforms` are those of `STREAMS` at this seed and index, `codes` those of `heritage`, `ethnicity`, `sex` and
        `nativity`.
        """
        names = self._names
        heritage, ethnicity, nativity = codes["heritage"], codes["ethnicity"], codes["nativity"]
        if self._abroad[nativity]:
            cohort = len(names.cohorts) + bisect_right(self._bands, birth_year)
        else:
            cohort = bisect_right(self._here, birth_year)
        cell = (codes["sex"] * names._cohorts + cohort) * names._ethnicities + ethnicity
        first, last = names._kinds
        if not (first._made.item(cell) and last._made.item(ethnicity)):
            at = np.array([index], dtype=np.uint64)
            arrays: dict[str, Any] = {name: np.array([code]) for name, code in codes.items()}
            names.draw_rows(seed, at, birth_year=np.array([birth_year]), **arrays)  # makes the tables
        told, of_first, of_last = uniforms
        rows = [
            _row(first, told, of_first, cell, heritage, nativity),
            _row(last, told, of_last, ethnicity, heritage, nativity),
        ]
        if self._accents and self._near[nativity]:
            for place, kind in enumerate((first, last)):
                if rows[place] * kind._lists + heritage in self._told[place]:
                    rows[place] += len(self._texts[place]) // 2
        return self._texts[0][rows[0]], self._texts[1][rows[1]]


def _row(kind: _Kind, told: float, uniform: float, cell: int, heritage: int, nativity: int) -> int:  # noqa: PLR0917
    """`_Kind.draw` for one."""
    own = kind._own.item(cell, heritage, nativity)
    if told < own:
        number = heritage + 1
    else:
        number, first = 0, cell * kind._lists
        place = cell + min((told - own) / max(1 - own, NOBODY), LAST_PLACE)
        if place >= kind._others.item(first):
            number = int(np.searchsorted(kind._others, place, side="right")) - first
    return kind.tables.draw_one(cell, number, uniform)
