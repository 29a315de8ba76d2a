"""Looking ahead: some of what the evidence depends on is drawn with the evidence in view, exactly.

Here belongs the core, a few dimensions whose every combination can be gone through, and how probable the evidence can
be at most in each. How tries are made and kept with it is `serving.conditions`.

Tries that are drawn blindly meet rare evidence rarely. Of some dimensions, closed under what they depend on (age,
ethnicity, heritage, the religion of childhood), the joint distribution P(c) can be written down; and of each dimension
of the evidence how large sum P(category | parents) * likelihood can be, given c and whatever else its parents may be.
The product of these is a limit u(c) for the weight of a try. The core is drawn by P(c) u(c), everything else as ever,
and a try is kept with probability w / u(c): rejection sampling with an envelope that follows the evidence (von Neumann
1951), exact for any limits that are limits, and the fewer tries the closer they are. Evidence on dimensions of the core
itself needs no tries at all.

A limit is the largest value over all combinations of the other parents where these are few. Where they are many, it is
worked out factor by factor: P(e | parents) = 1 / sum_o prod_k f_k(o) / f_k(e), which is largest where every ratio is
least, so that 1 / sum_o prod_k min f_k(o) / f_k(e) is not exceeded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.reference import SMALLEST_TOTAL
from serving.snapshot import Factor, Snapshot, SnapshotDimension
from warehouse.errors import SamplingError

CELLS = 100_000  # of a core
COMBINATIONS = 2_000_000  # of the parents and categories of a dimension, up to which all of them are looked at
SEVERAL = 4  # categories with a likelihood, up to which limits are worked out factor by factor
ROOM = 1 + 1e-9  # on limits, as sums here are not those of the engine to the last bit

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Core:
    """Dimensions that are drawn together, by `running`.

    Attributes:
        positions: of the dimensions, in order of sampling.
        codes: for each of these the codes that are possible at all.
        cells: which combinations are, as flat places in the array of all of `codes`, ascending.
        running: running sums, f64 (cells,), of P(c) u(c).
        limits: u(c), f64 (cells,), above 0.
    """

    positions: tuple[int, ...]
    codes: tuple[Codes, ...]
    cells: npt.NDArray[np.intp]
    running: Floats
    limits: Floats

    @property
    def mass(self) -> float:
        """Sum of P(c) u(c): what the weights of tries, as parts of their limits, are to be multiplied by."""
        return float(self.running[-1])

    def draw(self, chances: Floats) -> tuple[dict[int, Codes], Floats]:
        """Codes by position, and limits, for uniforms; all of shape (n,)."""
        at = np.searchsorted(self.running, chances * self.mass, side="right")
        places = np.unravel_index(self.cells[at], [len(codes) for codes in self.codes])
        drawn = {p: codes[place] for p, codes, place in zip(self.positions, self.codes, places, strict=True)}
        return drawn, self.limits[at]


class Lookahead:
    """Evidence, as likelihoods by dimension id, over one snapshot, with values that are set anyway by position.

    Attributes:
        fixed: ids of the dimensions that are set.
    """

    def __init__(self, snapshot: Snapshot, likelihoods: Mapping[str, Floats], fixed: Mapping[int, int]) -> None:
        self._snapshot = snapshot
        self._likelihoods = likelihoods
        self._allowed = {
            dimension.id: np.array([fixed[dimension.position]])
            if dimension.position in fixed
            else np.flatnonzero(likelihoods[dimension.id])
            if dimension.id in likelihoods
            else np.arange(len(dimension.categories))
            for dimension in snapshot.dimensions
        }
        self.fixed = {dimension.id for dimension in snapshot.dimensions if dimension.position in fixed}

    def largest(self, dimension: SnapshotDimension) -> float:
        """A limit for the sum of P(category | parents) * likelihood, whatever the parents are.

        0 means that the evidence on this dimension cannot be together with the rest.
        """
        return float(self._limit(dimension, ()).max())

    def core(self) -> Core | None:
        """The core for this evidence; None if no dimension would fit into it.

        Raises SamplingError if nothing is possible together with the evidence.
        """
        names = self._choose()
        if not names:
            return None
        dimensions = [self._snapshot.dimension(name) for name in names]
        mass = self.joint(dimensions)
        limits: Floats = np.ones(mass.shape)
        for name, likelihood in self._likelihoods.items():
            if name in names:
                own = likelihood[self._allowed[name]]
                limits = limits * own.reshape([len(own) if other == name else 1 for other in names])
            else:
                limits = limits * self._limit(self._snapshot.dimension(name), names)
        limits = limits.reshape(-1)
        mass = mass.reshape(-1) * limits
        cells = np.flatnonzero(mass)
        if not len(cells):
            raise SamplingError("the evidence has probability zero: drop or widen some of it")
        return Core(
            positions=tuple(dimension.position for dimension in dimensions),
            codes=tuple(self._allowed[name].astype(np.uint8) for name in names),
            cells=cells,
            running=np.cumsum(mass[cells]),
            limits=limits[cells],
        )

    def _choose(self) -> list[str]:
        """Dimensions of the core, in order of sampling: those of the evidence, then its parents, the telling first."""
        wished = [(math.inf, name) for name in self._likelihoods]
        for name in self._likelihoods:
            dimension = self._snapshot.dimension(name)
            wished += [(self._told(dimension, parent), parent) for parent in dimension.parents]
        chosen: set[str] = set()
        for _, name in sorted(wished, key=lambda wish: (-wish[0], self._snapshot.dimension(wish[1]).position)):
            larger = chosen | self.with_ancestors(name)
            if math.prod(len(self._allowed[other]) for other in larger) <= CELLS:
                chosen = larger
        return sorted(chosen, key=lambda name: self._snapshot.dimension(name).position)

    def with_ancestors(self, name: str) -> set[str]:
        """A dimension and all that it depends on; what is set depends on nothing, and is no part."""
        found: set[str] = set()
        open_still = [name]
        while open_still:
            one = open_still.pop()
            if one not in found and one not in self.fixed:
                found.add(one)
                open_still += self._snapshot.dimension(one).parents
        return found

    def _told(self, dimension: SnapshotDimension, parent: str) -> float:
        """How far this parent moves the log of the evidence's part of a factor, at most."""
        told = 0.0
        for factor in dimension.factors:
            if parent in factor.given:
                table = self.over(dimension, factor, factor.given)
                part = _add_up(table * _first(self._likelihoods[dimension.id], table)) / _add_up(table).clip(1e-300)
                logs = np.log(part.clip(1e-12))
                told += float(np.ptp(logs, axis=factor.given.index(parent)).max())
        return told

    def joint(self, dimensions: Sequence[SnapshotDimension]) -> Floats:
        """P of every combination of what is allowed of these, f64 (codes of the first, of the second, ...).

        They are in order of sampling, with all that they depend on.
        """
        joint: Floats = np.ones([])
        names: list[str] = []
        for dimension in dimensions:
            table = self._product(dimension, names)
            total = _add_up(table)
            part = table[self._allowed[dimension.id]] / np.maximum(total, SMALLEST_TOTAL)
            joint = np.moveaxis(joint * part, 0, -1)
            names.append(dimension.id)
        return np.ascontiguousarray(joint)

    def _limit(self, dimension: SnapshotDimension, names: Sequence[str]) -> Floats:
        """u for one dimension of the evidence, by the dimensions of a core; axes that it does not depend on have 1."""
        given = [name for name in names if name in dimension.parents]
        others = [parent for parent in dimension.parents if parent not in names]
        combinations = math.prod(len(self._allowed[name]) for name in (*given, *others)) * len(dimension.categories)
        likelihood = self._likelihoods[dimension.id]
        if combinations <= COMBINATIONS:
            limit = self._over_all(dimension, given, others, likelihood)
        elif np.count_nonzero(likelihood) <= SEVERAL:
            limit = self._factor_by_factor(dimension, given, others, likelihood)
        else:
            return np.full([1] * len(names), likelihood.max())
        limit = np.minimum(limit * ROOM, likelihood.max())
        return np.reshape(limit, [len(self._allowed[name]) if name in given else 1 for name in names])

    def _over_all(
        self, dimension: SnapshotDimension, given: Sequence[str], others: Sequence[str], likelihood: Floats
    ) -> Floats:
        axes = [*given, *others]
        table = self._product(dimension, axes)
        total = _add_up(table)
        part = np.where(total > 0, _add_up(table * _first(likelihood, table)) / np.maximum(total, SMALLEST_TOTAL), 0.0)
        largest = part.max(axis=tuple(range(len(given), len(axes))), initial=0.0)
        return np.broadcast_to(largest, [len(self._allowed[name]) for name in given])

    def _factor_by_factor(
        self, dimension: SnapshotDimension, given: Sequence[str], others: Sequence[str], likelihood: Floats
    ) -> Floats:
        axes = [*given, *others]
        away = tuple(range(1 + len(given), 1 + len(axes)))
        tables = [self.over(dimension, factor, axes) for factor in dimension.factors]
        limit = np.zeros([len(self._allowed[name]) for name in given])
        for category in np.flatnonzero(likelihood).tolist():
            # The small ones first, so that few products are taken over all of the core.
            ratios = sorted((_ratios(table, category).min(axis=away) for table in tables), key=lambda ratio: ratio.size)
            product = ratios[0]
            for ratio in ratios[1:]:
                with np.errstate(invalid="ignore", over="ignore"):
                    product = product * ratio
            possible = np.isfinite(product[category])  # else the category has a factor of zero, all the same with what
            sums = _add_up(np.where(possible, product, 1.0))
            limit += np.where(possible, likelihood[category] / sums, 0.0)
        return limit

    def _product(self, dimension: SnapshotDimension, axes: Sequence[str]) -> Floats:
        """All factors of a dimension multiplied, over the same axes as `over` has."""
        table: Floats = np.ones((len(dimension.categories), *(1 for _ in axes)))
        for factor in dimension.factors:
            table = table * self.over(dimension, factor, axes)
        return table

    def over(self, dimension: SnapshotDimension, factor: Factor, axes: Sequence[str]) -> Floats:
        """A factor's table over what is allowed of these dimensions, f64 (categories, one axis for each of them).

        An axis that the factor does not depend on has length 1. Dimensions that are set need no axis.
        """
        table = factor.table.reshape(*factor.sizes, len(dimension.categories))
        table = table[np.ix_(*(self._allowed[name] for name in factor.given), np.arange(table.shape[-1]))]
        left = [name for name in factor.given if name in axes]
        table = table.reshape(*(table.shape[i] for i, name in enumerate(factor.given) if name in axes), -1)
        order = sorted(range(len(left)), key=lambda axis: axes.index(left[axis]))
        table = table.transpose(len(left), *order)
        return np.reshape(table, (-1, *(len(self._allowed[name]) if name in left else 1 for name in axes)))


def _first(values: Floats, table: Floats) -> Floats:
    """A value per category, to go with a table whose first axis is the categories."""
    return values.reshape(-1, *(1 for _ in table.shape[1:]))


def _add_up(table: Floats) -> Floats:
    """Sum over the first axis, from left to right whatever the machine."""
    total: Floats = table[0].copy()
    for row in table[1:]:
        total += row
    return total


def _ratios(table: Floats, category: int) -> Floats:
    """Each category's factor over that of this one; inf for all where it has none."""
    own = table[category]
    ratios: Floats = np.where(own > 0, table / np.where(own > 0, own, 1.0), np.inf)
    return ratios
