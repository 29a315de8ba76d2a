"""Why a persona has a value: what each of its causes did to the odds, and which map says so.

Here belongs reading factors and maps for one persona and one dimension. Drawing is `serving.engine`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.batch import Persona, refuse_derived
from serving.snapshot import Factor, Snapshot, SnapshotDimension
from warehouse.errors import SamplingError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MapRow:
    """One cell of a pooled map: what the models believe, and how far they are apart.

    `probability` is P(category | given), `spread` the standard deviation of its logarithm between `models` models.
    """

    probability: float
    spread: float
    models: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one factor does to the value, given the persona's causes.

    Attributes:
        given: the causes, dimension id -> the persona's category.
        odds_ratio: odds of the value with this factor over its odds without it, all other factors in place. 0 if the
            factor rules the value out, inf if it leaves no other choice, None if the other factors do either already,
            as there is nothing left to change then.
        row: the cell of the map that was asked for these causes, None where the factor rests on none.
    """

    given: Mapping[str, str]
    odds_ratio: float | None
    row: MapRow | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a dimension of a persona has its category.

    Attributes:
        dimension, category: what is explained.
        probability: P(category | all of the persona's causes), what the value was drawn with.
        alternatives: P of every category, in their order; 0 for one that the causes rule out.
        base: the cell of the map without causes.
        contributions: of each factor, the strongest first.
    """

    dimension: str
    category: str
    probability: float
    alternatives: Mapping[str, float]
    base: MapRow | None
    contributions: tuple[Contribution, ...]

    def to_text(self) -> str:
        """Lines for a terminal."""
        lines = [f"{self.dimension} = {self.category}: {self.probability:.1%} given all causes"]
        if self.base is not None:
            lines[0] += f", {self.base.probability:.1%} in the population"
        effects = [_effect(one.odds_ratio) for one in self.contributions]
        width = max(map(len, effects), default=0)
        for effect, one in zip(effects, self.contributions, strict=True):
            given = ", ".join(f"{name} = {value}" for name, value in one.given.items())
            if one.row is None:
                source = "no map of its own"
            else:
                models = f"{one.row.models} model{'s' if one.row.models != 1 else ''}"
                source = f"map: {one.row.probability:.1%}, {models}, spread {one.row.spread:.2f}"
            lines.append(f"  {effect:<{width}}  {given}  ({source})")
        if len(effects) > 1:
            lines.append("  (each with all others in place, so they do not multiply to the whole)")
        others = sorted(self.alternatives.items(), key=lambda item: -item[1])
        shown = [f"{name} {p:.1%}" for name, p in others if name != self.category and p > 0][:5]
        lines.append(f"  instead: {', '.join(shown)}" if shown else "  nothing else was possible")
        return "\n".join(lines)


def explain(persona: Persona, dimension: str) -> Explanation:
    """Explain one dimension of a persona; raises SamplingError if it or a cause of it was not drawn, and for a derived
    field, telling what it is derived from.

    A value that `do` set is explained as if it had been drawn.
    """
    snapshot = persona.snapshot
    refuse_derived(snapshot, dimension, "explain one of these")
    target = snapshot.dimension(dimension)
    codes = {name: _code(persona, snapshot.dimension(name)) for name in (*target.parents, dimension)}
    rows = [_row(factor, codes) for factor in target.factors]
    code = codes[dimension]
    whole = _product(rows, skip=None)
    cells = _cells(snapshot, target, persona)
    contributions = []
    for place, factor in enumerate(target.factors):
        if not factor.given:
            continue
        ratio = _odds_ratio(rows, place, code)
        given = {name: snapshot.dimension(name).categories[codes[name]] for name in factor.given}
        contributions.append(Contribution(given, ratio, cells.get(factor.given)))
    return Explanation(
        dimension=dimension,
        category=target.categories[code],
        probability=float(whole[code]),
        alternatives={name: float(p) for name, p in zip(target.categories, whole, strict=True)},
        base=cells.get(()),
        contributions=tuple(sorted(contributions, key=lambda one: -_strength(one.odds_ratio))),
    )


def _code(persona: Persona, dimension: SnapshotDimension) -> int:
    value = persona.values.get(dimension.id)
    if not isinstance(value, str):
        raise SamplingError(f"the persona has no {dimension.id!r}, which the explanation needs: add it to fields")
    return dimension.code(value)


def _row(factor: Factor, codes: Mapping[str, int]) -> Floats:
    place = 0
    for name, size in zip(factor.given, factor.sizes, strict=True):
        place = place * size + codes[name]
    row: Floats = factor.table[place]
    return row


def _product(rows: list[Floats], skip: int | None) -> Floats:
    """The distribution that all factors but one give; zeros where `do` set what leaves no category."""
    product = np.ones(len(rows[0]))
    for place, row in enumerate(rows):
        if place != skip:
            product = product * row
    total = product.sum()
    return product / total if total > 0 else product


def _odds_ratio(rows: list[Floats], place: int, code: int) -> float | None:
    """What one factor does to the odds of a category, as `Contribution.odds_ratio` has it."""
    row = rows[place]
    if row[code] == 0:
        return 0.0
    if not np.delete(row, code).any():
        return float("inf")
    whole, without = _odds(_product(rows, skip=None), code), _odds(_product(rows, skip=place), code)
    return whole / without if 0 < without < float("inf") else None


def _odds(distribution: Floats, code: int) -> float:
    """Odds of a category, from 0 to inf; 0 if nothing is possible at all."""
    rest = float(np.delete(distribution, code).sum())
    if rest > 0:
        return float(distribution[code]) / rest
    return float("inf") if distribution[code] > 0 else 0.0


def _cells(snapshot: Snapshot, target: SnapshotDimension, persona: Persona) -> dict[tuple[str, ...], MapRow]:
    """The cells of the dimension's maps that speak of this persona, by what they are given."""
    return {
        tuple(row["given"]): MapRow(row["probability"], row["spread"], row["models"])
        for row in snapshot.cells(target.id, str(persona.values[target.id]))
        if all(persona.values.get(n) == v for n, v in zip(row["given"], row["condition"], strict=True))
    }


def _strength(ratio: float | None) -> float:
    if ratio is None:
        return 0.0
    return abs(math.log(ratio)) if ratio > 0 else float("inf")


def _effect(ratio: float | None) -> str:
    if ratio is None:
        return "no effect, others decide"
    if ratio == 0:
        return "rules it out"
    return "leaves no other choice" if ratio == float("inf") else f"odds x {ratio:.3g}"
