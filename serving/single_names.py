"""The name of one persona, by the tables of `serving.names`, without the overhead that arrays have.

Here belongs the draw of `Names.draw_rows` for a single index, in plain Python numbers and to the same rows. Which names
there are and how likely they are is decided there, and the tables of a cell are made there when it is first needed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from serving.counter import Seed
from serving.names import FIRST_STREAM, LAST_STREAM, TOLD_STREAM, Names
from warehouse.names.files import BANDS

STREAMS = (FIRST_STREAM + TOLD_STREAM, FIRST_STREAM, LAST_STREAM + TOLD_STREAM, LAST_STREAM)
"""Streams whose uniforms a draw takes, in this order."""


class SingleNames:
    """Draws the rows of one persona's names at a time."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._here = names.cohorts[1:].tolist()
        self._abroad = names._abroad.tolist()
        self._bands = list(BANDS[1:])

    def draw(
        self, seed: Seed, index: int, uniforms: Sequence[float], *, birth_year: int, codes: Mapping[str, int]
    ) -> tuple[int, int]:
        """Rows of the first name and the surname.

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
        first, last = names._first, names._last
        if not (first._made.item(cell) and last._made.item(ethnicity)):
            at = np.array([index], dtype=np.uint64)
            arrays = {name: np.array([code]) for name, code in codes.items()}
            names.draw_rows(seed, at, birth_year=np.array([birth_year]), **arrays)  # makes the tables
        row = []
        for kind, group, told, uniform in (
            (first, cell, uniforms[0], uniforms[1]),
            (last, ethnicity, uniforms[2], uniforms[3]),
        ):
            own = told < kind._own.item(group, heritage, nativity)
            row.append(kind.tables.draw_one(group, heritage if own else kind._pool, uniform))
        return row[0], row[1]
