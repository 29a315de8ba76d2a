"""How exact ages lie within a band, given what changes with age: from people in bands to weights of single years.

Belongs here: graduating grouped data by single years, and the joint of the year with several characteristics. Does not
belong here: the bands (`serving.derived`), the file (`factors.written`), drawing (`serving.ages`).

Maps tell of bands: two in a hundred of 18 to 24 are married, and thirty of 25 to 34. Were the year within the band
even, a third would marry on a birthday. The number of people with a characteristic up to an age is interpolated, as
demographers graduate grouped counts, by a monotone cubic (Fritsch & Carlson 1980; Smith, Hyndman & Wood 2004), here
over the number of all people up to that age, so that its slope is the share of those who have it. Each characteristic's
own course is then a margin of the joint of year and all of them within the band, which is fitted by proportional
fitting: the joint of maximum entropy, in which every year has its people and every characteristic its course.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from pipeline.catalogue.models import Catalogue
from pipeline.combination.raking import Margin, rake
from pipeline.particulars.factors import People, Table
from serving.ages import AGE, EDUCATION, least_ages
from serving.derived import age_bands

AGED_BY = (EDUCATION, "marital", "children", "employment")
"""What exact ages depend on besides the band. Each change with age a great deal; together they leave few cells."""

ROUNDS = 200
"""Of proportional fitting, at most."""

FEW = 0.01
"""The least part of its band's share that a category has in any year."""

STEEPEST = 20.0
"""The largest log factor, in nats: of very few people years come out as they are told only with factors beyond it."""

CLOSE = 1e-6
"""Total variation at which it ends."""

Floats = npt.NDArray[np.float64]


def age_tables(catalogue: Catalogue, people: People) -> dict[str, Table]:
    """The years of each band of `age`, with factors by `AGED_BY`; `people` are codes of all of these, (n,) each."""
    bands = catalogue.dimension(AGE).category_ids
    years, shares = _years(bands)
    dimensions = [catalogue.dimension(name) for name in AGED_BY]
    courses = []
    for dimension in dimensions:
        counts = np.zeros((len(bands), len(dimension.categories)))
        np.add.at(counts, (people[AGE], people[dimension.id]), 1.0)
        least = [least_ages().get(one, 0) if dimension.id == EDUCATION else 0 for one in dimension.category_ids]
        courses.append(course(counts, years, shares, least))
    tables = {}
    for band, name in enumerate(bands):
        these = people[AGE] == band
        codes = np.stack([people[dimension][these] for dimension in AGED_BY], axis=1)
        factors = joint([one[band] for one in courses], shares[band], codes)
        tables[name] = Table(tuple(str(year) for year in years[band]), shares[band], factors)
    return tables


def course(
    counts: Floats, years: Sequence[Sequence[int]], shares: Sequence[Floats], least: Sequence[int]
) -> list[Floats]:
    """P(year | band, category) of one characteristic: for each band (years, categories), columns summing to 1.

    Args:
        counts: people in each band with each category, (bands, categories).
        years: of each band, ascending.
        shares: of the years within each band, whatever the category.
        least: the year before which nobody has a category.
    """
    people = counts.sum(axis=1)
    upto = np.concatenate([[0.0], np.cumsum(people)])
    edges = [np.concatenate([[0.0], np.cumsum(one)]) for one in shares]
    slopes: list[Floats] = [np.empty((len(one), counts.shape[1])) for one in years]
    for category, first in enumerate(least):
        running_counts = np.concatenate([[0.0], np.cumsum(counts[:, category])])
        nodes = dict(zip(upto.tolist(), running_counts.tolist(), strict=True))
        for band, these in enumerate(years):
            if these[0] < first <= these[-1]:
                nodes[float(upto[band] + people[band] * edges[band][these.index(first)])] = float(running_counts[band])
        at = np.array(sorted(nodes))
        running = PchipInterpolator(at, np.array([nodes[one] for one in at]))
        for band in range(len(years)):
            told = np.diff(running(upto[band] + people[band] * edges[band]))
            # Nobody is ruled out but by the least age: where the course is flat, few have it.
            told = np.maximum(told, FEW * counts[band, category] * shares[band])
            slopes[band][:, category] = np.where(np.array(years[band]) >= first, told, 0.0)
    return [_fitted(slope, share, count) for slope, share, count in zip(slopes, shares, counts, strict=True)]


def joint(courses: Sequence[Floats], shares: Floats, codes: npt.NDArray[np.uint8]) -> tuple[Floats, ...]:
    """Factors (years, categories) of each characteristic such that, over these people's codes (n, characteristics),
    years come out by `shares` and by every course, as far as these agree.
    """
    if not len(codes):
        return tuple(np.where(one > 0, 1.0, 0.0) for one in courses)
    cells, counts = np.unique(codes, axis=0, return_counts=True)
    start = np.tile(shares, (len(cells), 1))
    for one, cell in zip(courses, cells.T, strict=True):
        start *= (one > 0).T[cell]
    start[start.sum(axis=1) == 0] = shares
    margins = [Margin(np.zeros(len(cells), dtype=np.intp), shares[np.newaxis])]
    margins += [Margin(cell.astype(np.intp), one.T) for one, cell in zip(courses, cells.T, strict=True)]
    fit = rake(counts / counts.sum(), start, margins, max_iterations=ROUNDS, tolerance=CLOSE)
    base, *logs = fit.logs
    return tuple(
        np.where(one > 0, np.exp(np.clip(np.where(np.isfinite(log.T), log.T, 0.0), -STEEPEST, STEEPEST)), 0.0)
        for one, log in zip(courses, [logs[0] + base, *logs[1:]], strict=True)
    )


def _fitted(slopes: Floats, shares: Floats, counts: Floats) -> Floats:
    """Slopes (years, categories) scaled until the years are by `shares` and the categories by `counts`; columns of what
    nobody has are by `shares`. Columns sum to 1.
    """
    if not counts.any():
        return np.tile(shares[:, np.newaxis], len(counts))
    # Where everybody has what nobody has before some year, as among very few people, the years before have nobody.
    open_years = slopes.sum(axis=1) > 0
    people = shares[open_years] / shares[open_years].sum()
    everybody = Margin(np.zeros(len(people), dtype=np.intp), (counts / counts.sum())[np.newaxis])
    table = np.zeros_like(slopes)
    fit = rake(people, slopes[open_years], [everybody], tolerance=1e-12)
    table[open_years] = fit.table * people[:, np.newaxis]
    total = table.sum(axis=0)
    return np.where(total > 0, table / np.where(total > 0, total, 1.0), shares[:, np.newaxis])


def _years(bands: Sequence[str]) -> tuple[list[list[int]], list[Floats]]:
    """The years of each band and how they are shared out where nothing else is known."""
    known = age_bands(tuple(bands))
    weights = np.diff(known.edges, prepend=0)
    ends = known.base + known.total
    years, shares = [], []
    for low, high in zip(known.base, ends, strict=True):
        these = slice(*np.searchsorted(known.edges, [low, high], side="right"))
        years.append(known.values[these].tolist())
        shares.append(weights[these] / weights[these].sum())
    return years, shares
