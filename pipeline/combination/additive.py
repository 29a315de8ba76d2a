"""Additive effects of overlapping parents on any scale: solved together, so that nothing is counted twice.

Belongs here: the one linear system. Does not belong here: the scale, which callers choose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.combination.information import condition_mass
from pipeline.combination.problem import Floats, Problem


def joint_effects(problem: Problem, own: Sequence[Floats]) -> list[Floats]:
    """Effects whose mean total under every condition of every one-way map is that map's own effect.

    The normal equations of an additive model over the reference population (backfitting, Buja, Hastie & Tibshirani
    1989). Effects are determined up to constants per parent; of all solutions the one of least norm is returned.

    Args:
        problem: Supplies the one-way maps' parents and the reference population.
        own: Effect of each condition in its map alone, (C,) or (C, K), one array per one-way map.

    Returns:
        Arrays of the same shapes.
    """
    maps = problem.one_way
    columns = np.concatenate([problem.columns_of(m.given) for m in maps])
    sizes = [m.p.shape[0] for m in maps]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    slots = problem.reference[:, columns].astype(np.intp) + starts
    together = np.zeros((sum(sizes), sum(sizes)))
    for i in range(len(maps)):
        for j in range(len(maps)):
            np.add.at(together, (slots[:, i], slots[:, j]), 1.0)
    together /= len(problem.reference)
    wanted = []
    for one, effect in zip(maps, own, strict=True):
        mass = condition_mass(problem, one)
        wanted.append((mass * (effect - mass @ effect).T).T)
    solved = np.linalg.lstsq(together, np.concatenate(wanted), rcond=1e-6)[0]
    return [solved[s : s + n] for s, n in zip(starts, sizes, strict=True)]
