"""Where personas lean, by subgroup, signed; and how many distinct profiles they make, against respondents.

Does not belong here: distances without a sign (`maps`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipeline.combination.bootstrap import Interval
from pipeline.combination.problem import Floats
from pipeline.grounding.association import NORMAL, effective
from pipeline.grounding.crosswalk import Crosswalk, Leaning, People

FEWEST = 30
"""Respondents below whom a subgroup is not shown."""

SUBSETS = 30
BATCHES = 20


@dataclass(frozen=True, slots=True)
class LeaningRow:
    """Share of a leaning among personas less that among respondents, in points; `group` is "" for everybody."""

    theme: str
    label: str
    group: str
    category: str
    people: int
    respondents: float
    difference: Interval


@dataclass(frozen=True, slots=True)
class Diversity:
    """Effective number of distinct profiles over so many dimensions, of as many respondents as personas.

    exp of the entropy of the profiles found, mean over subsets of the dimensions; `ratio` is personas to respondents.
    """

    dimensions: int
    subsets: int
    people: int
    respondents: float
    personas: float
    ratio: Interval


def leaning_rows(walk: Crosswalk, asked: People, made: People) -> list[LeaningRow]:
    """All leanings of a data set among everybody, then in each category of its groups that has people enough."""
    found = []
    for leaning in walk.leanings:
        target = walk.place(leaning.column)
        wanted = [walk.columns[target].categories.index(c) for c in leaning.categories]
        found.append(_leaning(leaning, asked.of([target]), made.of([target]), wanted))
        for group in walk.source["groups"]:
            if group == leaning.column:
                continue
            place = walk.place(group)
            theirs, ours = asked.of([place, target]), made.of([place, target])
            for code, category in enumerate(walk.columns[place].categories):
                pair = [one.rows(one.codes[:, 0] == code) for one in (theirs, ours)]
                if min(len(one) for one in pair) >= FEWEST:
                    found.append(_leaning(leaning, pair[0], pair[1], wanted, group=group, category=category))
    return found


def diversity(asked: People, made: People, dimensions: int, seed: int) -> Diversity | None:
    """Compare the profiles over `dimensions` of the columns; None if there are not so many.

    `made` is a pool much larger than `asked`: batches of it, of the respondents' effective number, show by how much the
    number of profiles varies by chance, which is taken to be the same for respondents.
    """
    columns = asked.codes.shape[1]
    if columns < dimensions:
        return None
    rng = np.random.default_rng(seed)
    subsets = list(combinations(range(columns), dimensions))
    if len(subsets) > SUBSETS:
        subsets = [subsets[i] for i in sorted(rng.choice(len(subsets), SUBSETS, replace=False))]
    n = round(effective(asked.weights))
    theirs = float(np.mean([profiles(asked.codes[:, s], asked.weights) for s in subsets]))
    batches = [made.rows(rng.choice(len(made), n, replace=False)) for _ in range(BATCHES)]
    ours = [float(np.mean([profiles(b.codes[:, s], b.weights) for s in subsets])) for b in batches]
    ratio = float(np.mean(ours)) / theirs
    error = NORMAL * np.sqrt(2) * float(np.std(np.log(ours), ddof=1))
    interval = Interval(ratio, ratio * float(np.exp(-error)), ratio * float(np.exp(error)))
    return Diversity(dimensions, len(subsets), n, theirs, float(np.mean(ours)), interval)


def profiles(codes: np.ndarray[tuple[int, ...], np.dtype[np.int16]], weights: Floats) -> float:
    """Effective number of distinct rows: exp of their entropy (Hill 1973, order 1)."""
    _, index = np.unique(codes, axis=0, return_inverse=True)
    p = np.bincount(index.ravel(), weights) / weights.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def _leaning(
    leaning: Leaning, asked: People, made: People, wanted: list[int], *, group: str = "", category: str = ""
) -> LeaningRow:
    (p, n), (q, m) = ((_share(one, wanted), effective(one.weights)) for one in (asked, made))
    # With a success and a failure added to each, so that a share of 0 or 1 has an error (Agresti & Caffo 2000).
    variance = sum(s * (1 - s) / (size + 2) for s, size in (((p * n + 1) / (n + 2), n), ((q * m + 1) / (m + 2), m)))
    error = NORMAL * float(np.sqrt(variance))
    apart = q - p
    points = Interval(100 * apart, 100 * (apart - error), 100 * (apart + error))
    return LeaningRow(leaning.theme, leaning.label, group, category, len(asked), 100 * p, points)


def _share(people: People, wanted: list[int]) -> float:
    hit = np.isin(people.codes[:, -1], wanted)
    return float((people.weights * hit).sum() / people.weights.sum())
