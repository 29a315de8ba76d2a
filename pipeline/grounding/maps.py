"""Map by map: how far personas, and the maps that they were made from, are from the microdata's conditional.

Does not belong here: pairs of dimensions without a map (`association`), all columns at once (`two_sample`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.catalogue.models import Catalogue, Given
from pipeline.combination.problem import Codes, ElicitedMap, Floats
from pipeline.combination.scores import total_variation
from pipeline.grounding.association import effective
from pipeline.grounding.crosswalk import Column, Crosswalk, People

DRAWS = 200


@dataclass(frozen=True, slots=True)
class MapRow:
    """One map in a data set. Distances are total variation, mean over conditions weighted by the respondents in them.

    Attributes:
        dimension: What the map is of.
        given: What it conditions on.
        exact: Whether all its columns match exactly.
        people: Respondents who have all of them.
        personas: Distance of the personas' conditional to the respondents'.
        elicited: Distance of the pooled map itself; None if the frame is not everybody, where it says something else.
        chance: What sampling error alone gives on average, if respondents behaved as the personas do.
        chance_high: Above this are 5 % of such distances.
    """

    dimension: str
    given: Given
    exact: bool
    people: int
    personas: float
    elicited: float | None
    chance: float
    chance_high: float


def map_rows(
    walk: Crosswalk,
    asked: People,
    made: People,
    catalogue: Catalogue,
    *,
    maps: Mapping[str, Mapping[Given, ElicitedMap]],
    everybody: Mapping[str, Codes],
) -> list[MapRow]:
    """All maps whose dimensions the data set has, the held-out ones included.

    `maps` are the pooled maps by dimension and given; `everybody` holds the codes of an unconditioned batch, by
    dimension, which says how common the conditions of a map are.
    """
    places = {column.id: place for place, column in enumerate(walk.columns)}
    found = []
    for column in walk.columns:
        for given in catalogue.dimension(column.id).asked:
            # Whom a column is told of is no condition of it.
            if set(given) <= places.keys() - column.source.get("among", {}).keys():
                columns = [walk.columns[places[g]] for g in given]
                chosen = [*(places[g] for g in given), places[column.id]]
                own = maps.get(column.id, {}).get(given)
                table = None
                if own is not None and not walk.evidence and not any("among" in c.source for c in (*columns, column)):
                    table = merged_map(own.p, columns, column, [everybody[g] for g in given])
                found.append(_row(column, columns, asked.of(chosen), made.of(chosen), table))
    return found


def merged_map(p: Floats, given: list[Column], target: Column, people: list[Codes]) -> Floats:
    """A pooled map (*sizes of given, K) in the columns' categories, (cells, categories).

    Rows that fall together are averaged by how common their conditions are among `people`, the codes of each given.
    """
    sizes = p.shape[:-1]
    mass = np.ones(1)
    if given:
        index = np.ravel_multi_index(tuple(codes.astype(np.intp) for codes in people), sizes)
        mass = np.bincount(index, minlength=int(np.prod(sizes))).astype(np.float64)
    fine = p.reshape(-1, p.shape[-1])
    kept = np.stack([fine[:, target.to_column == k].sum(axis=1) for k in range(len(target.categories))], axis=1)
    coarse_sizes = tuple(len(c.categories) for c in given)
    cells, used = np.zeros(len(fine), dtype=np.intp), np.ones(len(fine), dtype=bool)
    if given:
        codes = np.unravel_index(np.arange(len(fine)), sizes)
        merged = [c.to_column[code].astype(np.intp) for c, code in zip(given, codes, strict=True)]
        used = np.all([m >= 0 for m in merged], axis=0)
        cells = np.ravel_multi_index(tuple(np.maximum(m, 0) for m in merged), coarse_sizes)
    result = np.zeros((int(np.prod(coarse_sizes)), kept.shape[1]))
    np.add.at(result, cells[used], (mass[:, np.newaxis] * kept)[used])
    totals = result.sum(axis=1, keepdims=True)
    return np.asarray(result / np.where(totals > 0, totals, 1.0))


def conditional(people: People, sizes: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
    """P(last column | the others), (cells, K), the mass of each cell and the effective number of people in it."""
    cells = int(np.prod(sizes[:-1]))
    columns = tuple(people.codes[:, i].astype(np.intp) for i in range(len(sizes) - 1))
    index = np.ravel_multi_index(columns, sizes[:-1]) if columns else np.zeros(len(people), dtype=np.intp)
    table = np.zeros((cells, sizes[-1]))
    np.add.at(table, (index, people.codes[:, -1]), people.weights)
    mass = table.sum(axis=1)
    squares = np.bincount(index, people.weights**2, cells)
    number = mass**2 / np.where(squares > 0, squares, 1.0)
    return table / np.where(mass > 0, mass, 1.0)[:, np.newaxis], mass / max(mass.sum(), 1e-300), number


def _row(column: Column, given: list[Column], asked: People, made: People, table: Floats | None) -> MapRow:
    sizes = (*(len(c.categories) for c in given), len(column.categories))
    theirs, mass, number = conditional(asked, sizes)
    ours, _, drawn = conditional(made, sizes)
    # A condition that no persona meets has no conditional to compare; it is a matter of the map of that condition.
    mass = np.where(drawn > 0, mass, 0.0)
    mass = mass / mass.sum()
    chance = by_chance(ours, mass, number, drawn)
    return MapRow(
        dimension=column.id,
        given=tuple(c.id for c in given),
        exact=column.exact and all(c.exact for c in given),
        people=round(effective(asked.weights)),
        personas=float(mass @ total_variation(theirs, ours)),
        elicited=None if table is None else float(mass @ total_variation(theirs, table)),
        chance=float(chance.mean()),
        chance_high=float(np.quantile(chance, 0.95)),
    )


def by_chance(p: Floats, mass: Floats, asked: Floats, made: Floats) -> Floats:
    """Distances, (DRAWS,), between samples of these sizes that both follow `p`, (cells, K), weighted by `mass`."""
    rng = np.random.default_rng(0)
    live = mass > 0
    p, mass = p[live] / p[live].sum(axis=1, keepdims=True), mass[live]
    sizes = [np.maximum(np.rint(n[live]), 1).astype(np.int64) for n in (asked, made)]
    found = np.empty(DRAWS)
    for turn in range(DRAWS):
        first, second = (rng.multinomial(n, p) / n[:, np.newaxis] for n in sizes)
        found[turn] = mass @ total_variation(first, second)
    return found
