"""From a completion to an estimate, or to a rejection with one named reason and its text kept.

Belongs here: what a usable answer is (names, nesting, numbers, sums, plausibility, structure). Does not
belong here: finding JSON in text (`parsing`), checks over the whole table of estimates
(`elicitation.expectations`), pooling.

The stages, each of which can reject: text -> JSON (`parsing`) -> rows in catalogue order -> numbers
(pydantic) -> sums and scale -> hedging -> ignored givens -> structural zeros. The first reason met is the one
that is reported. Names may be ids or labels, in any case and with any punctuation; a key that is not a name
is only accepted if it is a known wrapper, a remark or a total, all listed below. No number is ever supplied:
what an answer lacks rejects it. The one exception is a category that the catalogue declares impossible under
the condition, which may be left out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from pipeline.prompts.parsing import AnswerError, Reason, canonical, parse_answer, quote, to_number
from pipeline.prompts.schema import BASE_KEY

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

# fmt: off
WRAPPERS = frozenset({
    "everyone", "all", "adults", "total", "population", "overall", "answer", "answers", "result", "results",
    "response", "output", "data", "json", "map", "table", "distribution", "distributions", "probabilities",
    "probability", "percentages", "percentage", "percents", "percent", "shares", "counts", "estimate",
    "estimates", "values", "rows", "categories", "conditions",
})
# fmt: on
"""Keys that may wrap an answer, a level of it or a row, if nothing else stands beside them."""

# fmt: off
REMARKS = frozenset({
    "note", "notes", "comment", "comments", "remark", "remarks", "explanation", "reasoning", "rationale",
    "source", "sources", "assumption", "assumptions", "analysis", "thinking", "confidence", "disclaimer",
    "caveat", "caveats", "description", "unit", "units",
})
# fmt: on
"""Keys whose value, if it is text, is passed over."""

TOTALS = frozenset({"total", "sum"})
"""Keys of a row that repeat its sum and are passed over, if the value is a number."""

NAME_FIELDS = ("category", "id", "name", "label", "key")
VALUE_FIELDS = ("percent", "percentage", "value", "probability", "count", "share", "n", "p")

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
    rows = _Aligner(dimension, parents, allowed, lists).rows(parse_answer(text))
    values = _numbers(rows).reshape(allowed.shape)
    p = _normalise(values, parents)
    if dimension.id not in MAY_BE_UNIFORM:
        _refuse_hedging(p, allowed)
    _refuse_ignored_givens(p, request.given)
    return _hold_structure(p, allowed, dimension, parents)


Condition = tuple[str, ...]


class _Aligner:
    """Brings the parsed answer into rows in catalogue order; numbers are still whatever stood there."""

    def __init__(self, dimension: Dimension, parents: Sequence[Dimension], allowed: Mask, lists: bool) -> None:
        self.dimension = dimension
        self.parents = parents
        self.allowed = allowed
        self.lists = lists
        self.names = _Names(dimension)
        self.parent_names = [_Names(parent) for parent in parents]

    def rows(self, answer: object) -> list[tuple[Condition, list[object]]]:
        return self._level(answer, 0, (), ())

    def _level(
        self, answer: object, level: int, codes: tuple[int, ...], condition: Condition
    ) -> list[tuple[Condition, list[object]]]:
        if level == len(self.parents):
            return [(condition, self._row(answer, codes, condition))]
        names = self.parent_names[level]
        given = self.parents[level]
        where = _where(condition)
        # Wrappers such as {"answer": ...} or {"age": ...} may stand around any level of conditions.
        found = _mapping(_unwrap(answer, names, given.id), f"conditions of {given.id}{where}")
        by_code: dict[int, object] = {}
        unknown: list[str] = []
        for key, value in found.items():
            code = names.code(key)
            if code is None:
                if not _is_remark(key, value):
                    unknown.append(key)
            elif code in by_code:
                raise AnswerError(Reason.DUPLICATE_KEY, f"{given.categories[code].id} stands twice{where}")
            else:
                by_code[code] = value
        if unknown:
            raise AnswerError(Reason.UNKNOWN_CONDITION, f"{_few(unknown)} in {given.id}{where}")
        missing = [c.id for code, c in enumerate(given.categories) if code not in by_code]
        if missing:
            raise AnswerError(Reason.MISSING_CONDITION, f"{_few(missing)} of {given.id}{where}")
        return [
            row
            for code, category in enumerate(given.categories)
            for row in self._level(by_code[code], level + 1, (*codes, code), (*condition, category.id))
        ]

    def _row(self, answer: object, codes: tuple[int, ...], condition: Condition) -> list[object]:
        where = _where(condition)
        answer = _unwrap(answer, self.names, self.dimension.id)
        if isinstance(answer, list) and not any(isinstance(item, dict) for item in answer):
            if not self.lists:
                raise AnswerError(Reason.WRONG_SHAPE, f"a list instead of categories with their numbers{where}")
            if len(answer) != len(self.dimension.categories):
                expected = len(self.dimension.categories)
                raise AnswerError(Reason.WRONG_SHAPE, f"{len(answer)} numbers for {expected} categories{where}")
            return [_scalar(value) for value in answer]
        by_code: dict[int, object] = {}
        unknown: list[str] = []
        for key, value in _mapping(answer, f"categories of {self.dimension.id}{where}").items():
            code = self.names.code(key)
            if code is None:
                if not _is_remark(key, value) and not _is_total(key, value):
                    unknown.append(key)
            elif code in by_code:
                name = self.dimension.categories[code].id
                raise AnswerError(Reason.DUPLICATE_KEY, f"{name} stands twice{where}")
            else:
                by_code[code] = _scalar(value)
        if unknown:
            raise AnswerError(Reason.UNKNOWN_CATEGORY, f"{_few(unknown)}{where}")
        missing = [
            category.id
            for code, category in enumerate(self.dimension.categories)
            if code not in by_code and self.allowed[(*codes, code)]
        ]
        if missing:
            raise AnswerError(Reason.MISSING_CATEGORY, f"{_few(missing)}{where}")
        return [by_code.get(code, 0.0) for code in range(len(self.dimension.categories))]


class _Names:
    """Looks up a category by id, else by a harmless spelling of id or label that no other category shares."""

    def __init__(self, dimension: Dimension) -> None:
        self._exact = {category.id: code for code, category in enumerate(dimension.categories)}
        spellings: dict[str, set[int]] = {}
        for code, category in enumerate(dimension.categories):
            for name in (category.id, category.label):
                spellings.setdefault(canonical(name), set()).add(code)
        self._loose = {spelling: codes.pop() for spelling, codes in spellings.items() if len(codes) == 1}

    def code(self, name: str) -> int | None:
        code = self._exact.get(name)
        return self._loose.get(canonical(name)) if code is None else code


def _unwrap(answer: object, names: _Names, own_name: str) -> object:
    """Take off known wrappers, and a list around one object; a name that is asked for is never a wrapper."""
    for _ in range(4):
        if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], dict):
            answer = answer[0]
            continue
        if not isinstance(answer, dict):
            return answer
        kept = [(key, value) for key, value in answer.items() if not _is_remark(key, value)]
        if len(kept) != 1 or names.code(kept[0][0]) is not None:
            return answer
        spelling = canonical(kept[0][0])
        if not isinstance(kept[0][1], (dict, list)) and spelling != BASE_KEY:
            return answer
        if spelling not in WRAPPERS and spelling != canonical(own_name):
            return answer
        answer = kept[0][1]
    return answer


def _mapping(answer: object, what: str) -> Mapping[str, object]:
    """Read an object, or a list of one-entry or category-and-number objects, as names with values."""
    if isinstance(answer, dict):
        return answer
    if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer) or not answer:
        raise AnswerError(Reason.WRONG_SHAPE, f"expected the {what}, found {quote(answer)}")
    result: dict[str, object] = {}
    for item in answer:
        name, value = _named_value(item, what)
        if name in result:
            raise AnswerError(Reason.DUPLICATE_KEY, f"{quote(name)} stands twice in the {what}")
        result[name] = value
    return result


def _named_value(item: dict[str, object], what: str) -> tuple[str, object]:
    if len(item) == 1:
        return next(iter(item.items()))
    names = [item[key] for key in NAME_FIELDS if key in item]
    values = [item[key] for key in VALUE_FIELDS if key in item]
    if not names or not isinstance(names[0], str) or len(values) != 1:
        raise AnswerError(Reason.WRONG_SHAPE, f"expected a name and one number among the {what}: {quote(item)}")
    return names[0], values[0]


def _scalar(value: object) -> object:
    """Take the number out of `{"percent": 12}`, with or without remarks beside it."""
    if not isinstance(value, dict):
        return value
    numbers = [inner for key, inner in value.items() if canonical(key) in VALUE_FIELDS]
    others = [key for key, inner in value.items() if canonical(key) not in VALUE_FIELDS and not isinstance(inner, str)]
    if len(numbers) != 1 or others:
        raise AnswerError(Reason.WRONG_SHAPE, f"expected one number, found {quote(value)}")
    return numbers[0]


def _is_remark(key: str, value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return canonical(key) in REMARKS and all(isinstance(text, str) for text in texts)


def _is_total(key: str, value: object) -> bool:
    if canonical(key) not in TOTALS:
        return False
    try:
        to_number(value)
    except AnswerError:
        return False
    return True


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(quote(name, 40) for name in names[:3]) + more


def _where(condition: Condition) -> str:
    return f" ({', '.join(condition)})" if condition else ""


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


def _numbers(rows: list[tuple[Condition, list[object]]]) -> Array:
    try:
        answer = _Answer.model_validate({"rows": [{"condition": c, "values": values} for c, values in rows]})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = Reason.NEGATIVE if first["type"] == "greater_than_equal" else Reason.NOT_A_NUMBER
        row = first["loc"][1]
        place = _where(rows[row][0]) if isinstance(row, int) else ""
        raise AnswerError(reason, f"{quote(first['input'])}{place}") from None
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
        place = _where(conditions_of(parents)[worst])
        raise AnswerError(Reason.BAD_SUM, f"{sums.ravel()[worst]:g} instead of {scale:g}{place}")
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
        place = _where(conditions_of(parents)[worst])
        raise AnswerError(Reason.BREAKS_STRUCTURE, f"{mass.ravel()[worst]:.1%} on the impossible, {category}{place}")
    keep = allowed | ~allowed.any(axis=-1, keepdims=True)
    held: Array = np.where(keep, p, 0.0)
    total: Array = held.sum(axis=-1, keepdims=True)
    return held / total
