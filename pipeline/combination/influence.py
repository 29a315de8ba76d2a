"""What every member does to every map: the pool without it against the pool with it.

Belongs here: the leave-one-out effect. Does not belong here: judging members, which are `scorecards`: an influential
member may be the only one who knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.combination.agreement import PanelMap
from pipeline.combination.pooling import pooled_probabilities
from pipeline.combination.problem import Floats
from pipeline.combination.scores import total_variation


@dataclass(frozen=True, slots=True)
class Influence:
    """How far one member moves one map.

    Attributes:
        model: Its id.
        tv: Total variation between the pool of all and that without it, rows weighted by their condition's mass.
        worst_tv: The same of the row that adds most to it.
        worst_condition: Parent codes of that row.
    """

    model: str
    tv: float
    worst_tv: float
    worst_condition: tuple[int, ...]


def influences(one: PanelMap, weights: Mapping[str, float]) -> tuple[Influence, ...]:
    """Effect of every member with an answer to this map, in the order of the answers.

    A member of weight 0 moves nothing. One that stands alone decides the map, and its effect is not known: NaN.
    """
    heard = {m: p for m, p in one.answers.items() if weights[m] > 0}

    def pooled(members: Sequence[str]) -> Floats:
        return pooled_probabilities(one.given, [heard[m] for m in members], [weights[m] for m in members], one.allowed)

    whole = pooled(list(heard)) if heard else np.zeros(0)
    found = []
    for model, own in one.answers.items():
        rest = [m for m in heard if m != model]
        tv: Floats = np.zeros(own.shape[:-1])
        if model in heard:
            tv = total_variation(whole, pooled(rest)) if rest else np.full(own.shape[:-1], np.nan)
        mass = one.mass.reshape(tv.shape)
        worst = np.unravel_index(int((mass * tv).argmax()), tv.shape) if tv.shape else ()
        found.append(Influence(model, float((mass * tv).sum()), float(tv[worst]), tuple(map(int, worst))))
    return tuple(found)
