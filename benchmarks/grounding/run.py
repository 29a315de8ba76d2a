"""`make bench-grounding`: the packaged snapshot against public microdata; the tables of docs/grounding.md.

Does not belong here: recoding (`crosswalk`), measures (`maps`, `association`, `two_sample`, `leanings`), tables
(`report`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.grounding.association import PairRow, pair_rows
from benchmarks.grounding.crosswalk import Crosswalk, People, load_crosswalks, personas, respondents
from benchmarks.grounding.engine import floor, recombined, snapshot_maps
from benchmarks.grounding.leanings import Diversity, LeaningRow, diversity, leaning_rows
from benchmarks.grounding.maps import MapRow, map_rows
from benchmarks.grounding.report import summary, write_page
from benchmarks.grounding.two_sample import auc_replicates, held_out_scores, matched
from pipeline.catalogue.loader import load_catalogue
from pipeline.combination.problem import Floats
from pipeline.combination.strategies import STRATEGIES
from serving import Sampler, Snapshot

POPULATION = "us"
POOL = 200_000
"""Personas drawn for a data set: so many that what varies by chance is the respondents."""

MOST_PEOPLE = 20_000
"""Respondents told from personas, both halves together."""

CONTROLS = ("naive_bayes", "linear_pool")
SIZES = (6, 10)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Everything measured on one data set.

    `areas` are areas under the ROC curve by arm, with those of resampled people (`two_sample.auc_replicates`);
    `people` respondents have all `columns` that are compared at once, of `respondents` in the frame.
    """

    walk: Crosswalk
    respondents: int
    people: int
    columns: tuple[str, ...]
    maps: list[MapRow]
    pairs: list[PairRow]
    areas: dict[str, Floats]
    leanings: list[LeaningRow]
    diversity: list[Diversity]


def main() -> None:
    """Run the benchmark and write its page."""
    parser = argparse.ArgumentParser(prog="bench-grounding", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="only data sets whose name contains this; writes no page")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    names = [walk.id for walk in load_crosswalks(load_catalogue(POPULATION)) if options.data in walk.id]
    if not names:
        parser.error(f"no data set contains '{options.data}'")
    found: list[Finding] = []
    # One thread a worker: libraries that each start as many as there are cores would only wait for each other.
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(options.workers, initializer=threadpool_limits, initargs=(1,)) as pool,
    ):
        list(pool.map(partial(_control, folder=Path(folder)), CONTROLS))
        for finding in pool.map(partial(_find, folder=Path(folder)), names):
            found.append(finding)
            print(summary(finding), file=sys.stderr, flush=True)
    if not options.data:
        print(write_page(found, Snapshot.load(POPULATION)))


def _control(strategy: str, folder: Path) -> None:
    catalogue, snapshot = load_catalogue(POPULATION), Snapshot.load(POPULATION)
    recombined(snapshot, catalogue, snapshot_maps(snapshot, catalogue), STRATEGIES[strategy], folder / strategy)


def _find(name: str, folder: Path) -> Finding:
    catalogue, snapshot = load_catalogue(POPULATION), Snapshot.load(POPULATION)
    walk = next(w for w in load_crosswalks(catalogue) if w.id == name)
    asked, made = respondents(walk), _drawn(walk, snapshot, POOL)
    everybody = Sampler(snapshot).sample(POOL, name, fields=[c.id for c in walk.columns])
    joint = [place for place, column in enumerate(walk.columns) if column.joint]
    whole, pool = asked.of(joint), made.of(joint)
    return Finding(
        walk=walk,
        respondents=len(asked),
        people=len(whole),
        columns=tuple(walk.columns[place].id for place in joint),
        maps=map_rows(
            walk,
            asked,
            made,
            catalogue,
            maps=snapshot_maps(snapshot, catalogue),
            everybody={c.id: everybody.codes(c.id) for c in walk.columns},
        ),
        pairs=pair_rows(walk, asked, made),
        areas=_areas(walk, joint, whole, pool, folder),
        leanings=leaning_rows(walk, asked, made),
        diversity=[one for size in SIZES if (one := diversity(whole, pool, size, seed=size))],
    )


def _drawn(walk: Crosswalk, snapshot: Snapshot, n: int) -> People:
    fields = [column.id for column in walk.columns]
    return personas(walk, Sampler(snapshot).sample(n, walk.id, evidence=walk.evidence, fields=fields))


def _areas(walk: Crosswalk, joint: list[int], asked: People, pool: People, folder: Path) -> dict[str, Floats]:
    """Each half of the respondents told from as many made people, those of the floor and the margins being made of the
    other half; the mean over the halves, by arm."""
    order = np.random.default_rng(0).permutation(len(asked))[:MOST_PEOPLE]
    halves = np.array_split(order, 2)
    nominal = [not walk.columns[place].dimension.ordinal for place in joint]
    sizes = [len(walk.columns[place].categories) for place in joint]
    controls = {c: _drawn(walk, Snapshot.load(folder / c), 2 * MOST_PEOPLE).of(joint) for c in CONTROLS}
    found: dict[str, list[Floats]] = {}
    for turn in range(2):
        test, train = asked.rows(halves[turn]), asked.rows(halves[1 - turn])
        n = len(test)
        place = slice(turn * n, (turn + 1) * n)
        arms = {
            "personas": pool.rows(np.arange(len(pool))[place]),
            "matched": matched(pool, train, sizes, n, seed=turn),
            "floor": floor(walk, joint, train, n, seed=turn),
            "respondents": train,
            **{c: people.rows(np.arange(len(people))[place]) for c, people in controls.items()},
        }
        for arm, made in arms.items():
            theirs, ours = held_out_scores(test, made, nominal, seed=turn)
            found.setdefault(arm, []).append(auc_replicates(theirs, ours, test.weights, seed=turn))
    return {arm: np.mean(replicates, axis=0) for arm, replicates in found.items()}


if __name__ == "__main__":
    main()
