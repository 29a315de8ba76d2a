"""Target marginals: a population leant so that some dimensions have the shares that are wanted.

Here belongs the raking that turns shares into likelihoods. Drawing with them is `serving.conditions`.

Of all distributions with the wanted marginals the one nearest to the population's, in Kullback-Leibler divergence, is
the population's times one factor per category (Ireland & Kullback 1968). The factors are found by iterative
proportional fitting over a pilot of `PILOT` personas, then over pilots that lean already, in which rare categories are
not rare. What is left is the sampling error of the last pilot, about sqrt(p (1 - p) / its effective size).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Literal

import numpy as np
import numpy.typing as npt

from serving.ages import years_of
from serving.engine import Engine
from serving.evidence import Evidence, evidence_of
from serving.interruption import checkpoint
from serving.snapshot import Snapshot, SnapshotDimension
from warehouse.errors import SamplingError

PILOT, PILOTS = 65_536, 4
ROUNDS, TOLERANCE = 20_000, 1e-7
EXTREME = 1e12  # a factor that only a contradiction leads to
SMALLEST = 1e-300

Argument = Literal["target_marginal", "quota"]
SAID: Mapping[Argument, tuple[str, str]] = {
    "target_marginal": ("target", "target shares"),
    "quota": ("quota", "quotas"),
}

Targets = tuple[tuple[str, tuple[tuple[tuple[int, ...], float], ...]], ...]
"""By dimension id: groups of category codes, each with the share that it is to have."""


def check_targets(snapshot: Snapshot, wanted: Mapping[str, Mapping[str, float]]) -> Targets:
    """Read wanted shares; categories that are not named form one group that gets what is left."""
    targets = []
    for name, shares in sorted(wanted.items()):
        dimension = snapshot.dimension(name)
        if not isinstance(shares, Mapping) or not shares:
            raise SamplingError(
                f"the target of {name!r} needs a share for some category, not {shares!r}",
                about=name,
                allowed=dimension.categories,
            )
        for category, share in shares.items():
            if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= share <= 1:
                raise SamplingError(
                    f"the target share of {name}={category} must be from 0 to 1, not {share!r}", about=name
                )
        groups = [((dimension.code(category),), float(share)) for category, share in shares.items()]
        rest = tuple(c for c in range(len(dimension.categories)) if dimension.categories[c] not in shares)
        left = 1.0 - math.fsum(shares.values())
        if abs(left) <= 1e-9:
            left = 0.0
        if left < 0 or (left and not rest):
            said = "more" if left < 0 else "less"
            raise SamplingError(f"the target shares of {name!r} sum to {said} than 1: correct them", about=name)
        targets.append((name, (*groups, *([(rest, left)] if rest else []))))
    return tuple(targets)


def raked(
    snapshot: Snapshot,
    engine: Engine,
    targets: Targets,
    known: Evidence,
    fixed: Mapping[int, int],
    *,
    argument: Argument,
) -> Evidence:
    """Likelihoods that give the targets' dimensions their shares, among people who meet what is known already.

    `argument` is what asked for these shares. Raises SamplingError, which speaks of that, if a group that is to have
    people has none, or the shares contradict each other.
    """
    dimensions = {name: snapshot.dimension(name) for name, _ in targets}
    lean = {name: np.ones(len(dimension.categories)) for name, dimension in dimensions.items()}
    years = years_of(snapshot, known.years)
    for pilot in range(PILOTS):
        vectors = {snapshot.dimension(name).position: values for name, values in known.vectors.items()}
        for name, values in lean.items():
            position = dimensions[name].position
            vectors[position] = vectors[position] * values if position in vectors else values
        indices = np.arange(PILOT, dtype=np.uint64)
        codes, weights = engine.weigh(indices, f"target {pilot}", vectors, fixed)
        if years:
            weights = weights * years.of(codes, fixed)
        drawn = [codes[dimensions[name].position] for name, _ in targets]
        for name, factors in _fitted(targets, dimensions, drawn, weights, argument).items():
            lean[name] *= factors
            lean[name] /= lean[name].max()
    return evidence_of(lean)


def _fitted(
    targets: Targets,
    dimensions: Mapping[str, SnapshotDimension],
    drawn: Sequence[npt.NDArray[np.uint8]],
    weights: npt.NDArray[np.float64],
    argument: Argument,
) -> dict[str, npt.NDArray[np.float64]]:
    """Factors by category that give weighted people the wanted shares, one and the same within a group."""
    tables = []
    for name, wanted in targets:
        table = np.zeros(len(dimensions[name].categories), dtype=np.intp)
        for group, (members, _) in enumerate(wanted):
            table[list(members)] = group
        tables.append(table)
    sizes = tuple(len(wanted) for _, wanted in targets)
    cell_of, groups = np.zeros(len(weights), dtype=np.intp), []
    for table, codes, size in zip(tables, drawn, sizes, strict=True):
        groups.append(table[codes])
        # Numbered anew each time: the product of many sizes would be no integer of 64 bits.
        _, someone, cell_of = np.unique(cell_of * size + groups[-1], return_index=True, return_inverse=True)
    counted = np.bincount(cell_of, weights=weights)  # few cells, however many people there are
    current: npt.NDArray[np.float64] = counted / max(float(np.cumsum(counted)[-1]), SMALLEST)
    places = [group[someone] for group in groups]
    shares = [np.array([share for _, share in wanted]) for _, wanted in targets]
    factors = [np.ones(size) for size in sizes]
    for (name, wanted), place, share in zip(targets, places, shares, strict=True):
        have = np.bincount(place, weights=current, minlength=len(wanted))
        for (members, _), empty in zip(wanted, (share > 0) & (have == 0), strict=True):
            if empty:
                names = ", ".join(dimensions[name].categories[c] for c in members)
                raise SamplingError(
                    f"the {SAID[argument][0]} cannot be met: nobody with {name} {names} is found among {PILOT:,} "
                    "people that meet the rest",
                    argument=argument,
                    about=name,
                )
    worst = 1.0
    for _ in range(ROUNDS):
        checkpoint()
        worst = 0.0
        for axis, (place, share) in enumerate(zip(places, shares, strict=True)):
            have = np.bincount(place, weights=current, minlength=sizes[axis])
            worst = max(worst, float(np.abs(have - share).max()))
            step = np.divide(share, have, out=np.zeros(sizes[axis]), where=have > 0)
            factors[axis] *= step
            current = current * step[place]
        if worst < TOLERANCE or max(factor.max() for factor in factors) > EXTREME:
            break
    if worst >= TOLERANCE:
        raise SamplingError(
            f"the {SAID[argument][1]} contradict each other or the evidence: drop or soften one of them",
            argument=argument,
        )
    return {name: factor[table] for (name, _), factor, table in zip(targets, factors, tables, strict=True)}
