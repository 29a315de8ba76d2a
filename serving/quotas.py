"""Quotas: a batch with exact counts of some categories.

Here belongs choosing, from a stream of personas that lean towards the quotas, those that still have a place. How they
are drawn is `serving.conditions`; leaning is `serving.targets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from numbers import Integral

import numpy as np

from serving.conditions import Support
from serving.engine import Codes, Drawn, Indices
from serving.evidence import Evidence, evidence_of
from serving.snapshot import Snapshot
from serving.targets import Targets
from warehouse.errors import SamplingError

SPARE = 64  # candidates beyond the open places
FUTILE = 20  # rounds in which no candidate fits, after which the quotas are held to contradict each other

Places = tuple[tuple[str, tuple[tuple[tuple[int, ...], int], ...]], ...]
"""By dimension id: groups of category codes, each with its number of places."""

LAST_INDEX = 2**63 - 1

Draw = Callable[[Evidence, Indices], tuple[Drawn, Support]]


def check_quota(snapshot: Snapshot, quota: Mapping[str, Mapping[str, int]], n: int) -> Places:
    """Read counts by category; categories that are not named form one group that has the places left."""
    places = []
    for name, counts in sorted(quota.items()):
        dimension = snapshot.dimension(name)
        if not isinstance(counts, Mapping) or not counts:
            raise SamplingError(
                f"the quota of {name!r} needs a count for some category, not {counts!r}",
                about=name,
                allowed=dimension.categories,
            )
        for category, count in counts.items():
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
                raise SamplingError(
                    f"the quota of {name}={category} must be a whole number from 0, not {count!r}", about=name
                )
        groups = [((dimension.code(category),), int(count)) for category, count in counts.items()]
        rest = tuple(c for c in range(len(dimension.categories)) if dimension.categories[c] not in counts)
        left = n - sum(counts.values())
        if left < 0 or (left and not rest):
            raise SamplingError(f"the quota of {name!r} sums to {n - left}, but {n} personas are asked for", about=name)
        places.append((name, (*groups, *([(rest, left)] if rest else []))))
    return tuple(places)


def shares_of(places: Places, n: int) -> Targets:
    """The shares that full quotas come to."""
    return tuple((name, tuple((members, count / max(n, 1)) for members, count in groups)) for name, groups in places)


def filled(
    snapshot: Snapshot, places: Places, known: Evidence, draw: Draw, *, n: int, start: int
) -> tuple[Indices, dict[int, Codes], Support]:
    """Indices of n personas that fill the quotas, in ascending order, and the codes that were drawn for them.

    Candidates come in the order of their indices; one is taken if its groups all have a place. Groups that are full
    are no longer drawn, so that the last places are found as well. Raises SamplingError if they never are.
    """
    dimensions = [snapshot.dimension(name) for name, _ in places]
    group_of = []
    for dimension, (_, groups) in zip(dimensions, places, strict=True):
        table = np.zeros(len(dimension.categories), dtype=np.intp)
        for place, (members, _) in enumerate(groups):
            table[list(members)] = place
        group_of.append(table)
    open_places = [[count for _, count in groups] for _, groups in places]
    taken: list[Indices] = []
    kept: list[Drawn] = []
    support, missing, futile, index = Support(), n, 0, start
    while missing:
        still = {
            dimension.id: np.array([float(room[group] > 0) for group in table])
            for dimension, table, room in zip(dimensions, group_of, open_places, strict=True)
        }
        if index + 2 * missing + SPARE > LAST_INDEX:
            raise SamplingError(
                f"candidates for the quotas would pass index 2**63: start lower than {start}", argument="start"
            )
        candidates = np.arange(index, index + missing + missing // 4 + SPARE, dtype=np.uint64)
        index += len(candidates)
        codes, mine_support = draw(known.joined(evidence_of(still)), candidates)
        groups = np.stack([t[codes[d.position]] for t, d in zip(group_of, dimensions, strict=True)], axis=1).tolist()
        support = _together(support, mine_support) if taken else mine_support
        chosen = []
        for place, mine in enumerate(groups):
            if all(room[group] for room, group in zip(open_places, mine, strict=True)):
                chosen.append(place)
                for room, group in zip(open_places, mine, strict=True):
                    room[group] -= 1
                if len(chosen) == missing:
                    break
        taken.append(candidates[chosen])
        kept.append({position: values[chosen] for position, values in codes.items()})
        missing -= len(chosen)
        futile = 0 if chosen else futile + 1
        if futile == FUTILE:
            raise SamplingError(
                f"the quotas cannot all be filled, {missing} places stay open: they contradict each other or the rest",
                argument="quota",
            )
    if not taken:
        return np.empty(0, dtype=np.uint64), {}, support
    return np.concatenate(taken), {p: np.concatenate([k[p] for k in kept]) for p in kept[0]}, support


def _together(first: Support, then: Support) -> Support:
    """The support of both rounds; the probability is that of the first, whose evidence is what was asked for."""
    return replace(
        first,
        tries=first.tries + then.tries,
        resampled=first.resampled + then.resampled,
        effective=min(first.effective, then.effective),
        excess=max(first.excess, then.excess),
    )
