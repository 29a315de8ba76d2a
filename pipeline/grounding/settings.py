"""Personas weighted as a survey had people before it: of its own year, and by the chance that its sampling gave them.

Both are what sets a survey apart from the population of a snapshot without anybody being wrong. Neither uses a number
of the microdata: base rates of the year, and of who joins a panel, are told by the language model (`years`), chances
within households follow from the sampling.

Does not belong here: matching personas to the respondents themselves (`two_sample.matched`).
"""

from __future__ import annotations

import numpy as np

from pipeline.combination.problem import Floats
from pipeline.grounding.crosswalk import Crosswalk
from pipeline.grounding.two_sample import raked
from pipeline.grounding.years import BaseRates
from serving import Batch

HOUSEHOLD = "living_arrangement"
"""The dimension that tells how many adults share a home."""

ADULTS_AT_HOME = {
    **{"alone": 1, "partner": 2, "partner_children": 2, "single_parent": 1},
    **{"parents": 3, "relatives": 3, "housemates": 3, "group_quarters": 0},
}
"""How many these are, roughly, and 0 outside households. None of a couple's or a parent's children is taken for grown
up; with parents, relatives or housemates three live together.
"""


def fields_of(walk: Crosswalk) -> list[str]:
    """The dimensions that the weights of a data set's personas are worked out from."""
    return [*dict.fromkeys([*(column.id for column in walk.columns), *([HOUSEHOLD] if walk.one_of_household else [])])]


def of_year(walk: Crosswalk, batch: Batch, told: BaseRates) -> Floats:
    """Weights with which every dimension of the data set has the base rate that was told of its year, (n,).

    How dimensions go together stays as it is (raking).
    """
    if walk.year is None:
        return np.ones(len(batch))
    return _with_rates(walk, batch, told, walk.year)


def _with_rates(walk: Crosswalk, batch: Batch, told: BaseRates, setting: int | str) -> Floats:
    names = [column.id for column in walk.columns]
    codes = np.stack([batch.codes(name) for name in names], axis=1)
    return raked(codes, [told[setting, name] for name in names])


def as_sampled(walk: Crosswalk, batch: Batch, told: BaseRates) -> Floats:
    """Weights by the chance of being interviewed, (n,).

    Of a panel that people join by themselves, weights with which every dimension has the base rate that was told of it,
    which is of its year already. Else of one adult of each household, so that who shares it with two others has a third
    of the chance of who lives alone, and nobody of those outside households.
    """
    if walk.panel is not None:
        return _with_rates(walk, batch, told, walk.id)
    if not walk.one_of_household:
        return np.ones(len(batch))
    adults = np.array([ADULTS_AT_HOME[one] for one in batch.snapshot.dimension(HOUSEHOLD).categories], dtype=float)
    chances = np.divide(1, adults, out=np.zeros_like(adults), where=adults > 0)
    return np.asarray(chances[batch.codes(HOUSEHOLD)])
