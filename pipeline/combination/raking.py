"""The iterative proportional fitting core: scale a table of people by categories until its margins fit.

Belongs here: the solver on plain arrays. Does not belong here: which targets to fit; see `targets` for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from pipeline.combination.problem import Floats

Cells = NDArray[np.intp]

NEWTON_STEPS = 4
STEP_LIMIT = 20.0
TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Margin:
    """One margin to fit.

    Attributes:
        cells: Condition of each row, shape (rows,), values below the number of conditions C.
        target: Wanted distribution per condition, shape (C, K). A target of 0 sets the entry to 0.
        slack: Damping r >= 0 per entry, shape (C, K) or (); the fit ends at implied = target * (1 - r * log factor).
    """

    cells: Cells
    target: Floats
    slack: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Nesting:
    """One margin whose conditions are unions of another's, such as `age` within `age x sex`.

    Attributes:
        coarse: Index of the coarser margin.
        fine: Index of the finer one.
        cells: Coarse condition of each fine one, shape (C of fine,).
    """

    coarse: int
    fine: int
    cells: Cells


@dataclass(frozen=True, slots=True, eq=False)
class Raked:
    """Result of `rake`.

    Attributes:
        logs: Log factor of each margin, shapes (C, K); 0 where no row can be moved, -inf where a target is 0.
        table: The fitted rows, shape (rows, K), each summing to 1.
        iterations: Sweeps done.
        residual: Largest mass-weighted total variation between a margin and its (damped) target.
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
    nestings: Sequence[Nesting] = (),
    *,
    max_iterations: int = 500,
    tolerance: float = 1e-6,
) -> Raked:
    """Fit P(k | row) = start * product of one factor per margin, so that every margin meets its target.

    Args:
        weights: Mass of each row, shape (rows,), summing to 1; the row totals are kept.
        start: Table to scale, shape (rows, K), every row with some mass; its zeros stay exact.
        margins: The margins, fitted in turn.
        nestings: Which margins contain which, finest pairs first; needed with slack only, see below.
        max_iterations: Sweeps before giving up; the result then says `converged=False`.
        tolerance: Residual, a total variation, at which to stop.

    Iterative proportional fitting (Deming & Stephan 1940; Csiszar 1975 for its limit, the table nearest to `start`
    in information). With slack it is the penalised raking of Deville & Sarndal 1993: each entry solves
    implied * exp(d) = target * (1 - r * (log factor + d)), the exact minimiser of a majorant of the penalised dual
    (log x <= x - 1), so the dual still falls at every step.

    Part of a factor can move between nested margins, or into the row total, without changing the table. Only the
    penalty sees that, and fitting in turn is slow at it, so after each sweep these shifts are solved exactly.

    Why not Newton or L-BFGS on the same dual: the factors are redundant (a two-way table contains its one-way
    ones), zeros put the optimum at infinity, a Hessian has up to 10^4 columns, and a line search may branch on
    the last bit. Here rounding differences between machines die out instead of growing, and factors reproduce.
    """
    columns = np.arange(len(weights) + 1, dtype=np.int32)
    ones = np.ones(start.shape[1])
    spread_to = [
        sp.csc_array((weights, m.cells.astype(np.int32), columns), shape=(len(m.target), len(weights))) for m in margins
    ]
    masses = [np.bincount(m.cells, weights, len(m.target)).astype(np.float64) for m in margins]
    logs = [np.zeros_like(m.target) for m in margins]
    vetoed = [np.zeros(m.target.shape, dtype=np.bool_) for m in margins]
    table = start / (start @ ones)[:, np.newaxis]
    buffer = np.empty_like(table)
    totals = table @ ones
    iteration, residual = 0, np.inf
    while iteration < max_iterations and residual > tolerance:
        iteration += 1
        residual = 0.0
        for margin, onto, mass, log, veto in zip(margins, spread_to, masses, logs, vetoed, strict=True):
            onto.data = weights / totals
            implied = np.asarray(onto @ table, dtype=np.float64)
            target = margin.target * mass[:, np.newaxis]
            movable = (implied > 0) & (target > 0)
            ratio = np.where(movable, implied, 1.0) / np.where(movable, target, 1.0)
            gap = target * (ratio - 1 + margin.slack * log)
            unwanted = (target <= 0) & (implied > 0)
            residual = max(residual, 0.5 * float(np.abs(gap[movable]).sum()), float(implied[unwanted].sum()))
            step = np.where(movable, _step(ratio, margin.slack, log), 0.0)
            np.add(log, step, out=log)
            np.logical_or(veto, unwanted, out=veto)
            scale = np.where(unwanted, 0.0, np.exp(step))
            np.take(scale, margin.cells, axis=0, out=buffer, mode="clip")
            table *= buffer
            totals = np.maximum(table @ ones, TINY)
        table /= totals[:, np.newaxis]
        totals = table @ ones
        _settle(margins, nestings, masses, logs)
    table /= totals[:, np.newaxis]
    for log, veto in zip(logs, vetoed, strict=True):
        log[veto] = -np.inf
    return Raked(tuple(logs), table, iteration, residual, residual <= tolerance)


def _step(ratio: Floats, slack: Floats, log: Floats) -> Floats:
    """Solve ratio * exp(d) + slack * (log + d) = 1 for d by Newton from the unpenalised solution."""
    step: Floats = -np.log(ratio)
    if np.any(slack > 0):
        for _ in range(NEWTON_STEPS):
            moved = ratio * np.exp(step)
            step = step - (moved + slack * (log + step) - 1) / (moved + slack)
    return np.clip(step, -STEP_LIMIT, STEP_LIMIT)


def _settle(
    margins: Sequence[Margin], nestings: Sequence[Nesting], masses: Sequence[Floats], logs: Sequence[Floats]
) -> None:
    """Shift logs, in place, to where the penalised dual is least among shifts that leave the table as it is.

    A shift s of one entry from a fine margin to a coarse one costs (p_coarse (log + s)^2 + sum p_fine (log - s)^2) / 2
    and gains s times the difference of their wanted masses, which vanishes if the targets agree.
    """
    wanted = [m.target * mass[:, np.newaxis] for m, mass in zip(margins, masses, strict=True)]
    penalties = [m.slack * w for m, w in zip(margins, wanted, strict=True)]
    for penalty, log in zip(penalties, logs, strict=True):
        total = penalty.sum(axis=1, keepdims=True)
        centre = (penalty * log).sum(axis=1, keepdims=True) / np.maximum(total, TINY)
        np.subtract(log, centre, out=log)
    for nesting in nestings:
        coarse, fine = nesting.coarse, nesting.fine
        if not np.any(penalties[fine] > 0):
            continue
        excess = wanted[coarse] - penalties[coarse] * logs[coarse]
        total = penalties[coarse].copy()
        np.add.at(excess, nesting.cells, penalties[fine] * logs[fine] - wanted[fine])
        np.add.at(total, nesting.cells, penalties[fine])
        shift = np.where(total > 0, excess / np.maximum(total, TINY), 0.0)
        logs[coarse] += shift
        logs[fine] -= np.where(masses[fine][:, np.newaxis] > 0, shift[nesting.cells], 0.0)
