"""The iterative proportional fitting core: scale a table of people by categories until its margins fit.

Belongs here: the solver on plain arrays. Does not belong here: which margins to fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.combination.people import Cells
from pipeline.combination.problem import Floats

STEP_LIMIT = 20.0
TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Margin:
    """One margin to fit.

    Attributes:
        cells: Condition of each row, shape (rows,), values below the number of conditions C.
        target: Wanted distribution per condition, shape (C, K). A target of 0 sets the entry to 0.
    """

    cells: Cells
    target: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Raked:
    """Result of `rake`.

    Attributes:
        logs: Log factor of each margin, shapes (C, K); 0 where no row can be moved, -inf where a target is 0.
        table: The fitted rows, shape (rows, K), each summing to 1.
        iterations: Sweeps done.
        residual: Largest mass-weighted total variation between a margin and its target.
        converged: Whether the residual fell under the tolerance.
    """

    logs: tuple[Floats, ...]
    table: Floats
    iterations: int
    residual: float
    converged: bool


def rake(
    weights: Floats,
    start: Floats,
    margins: Sequence[Margin],
    *,
    max_iterations: int = 500,
    tolerance: float = 1e-6,
) -> Raked:
    """Fit P(k | row) = start * product of one factor per margin, so that every margin meets its target.

    Args:
        weights: Mass of each row, shape (rows,), summing to 1; the row totals are kept.
        start: Table to scale, shape (rows, K), every row with some mass; its zeros stay exact.
        margins: The margins, fitted in turn.
        max_iterations: Sweeps before giving up; the result then says `converged=False`.
        tolerance: Residual, a total variation, at which to stop.

    Iterative proportional fitting (Deming & Stephan 1940; Csiszar 1975 for its limit, the table nearest to `start`
    in information). Margins that contradict each other have no limit; the last sweep is then a compromise.
    """
    columns = np.arange(len(weights) + 1, dtype=np.int32)
    spread_to = [
        sp.csc_array((weights, m.cells.astype(np.int32), columns), shape=(len(m.target), len(weights))) for m in margins
    ]
    masses = [np.bincount(m.cells, weights, len(m.target)).astype(np.float64) for m in margins]
    logs = [np.zeros_like(m.target) for m in margins]
    table = start / start.sum(axis=1, keepdims=True)
    vetoed = [(m.target == 0) & (np.asarray(s @ table) > TINY) for m, s in zip(margins, spread_to, strict=True)]
    residual, iteration = np.inf, 0
    while iteration < max_iterations and residual > tolerance:
        iteration += 1
        residual = 0.0
        for place, (margin, matrix, mass, veto) in enumerate(zip(margins, spread_to, masses, vetoed, strict=True)):
            wanted = margin.target * mass[:, np.newaxis]
            implied = np.asarray(matrix @ table)
            live = (implied > TINY) & (wanted > 0)
            residual = max(residual, 0.5 * float(np.abs(np.where(implied > TINY, wanted - implied, 0.0)).sum()))
            ratio = np.where(live, wanted, 1.0) / np.where(live, implied, 1.0)
            step = np.clip(np.log(ratio), -STEP_LIMIT, STEP_LIMIT)
            logs[place] += step
            table *= np.where(veto, 0.0, np.exp(step))[margin.cells]
            totals = table.sum(axis=1, keepdims=True)
            # A row whose every category was vetoed has no solution; it keeps what it may have had.
            stuck = totals[:, 0] <= TINY
            if stuck.any():
                table[stuck] = start[stuck]
                totals = table.sum(axis=1, keepdims=True)
            table /= totals
    for log, veto in zip(logs, vetoed, strict=True):
        log[veto] = -np.inf
    return Raked(tuple(logs), table, iteration, residual, residual <= tolerance)
