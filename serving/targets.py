"""Target marginals: a population leant so that some dimensions have the shares that are wanted.

Here belongs the raking that turns shares into likelihoods. Drawing with them is `serving.conditions`.

Of all distributions with the wanted marginals the one nearest to the population's, in Kullback-Leibler divergence, is
the population's times one factor per category (Ireland & Kullback 1968). The factors are found by iterative
proportional fitting over a pilot of `PILOT` personas, so that a share is met up to the error of that pilot, about
sqrt(p (1 - p) / PILOT).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from serving.engine import Engine
from serving.evidence import Evidence, evidence_of
from serving.snapshot import Snapshot
from warehouse.errors import SamplingError

PILOT, PILOT_SEED = 131_072, "target"
ROUNDS, TOLERANCE = 500, 1e-9
EXTREME = 1e9  # a factor that only a contradiction leads to

Targets = tuple[tuple[str, tuple[tuple[tuple[int, ...], float], ...]], ...]
"""By dimension id: groups of category codes, each with the share that it is to have."""


def check_targets(snapshot: Snapshot, wanted: Mapping[str, Mapping[str, float]]) -> Targets:
    """Read wanted shares; categories that are not named form one group that gets what is left."""
    targets = []
    for name, shares in sorted(wanted.items()):
        dimension = snapshot.dimension(name)
        if not isinstance(shares, Mapping) or not shares:
            raise SamplingError(f"the target of {name!r} needs a share for some category, not {shares!r}")
        for category, share in shares.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise SamplingError(f"the target share of {name}={category} must be from 0 to 1, not {share!r}")
        groups = [((dimension.code(category),), float(share)) for category, share in shares.items()]
        rest = tuple(c for c in range(len(dimension.categories)) if dimension.categories[c] not in shares)
        left = 1.0 - math.fsum(shares.values())
        if abs(left) <= 1e-9:
            left = 0.0
        if left < 0 or (left and not rest):
            said = "more" if left < 0 else "less"
            raise SamplingError(f"the target shares of {name!r} sum to {said} than 1: correct them")
        targets.append((name, (*groups, *([(rest, left)] if rest else []))))
    return tuple(targets)


def raked(snapshot: Snapshot, engine: Engine, targets: Targets, known: Evidence, fixed: Mapping[int, int]) -> Evidence:
    """Likelihoods that give the targets' dimensions their shares, among people who meet what is known already.

    Raises SamplingError if a group that is to have people has none, or the targets contradict each other.
    """
    indices = np.arange(PILOT, dtype=np.uint64)
    dimensions = {name: snapshot.dimension(name) for name, _ in targets}
    free = {d.position: np.ones(len(d.categories)) for d in dimensions.values()}
    vectors = {snapshot.dimension(name).position: values for name, values in known.vectors.items()}
    codes, weights = engine.weigh(indices, PILOT_SEED, {**free, **vectors}, fixed)
    groups, shares = {}, {}
    for name, wanted in targets:
        group_of = np.zeros(len(dimensions[name].categories), dtype=np.intp)
        for place, (members, _) in enumerate(wanted):
            group_of[list(members)] = place
        groups[name] = group_of[codes[dimensions[name].position]]
        shares[name] = np.array([share for _, share in wanted])
    factors = {name: np.ones(len(wanted)) for name, wanted in targets}
    current: npt.NDArray[np.float64] = weights / weights.sum() if weights.any() else weights
    worst = 1.0
    for _ in range(ROUNDS):
        worst = 0.0
        for name, wanted in targets:
            have = np.bincount(groups[name], weights=current, minlength=len(wanted))
            for place, (members, share) in enumerate(wanted):
                if share > 0 and have[place] == 0:
                    names = ", ".join(dimensions[name].categories[c] for c in members)
                    raise SamplingError(
                        f"the target cannot be met: nobody with {name} {names} is found among {PILOT:,} people that "
                        "meet the rest"
                    )
            worst = max(worst, float(np.abs(have - shares[name]).max()))
            step = np.divide(shares[name], have, out=np.zeros(len(wanted)), where=have > 0)
            factors[name] *= step
            current = current * step[groups[name]]
        if worst < TOLERANCE or max(factor.max() for factor in factors.values()) > EXTREME:
            break
    if worst >= TOLERANCE:
        raise SamplingError("the target shares contradict each other or the evidence: drop or soften one of them")
    found = {}
    for name, wanted in targets:
        vector = np.zeros(len(dimensions[name].categories))
        for place, (members, _) in enumerate(wanted):
            vector[list(members)] = factors[name][place]
        found[name] = vector / vector.max()
    return evidence_of(found)
