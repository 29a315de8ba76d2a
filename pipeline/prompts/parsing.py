"""From the raw text of a completion to plain objects: JSON found, mended where that is safe, and decoded.

Belongs here: finding the JSON in a text, decoding it, reading one number, comparing names, and the closed
list of reasons for which an answer is rejected. Does not belong here: what an answer must contain
(`validation`).

Why not a JSON repair library: those are built to return *something* for every input. They close cut-off
objects, supply missing values and keep the last of two equal keys, and each of these would turn a broken
answer into numbers that no model gave. Here a text is first tried with the standard library; only if that
fails, a small reader with a closed list of repairs, none of which can change or add a value, has a second
try:

- byte order mark, `<think>` blocks, prose and code fences around the JSON; JSON wrapped once more as a JSON
  string
- `//`, `#` and `/* */` comments; trailing commas; single and typographic quotes; unquoted keys
- `12%`, `.5`, `5.` and, as values of an object only, `12,5` and `1,000` without quotes
- `NaN`, `Infinity`, `None`, `True` and the like, which are decoded so that they can be rejected by name

Everything else is refused, above all: text that ends inside the JSON, equal keys, elisions such as `...`,
missing commas, arithmetic, and two JSON objects that contradict each other. Nothing in a text is ever
executed.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NoReturn

MAX_CHARS = 1_000_000
"""Longest text that is looked at; the largest map that can be asked for needs about a quarter of it."""

MAX_DEPTH = 12
_MAX_STARTS = 64


class Reason(StrEnum):
    """Why an answer was rejected. The values are stored, so they are never renamed."""

    EMPTY = "empty"
    """No text at all."""
    REFUSAL = "refusal"
    """The model declined, in words or through the provider's filter."""
    TRUNCATED = "truncated"
    """The text ends inside the JSON, or the provider cut it at the token limit."""
    TOO_LONG = "too_long"
    """More than `MAX_CHARS` characters."""
    NOT_JSON = "not_json"
    """No JSON that can be read without guessing."""
    SCHEMA_ECHO = "schema_echo"
    """The answer schema or its placeholders came back instead of an answer."""
    DUPLICATE_KEY = "duplicate_key"
    """One object names the same category or condition twice."""
    WRONG_SHAPE = "wrong_shape"
    """JSON, but not nested as asked, or a list of another length than the categories."""
    UNKNOWN_CONDITION = "unknown_condition"
    """A condition that was not asked for."""
    MISSING_CONDITION = "missing_condition"
    """A condition that was asked for has no row."""
    UNKNOWN_CATEGORY = "unknown_category"
    """A category that the dimension does not have."""
    MISSING_CATEGORY = "missing_category"
    """A row lacks a category that is possible there."""
    NOT_A_NUMBER = "not_a_number"
    """A value is NaN, infinite, null, a truth value or text."""
    NEGATIVE = "negative"
    """A value is below zero."""
    BAD_SUM = "bad_sum"
    """A row's sum is too far from the answer's scale (1, 100 or 1000)."""
    HEDGED = "hedged"
    """Every row is near uniform."""
    IGNORES_GIVEN = "ignores_given"
    """The rows do not differ by a condition that they were asked for."""
    BREAKS_STRUCTURE = "breaks_structure"
    """Noticeable mass on categories that the catalogue declares impossible."""


class AnswerError(Exception):
    """An answer that cannot be used; carries the one reason and a one-line detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parse_answer(text: str) -> dict[str, Any] | list[Any]:
    """Find and decode the one JSON answer in a completion's text.

    Several objects are one answer if they are equal or have no key in common (a JSON object per line, for
    example). Raises `AnswerError` with the reason if there is none, or none that can be read without
    guessing.
    """
    if len(text) > MAX_CHARS:
        raise AnswerError(Reason.TOO_LONG, f"{len(text)} characters, at most {MAX_CHARS} are read")
    try:
        return _parse(text)
    except RecursionError:
        raise AnswerError(Reason.NOT_JSON, "nested too deeply") from None


def to_number(value: object) -> float:
    """Read one number; text such as `"12%"`, `"12,5"`, `"1,000"` or `"1.000,5"` counts, words do not.

    A single comma before exactly three digits is read as a thousands separator. Should that be wrong, the
    value is a thousand times too large and its row fails the sum check, so that the ambiguity can cost an
    answer but never falsify one. Infinite values and NaN are returned as they are. Raises `AnswerError`
    (`not_a_number`).
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise AnswerError(Reason.NOT_A_NUMBER, f"{quote(value)} is not a number")
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if len(value) > 40:
        raise AnswerError(Reason.NOT_A_NUMBER, f"{quote(value)} is not a number")
    text = unicodedata.normalize("NFKC", value).translate(_MINUS).strip()
    text = re.sub(r"\s*(%|per ?cent)$", "", text, flags=re.IGNORECASE)
    for pattern, drop, point in _NUMBER_SHAPES:
        if pattern.fullmatch(text):
            for mark in drop:
                text = text.replace(mark, "")
            return float(text.replace(point, "."))
    raise AnswerError(Reason.NOT_A_NUMBER, f"{quote(value)} is not a number")


def canonical(name: str) -> str:
    """Spell a name so that harmless differences vanish: `18–24 ` becomes `18_24`, `75+` becomes `75_plus`."""
    name = unicodedata.normalize("NFKC", name).casefold()
    name = re.sub(r"(?<=\d),(?=\d{3})", "", name).replace("+", " plus ").replace("&", " and ")
    return re.sub(r"[\W_]+", "_", name).strip("_")


def quote(value: object, limit: int = 80) -> str:
    """Quote untrusted text on one line, printable characters only, shortened."""
    shown = ascii(value) if not isinstance(value, str) else repr(value[: limit * 4])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


_MINUS = str.maketrans(dict.fromkeys("‐‑‒–−﹣－", "-"))
_NUMBER_SHAPES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE), "", "."),
    (re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", re.ASCII), ",", "."),
    (re.compile(r"-?[1-9]\d{0,2}([ ']\d{3})+([.,]\d+)?", re.ASCII), " '", ","),
    (re.compile(r"-?[1-9]\d{0,2}(\.\d{3})+,\d+", re.ASCII), ".", ","),
    (re.compile(r"-?\d+,\d+", re.ASCII), "", ","),
)

_REFUSAL = re.compile(
    r"""\b(i['’]?m\ (very\ |so\ )?sorry|i\ apologi[sz]e|as\ an\ ai\b|as\ a\ (large\ )?language\ model
    |i\ (can(no|['’])t|cannot|won['’]t|will\ not|am\ (not\ able|unable)|must\ decline)
    |i['’]m\ (not\ able|unable)|unable\ to\ (provide|help|assist|comply)|not\ comfortable
    |lo\ siento|no\ puedo|je\ ne\ peux\ pas|désolé|es\ tut\ mir\ leid|ich\ kann\ (\w+\ ){0,2}nicht
    |mi\ dispiace|não\ posso|desculpe|не\ могу|извините)|抱歉|对不起|無法|无法|申し訳|죄송""",
    re.IGNORECASE | re.VERBOSE,
)
_REASONING_TAG = re.compile(r"<(/?)(?:think|thinking|reasoning)>", re.IGNORECASE)
_LOOKS_LIKE_JSON = re.compile(r"""\{\s*(["'“‘}]|//|/\*|\#|[\w-]+\s*:\s*[\[{"'\d.-])|\[\s*([\[{"']|[\d.-]+\s*,)""")


def _parse(text: str) -> dict[str, Any] | list[Any]:
    text = _without_thinking(text)
    if not text:
        raise AnswerError(Reason.EMPTY, "the completion has no text")
    if text[0] == text[-1] == '"' and len(text) > 2:
        try:
            inner = json.loads(text)
        except ValueError:
            inner = text
        text = inner.strip() if isinstance(inner, str) else text
    found, trouble = _decode_all(text)
    objects = _distinct(value for value in found if isinstance(value, dict) and value)
    if objects:
        return _one_of(objects)
    lists = _distinct(value for value in found if isinstance(value, list) and _may_be_rows(value))
    if len(lists) == 1:
        return lists[0]  # type: ignore[no-any-return]
    if lists:
        raise AnswerError(Reason.WRONG_SHAPE, f"{len(lists)} different lists, expected one JSON object")
    if trouble is not None:
        raise trouble
    if _REFUSAL.search(text):
        raise AnswerError(Reason.REFUSAL, quote(text))
    raise AnswerError(Reason.NOT_JSON, f"no JSON object in {quote(text)}")


def _without_thinking(text: str) -> str:
    """Keep what follows the last reasoning block, whose opening tag some chat templates swallow."""
    tags = list(_REASONING_TAG.finditer(text))
    if tags and not tags[-1][1]:
        raise AnswerError(Reason.TRUNCATED, "the text ends inside the model's reasoning")
    text = text[tags[-1].end() :] if tags else text
    return text.strip().strip("\ufeff").strip()


def _decode_all(text: str) -> tuple[list[Any], AnswerError | None]:
    """Decode every outermost JSON object or list in the text; with them comes the first failure to do so.

    A value that cannot be read is skipped as a whole: its inner parts are never taken for the answer.
    """
    found: list[Any] = []
    trouble: AnswerError | None = None
    position = 0
    for _ in range(_MAX_STARTS):
        start = _BRACKET.search(text, position)
        if start is None:
            break
        position = start.start()
        try:
            value, position = _decode(text, position)
            found.append(value)
        except _EndedError:
            if _LOOKS_LIKE_JSON.match(text, position):
                raise AnswerError(Reason.TRUNCATED, f"the text ends inside the JSON: …{text[-40:]!r}") from None
            position += 1
        except _BrokenError as error:
            looks_like_json = _LOOKS_LIKE_JSON.match(text, position) is not None
            if looks_like_json and trouble is None:
                trouble = AnswerError(Reason.NOT_JSON, f"{error} at {quote(text[error.position :], 40)}")
            position = _end_of_span(text, position) if looks_like_json else position + 1
    return found, trouble


def _decode(text: str, position: int) -> tuple[Any, int]:
    try:
        value, end = _STRICT.raw_decode(text, position)
    except ValueError:
        reader = _Reader(text, position)
        return reader.value(0), reader.position
    return value, end


def _end_of_span(text: str, position: int) -> int:
    depth = 0
    for bracket in _ANY_BRACKET.finditer(text, position):
        depth += 1 if bracket.group() in "[{" else -1
        if depth == 0:
            return bracket.end()
    return len(text)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise AnswerError(Reason.DUPLICATE_KEY, f"the key {quote(key)} stands twice in one object")
        result[key] = value
    return result


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())


def _may_be_rows(value: list[Any]) -> bool:
    """Tell an answer from a footnote mark such as `[1]`."""
    return len(value) > 1 or any(isinstance(item, (dict, list)) for item in value)


def _one_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    answers = [value for value in objects if not _is_schema(value)]
    if not answers:
        raise AnswerError(Reason.SCHEMA_ECHO, "the answer is a JSON schema")
    if len(answers) == 1:
        return _without_refusal(answers[0])
    merged: dict[str, Any] = {}
    for value in answers:
        if merged.keys() & value.keys():
            raise AnswerError(Reason.WRONG_SHAPE, f"{len(answers)} JSON objects that contradict each other")
        merged |= value
    return merged


def _is_schema(value: dict[str, Any]) -> bool:
    if "$schema" in value or "json_schema" in value or value.get("type") == "json_schema":
        return True
    if value.get("type") == "object" and ("properties" in value or "additionalProperties" in value):
        return True
    inner = value.get("schema")
    if isinstance(inner, dict) and _is_schema(inner):
        return True
    leaves = list(_leaves(value))
    return len(leaves) > 1 and all(isinstance(leaf, str) and _PLACEHOLDER.fullmatch(leaf) for leaf in leaves)


def _leaves(value: object) -> Iterable[object]:
    """Yield the leaves of nested dicts and lists, however deep they are."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        else:
            yield item


def _without_refusal(value: dict[str, Any]) -> dict[str, Any]:
    leaves = list(_leaves(value))
    if leaves and all(isinstance(leaf, str) for leaf in leaves):
        for leaf in leaves:
            if isinstance(leaf, str) and _REFUSAL.search(leaf):
                raise AnswerError(Reason.REFUSAL, quote(leaf))
    return value


_STRICT = json.JSONDecoder(object_pairs_hook=_unique_pairs, parse_int=float, strict=False)
_BRACKET = re.compile(r"[\[{]")
_ANY_BRACKET = re.compile(r"[\[\]{}]")
_PLACEHOLDER = re.compile(
    r"[<{\[]?\s*(a )?(number|percent|percentage|float|integer|int|value|count|n\d*|x|\.\.\.)\s*[>}\]]?|…",
    re.I,
)
_SPACE_OR_COMMENT = re.compile(r"(\s|\ufeff|//[^\n]*|\#[^\n]*|/\*.*?\*/)*", re.DOTALL)
_BARE_KEY = re.compile(r"[^\W\d_][\w-]*|[\d_][\w-]*\+?", re.ASCII)
_BARE_NUMBER = re.compile(r"[-−]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA_DIGITS = re.compile(r"(,\d+)+(\.\d+)?(?=\s*(%\s*)?(,|}|//|\#|/\*|$))", re.ASCII)
_WORD = re.compile(r"[-+]?[A-Za-z][A-Za-z/]*")
_WORDS: dict[str, object] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "undefined": None,
    "n/a": None,
    "na": None,
    "nan": math.nan,
    "inf": math.inf,
    "infinity": math.inf,
    "-inf": -math.inf,
    "-infinity": -math.inf,
    "+infinity": math.inf,
}
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "„": "“"}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class _BrokenError(Exception):
    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class _EndedError(Exception):
    """The text ended inside a value."""


class _Reader:
    """Recursive-descent reader of the lenient JSON that the module docstring lists; linear in the text."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position

    def value(self, depth: int, in_object: bool = False) -> Any:
        if depth > MAX_DEPTH:
            self._fail("nested too deeply")
        char = self._peek()
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._array(depth)
        if char in _QUOTES:
            return self._string()
        return self._bare(in_object)

    def _object(self, depth: int) -> dict[str, Any]:
        pairs: list[tuple[str, Any]] = []
        self.position += 1
        while self._peek() != "}":
            key = self._key()
            if self._peek() not in ":：":
                self._fail("expected ':' after a key")
            self.position += 1
            pairs.append((key, self.value(depth + 1, in_object=True)))
            self._comma_or("}")
        self.position += 1
        return _unique_pairs(pairs)

    def _array(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self.position += 1
        while self._peek() != "]":
            items.append(self.value(depth + 1))
            self._comma_or("]")
        self.position += 1
        return items

    def _comma_or(self, close: str) -> None:
        char = self._peek()
        if char == ",":
            self.position += 1
        elif char != close:
            self._fail(f"expected ',' or '{close}'")

    def _key(self) -> str:
        if self._peek() in _QUOTES:
            return self._string()
        bare = _BARE_KEY.match(self.text, self.position)
        if bare is None:
            self._fail("expected a key")
        self.position = bare.end()
        return bare.group()

    def _string(self) -> str:
        close = _QUOTES[self.text[self.position]]
        self.position += 1
        parts: list[str] = []
        while True:
            char = self._at()
            self.position += 1
            if char == close:
                return "".join(parts)
            parts.append(self._escape() if char == "\\" else char)

    def _escape(self) -> str:
        char = self._at()
        self.position += 1
        if char != "u":
            return _ESCAPES.get(char, char)
        digits = self.text[self.position : self.position + 4]
        if not re.fullmatch(r"[0-9a-fA-F]{4}", digits):
            self._fail("bad \\u escape")
        self.position += 4
        return chr(int(digits, 16))

    def _bare(self, in_object: bool) -> object:
        number = _BARE_NUMBER.match(self.text, self.position)
        if number is None:
            word = _WORD.match(self.text, self.position)
            if word is None or word.group().lower() not in _WORDS:
                self._fail("expected a value")
            self.position = word.end()
            return _WORDS[word.group().lower()]
        self.position = number.end()
        text = number.group()
        # A bare number cannot be a key, so `"a": 12,5, "b"` can only mean one thing; in a list it could mean
        # two.
        if in_object and (rest := _COMMA_DIGITS.match(self.text, self.position)):
            text += rest.group()
            self.position = rest.end()
        if self.text[self.position : self.position + 1] in ("%", "％"):
            self.position += 1
        return to_number(text)

    def _peek(self) -> str:
        space = _SPACE_OR_COMMENT.match(self.text, self.position)
        if space is not None:
            self.position = space.end()
        return self._at()

    def _at(self) -> str:
        if self.position >= len(self.text):
            raise _EndedError
        return self.text[self.position]

    def _fail(self, message: str) -> NoReturn:
        raise _BrokenError(message, self.position)
