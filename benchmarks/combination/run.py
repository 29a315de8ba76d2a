"""`make bench-combination`: every strategy on every task and arm; tables and picture of docs/combination.md.

Does not belong here: how maps are made (`arms`), scored (`scoring`) or shown (`report`).
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from benchmarks.combination.arms import exact_map, noisy_map, problem_of, recorded_maps
from benchmarks.combination.pairs import pair_rows
from benchmarks.combination.report import write_pages
from benchmarks.combination.scoring import boosting_rows, gain, logit_rows, score, split
from benchmarks.combination.tasks import load_people, load_tasks
from pipeline.combination.problem import Given, StrategyDeclinedError
from pipeline.combination.strategies import STRATEGIES

NOISE = (0.1, 0.2, 0.35)
NOISE_SEEDS = (1, 2, 3)
SPLIT_SEEDS = (0, 1, 2)


def main() -> None:
    """Run the benchmark and write its page."""
    parser = argparse.ArgumentParser(prog="bench-combination", description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default="", help="only tasks whose id contains this; writes no page")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    tasks = [t for t in load_tasks() if options.tasks in t.id]
    if not tasks:
        parser.error(f"no task contains '{options.tasks}': choose among {', '.join(t.id for t in load_tasks())}")
    work = [(t.id, s) for t in tasks for s in SPLIT_SEEDS]
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    # One thread a worker: libraries that each start as many as there are cores would only wait for each other.
    with ProcessPoolExecutor(options.workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        for (name, seed), (scores, found) in zip(work, pool.map(_run, work), strict=True):
            rows += scores
            pairs += found
            print(f"{name}, split {seed}: {len(scores)} fits", file=sys.stderr, flush=True)
    frame, pair_frame = pl.DataFrame(rows, infer_schema_length=None), pl.DataFrame(pairs, infer_schema_length=None)
    if options.tasks:
        keys = ["arm", "strategy", "two_way"]
        shown = frame.group_by(keys, maintain_order=True).agg(pl.col("share", "marginal_tv").mean())
        with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True):
            print(shown)
        return
    for place in write_pages(frame, pair_frame):
        print(place)


def _run(work: tuple[str, int]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    name, seed = work
    task = next(t for t in load_tasks() if t.id == name)
    train, test = split(load_people(task), seed)
    logit = gain(task, train, test, logit_rows(task, train, test))
    boosting = gain(task, train, test, boosting_rows(task, train, test))
    head = {"task": name, "role": task.role, "split": seed, "people": len(train.target), "logit": logit}
    reference = {**head, "arm": "reference", "two_way": False}
    rows = [
        {**reference, "strategy": "gradient boosting", "share": boosting / logit, "gain": boosting},
        {**reference, "strategy": "multinomial logit", "share": 1.0, "gain": logit},
    ]
    mains: list[Given] = [(), *((p,) for p in task.target.parents)]
    truth = {g: exact_map(task, train, g) for g in task.target.givens}
    arms = {("A exact", 0): truth, ("C recorded", 0): recorded_maps(task)}
    arms |= {
        (f"B noise {sigma}", s): {g: noisy_map(task, m, sigma, (s, seed)) for g, m in truth.items()}
        for sigma in NOISE
        for s in NOISE_SEEDS
    }
    for (arm, noise_seed), maps in arms.items():
        for two_way in (False, True):
            used = [maps[g] for g in (task.target.givens if two_way else mains) if g]
            problem = problem_of(task, train, maps[()], used)
            for strategy, fit in STRATEGIES.items():
                if two_way and strategy in ONE_WAY_ONLY:
                    continue
                try:
                    combined = fit(problem)
                except StrategyDeclinedError:
                    continue
                found = asdict(score(task, train, test, combined, truth))
                key = {"arm": arm, "noise_seed": noise_seed, "strategy": strategy, "two_way": two_way}
                rows.append({**head, **key, **found})
                rows[-1]["share"] = found["gain"] / logit
    return rows, pair_rows(task, train, test, (logit, boosting), seed)


ONE_WAY_ONLY = ("base_only", "strongest_parent", "latent_shift", "max_entropy")
"""Strategies to which two-way maps make no difference."""


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
