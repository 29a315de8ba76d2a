"""Pearson's chi-square of a drawn batch against a map, with the effect size that says whether it matters.

Belongs here: the test. Does not belong here: distances, which are `scores`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import chisquare

from pipeline.combination.people import Cells
from pipeline.combination.problem import Codes, ElicitedMap, Floats

LEAST_EXPECTED = 5.0
"""Cells expected to hold fewer are merged within their row, as the test's approximation asks (Cochran 1954)."""


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """Statistic, degrees of freedom, p-value, and Cohen's w = sqrt(statistic / people): 0.1 is called small.

    With tens of thousands of people any difference is significant; w is what to look at.
    """

    statistic: float
    freedom: int
    p_value: float
    effect: float


def draw(rows: Floats, seed: int) -> Codes:
    """Draw a category for each row of probabilities (n, K), uint8 (n,)."""
    uniform = np.random.default_rng(seed).random(len(rows))
    cumulative = np.cumsum(rows, axis=1)
    below = (cumulative <= uniform[:, np.newaxis] * cumulative[:, -1:]).sum(axis=1)
    return np.asarray(np.minimum(below, rows.shape[1] - 1), dtype=np.uint8)


def chi_square(elicited: ElicitedMap, conditions: Cells, drawn: Codes) -> ChiSquare:
    """Test drawn categories (n,) under flat condition numbers (n,) against a map."""
    k = elicited.p.shape[-1]
    table = np.bincount(conditions * k + drawn, minlength=elicited.p.size).reshape(-1, k)
    expected = elicited.p.reshape(-1, k) * table.sum(axis=1, keepdims=True)
    seen: list[float] = []
    wanted: list[float] = []
    rows = 0
    for observed_row, expected_row in zip(table, expected, strict=True):
        small = expected_row < LEAST_EXPECTED
        observed = [*observed_row[~small].tolist(), float(observed_row[small].sum())]
        awaited = [*expected_row[~small].tolist(), float(expected_row[small].sum())]
        if awaited[-1] < LEAST_EXPECTED:  # what is left over joins the smallest cell that stands
            last_observed, last_awaited = observed.pop(), awaited.pop()
            if not awaited:
                continue
            place = int(np.argmin(awaited))
            observed[place] += last_observed
            awaited[place] += last_awaited
        if len(awaited) > 1:
            seen += observed
            wanted += awaited
            rows += 1
    if not rows:
        return ChiSquare(0.0, 0, math.nan, 0.0)
    result = chisquare(seen, np.asarray(wanted) * (sum(seen) / sum(wanted)), ddof=rows - 1)
    return ChiSquare(
        float(result.statistic), len(seen) - rows, float(result.pvalue), math.sqrt(float(result.statistic) / sum(seen))
    )
