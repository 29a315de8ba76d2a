"""People made by the engine from other maps: exact ones of respondents (the floor), our own ones combined otherwise.

Does not belong here: what is done with them (`two_sample`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.catalogue.models import Catalogue, Given
from pipeline.combination.choice import choose
from pipeline.combination.evaluated import projected
from pipeline.combination.factors import rounded
from pipeline.combination.goodness import draw
from pipeline.combination.problem import Bools, Codes, ElicitedMap, Problem, Strategy
from pipeline.combination.reference import REFERENCE_SIZE, ReferencePopulation
from pipeline.combination.strategies import STRATEGIES
from pipeline.combination.trial import run_trials
from pipeline.frames import MAP_COLUMNS, dimension_frame, map_arrays, weight_frame
from pipeline.grounding.counted import Counted, counted_map
from pipeline.grounding.crosswalk import Column, Crosswalk, People
from pipeline.problems import dimension_problem
from pipeline.prompts.validation import allowed_mask
from serving import Snapshot
from warehouse.errors import GroundingError
from warehouse.snapshot_format import PopulationInfo, write_snapshot

FLOOR_PEOPLE = 20_000
FLOOR_STRATEGIES = ("max_entropy", "max_entropy_shrunk")


def floor(walk: Crosswalk, places: list[int], train: People, n: int, seed: int) -> People:
    """n people made from the exact maps of `train`, who have the columns `places` and no others.

    Column by column in the catalogue's order, each given all columns before it by one-way maps, and by the two-way maps
    that the catalogue has of it, under the catalogue's structural zeros. As in a build, strategies are tried on
    the people made so far, and the rule of choice takes one; tried are the two that win most dimensions.
    """
    columns = [walk.columns[p] for p in places]
    codes = _by_weight(train, seed).astype(np.uint8)
    made: Codes = np.empty((max(n, FLOOR_PEOPLE), 0), dtype=np.uint8)
    for i in range(len(columns)):
        problem = _problem(walk, columns[:i], columns[i], codes[:, : i + 1], made)
        tried, _ = run_trials(problem, (), made, {name: STRATEGIES[name] for name in FLOOR_STRATEGIES})
        rows = choose(problem.dimension, tried).winner.model.probabilities(made)
        made = np.column_stack([made, draw(rows, 100 * seed + i)])
    return People(made[:n].astype(np.int16), np.ones(n))


def _problem(walk: Crosswalk, before: list[Column], target: Column, codes: Codes, made: Codes) -> Problem:
    """The last column of `codes` given those before it: maps counted in them, parents as the people made have them."""
    names = tuple(c.id for c in before)
    sizes = tuple(len(c.categories) for c in before)
    counted = Counted(names, sizes, len(target.categories), np.ascontiguousarray(codes[:, :-1]), codes[:, -1])
    pairs = [pair for pair in target.dimension.pairs if set(pair) <= set(names)]
    return Problem(
        dimension=f"{walk.id}.{target.id}",
        ordinal=target.dimension.ordinal,
        categories=target.categories,
        parents=names,
        sizes=sizes,
        base=counted_map(counted, ()),
        maps=tuple(counted_map(counted, given) for given in [*((name,) for name in names), *pairs]),
        reference=made,
        allowed=_zeros(before, target),
    )


def _zeros(before: list[Column], target: Column) -> tuple[tuple[Given, Bools], ...]:
    """The structural zeros of the catalogue in the data set's categories: never is what none of those merged may be."""
    found = []
    known = {c.id: c for c in before}
    for given in dict.fromkeys(tuple(zero.given) for zero in target.dimension.zeros):
        if set(given) <= known.keys():
            columns = [*(known[g] for g in given), target]
            fine = allowed_mask(target.dimension, [c.dimension for c in columns[:-1]])
            mask = np.zeros(tuple(len(c.categories) for c in columns), dtype=np.bool_)
            for cell in np.argwhere(fine):
                place = tuple(int(c.to_column[code]) for c, code in zip(columns, cell, strict=True))
                if min(place) >= 0:
                    mask[place] = True
            found.append((given, mask))
    return tuple(found)


def snapshot_maps(snapshot: Snapshot, catalogue: Catalogue) -> dict[str, dict[Given, ElicitedMap]]:
    """The pooled maps of a snapshot as arrays, by dimension and given.

    Raises `GroundingError` if the catalogue is another than the snapshot's.
    """
    if snapshot.manifest.catalogue_hash != catalogue.hash:
        raise GroundingError(f"snapshot {snapshot.id} was built from another catalogue: build and promote it again")
    table = pl.from_arrow(snapshot.maps())
    assert isinstance(table, pl.DataFrame)
    frame = table.with_columns(
        population=pl.lit(catalogue.population.id),
        edition=pl.lit(snapshot.manifest.edition),
        held_out=pl.lit(False),
        support=pl.col("models").cast(pl.Float64),
        # A snapshot holds six digits, so that rows sum to 1 only nearly.
        probability=pl.col("probability") / pl.col("probability").sum().over("dimension", "given", "condition"),
    ).select(list(MAP_COLUMNS))
    return {
        str(name): map_arrays(rows, catalogue, catalogue.dimension(str(name)))
        for (name,), rows in frame.group_by("dimension", maintain_order=True)
    }


def recombined(
    snapshot: Snapshot,
    catalogue: Catalogue,
    maps: Mapping[str, Mapping[Given, ElicitedMap]],
    strategy: Strategy,
    folder: Path,
) -> Snapshot:
    """The snapshot whose maps are these, all dimensions combined by one strategy; written to `folder`."""
    reference = ReferencePopulation(catalogue, REFERENCE_SIZE, "reference")
    weights = []
    for dimension in catalogue.dimensions:
        problem = dimension_problem(catalogue, dimension, maps[dimension.id], reference.codes(dimension.parents))
        factors = rounded(projected(problem, strategy(problem))).factors
        reference.add(dimension.id, factors)
        weights.append(weight_frame(catalogue.population.id, snapshot.manifest.edition, dimension.id, factors))
    people = catalogue.population
    write_snapshot(
        folder,
        population=PopulationInfo(people.id, people.label, people.year, people.currency),
        edition=snapshot.manifest.edition,
        catalogue_hash=catalogue.hash,
        dimensions=dimension_frame(catalogue),
        weights=pl.concat(weights),
        maps=pl.DataFrame(schema=MAP_COLUMNS),
    )
    return Snapshot.load(folder)


def _by_weight(people: People, seed: int) -> Codes:
    """As many rows as there are people, each as often as its weight says, by systematic sampling."""
    steps = np.cumsum(people.weights) / people.weights.sum() * len(people)
    points = np.arange(len(people)) + np.random.default_rng(seed).random()
    return np.asarray(people.codes[np.minimum(np.searchsorted(steps, points), len(people) - 1)])
