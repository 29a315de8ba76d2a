"""From a completion to an estimate, or to a rejection with one named reason and its text kept.

Belongs here: what makes the numbers of an answer usable (finite, sums, plausibility, structure). Does not
belong here: finding JSON in text (`parsing`), names and nesting (`alignment`), checks over the whole table of
estimates (`elicitation.expectations`), pooling.

The stages, each of which can reject: text -> JSON (`parsing`) -> rows in catalogue order (`alignment`) ->
numbers (pydantic) -> sums and scale -> hedging -> ignored givens -> structural zeros. The first reason met is
reported. An answer may be one row of a map: it passes all stages but hedging and ignored givens, which are judged once
the map's rows are together.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from pipeline.prompts.alignment import Condition, Row, align_rows, place
from pipeline.prompts.parsing import AnswerError, Reason, parse_answer, quote, to_number
from pipeline.prompts.schema import LISTS

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
    """One model's map: `p` is f64 (*sizes of the given, K); its rows sum to 1, structural zeros are 0.

    With a `condition` it is one row of a map that is asked row by row, and `p` is (K,).
    """

    custom_id: str
    population: str
    edition: str
    dimension: str
    given: tuple[str, ...]
    model: str
    variant: str
    p: Array = field(repr=False)
    attempt: int = 1
    condition: Condition | None = None


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
    """What became of many completions: at most one estimate per map, and every rejected attempt.

    Estimates are whole maps. `unanswered` are the custom ids of the requests without an accepted attempt; a map that is
    asked row by row and lacks rows has no estimate, but only the rows that it lacks are unanswered.
    """

    estimates: tuple[Estimate, ...]
    rejections: tuple[Rejection, ...]
    unanswered: tuple[str, ...]


def validate_all(
    requests: Iterable[Request], completions: Iterable[Completion], dimension_of: Callable[[str], Dimension]
) -> Outcome:
    """Validate every completion of these requests; the last accepted attempt of a request is the one that counts.

    Completions of other requests are passed over. A map that was asked row by row is put together once all its rows are
    accepted, and then judged as a whole; if it fails, all its rows are rejected, for that one reason. Estimates and
    `unanswered` stand in the order of the requests, rejections in that of arrival, those of whole maps last.
    """
    wanted = {request.custom_id: request for request in requests}
    accepted: dict[str, tuple[Estimate, Completion]] = {}
    rejections: list[Rejection] = []
    for completion in completions:
        request = wanted.get(completion.custom_id)
        if request is None:
            continue
        parents = [dimension_of(parent) for parent in request.given]
        result = validate_completion(completion, request, dimension_of(request.dimension), parents)
        if isinstance(result, Rejection):
            rejections.append(result)
        elif (earlier := accepted.get(result.custom_id)) is None or earlier[0].attempt <= result.attempt:
            accepted[result.custom_id] = (result, completion)
    estimates: list[Estimate] = []
    for asked in _by_map(wanted.values()):
        rows = [accepted[i] for i in asked if i in accepted]
        if rows and rows[0][0].condition is None:
            estimates.append(rows[0][0])
        elif len(rows) == len(asked):
            whole = _assembled(rows, dimension_of)
            if isinstance(whole, AnswerError):
                for estimate, completion in rows:
                    rejections.append(_rejected(completion, estimate.model, whole))
                    del accepted[estimate.custom_id]
            elif whole is not None:
                estimates.append(whole)
    return Outcome(
        estimates=tuple(estimates),
        rejections=tuple(rejections),
        unanswered=tuple(i for i in wanted if i not in accepted),
    )


def validate_completion(
    completion: Completion, request: Request, dimension: Dimension, parents: Sequence[Dimension]
) -> Estimate | Rejection:
    """Turn one completion into an estimate or a rejection; `parents` belong to `request.given`, in order.

    What can only be judged over all rows, hedging and ignored givens, is not judged in an answer that is one row of
    several: the row of a single group may be uniform in truth.
    """
    try:
        p = _read(completion, request, dimension, parents)
    except AnswerError as error:
        return _rejected(completion, request.model, error)
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
        condition=request.condition,
    )


def _rejected(completion: Completion, model: str, error: AnswerError) -> Rejection:
    return Rejection(
        custom_id=completion.custom_id,
        reason=error.reason,
        detail=error.detail,
        text=completion.text or completion.refusal or "",
        model=model,
        attempt=completion.attempt,
    )


def _by_map(requests: Iterable[Request]) -> list[list[str]]:
    """Custom ids of the requests that together ask one model for one map; whole maps stand alone."""
    maps: dict[object, list[str]] = {}
    for r in requests:
        row_of = (r.population, r.edition, r.dimension, r.given, r.model, r.variant)
        maps.setdefault(r.custom_id if r.condition is None else row_of, []).append(r.custom_id)
    return list(maps.values())


def _assembled(
    rows: Sequence[tuple[Estimate, Completion]], dimension_of: Callable[[str], Dimension]
) -> Estimate | AnswerError | None:
    """The map that these accepted rows make up, or what is wrong with it; None if they are not all of its rows."""
    first, _ = rows[0]
    dimension = dimension_of(first.dimension)
    parents = [dimension_of(parent) for parent in first.given]
    allowed = allowed_mask(dimension, parents)
    by_condition = {row.condition: row.p for row, _ in rows}
    # Nobody lives under a condition that leaves nothing possible, so nobody was asked; any row does no harm there.
    nobody = np.full(allowed.shape[-1], 1 / allowed.shape[-1])
    found = [
        by_condition.get(condition) if possible.any() else nobody
        for condition, possible in zip(conditions_of(parents), allowed.reshape(-1, allowed.shape[-1]), strict=True)
    ]
    present = [row for row in found if row is not None]
    if len(present) < len(found):
        return None
    p = np.stack(present).reshape(allowed.shape)
    try:
        _judge_map(p, allowed, dimension, first.given)
    except AnswerError as error:
        return AnswerError(error.reason, f"all rows: {error.detail}")
    return replace(first, p=p, attempt=max(row.attempt for row, _ in rows), condition=None)


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
    """Lay estimates of whole maps out as a table, a row per cell, in catalogue order.

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


def conditions_of(parents: Sequence[Dimension]) -> list[Condition]:
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
    whole = allowed_mask(dimension, parents)
    conditions, allowed = conditions_of(parents), whole
    if request.condition is not None:
        codes = (parent.category_ids.index(c) for parent, c in zip(parents, request.condition, strict=True))
        conditions, allowed = [request.condition], whole[tuple(codes)]
    lists = request.number_format in LISTS
    rows = align_rows(parse_answer(text), dimension, parents, allowed, lists=lists, condition=request.condition)
    p = _normalise(_numbers(rows).reshape(allowed.shape), conditions)
    if allowed.shape == whole.shape:
        _judge_map(p, allowed, dimension, request.given)
    return _hold_structure(p, allowed, dimension, conditions)


def _judge_map(p: Array, allowed: Mask, dimension: Dimension, given: tuple[str, ...]) -> None:
    """Refuse what shows only over all rows of a map."""
    if dimension.id not in MAY_BE_UNIFORM:
        _refuse_hedging(p, allowed)
    _refuse_ignored_givens(p, given)


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


def _normalise(values: Array, conditions: Sequence[Condition]) -> Array:
    sums = values.sum(axis=-1)
    middle = statistics.median(sums.ravel().tolist())
    if middle <= 0 or not math.isfinite(middle):
        raise AnswerError(Reason.BAD_SUM, f"rows sum to {middle:g}")
    scale = min(SCALES, key=lambda s: abs(math.log(middle / s)))
    off = np.abs(sums / scale - 1)
    if off.max() > SUM_TOLERANCE + 1e-9:
        worst = int(off.argmax())
        where = place(conditions[worst])
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


def _hold_structure(p: Array, allowed: Mask, dimension: Dimension, conditions: Sequence[Condition]) -> Array:
    forbidden = np.where(allowed, 0.0, p)
    mass = forbidden.sum(axis=-1)
    # A condition under which nothing is possible describes nobody: its row cannot be mended and harms
    # nothing.
    mass = np.where(allowed.any(axis=-1), mass, 0.0)
    if mass.max() > STRUCTURE_TOLERANCE:
        worst = int(mass.argmax())
        code = int(forbidden.reshape(-1, p.shape[-1])[worst].argmax())
        category = dimension.category_ids[code]
        where = place(conditions[worst])
        raise AnswerError(Reason.BREAKS_STRUCTURE, f"{mass.ravel()[worst]:.1%} on the impossible, {category}{where}")
    keep = allowed | ~allowed.any(axis=-1, keepdims=True)
    held: Array = np.where(keep, p, 0.0)
    total: Array = held.sum(axis=-1, keepdims=True)
    return held / total
