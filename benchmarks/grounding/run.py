"""`make bench-grounding`: the packaged snapshots against public microdata; the tables of docs/grounding.md.

Does not belong here: the measures (`pipeline.grounding`), tables (`report`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.grounding.report import summary, write_page
from pipeline.catalogue.loader import load_catalogue
from pipeline.combination.strategies import STRATEGIES
from pipeline.elicitation.panel import Member, load_panel
from pipeline.grounding.crosswalk import load_crosswalks
from pipeline.grounding.engine import recombined, snapshot_maps
from pipeline.grounding.findings import Finding, ground
from pipeline.grounding.witnesses import Witness, witness
from pipeline.grounding.years import EDITION, BaseRates, base_rates
from pipeline.resources import CORPUS
from serving.snapshot import Snapshot, packaged_populations

PASSES = "recorded-pass-"
"""How the ids of these panel members begin."""

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
        beside = pool.map(_witnesses, names)
        for finding in pool.map(partial(_find, folder=Path(folder)), names):
            found.append(finding)
            print(summary(finding), file=sys.stderr, flush=True)
        witnesses = [one for of_one in beside for one in of_one]
    if not options.data:
        print(write_page(found, witnesses, [Snapshot.load(population) for population in populations]))


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
    return ground(walk, Snapshot.load(population), catalogue, controls, told(population))


def _witnesses(work: tuple[str, str]) -> list[Witness]:
    """Each other survey of the time of a data set beside it."""
    population, name = work
    walks = {walk.id: walk for walk in load_crosswalks(load_catalogue(population))}
    snapshot = Snapshot.load(population)
    return [
        witness(walks[name], walks[one["data"]], one["year"], snapshot) for one in walks[name].source.get("beside", ())
    ]


@cache
def told(population: str) -> BaseRates:
    """What the recorded passes say of the years of a population's data sets."""
    catalogue = load_catalogue(population)
    return base_rates(catalogue, load_crosswalks(catalogue), panel(), CORPUS / EDITION / population)


def panel() -> list[Member]:
    """The panel members that were asked about the years of surveys."""
    return [member for member in load_panel() if member.id.startswith(PASSES)]


if __name__ == "__main__":
    main()
