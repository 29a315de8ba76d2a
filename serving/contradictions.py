"""Values set by `do` that leave somebody without any category of another dimension.

Here belongs finding the dimensions for which that can be: a soldier has an occupation, a student has none, and a
soldier who is made a student can have neither. What is done about it is `serving.conditions`: such people are not in
the population of what was set, as nobody is there who does not meet the evidence.

What is possible is a matter of the factors that hold zeros, and of the combinations of causes that can come about at
all. It is looked at over the parents of these factors, then over their parents as well, until nobody is left without a
category or there are too many combinations to go through: then it is taken to be possible, which costs time only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from serving.lookahead import Lookahead
from serving.reference import deciders, ruling
from serving.snapshot import Snapshot, SnapshotDimension

COMBINATIONS = 500_000  # of causes that are gone through

Mask = npt.NDArray[np.bool_]


def at_risk(snapshot: Snapshot, fixed: Mapping[int, int]) -> tuple[str, ...]:
    """Dimensions, in order of sampling, of which nothing may be possible for somebody with these values set.

    `fixed` has codes by position.
    """
    ahead = Lookahead(snapshot, {}, fixed)
    moved = set(ahead.fixed)
    found = []
    for dimension in snapshot.dimensions:
        if dimension.id not in ahead.fixed and not moved.isdisjoint(dimension.parents):
            moved.add(dimension.id)
            if not moved.isdisjoint(deciders(dimension)) and _can_be_stranded(ahead, dimension, snapshot):
                found.append(dimension.id)
    return tuple(found)


def _can_be_stranded(ahead: Lookahead, dimension: SnapshotDimension, snapshot: Snapshot) -> bool:
    axes = [name for name in deciders(dimension) if name not in ahead.fixed]
    while math.prod(len(snapshot.dimension(name).categories) for name in axes) <= COMBINATIONS:
        stranded = ~_allowed(ahead, dimension, axes).any(axis=0)
        for place, name in enumerate(axes):
            # The categories of one of the axes, given others, along its own axis.
            own = _allowed(ahead, snapshot.dimension(name), axes)
            stranded = stranded & np.swapaxes(own, 0, 1 + place)[0]
        if not stranded.any():
            return False
        above = dict.fromkeys(parent for name in axes for parent in deciders(snapshot.dimension(name)))
        wider = [name for name in above if name not in axes and name not in ahead.fixed]
        if not wider:
            break
        axes += wider
    return True


def _allowed(ahead: Lookahead, dimension: SnapshotDimension, axes: Sequence[str]) -> Mask:
    """Which categories are possible, bool (categories, one axis for each of `axes`), by the factors that depend on
    these and on what is set alone.
    """
    allowed: Mask = np.ones((len(dimension.categories), *(1 for _ in axes)), dtype=np.bool_)
    for factor in ruling(dimension):
        if all(name in axes or name in ahead.fixed for name in factor.given):
            allowed = allowed & (ahead.over(dimension, factor, axes) > 0)
    return allowed
