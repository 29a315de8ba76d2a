"""Maps counted among respondents: what a conditional distribution is in the microdata themselves.

Does not belong here: who the respondents are (`crosswalk`), or what is made of their maps (`engine`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.combination.problem import Codes, ElicitedMap, Given

FLOOR_PEOPLE = 0.5
"""People added to every row in the proportions of the whole, so that a category unseen in a row is no veto."""

PRIOR_PEOPLE = 20.0
"""The same for rows of two-way maps, of which many hold a handful of respondents."""


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Respondents and one variable of theirs.

    Attributes:
        parents: Names of the variables that maps may condition on; P of them.
        sizes: Number of categories of each.
        categories: Number of categories of the variable itself, K.
        codes: The parents' codes, uint8 (n, P).
        target: The variable's codes, uint8 (n,).
    """

    parents: tuple[str, ...]
    sizes: tuple[int, ...]
    categories: int
    codes: Codes
    target: Codes


def counted_map(people: Counted, given: Given) -> ElicitedMap:
    """P(variable | given) among these people, without spread.

    A two-way row is filled up with `PRIOR_PEOPLE` who behave as its two one-way rows multiply; others with the whole.
    """
    k = people.categories
    columns = [people.parents.index(p) for p in given]
    counts = np.zeros((*(people.sizes[c] for c in columns), k))
    np.add.at(counts, (*(people.codes[:, c] for c in columns), people.target), 1.0)
    whole = counts.reshape(-1, k).sum(0)
    base = (whole + FLOOR_PEOPLE) / (whole + FLOOR_PEOPLE).sum()
    prior = base
    if len(given) == 2:
        first, second = (counted_map(people, (parent,)).p for parent in given)
        prior = first[:, np.newaxis] * second[np.newaxis] / base
        prior = prior / prior.sum(-1, keepdims=True)
    counts += (FLOOR_PEOPLE if len(given) < 2 else PRIOR_PEOPLE) * prior
    p = counts / counts.sum(-1, keepdims=True)
    return ElicitedMap(given, p, np.zeros_like(p))
