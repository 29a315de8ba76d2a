"""Why a persona has a value: what each of its causes did to the odds, and which map says so.

Here belongs reading factors and maps for one persona and one dimension. Drawing is `serving.engine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.batch import Persona
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
        odds_ratio: odds of the value with this factor over its odds without it, all other factors in place.
        row: the cell of the map that was asked for these causes, None where the factor rests on none.
    """

    given: Mapping[str, str]
    odds_ratio: float
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
        for one in self.contributions:
            given = ", ".join(f"{name} = {value}" for name, value in one.given.items())
            if one.row is None:
                source = "no map of its own"
            else:
                models = f"{one.row.models} model{'s' if one.row.models != 1 else ''}"
                source = f"map: {one.row.probability:.1%}, {models}, spread {one.row.spread:.2f}"
            lines.append(f"  odds x {_ratio(one.odds_ratio):<8} {given}  ({source})")
        others = sorted(self.alternatives.items(), key=lambda item: -item[1])
        shown = [f"{name} {p:.1%}" for name, p in others if name != self.category][:5]
        lines.append(f"  instead: {', '.join(shown)}" if shown else "  nothing else was possible")
        return "\n".join(lines)


def explain(persona: Persona, dimension: str) -> Explanation:
    """Explain one dimension of a persona; raises SamplingError if it or a cause of it was not drawn.

    A value that `do` set is explained as if it had been drawn.
    """
    snapshot = persona.snapshot
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
        without = _odds(_product(rows, skip=place), code)
        ratio = _odds(whole, code) / without if without else float("inf")
        given = {name: snapshot.dimension(name).categories[codes[name]] for name in factor.given}
        contributions.append(Contribution(given, ratio, cells.get(factor.given)))
    return Explanation(
        dimension=dimension,
        category=target.categories[code],
        probability=float(whole[code]),
        alternatives={name: float(p) for name, p in zip(target.categories, whole, strict=True)},
        base=cells.get(()),
        contributions=tuple(sorted(contributions, key=lambda one: -abs(float(np.log(max(one.odds_ratio, 1e-300)))))),
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
    """The distribution that all factors but one give."""
    product = np.ones(len(rows[0]))
    for place, row in enumerate(rows):
        if place != skip:
            product = product * row
    product /= product.sum()
    return product


def _odds(distribution: Floats, code: int) -> float:
    rest = float(distribution.sum() - distribution[code])
    return float(distribution[code]) / rest if rest > 0 else float("inf")


def _cells(snapshot: Snapshot, target: SnapshotDimension, persona: Persona) -> dict[tuple[str, ...], MapRow]:
    """The cells of the dimension's maps that speak of this persona, by what they are given."""
    import pyarrow.compute as pc  # noqa: PLC0415  # keeps `import serving` light

    maps = snapshot.maps()
    mine = maps.filter(pc.equal(maps["dimension"], target.id)).to_pylist()
    return {
        tuple(row["given"]): MapRow(row["probability"], row["spread"], row["models"])
        for row in mine
        if row["category"] == persona.values[target.id]
        and all(persona.values.get(n) == v for n, v in zip(row["given"], row["condition"], strict=True))
    }


def _ratio(ratio: float) -> str:
    return "only way" if ratio == float("inf") else f"{ratio:.3g}"
