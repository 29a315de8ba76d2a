"""Maximum entropy: additive log-weights whose implied maps equal the elicited ones.

Belongs here: the joint fit and its compilation into factors. Does not belong here: how targets are prepared
(`targets`) and the solver (`raking`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.combination.factors import compile_factors
from pipeline.combination.problem import Diagnostics, FactorModel, Floats, Problem
from pipeline.combination.raking import Margin, Nesting, rake
from pipeline.combination.targets import (
    NO_SLACK,
    Settings,
    Target,
    cells,
    collapse,
    consensus,
    higher_target,
    one_way_target,
)

SHRUNK = Settings()
PLAIN = Settings(shrink=0.0, ridge=0.0)


def max_entropy(problem: Problem, settings: Settings = SHRUNK) -> FactorModel:
    """Fit P(k | x) proportional to base(k) * product of one factor per map, over the reference population.

    Of all joints that have the reference population's parents and the given maps as margins, the one of maximum
    entropy has exactly this form (Jaynes 1957; Good 1963), and iterative proportional fitting finds it (Deming &
    Stephan 1940; Ireland & Kullback 1968; with penalties, generalised raking: Deville & Sarndal 1993). Overlapping
    maps are not counted twice, because a factor only adds what the others do not already imply.

    Before the fit the maps are made to agree: a consensus base rate, each one-way map shrunk by its between-model
    spread and raked to that base, each two-way map raked to its one-way ones (see `targets`). The base margin is
    not damped, so the fit has the consensus base exactly. A one-way condition that no reference person meets gets
    the map's own shrunk lift; a two-way one gets 1.

    Returns:
        The factor model; `diagnostics` tells whether it converged. Failing to converge is not an error: maps that
        structural zeros make contradictory have no exact solution, and the last sweep is the best compromise.
    """
    people = collapse(problem)
    base = consensus(problem, people, settings)
    mains = [one_way_target(problem, people, m, base, settings) for m in problem.one_way]
    by_parent = {t.given[0]: t for t in mains}
    pairs = [higher_target(problem, people, m, by_parent, base=base, settings=settings) for m in problem.higher]
    targets = [*mains, *pairs]

    margins = [Margin(cells(problem, (), people.codes), base[np.newaxis], NO_SLACK)]
    margins += [Margin(cells(problem, t.given, people.codes), t.p, t.slack) for t in targets]
    fit = rake(
        people.weights,
        people.allowed.astype(np.float64),
        margins,
        _nestings(problem, targets),
        max_iterations=settings.max_iterations,
        tolerance=settings.tolerance,
    )
    base_log = fit.logs[0][0].copy()
    tables = []
    for target, margin, log in zip(targets, margins[1:], fit.logs[1:], strict=True):
        centre, table = _centred(target, log, np.bincount(margin.cells, people.weights, len(log)).astype(np.float64))
        base_log += centre
        tables.append((target.given, table.reshape(problem.shape_of(target.given))))
    diagnostics = Diagnostics(
        converged=fit.converged,
        iterations=fit.iterations,
        residual=fit.residual,
        rows=len(people.weights),
        consensus_shift=0.5 * float(np.abs(base - problem.base.p).sum()),
        kept=tuple((t.given, t.kept) for t in targets),
    )
    return compile_factors(problem, [((), base_log), *tables], diagnostics)


def _nestings(problem: Problem, targets: Sequence[Target]) -> list[Nesting]:
    """Return which margins contain which, finest first; margin 0 is the base."""
    index = {t.given: i for i, t in enumerate(targets, start=1)}
    result = []
    for target in sorted(targets, key=lambda t: -len(t.given)):
        grid = np.indices(problem.shape_of(target.given)[:-1]).reshape(len(target.given), -1)
        if len(target.given) == 1:
            result.append(Nesting(0, index[target.given], np.zeros_like(grid[0])))
            continue
        result += [
            Nesting(index[(parent,)], index[target.given], grid[axis])
            for axis, parent in enumerate(target.given)
            if (parent,) in index
        ]
    return result


def _centred(target: Target, log: Floats, mass: Floats) -> tuple[Floats, Floats]:
    """Move the mean of a table's columns into the base, and give unseen conditions their own lift.

    Returns the mean (K,) to add to the base, and the table (C, K). Only the scale changes: what all conditions
    share belongs to the base, and a person of an unseen condition should get it too.
    """
    centre: Floats = mass @ log / mass.sum()
    return centre, np.where((mass > 0)[:, np.newaxis], log - centre, target.own_lift)
