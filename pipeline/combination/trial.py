"""Trials: every strategy fitted to one dimension and scored, on people and on maps that the fit did not see.

Belongs here: running strategies on one problem and their scores. Does not belong here: the strategies, the distances
(`scores`), the rule of choice (`choice`), storage.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.combination.bootstrap import Interval, Resamples, interval
from pipeline.combination.evaluated import projected
from pipeline.combination.factors import rounded
from pipeline.combination.goodness import ChiSquare, chi_square, draw
from pipeline.combination.information import entropy
from pipeline.combination.people import cells
from pipeline.combination.problem import (
    Codes,
    ElicitedMap,
    FactorModel,
    Floats,
    Given,
    Problem,
    Strategy,
    StrategyDeclinedError,
)
from pipeline.combination.scores import implied_map, jensen_shannon, total_variation

EXTREME = 0.99
"""Probability above which a persona's category counts as decided."""


@dataclass(frozen=True, slots=True)
class MapTrial:
    """One strategy against one map: distances weighted by the conditions' mass, and the test of a drawn batch.

    `role` is `base`, `one_way`, `two_way` or `held_out`. A base map has one condition, so its interval is its value.
    """

    given: Given
    role: str
    tv: Interval
    js: Interval
    test: ChiSquare


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One strategy tried on one dimension.

    Distances are between what the strategy implies for a fresh batch of parents and the pooled maps: total variation
    (0 to 1) and Jensen-Shannon divergence (nats), averaged over the maps of a kind.

    Attributes:
        strategy: Its name.
        model: What would be served, rounded as a snapshot stores it.
        maps: The scores map by map.
        marginal_tv: Total variation of the marginal to the base map.
        one_way_tv: Mean over one-way maps; 0 if there is none.
        two_way_tv: Mean over the two-way maps that were asked for the fit; 0 if there is none.
        held_out_tv: Mean over held-out maps; None if the dimension has none.
        held_out_js: The same in Jensen-Shannon divergence; None likewise.
        judged: Divergence by which strategies are compared, per bootstrap replicate, (1 + replicates,).
        diversity: Effective number of categories of the marginal (exp entropy) over that of the base map.
        extreme: Share given some category with more than 0.99, among people to whom logic leaves more than one.
        projection_tv: Mean total variation between the strategy and what is served for it; 0 for factor models.
    """

    strategy: str
    model: FactorModel
    maps: tuple[MapTrial, ...]
    marginal_tv: float
    one_way_tv: float
    two_way_tv: float
    held_out_tv: Interval | None
    held_out_js: Interval | None
    judged: Floats
    diversity: float
    extreme: float
    projection_tv: float


@dataclass(frozen=True, slots=True)
class Declined:
    """A strategy that does not apply to the dimension, and why."""

    strategy: str
    reason: str


def run_trials(
    problem: Problem, held_out: Sequence[ElicitedMap], batch: Codes, strategies: Mapping[str, Strategy]
) -> tuple[tuple[Trial, ...], tuple[Declined, ...]]:
    """Fit every strategy and score it on a batch of parents, uint8 (n, P), drawn apart from the reference.

    What is scored is what would be served: a mixture or a latent scale is projected onto factors first. The held-out
    maps are shown to no strategy. Where there is none, the maps of the fit are what strategies are judged by.
    """
    scorer = _Scorer(problem, held_out, batch)
    trials, declined = [], []
    for name, strategy in strategies.items():
        try:
            combined = strategy(problem)
        except StrategyDeclinedError as error:
            declined.append(Declined(name, str(error)))
            continue
        model = rounded(projected(problem, combined))
        rows = model.probabilities(batch)
        lost = 0.0
        if not isinstance(combined, FactorModel):
            lost = float(total_variation(combined.probabilities(batch), rows).mean())
        trials.append(scorer.score(name, model, rows, lost))
    return tuple(trials), tuple(declined)


class _Scorer:
    """What all strategies of one problem are scored against: conditions of the batch, their mass, the resamples."""

    def __init__(self, problem: Problem, held_out: Sequence[ElicitedMap], batch: Codes) -> None:
        self.problem, self.batch = problem, batch
        self.maps = [(_role(m), m) for m in (problem.base, *problem.maps)] + [("held_out", m) for m in held_out]
        self.conditions = [cells(problem, m.given, batch) for _, m in self.maps]
        self.masses = [
            np.bincount(c, minlength=m.p[..., 0].size).astype(np.float64) / len(batch)
            for c, (_, m) in zip(self.conditions, self.maps, strict=True)
        ]
        self.resamples = [Resamples.of([mass]) for mass in self.masses]
        self.judges = [i for i, (role, _) in enumerate(self.maps) if role == "held_out"] or list(range(len(self.maps)))
        self.jointly = Resamples.of([self.masses[i] for i in self.judges])
        self.free = problem.allowed_rows(batch).sum(axis=1) > 1
        self.seed = zlib.crc32(problem.dimension.encode())

    def score(self, name: str, model: FactorModel, rows: Floats, lost: float) -> Trial:
        drawn = draw(rows, self.seed)
        tvs, jss, results = [], [], []
        for (role, one), condition, mass, resamples in zip(
            self.maps, self.conditions, self.masses, self.resamples, strict=True
        ):
            columns = self.problem.columns_of(one.given)
            implied, _ = implied_map(self.batch, rows, columns, one.p.shape[:-1])
            tv = np.where(mass > 0, total_variation(implied, one.p).ravel(), 0.0)
            js = np.where(mass > 0, jensen_shannon(implied, one.p).ravel(), 0.0)
            tvs.append(tv)
            jss.append(js)
            results.append(
                MapTrial(
                    one.given,
                    role,
                    interval(resamples.means([mass], [tv])),
                    interval(resamples.means([mass], [js])),
                    chi_square(one, condition, drawn),
                )
            )
        masses = [self.masses[i] for i in self.judges]
        judged = self.jointly.means(masses, [jss[i] for i in self.judges])
        held = any(role == "held_out" for role, _ in self.maps)
        marginal = rows.mean(axis=0)
        return Trial(
            strategy=name,
            model=model,
            maps=tuple(results),
            marginal_tv=results[0].tv.value,
            one_way_tv=_mean([m.tv.value for m in results if m.role == "one_way"]),
            two_way_tv=_mean([m.tv.value for m in results if m.role == "two_way"]),
            held_out_tv=interval(self.jointly.means(masses, [tvs[i] for i in self.judges])) if held else None,
            held_out_js=interval(judged) if held else None,
            judged=judged,
            diversity=float(np.exp(entropy(marginal) - entropy(self.problem.base.p))),
            extreme=float((rows[self.free].max(axis=1) > EXTREME).mean()) if self.free.any() else 0.0,
            projection_tv=lost,
        )


def _role(one: ElicitedMap) -> str:
    return ("base", "one_way", "two_way")[min(len(one.given), 2)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
