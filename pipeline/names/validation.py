"""From an answer about names to estimates, name by name, or rejections with a named reason.

Belongs here: what makes the entry of one name usable. Does not belong here: finding JSON in text (`prompts.parsing`),
what the Census rules out (`census`), which names are asked again (`reask`).

An answer can be used in part: each name is judged by itself. What spoils the whole answer (no JSON, a refusal, cut off)
rejects all names that it was asked for, with the reason that `prompts.parsing` gives.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pipeline.names.candidates import Kind
from pipeline.names.census import Known, conflict, sex_conflict
from pipeline.names.requests import BORN, NameRequest
from pipeline.prompts.alignment import WRAPPERS
from pipeline.prompts.parsing import AnswerError, Reason, canonical, parse_answer, quote, to_number
from warehouse.names import casing

if TYPE_CHECKING:
    from pipeline.catalogue.models import Dimension
    from pipeline.elicitation.protocol import Completion

LISTED = (80.0, 105.0)
"""What the listed shares of a name may sum to: 85 to 100 is asked for. A sum beyond 100 is scaled down to it."""

BORN_SUM = (95.0, 105.0)
"""What a cohort curve may sum to; it is normalised."""


class NameReason(StrEnum):
    """Why the entry of a name was rejected. The values are stored, so they are never renamed."""

    MISSING_NAME = "missing_name"
    """A name that was asked for has no entry."""
    UNKNOWN_NAME = "unknown_name"
    """An entry for a name that was not asked for, or that stands twice."""
    BAD_ENTRY = "bad_entry"
    """The entry is no object, or names something twice."""
    UNKNOWN_HERITAGE = "unknown_heritage"
    """A heritage that the catalogue does not have, or that stands twice."""
    BAD_SHARE = "bad_share"
    """No heritage at all, or a share that is no number from 0 to 100."""
    BAD_SUM = "bad_sum"
    """The listed shares sum to less or more than `LISTED` allows."""
    BAD_SEX = "bad_sex"
    """The share of women is missing, or no number from 0 to 100."""
    BAD_COHORT = "bad_cohort"
    """The cohort curve is missing, lacks a band, or does not sum to 100."""
    BAD_SPELLING = "bad_spelling"
    """The spelling has other letters than the name."""
    UNKNOWN_FAITH = "unknown_faith"
    """A faith that was not asked for, or that stands twice."""
    CENSUS_CONFLICT = "census_conflict"
    """Heritage or sex cannot be squared with what the Census counted."""


class Estimated(Protocol):
    """What every estimate has: whose it is."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class NameEstimate:
    """What one answer tells of one name; shares from 0 to 1.

    `heritage` holds the listed shares, which sum to at most 1; what is missing to 1 is of heritages that were not
    listed. `born` are the shares of the bands of `BORN`, None where births are known; `female` is None for surnames.
    `spelling` is None where it is the form shown.
    """

    kind: Kind
    key: str
    name: str
    model: str
    variant: str
    custom_id: str
    attempt: int
    heritage: Mapping[str, float]
    female: float | None
    born: tuple[float, ...] | None
    spelling: str | None


@dataclass(frozen=True, slots=True)
class NameRejection:
    """An entry that was not used: the one reason, a line of detail, and the entry as text; `key` is empty where the
    entry is of no name that was asked for.
    """

    kind: Kind
    key: str
    name: str
    model: str
    custom_id: str
    attempt: int
    reason: NameReason | Reason
    detail: str
    text: str = field(default="", repr=False)


Estimate = TypeVar("Estimate", bound=Estimated)


@dataclass(frozen=True)
class Reader(ABC, Generic[Estimate]):
    """Takes answers apart into names, and says of each what it tells or why it cannot be used."""

    @abstractmethod
    def estimate(self, request: NameRequest, attempt: int, name: str, entry: Mapping[str, Any]) -> Estimate:
        """What the entry of a name tells; raises `EntryError`."""

    def verdicts(
        self, request: NameRequest, completion: Completion, names: Sequence[str], *, again: bool = False
    ) -> list[Estimate | NameRejection]:
        """Judge one answer to `request` about these names (as shown), in their order; entries of other names last.

        With `again` the answer is to a later asking for some of these names: those without an entry are passed over,
        and an answer that cannot be read is one rejection, of no name.
        """
        told = _Told(request, completion)
        try:
            entries, others = _entries(_answer(completion), names)
        except AnswerError as error:
            return [told.rejection(name, error.reason, error.detail) for name in ([""] if again else names)]
        found: list[Estimate | NameRejection] = []
        for name in names:
            if name not in entries:
                if not again:
                    found.append(told.rejection(name, NameReason.MISSING_NAME, "no entry"))
                continue
            try:
                found.append(self._read(told, name, entries[name]))
            except EntryError as error:
                found.append(told.rejection(name, error.reason, error.detail, entries[name]))
        return found + [told.rejection("", NameReason.UNKNOWN_NAME, quote(key), value) for key, value in others]

    def _read(self, told: _Told, name: str, entry: object) -> Estimate:
        if not isinstance(entry, dict):
            raise EntryError(NameReason.BAD_ENTRY, f"expected an object, found {quote(entry)}")
        if entry is _TWICE or any(value is _TWICE for value in entry.values()):
            raise EntryError(NameReason.BAD_ENTRY, "something stands twice")
        return self.estimate(told.request, told.completion.attempt, name, entry)


@dataclass(frozen=True)
class Judge(Reader[NameEstimate]):
    """What answers of one kind are held against: the heritages, what is known of each name, what that rules out."""

    heritage: Dimension
    known: Mapping[str, Known]
    impossible: Mapping[str, Collection[str]]

    @cached_property
    def _by_spelling(self) -> dict[str, str]:
        """Heritages by harmless spellings of label and id; an id wins over a label."""
        return {canonical(text): c.id for c in self.heritage.categories for text in (c.label, c.id)}

    def estimate(self, request: NameRequest, attempt: int, name: str, entry: Mapping[str, Any]) -> NameEstimate:
        """What an entry tells; raises `EntryError`."""
        known = self.known[casing.key_of(name)]
        heritage = self._heritage(entry.get("heritage"))
        female = _female(entry.get("female")) if request.kind == "first" else None
        born = _born(entry.get("born")) if request.born else None
        spelling = _spelling(entry.get("spelling"), name)
        against = conflict(known, heritage, self.impossible)
        if against is None and female is not None:
            against = sex_conflict(known, female)
        if against is not None:
            raise EntryError(NameReason.CENSUS_CONFLICT, against)
        return NameEstimate(
            kind=request.kind,
            key=casing.key_of(name),
            name=name,
            model=request.model,
            variant=request.variant,
            custom_id=request.custom_id,
            attempt=attempt,
            heritage=heritage,
            female=female,
            born=born,
            spelling=spelling,
        )

    def _heritage(self, value: object) -> dict[str, float]:
        if not isinstance(value, dict) or not value:
            raise EntryError(NameReason.BAD_SHARE, f"expected heritages with shares, found {quote(value)}")
        found: dict[str, float] = {}
        for key, share in value.items():
            category = self._by_spelling.get(canonical(key))
            if category is None or category in found:
                twice = " stands twice" if category else ""
                raise EntryError(NameReason.UNKNOWN_HERITAGE, f"{quote(key)}{twice}")
            found[category] = percent(share, NameReason.BAD_SHARE, f"{category}: ")
        total = sum(found.values())
        if not LISTED[0] <= total <= LISTED[1]:
            raise EntryError(NameReason.BAD_SUM, f"the listed shares sum to {total:g}")
        scale = max(total, 100.0)
        return {category: share / scale for category, share in found.items() if share > 0}


class EntryError(Exception):
    """Why the entry of a name cannot be used."""

    def __init__(self, reason: NameReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


_TWICE: dict[str, Any] = {}  # stands, by identity, for the value of a key that an object has twice


@dataclass(frozen=True, slots=True)
class _Told:
    request: NameRequest
    completion: Completion

    def rejection(self, name: str, reason: NameReason | Reason, detail: str, entry: object = None) -> NameRejection:
        return NameRejection(
            kind=self.request.kind,
            key=casing.key_of(name),
            name=name,
            model=self.request.model,
            custom_id=self.request.custom_id,
            attempt=self.completion.attempt,
            reason=reason,
            detail=detail,
            text="" if entry is None else json.dumps(entry, ensure_ascii=False)[:_MAX_TEXT],
        )


_MAX_TEXT = 2_000


def _answer(completion: Completion) -> dict[str, Any]:
    """The JSON object of an answer; raises `AnswerError` if there is none that can be read."""
    text = (completion.text or "").strip()
    if completion.finish_reason == "content_filter":
        raise AnswerError(Reason.REFUSAL, "stopped by the provider's content filter")
    if not text:
        refused = completion.refusal
        raise AnswerError(Reason.REFUSAL, quote(refused)) if refused else AnswerError(Reason.EMPTY, "no text")
    if completion.finish_reason == "length":
        raise AnswerError(Reason.TRUNCATED, "stopped at the token limit")
    try:
        found: object = parse_answer(text)
    except AnswerError as error:
        # In so long an answer a key that stands twice costs its name, not the hundred.
        if error.reason is not Reason.DUPLICATE_KEY or (found := _with_twice(text)) is None:
            raise
    if isinstance(found, dict) and len(found) == 1:
        (key, inner), *_ = found.items()
        found = inner if canonical(key) in WRAPPERS and isinstance(inner, dict) else found
    if not isinstance(found, dict):
        raise AnswerError(Reason.WRONG_SHAPE, "a list instead of an object with a key for each name")
    return found


def _with_twice(text: str) -> object:
    """The object in a text, with `_TWICE` where a key of it has two values; None if it is no plain JSON."""
    try:
        return json.JSONDecoder(object_pairs_hook=_pairs).raw_decode(text, text.index("{"))[0]
    except ValueError:
        return None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found[key] = value if key not in found or found[key] == value else _TWICE
    return found


def _entries(answer: Mapping[str, object], names: Iterable[str]) -> tuple[dict[str, object], list[tuple[str, object]]]:
    """The entry of each name, found by its letters, and what is left over."""
    shown = {casing.key_of(name): name for name in names}
    found: dict[str, object] = {}
    others = []
    for key, entry in answer.items():
        name = shown.get(letters(key))
        if name is None:
            others.append((key, entry))
        elif name in found:
            found[name] = _TWICE
        else:
            found[name] = entry
    return found, others


def letters(text: str) -> str:
    """The letters of a name as the Census writes them: upper case, without accents, spaces and marks."""
    plain = unicodedata.normalize("NFKD", text.translate(_STROKES))
    return casing.key_of("".join(c for c in plain if not unicodedata.combining(c)))


# Letters that Unicode does not take apart, and marks that it counts as letters.
_STROKES = str.maketrans(
    {"đ": "d", "Đ": "D", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "ı": "i", "ħ": "h", "æ": "ae", "Æ": "AE", "ð": "d"}
    | {"œ": "oe", "Œ": "OE", "ə": "a", "ʻ": "'", "ʼ": "'", "ß": "ss", "ª": "", "º": ""}
)
# Written out in many American names: Mueller is Müller, Aas is Ås.
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_MARKS = str.maketrans({"’": "'", "ʻ": "'", "ʼ": "'", "`": "'", "´": "'", "‐": "-", "‑": "-"})
_SPELLING = re.compile(r"'?[^\W\d_]+(?:[ '.-]+[^\W\d_]+)*[.']?")


def _spelling(value: object, name: str) -> str | None:
    if value is None:
        return None
    text = unicodedata.normalize("NFC", value.translate(_MARKS).strip()) if isinstance(value, str) else ""
    lower = text.lower()
    same = casing.key_of(name) in (letters(text), letters(lower.translate(_SPELLED_OUT)))
    if not same or not _SPELLING.fullmatch(text) or lower == text or (len(text) > 2 and text.upper() == text):
        raise EntryError(NameReason.BAD_SPELLING, f"{quote(value)} for {name}")
    return None if text == name else text


def _female(value: object) -> float:
    return percent(value, NameReason.BAD_SEX, "female: ") / 100


def _born(value: object) -> tuple[float, ...]:
    if not isinstance(value, dict) or {canonical(key) for key in value} != set(BORN):
        raise EntryError(NameReason.BAD_COHORT, f"expected {', '.join(BORN)}, found {quote(value)}")
    by_band = {canonical(key): percent(one, NameReason.BAD_COHORT, f"{key}: ") for key, one in value.items()}
    total = sum(by_band.values())
    if not BORN_SUM[0] <= total <= BORN_SUM[1]:
        raise EntryError(NameReason.BAD_COHORT, f"the bands sum to {total:g}")
    return tuple(by_band[band] / total for band in BORN)


def percent(value: object, reason: NameReason, where: str) -> float:
    """A number from 0 to 100; raises `EntryError` with the reason, told after `where`."""
    try:
        number = to_number(value)
    except AnswerError as error:
        raise EntryError(reason, f"{where}{error.detail}") from None
    if not (math.isfinite(number) and 0 <= number <= 100):
        raise EntryError(reason, f"{where}{quote(value)} is no percentage")
    return number
