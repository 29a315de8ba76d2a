"""From a completion to an estimate, or to a rejection with one named reason and its text kept.

Belongs here: what makes the numbers of an answer usable (finite, sums, plausibility, structure). Does not
belong here: finding JSON in text (`parsing`), names and nesting (`alignment`), checks over the whole table of
estimates (`elicitation.expectations`), pooling.

The stages, each of which can reject: text -> JSON (`parsing`) -> rows in catalogue order (`alignment`) ->
numbers (pydantic) -> sums and scale -> hedging -> ignored givens -> structural zeros. The first reason met is
reported.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from pipeline.prompts.alignment import Row, align_rows, place
from pipeline.prompts.parsing import AnswerError, Reason, parse_answer, quote, to_number

if TYPE_CHECKING:
    from pipeline.catalogue.models import Dimension
    from pipeline.elicitation.protocol import Completion
    from pipeline.prompts.render import Request

SCALES = (1.0, 100.0, 1000.0)
"""What a row may sum to. One scale holds for the whole answer: the one nearest to the median row sum."""

SUM_TOLERANCE = 0.05
"""Relative: on the scale of 100 a row may sum to 95 to 105, and is then normalised."""

HEDGE_DIVERGENCE = 0.001
"""A row counts as uniform if 1 - H/log(K), its entropy deficit over its K possible categories, is below this.

That is what rounding to whole percents leaves of a uniform row (14 14 14 14 14 15 15 has 0.0002), while the
flattest of the catalogue's dimensions that carry information lie far above (US age bands 0.01). An answer is
hedged if all of its rows with at least three possible categories are uniform; with two, as for sex, uniform
is plausible.
"""

MAY_BE_UNIFORM = frozenset({"birth_month"})
"""Dimensions whose true distribution is nearly uniform: their uniform rows are not hedging."""

SAME_ROW = 1e-6
"""Rows whose probabilities all differ by less than this are the same row."""

STRUCTURE_TOLERANCE = 0.02
"""Share of a row that may lie on impossible categories: up to it, it is zeroed and the row renormalised."""

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """One model's map: `p` is f64 (*sizes of the given, K); its rows sum to 1, structural zeros are 0."""

    custom_id: str
    population: str
    edition: str
    dimension: str
    given: tuple[str, ...]
    model: str
    variant: str
    p: Array = field(repr=False)
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Rejection:
    """An answer that was not used: the one reason, a line of detail, and the text as it was received."""

    custom_id: str
    reason: Reason
    detail: str
    text: str = field(repr=False)
    model: str = ""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of many completions: at most one estimate per request, and every rejected attempt."""

    estimates: tuple[Estimate, ...]
    rejections: tuple[Rejection, ...]
    unanswered: tuple[str, ...]


def validate_all(
    requests: Iterable[Request], completions: Iterable[Completion], dimension_of: Callable[[str], Dimension]
) -> Outcome:
    """Validate every completion of these requests; the last accepted attempt of a request is its estimate.

    Completions of other requests are passed over. `unanswered` lists, in the order of the requests, the
    custom ids for which no attempt was accepted. Estimates stand in the order of the requests, rejections in
    that of arrival.
    """
    wanted = {request.custom_id: request for request in requests}
    accepted: dict[str, Estimate] = {}
    rejections: list[Rejection] = []
    for completion in completions:
        request = wanted.get(completion.custom_id)
        if request is None:
            continue
        parents = [dimension_of(parent) for parent in request.given]
        result = validate_completion(completion, request, dimension_of(request.dimension), parents)
        if isinstance(result, Rejection):
            rejections.append(result)
        elif (earlier := accepted.get(result.custom_id)) is None or earlier.attempt <= result.attempt:
            accepted[result.custom_id] = result
    return Outcome(
        estimates=tuple(accepted[i] for i in wanted if i in accepted),
        rejections=tuple(rejections),
        unanswered=tuple(i for i in wanted if i not in accepted),
    )


def validate_completion(
    completion: Completion, request: Request, dimension: Dimension, parents: Sequence[Dimension]
) -> Estimate | Rejection:
    """Turn one completion into an estimate or a rejection; `parents` belong to `request.given`, in order."""
    try:
        p = _read(completion, request, dimension, parents)
    except AnswerError as error:
        return Rejection(
            custom_id=completion.custom_id,
            reason=error.reason,
            detail=error.detail,
            text=completion.text or completion.refusal or "",
            model=request.model,
            attempt=completion.attempt,
        )
    return Estimate(
        custom_id=request.custom_id,
        population=request.population,
        edition=request.edition,
        dimension=request.dimension,
        given=request.given,
        model=request.model,
        variant=request.variant,
        p=p,
        attempt=completion.attempt,
    )


def allowed_mask(dimension: Dimension, parents: Sequence[Dimension]) -> Mask:
    """Which cells of a map are possible: bool (*sizes of `parents`, K), False on structural zeros.

    A zero whose condition names a dimension outside `parents` says nothing about this map.
    """
    ids = [parent.id for parent in parents]
    mask = np.ones((*(len(parent.categories) for parent in parents), len(dimension.categories)), dtype=np.bool_)
    for zero in dimension.zeros:
        if not set(zero.given) <= set(ids):
            continue
        never = np.isin(dimension.category_ids, zero.never)
        held = [
            np.isin(parent.category_ids, zero.given[parent.id]) if parent.id in zero.given else
            np.ones(len(parent.categories), dtype=np.bool_)
            for parent in parents
        ]  # fmt: skip
        mask[np.ix_(*held, never)] = False
    return mask


def estimates_frame(estimates: Iterable[Estimate], dimension_of: Callable[[str], Dimension]) -> pl.DataFrame:
    """Lay estimates out as a table, a row per cell, in catalogue order.

    Columns: population, edition, dimension, given (list), model, variant, condition (list, parallel to
    given), category, probability. No estimates give an empty table with the same columns.
    """
    frames = [_cells(estimate, dimension_of) for estimate in estimates]
    return pl.concat([pl.DataFrame(schema=ESTIMATE_COLUMNS), *frames])


ESTIMATE_COLUMNS: dict[str, Any] = {
    "population": pl.String,
    "edition": pl.String,
    "dimension": pl.String,
    "given": pl.List(pl.String),
    "model": pl.String,
    "variant": pl.String,
    "condition": pl.List(pl.String),
    "category": pl.String,
    "probability": pl.Float64,
}
"""Columns of the table of estimates and their polars types."""


def conditions_of(parents: Sequence[Dimension]) -> list[tuple[str, ...]]:
    """All combinations of the parents' categories, the last one varying fastest; `[()]` without parents."""
    return list(product(*(parent.category_ids for parent in parents)))


def _cells(estimate: Estimate, dimension_of: Callable[[str], Dimension]) -> pl.DataFrame:
    categories = dimension_of(estimate.dimension).category_ids
    conditions = conditions_of([dimension_of(parent) for parent in estimate.given])
    count = len(conditions) * len(categories)
    same = {
        "population": estimate.population,
        "edition": estimate.edition,
        "dimension": estimate.dimension,
        "given": list(estimate.given),
        "model": estimate.model,
        "variant": estimate.variant,
    }
    return pl.DataFrame(
        {
            **{name: [value] * count for name, value in same.items()},
            "condition": [list(condition) for condition in conditions for _ in categories],
            "category": [*categories] * len(conditions),
            "probability": estimate.p.ravel(),
        },
        schema=ESTIMATE_COLUMNS,
    )


def _read(completion: Completion, request: Request, dimension: Dimension, parents: Sequence[Dimension]) -> Array:
    if completion.finish_reason == "content_filter":
        raise AnswerError(Reason.REFUSAL, "stopped by the provider's content filter")
    text = (completion.text or "").strip()
    if not text and completion.refusal:
        raise AnswerError(Reason.REFUSAL, quote(completion.refusal))
    if not text:
        raise AnswerError(Reason.EMPTY, "the completion has no text")
    if completion.finish_reason == "length":
        raise AnswerError(Reason.TRUNCATED, "stopped at the token limit")
    allowed = allowed_mask(dimension, parents)
    lists = request.number_format == "per_1000_rows"
    rows = align_rows(parse_answer(text), dimension, parents, allowed, lists)
    values = _numbers(rows).reshape(allowed.shape)
    p = _normalise(values, parents)
    if dimension.id not in MAY_BE_UNIFORM:
        _refuse_hedging(p, allowed)
    _refuse_ignored_givens(p, request.given)
    return _hold_structure(p, allowed, dimension, parents)


def _number(value: object) -> float:
    try:
        number = to_number(value)
    except AnswerError as error:
        raise PydanticCustomError("not_a_number", "{detail}", {"detail": error.detail}) from None
    if not math.isfinite(number):
        raise PydanticCustomError("not_a_number", "not finite")
    return number


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    condition: tuple[str, ...]
    values: tuple[
        Annotated[float, BeforeValidator(_number), Field(ge=0)], ...
    ]  # fmt: skip


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    rows: tuple[_Row, ...]


def _numbers(rows: list[Row]) -> Array:
    try:
        answer = _Answer.model_validate({"rows": [{"condition": c, "values": values} for c, values in rows]})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = Reason.NEGATIVE if first["type"] == "greater_than_equal" else Reason.NOT_A_NUMBER
        row = first["loc"][1]
        where = place(rows[row][0]) if isinstance(row, int) else ""
        raise AnswerError(reason, f"{quote(first['input'])}{where}") from None
    return np.array([row.values for row in answer.rows], dtype=np.float64)


def _normalise(values: Array, parents: Sequence[Dimension]) -> Array:
    sums = values.sum(axis=-1)
    middle = statistics.median(sums.ravel().tolist())
    if middle <= 0 or not math.isfinite(middle):
        raise AnswerError(Reason.BAD_SUM, f"rows sum to {middle:g}")
    scale = min(SCALES, key=lambda s: abs(math.log(middle / s)))
    off = np.abs(sums / scale - 1)
    if off.max() > SUM_TOLERANCE + 1e-9:
        worst = int(off.argmax())
        where = place(conditions_of(parents)[worst])
        raise AnswerError(Reason.BAD_SUM, f"{sums.ravel()[worst]:g} instead of {scale:g}{where}")
    result: Array = values / sums[..., None]
    return result


def _refuse_hedging(p: Array, allowed: Mask) -> None:
    possible = allowed.reshape(-1, allowed.shape[-1])
    rows = np.where(possible, p.reshape(possible.shape), 0.0)
    counts = possible.sum(axis=1)
    judged = (counts > 2) & (rows.sum(axis=1) > 0)
    if not judged.any():
        return
    rows = rows[judged] / rows[judged].sum(axis=1, keepdims=True)
    entropy = -np.sum(rows * np.log(np.where(rows > 0, rows, 1.0)), axis=1)
    deficit = 1 - entropy / np.log(counts[judged])
    if deficit.max() < HEDGE_DIVERGENCE:
        raise AnswerError(Reason.HEDGED, f"all {len(rows)} rows are near uniform")


def _refuse_ignored_givens(p: Array, given: tuple[str, ...]) -> None:
    for axis, parent in enumerate(given):
        if p.shape[axis] > 1 and np.ptp(p, axis=axis).max() < SAME_ROW:
            raise AnswerError(Reason.IGNORES_GIVEN, f"the rows do not differ by {parent}")


def _hold_structure(p: Array, allowed: Mask, dimension: Dimension, parents: Sequence[Dimension]) -> Array:
    forbidden = np.where(allowed, 0.0, p)
    mass = forbidden.sum(axis=-1)
    # A condition under which nothing is possible describes nobody: its row cannot be mended and harms
    # nothing.
    mass = np.where(allowed.any(axis=-1), mass, 0.0)
    if mass.max() > STRUCTURE_TOLERANCE:
        worst = int(mass.argmax())
        code = int(forbidden.reshape(-1, p.shape[-1])[worst].argmax())
        category = dimension.category_ids[code]
        where = place(conditions_of(parents)[worst])
        raise AnswerError(Reason.BREAKS_STRUCTURE, f"{mass.ravel()[worst]:.1%} on the impossible, {category}{where}")
    keep = allowed | ~allowed.any(axis=-1, keepdims=True)
    held: Array = np.where(keep, p, 0.0)
    total: Array = held.sum(axis=-1, keepdims=True)
    return held / total
