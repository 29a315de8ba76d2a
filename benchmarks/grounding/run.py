"""`make bench-grounding`: the packaged snapshots against public microdata; the tables of docs/grounding.md.

Does not belong here: the measures (`pipeline.grounding`), tables (`report`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.grounding.report import summary, write_page
from pipeline.catalogue.loader import load_catalogue
from pipeline.combination.strategies import STRATEGIES
from pipeline.grounding.crosswalk import load_crosswalks
from pipeline.grounding.engine import recombined, snapshot_maps
from pipeline.grounding.findings import Finding, ground
from serving.snapshot import Snapshot, packaged_populations

CONTROLS = ("naive_bayes", "linear_pool")


def main() -> None:
    """Run the benchmark and write its page."""
    parser = argparse.ArgumentParser(prog="bench-grounding", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="only data sets whose name contains this; writes no page")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    populations = packaged_populations()
    names = [
        (population, walk.id)
        for population in populations
        for walk in load_crosswalks(load_catalogue(population))
        if options.data in walk.id
    ]
    if not names:
        parser.error(f"no data set contains '{options.data}'")
    controls = [(population, strategy) for population in dict(names) for strategy in CONTROLS]
    found: list[Finding] = []
    # One thread a worker: libraries that each start as many as there are cores would only wait for each other.
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(options.workers, initializer=threadpool_limits, initargs=(1,)) as pool,
    ):
        list(pool.map(partial(_control, folder=Path(folder)), controls))
        for finding in pool.map(partial(_find, folder=Path(folder)), names):
            found.append(finding)
            print(summary(finding), file=sys.stderr, flush=True)
    if not options.data:
        print(write_page(found, [Snapshot.load(population) for population in populations]))


def _control(work: tuple[str, str], folder: Path) -> None:
    population, strategy = work
    catalogue, snapshot = load_catalogue(population), Snapshot.load(population)
    maps = snapshot_maps(snapshot, catalogue)
    recombined(snapshot, catalogue, maps, STRATEGIES[strategy], folder / population / strategy)


def _find(work: tuple[str, str], folder: Path) -> Finding:
    population, name = work
    catalogue = load_catalogue(population)
    walk = next(w for w in load_crosswalks(catalogue) if w.id == name)
    controls = {strategy: Snapshot.load(folder / population / strategy) for strategy in CONTROLS}
    return ground(walk, Snapshot.load(population), catalogue, controls)


if __name__ == "__main__":
    main()
