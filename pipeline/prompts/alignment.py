"""Aligning an answer with the catalogue: names found, wrappers taken off, rows brought into catalogue order.

Belongs here: what nesting and which names are understood. Does not belong here: finding JSON in text
(`parsing`), whether the numbers are any good (`validation`).

Names may be ids or labels, in any case and with any punctuation. A key that is not a name is only accepted if
it is a known wrapper, a remark or a total, all listed here. No number is ever supplied: what an answer lacks
rejects it. The one exception is a category that the catalogue declares impossible under the condition, which
may be left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.prompts.parsing import AnswerError, Reason, canonical, quote, to_number
from pipeline.prompts.schema import BASE_KEY

if TYPE_CHECKING:
    from pipeline.catalogue.models import Dimension

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

Condition = tuple[str, ...]
"""A category of each dimension of a given, in its order."""

Row = tuple[Condition, list[object]]


def align_rows(
    answer: object,
    dimension: Dimension,
    parents: Sequence[Dimension],
    allowed: NDArray[np.bool_],
    *,
    lists: bool,
    condition: Condition | None = None,
) -> list[Row]:
    """Bring a parsed answer into rows in catalogue order: the condition, and what stood for the numbers.

    `allowed` is bool (*sizes of `parents`, K), False on structural zeros; `lists` says that rows may be bare
    lists in the order of the categories, as the number format `per_1000_rows` asks for. With a `condition` only that
    row is read; `allowed` is then (K,), and the names of the condition are wrappers like others. Raises `AnswerError`.
    """
    if condition is None:
        return _Aligner(dimension, parents, allowed, lists).rows(answer)
    names = {parent.id for parent in parents}
    for parent, category in zip(parents, condition, strict=True):
        names |= {category, *(c.label for c in parent.categories if c.id == category)}
    return _Aligner(dimension, (), allowed, lists, names).row(answer, condition)


def place(condition: Condition) -> str:
    """Name a condition at the end of a message; nothing for the base map."""
    return f" ({', '.join(condition)})" if condition else ""


class _Aligner:
    def __init__(
        self,
        dimension: Dimension,
        parents: Sequence[Dimension],
        allowed: NDArray[np.bool_],
        lists: bool,
        wrappers: Collection[str] = (),
    ) -> None:
        self.dimension = dimension
        self.parents = parents
        self.allowed = allowed
        self.lists = lists
        self.names = _Names(dimension)
        self.parent_names = [_Names(parent) for parent in parents]
        self.row_wrappers = {dimension.id, *wrappers}

    def rows(self, answer: object) -> list[Row]:
        return self._level(answer, 0, (), ())

    def row(self, answer: object, condition: Condition) -> list[Row]:
        return [(condition, self._row(answer, (), condition))]

    def _level(self, answer: object, level: int, codes: tuple[int, ...], condition: Condition) -> list[Row]:
        if level == len(self.parents):
            return [(condition, self._row(answer, codes, condition))]
        names = self.parent_names[level]
        given = self.parents[level]
        where = place(condition)
        # Wrappers such as {"answer": ...} or {"age": ...} may stand around any level of conditions.
        found = _mapping(_unwrap(answer, names, {given.id}), f"conditions of {given.id}{where}")
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
        where = place(condition)
        answer = _unwrap(answer, self.names, self.row_wrappers)
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


def _unwrap(answer: object, names: _Names, own_names: Collection[str]) -> object:
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
        if spelling not in WRAPPERS and spelling not in map(canonical, own_names):
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
    rest = [inner for key, inner in value.items() if canonical(key) not in VALUE_FIELDS]
    if len(numbers) != 1 or not all(isinstance(inner, str) for inner in rest):
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
