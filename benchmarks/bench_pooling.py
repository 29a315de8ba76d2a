"""How far bad members move the pool: simulated panels, several ways to pool, and where each of them breaks.

    python -m benchmarks.bench_pooling

Fills the tables of docs/pooling.md. Panels are simulated from fixed seeds (`tests.support.panels`), so that it is known
which members are bad and what the truth is; no network and no recorded answer is used. Some minutes on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.pages import fill, table
from pipeline.combination.agreement import Agreement, PanelMap
from pipeline.combination.pooling import ZERO_FLOOR, pooled_probabilities
from pipeline.combination.problem import Floats
from pipeline.combination.scorecards import Standing, standings
from pipeline.combination.scores import total_variation
from tests.support.panels import BAD, Maker, another_population, panel, panel_maps, world

PAGE = Path(__file__).parent.parent / "docs" / "pooling.md"
SEEDS = range(1, 6)
PLAIN: dict[str, Callable[[Floats], Floats]] = {
    "linear pool": lambda p: p.mean(axis=0),
    "logarithmic pool": lambda p: np.exp(np.log(np.maximum(p, ZERO_FLOOR)).mean(axis=0)),
    "median of each cell": lambda p: np.median(p, axis=0),
}
ROWS, SCORED = "robust within rows", "scorecards"
METHODS = (*PLAIN, ROWS, SCORED)
SHIFTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7)


@dataclass(frozen=True)
class Moved:
    """One panel pooled one way.

    Attributes:
        mean: Total variation from the same pool of the good members alone, rows weighted by mass, mean over maps.
        map: The same of the worst map.
        row: The same of the worst row.
        truth: Mean total variation from the truth.
        alone: The same of the good members' pool.
        bad: Sum of the bad members' weights over the sum of all.
    """

    mean: float
    map: float
    row: float
    truth: float
    alone: float
    bad: float


def study(honest: int, bad: Sequence[str], kinds: Mapping[str, Maker] = BAD) -> dict[str, Moved]:
    """Mean over seeds, the worst of them for map and row, by method."""
    runs = [_run(honest, bad, seed, kinds) for seed in SEEDS]
    found = {}
    for method in METHODS:
        values = np.array([list(vars(run[method]).values()) for run in runs])
        mean, worst = values.mean(axis=0), values.max(axis=0)
        found[method] = Moved(mean[0], worst[1], worst[2], mean[3], mean[4], mean[5])
    return found


def _run(honest: int, bad: Sequence[str], seed: int, kinds: Mapping[str, Maker]) -> dict[str, Moved]:
    truth = world(seed)
    members = panel(truth, honest, bad, seed + 100, kinds)
    maps = panel_maps(truth, members)
    good = np.array([m.startswith("good") for m in members])
    cards = np.array([s.weight for s in _judged(maps, list(members))])
    found = {}
    for method in METHODS:
        weights = cards if method == SCORED else np.ones(len(members))
        rows = []
        for one in maps:
            stack = np.stack(list(one.answers.values()))
            whole, alone = _pool(method, one, stack, weights), _pool(method, one, stack[good], np.ones(honest))
            p = truth.truth[one.dimension, one.given]
            rows.append(
                [(one.mass, total_variation(a, b).ravel()) for a, b in ((whole, alone), (whole, p), (alone, p))]
            )
        moved, off, off_alone = ([m @ tv for m, tv in column] for column in zip(*rows, strict=True))
        found[method] = Moved(
            float(np.mean(moved)),
            max(moved),
            max(float(r[0][1].max()) for r in rows),
            float(np.mean(off)),
            float(np.mean(off_alone)),
            float(weights[~good].sum() / weights.sum()),
        )
    return found


def _judged(maps: Sequence[PanelMap], members: Sequence[str]) -> tuple[Standing, ...]:
    return standings(Agreement.of(maps, members), [1.0] * len(members))


def _pool(method: str, one: PanelMap, stack: Floats, weights: Floats) -> Floats:
    if method in PLAIN:
        p = PLAIN[method](stack)
        return p / p.sum(axis=-1, keepdims=True)
    return pooled_probabilities(one.given, list(stack), weights.tolist(), one.allowed)


def mixed() -> str:
    kinds = list(BAD)
    panels = {
        "4 of 25": (21, kinds[:4]),
        "8 of 25, a good one copied": (17, [*kinds, "copy of good"]),
        "8 of 25, a bad one copied": (17, [*kinds, "copy of bad"]),
        "12 of 25": (13, [*kinds, *kinds[:4], "copy of bad"]),
    }
    rows = []
    for name, (honest, bad) in panels.items():
        for method, m in study(honest, bad).items():
            figures = (m.mean, m.map, m.row, m.truth, m.alone)
            rows.append([name if method == METHODS[0] else "", method, *(f"{x:.4f}" for x in figures)])
    return table(["bad members", "pool", "mean", "worst map", "worst row", "from the truth", "the good alone"], rows)


def same() -> str:
    rows = []
    for kind in BAD:
        cells = [kind]
        for honest in (21, 17, 13, 12):
            found = study(honest, [kind] * (25 - honest))
            cells.append(" / ".join(f"{found[m].map:.3f}" for m in ("logarithmic pool", ROWS, SCORED)))
        rows.append(cells)
    return table(["all of one kind", "4 of 25", "8 of 25", "12 of 25", "13 of 25"], rows)


def small() -> str:
    rows = []
    for kind in BAD:
        cells = [kind]
        for honest, bad in ((2, 1), (3, 2), (6, 3), (5, 4), (1, 2)):
            found = study(honest, [kind] * bad)
            cells.append(" / ".join(f"{found[m].map:.3f}" for m in ("logarithmic pool", ROWS, SCORED)))
        rows.append(cells)
    return table(["all of one kind", "1 of 3", "2 of 5", "3 of 9", "4 of 9", "2 of 3"], rows)


def near() -> str:
    rows = []
    for shift in SHIFTS:
        found = study(17, ["near"] * 8, {"near": partial(another_population, shift=shift)})
        cells = [f"{found[m].map:.3f}" for m in METHODS]
        scored = found[SCORED]
        rows.append([f"{shift}", *cells, f"{scored.bad:.2f}", f"{scored.truth:.4f}", f"{scored.alone:.4f}"])
    return table(["shift", *METHODS, "weight of the 8", "from the truth", "the good alone"], rows)


def cards() -> str:
    truth = world(1)
    members = panel(truth, 17, [*BAD, "copy of good"], 101)
    rows = []
    for s in _judged(panel_maps(truth, members), list(members)):
        figures = (s.hedging, s.distance, s.tv, s.information, s.similarity, s.weight)
        if not s.model.startswith("good") or s.model in ("good-00", "good-01", "good-02"):
            name = s.model if s.model.startswith("good") else s.model.rsplit(" ", 1)[0]
            rows.append([name, *(f"{round(x, 2) + 0.0:.2f}" for x in figures)])
    return table(["member", "hedging", "distance", "TV", "information", "similarity", "weight"], rows)


def main() -> None:
    blocks = {"cards": cards(), "mixed": mixed(), "same": same(), "small": small(), "near": near()}
    fill(PAGE, blocks)
    for name, block in blocks.items():
        print(f"{name}\n{block}\n")


if __name__ == "__main__":
    main()
