"""What every combination strategy receives and returns: maps, the problem, factors, and their shape checks.

Belongs here: the data types shared by pooling, strategies and scores, and the checks that turn malformed input
into one-line errors. Does not belong here: any estimation or fitting, and anything that knows the catalogue,
the warehouse or Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import PersonaGenError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.uint8]
Given = tuple[str, ...]

ROW_SUM_TOLERANCE = 1e-6
MAX_CATEGORIES = 255


class CombinationError(PersonaGenError):
    """Maps, reference codes or structural zeros that cannot be combined."""


class StrategyDeclinedError(CombinationError):
    """A strategy that does not apply to this dimension, such as a latent scale for a nominal one."""


@dataclass(frozen=True, slots=True, eq=False)
class ElicitedMap:
    """One pooled map P(dimension | given).

    Attributes:
        given: Names of the parents conditioned on, in the order of the axes; () for the base map.
        p: Probabilities, shape (*sizes of given, K); each row sums to 1.
        spread: Between-model standard deviation of the centred log probability in nats, same shape as `p`.
        support: Effective number of independent models behind each cell, at least 1. The variance of the
            pooled log probability is spread squared over support.
    """

    given: Given
    p: Floats
    spread: Floats
    support: float = 1.0

    def __post_init__(self) -> None:
        p = np.ascontiguousarray(self.p, dtype=np.float64)
        spread = np.ascontiguousarray(self.spread, dtype=np.float64)
        object.__setattr__(self, "given", tuple(self.given))
        object.__setattr__(self, "p", p)
        object.__setattr__(self, "spread", spread)
        name = given_name(self.given)
        if p.ndim != len(self.given) + 1 or p.size == 0:
            raise CombinationError(f"map {name} has {p.ndim} axes; give one axis per parent and one for the categories")
        if not np.isfinite(p).all() or (p < 0).any():
            raise CombinationError(f"map {name} holds a negative or non-finite probability; validate it first")
        worst = float(np.abs(p.sum(axis=-1) - 1).max())
        if worst > ROW_SUM_TOLERANCE:
            raise CombinationError(f"map {name} has a row off 1 by {worst:.3g}; normalise its rows first")
        if spread.shape != p.shape or not np.isfinite(spread).all() or (spread < 0).any():
            raise CombinationError(f"map {name} needs a finite spread >= 0 of the same shape as its probabilities")
        if not (np.isfinite(self.support) and self.support >= 1):
            raise CombinationError(f"map {name} has support {self.support}; the least is 1 (one model)")


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Everything known about one dimension: its maps, its structural zeros and how its parents occur together.

    Attributes:
        dimension: Id of the dimension.
        ordinal: Whether the order of the categories means something.
        categories: Category ids; K of them.
        parents: Parent ids; P of them, the column order of `reference` and of every codes array.
        sizes: Number of categories of each parent.
        base: The map with given ().
        maps: One-way and two-way maps, at most one per given.
        reference: uint8 category codes of the parents in the reference population, shape (n, P).
        allowed: Structural zeros: pairs (given, bool array (*sizes of given, K)), False = never.
    """

    dimension: str
    ordinal: bool
    categories: tuple[str, ...]
    parents: tuple[str, ...]
    sizes: tuple[int, ...]
    base: ElicitedMap
    maps: tuple[ElicitedMap, ...]
    reference: Codes
    allowed: tuple[tuple[Given, Bools], ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.parents)) != len(self.parents) or len(self.sizes) != len(self.parents):
            raise self._error("parents must be distinct and have one size each")
        if not 1 <= len(self.categories) <= MAX_CATEGORIES or max(self.sizes, default=1) > MAX_CATEGORIES:
            raise self._error(f"a dimension and its parents have 1 to {MAX_CATEGORIES} categories")
        if self.base.given != ():
            raise self._error(f"the base map is conditioned on {given_name(self.base.given)}; it must have given ()")
        givens = [frozenset(m.given) for m in self.maps]
        if len(set(givens)) != len(givens):
            raise self._error("two maps share one given; pool them first")
        for one in (self.base, *self.maps):
            self._check_shape(one.given, one.p.shape, "map")
        if any(m.given == () for m in self.maps):
            raise self._error("maps must condition on a parent; put the base map in `base`")
        for given, mask in self.allowed:
            self._check_shape(given, mask.shape, "structural zeros")
            if not mask.any(axis=-1).all():
                raise self._error(f"structural zeros of {given_name(given)} forbid every category; relax one of them")
        self._check_reference()

    @property
    def one_way(self) -> tuple[ElicitedMap, ...]:
        """Maps conditioned on one parent, in the order given."""
        return tuple(m for m in self.maps if len(m.given) == 1)

    @property
    def higher(self) -> tuple[ElicitedMap, ...]:
        """Maps conditioned on two or more parents, in the order given."""
        return tuple(m for m in self.maps if len(m.given) > 1)

    def shape_of(self, given: Given) -> tuple[int, ...]:
        """Return (*sizes of given, K)."""
        return (*(self.sizes[self.parents.index(p)] for p in given), len(self.categories))

    def columns_of(self, given: Given) -> tuple[int, ...]:
        """Return the columns of a codes array that hold the parents of `given`."""
        return tuple(self.parents.index(p) for p in given)

    def allowed_given(self, given: Given) -> Bools:
        """Return the structural zeros visible to a map, shape (*sizes of given, K), False = never.

        Zeros declared over a subset of `given` are broadcast; zeros that need another parent are not visible.
        """
        result = np.ones(self.shape_of(given), dtype=np.bool_)
        for zero_given, mask in self.allowed:
            if set(zero_given) <= set(given):
                order = sorted(range(len(zero_given)), key=lambda i, z=zero_given: given.index(z[i]))  # type: ignore[misc]
                shape = tuple(n if p in zero_given else 1 for p, n in zip(given, result.shape, strict=False))
                result &= np.transpose(mask, (*order, mask.ndim - 1)).reshape(*shape, -1)
        return result

    def allowed_rows(self, codes: Codes) -> Bools:
        """Return which categories each row of parent codes (n, P) may take, shape (n, K)."""
        result = np.ones((len(codes), len(self.categories)), dtype=np.bool_)
        for given, mask in self.allowed:
            result &= mask[tuple(codes[:, c] for c in self.columns_of(given))]
        return result

    def _error(self, message: str) -> CombinationError:
        return CombinationError(f"{self.dimension}: {message}")

    def _check_shape(self, given: Given, shape: tuple[int, ...], what: str) -> None:
        unknown = [p for p in given if p not in self.parents]
        if unknown or len(set(given)) != len(given):
            raise self._error(f"{what} of {given_name(given)}: not distinct parents of this dimension; add or drop")
        if shape != self.shape_of(given):
            raise self._error(f"{what} of {given_name(given)} has shape {shape}; expected {self.shape_of(given)}")

    def _check_reference(self) -> None:
        codes = self.reference
        if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != len(self.parents) or len(codes) == 0:
            raise self._error(f"reference must be uint8 of shape (n > 0, {len(self.parents)}), not {codes.shape}")
        for column, (parent, size) in enumerate(zip(self.parents, self.sizes, strict=True)):
            if int(codes[:, column].max()) >= size:
                raise self._error(f"reference holds a code of {parent} beyond its {size} categories; rebuild it")
        if self.allowed and not self.allowed_rows(codes).any(axis=1).all():
            raise self._error("structural zeros forbid every category for some reference people; relax one of them")


class Combined(Protocol):
    """P(dimension | all parents), however it is represented."""

    def probabilities(self, codes: Codes) -> Floats:
        """Return the distribution for each row of parent codes: (n, P) uint8 to (n, K), rows summing to 1."""
        ...


Strategy = Callable[[Problem], Combined]


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """One multiplicative table of a factor model, shape (*sizes of given, K); 0 = structural zero."""

    given: Given
    values: Floats


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How a fit ended.

    Attributes:
        converged: Whether the fit came to its end, by the criterion of its solver.
        iterations: Sweeps over all margins (raking) or steps of the search (posterior mode).
        residual: Largest total variation between a map and what the fit implies for it, weighted by condition mass.
        rows: Distinct parent combinations in the reference population.
        consensus_shift: Total variation between the elicited base map and the base rate that was fitted.
        kept: Share of each map's log-lift left after shrinkage, weighted by condition mass: pairs (given, 0..1).
    """

    converged: bool
    iterations: int
    residual: float
    rows: int
    consensus_shift: float
    kept: tuple[tuple[Given, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel:
    """P(k | x) proportional to the product of one entry per factor; what a snapshot stores and a sampler reads.

    Attributes:
        dimension: Id of the dimension, for error messages.
        parents: Column order of the codes that `probabilities` takes.
        factors: Factors in storage order; the first has given ().
        diagnostics: How the fit ended; None for closed-form strategies.
    """

    dimension: str
    parents: tuple[str, ...]
    factors: tuple[Factor, ...]
    diagnostics: Diagnostics | None = None

    def __post_init__(self) -> None:
        if not self.factors or self.factors[0].given != ():
            raise CombinationError(f"{self.dimension}: the first factor must have given ()")

    def probabilities(self, codes: Codes) -> Floats:
        """Return the distribution for each row of parent codes: (n, P) uint8 to (n, K), rows summing to 1.

        Raises:
            CombinationError: If the structural zeros leave some row no category.
        """
        result = np.repeat(self.factors[0].values[np.newaxis], len(codes), axis=0)
        for factor in self.factors[1:]:
            result *= factor.values[tuple(codes[:, self.parents.index(p)] for p in factor.given)]
        return normalised_rows(result, self.dimension)


def normalised_rows(weights: Floats, dimension: str) -> Floats:
    """Return `weights` (..., K) with rows scaled to sum to 1; a row without mass is an error naming `dimension`."""
    totals = weights.sum(axis=-1, keepdims=True)
    if (totals <= 0).any():
        raise CombinationError(f"{dimension}: structural zeros leave some parents no category; relax one of them")
    result: Floats = weights / totals
    return result


def given_name(given: Given) -> str:
    """Return how messages name a given: `age x sex`, or `base`."""
    return " x ".join(given) or "base"
