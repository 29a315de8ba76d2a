"""`make bench-passes`: what each recorded pass adds to the pooled maps; the table `passes` of docs/grounding.md.

Does not belong here: measures (`maps`), recoding (`crosswalk`), pooling (`pipeline.combination.pooling`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.pages import fill, table
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Catalogue, Given
from pipeline.combination.pooling import pool
from pipeline.combination.problem import ElicitedMap, Floats
from pipeline.corpus import judged
from pipeline.grounding.crosswalk import load_crosswalks, personas, respondents
from pipeline.grounding.maps import map_rows
from pipeline.plan import Plan
from pipeline.prompts.validation import Estimate, allowed_mask
from pipeline.resources import CORPUS
from serving import Sampler, Snapshot

PAGE = Path(__file__).parents[2] / "docs" / "grounding.md"
POPULATION = "us"
PEOPLE = 100_000
"""Personas that tell how common the conditions of a map are."""

Maps = dict[str, dict[Given, ElicitedMap]]
Distances = dict[tuple[str, str, Given], float]


def main() -> None:
    """Pool every set of passes, measure it, and fill the table."""
    catalogue, snapshot = load_catalogue(POPULATION), Snapshot.load(POPULATION)
    plan = Plan(snapshot.manifest.edition, CORPUS / snapshot.manifest.edition)
    outcomes = judged(plan)
    passes = [name for name, outcome in outcomes.items() if outcome.estimates]
    sets = [chosen for size in range(1, len(passes) + 1) for chosen in combinations(passes, size)]
    found = {
        chosen: distances(catalogue, snapshot, pooled(catalogue, [outcomes[name].estimates for name in chosen]))
        for chosen in sets
    }
    block = rows(found)
    fill(PAGE, {"passes": block})
    print(block)


def pooled(catalogue: Catalogue, passes: Sequence[Sequence[Estimate]]) -> Maps:
    """The maps of these passes, pooled with equal weights."""
    estimates: dict[tuple[str, Given], list[Floats]] = {}
    for one in passes:
        for estimate in one:
            if estimate.population == catalogue.population.id:
                estimates.setdefault((estimate.dimension, estimate.given), []).append(estimate.p)
    maps: Maps = {}
    for (dimension_id, given), arrays in estimates.items():
        dimension = catalogue.dimension(dimension_id)
        allowed = allowed_mask(dimension, [catalogue.dimension(g) for g in given])
        maps.setdefault(dimension_id, {})[given] = pool(given, arrays, None, allowed)
    return maps


def distances(catalogue: Catalogue, snapshot: Snapshot, maps: Mapping[str, Mapping[Given, ElicitedMap]]) -> Distances:
    """Mean total variation of each map to the microdata's conditional, by data set, dimension and given; of those data
    sets whose frame is all adults.
    """
    result: Distances = {}
    for walk in load_crosswalks(catalogue):
        if not walk.adults or walk.evidence:
            continue
        batch = Sampler(snapshot).sample(PEOPLE, walk.id, fields=[c.id for c in walk.columns])
        everybody = {c.id: batch.codes(c.id) for c in walk.columns}
        for row in map_rows(walk, respondents(walk), personas(walk, batch), catalogue, maps=maps, everybody=everybody):
            if row.elicited is not None:
                result[walk.id, row.dimension, row.given] = row.elicited
    return result


def rows(found: Mapping[tuple[str, ...], Distances]) -> str:
    """A row for each set of passes: the mean distance, and its difference from that of all passes, with the standard
    error over maps.
    """
    every = max(found, key=len)
    lines = []
    for chosen, measured in found.items():
        cells = [", ".join(name.removeprefix("recorded-pass-") for name in chosen)]
        for size in (0, 1, 2):
            cells.append(f"{np.mean([tv for (_, _, given), tv in measured.items() if len(given) == size]):.4f}")
        gap = np.array([tv - found[every][key] for key, tv in measured.items()])
        error = gap.std(ddof=1) / np.sqrt(len(gap))
        cells.append("" if chosen == every else f"{gap.mean():+.4f} ({error:.4f})")
        cells.append(str(len(gap)))
        lines.append(cells)
    return table(["passes", "base rates", "one-way maps", "two-way maps", "all, against all passes", "maps"], lines)


if __name__ == "__main__":
    main()
