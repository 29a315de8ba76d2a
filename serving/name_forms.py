"""Surnames as the people of one sex bear them, where a people has two forms of them: Kowalski and Kowalska.

Here belongs which rows of the surnames have such a form and who takes it. The rules are those of the file
(`warehouse.names.files`); which surname is drawn is `serving.names`, and is the same for women and men.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.arrow import numbers
from serving.name_files import NameFile
from serving.name_mixture import Told
from warehouse.errors import SnapshotError

Codes = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Rule:
    """Who takes the forms, by code; `rows`, ascending, have one, that of the first being at `place` of `Forms.texts`,
    and of the accented ones after all of these.
    """

    sex: Flags
    heritage: Flags
    nativity: Flags
    religion: Flags | None
    rows: Ints
    place: int


class Forms:
    """The forms of one file of surnames.

    Attributes:
        texts: all of them, those of a rule beside each other, plain ones before accented ones.
        of: the row of the surname that each is a form of.
    """

    def __init__(
        self,
        file: NameFile,
        told: Told,
        *,
        sexes: Sequence[str],
        heritages: Sequence[str],
        nativities: Sequence[str],
        religions: Sequence[str],
    ) -> None:
        self.texts: list[str] = []
        self.of: list[int] = []
        self._rules: list[_Rule] = []
        self._after = file.rows * 2  # rows of names as they are, and with accents
        for rule in file.facts.get("forms", ()):
            if rule["religions"] and not religions:
                continue  # nobody's names differ by faith
            of = _flags("heritage", rule["heritages"], heritages)
            known = np.unique(told.row[of[told.heritage]])
            written = (file.columns[name].take(numbers(known)).to_pylist() for name in ("name", "accented"))
            rows, texts = [], []
            for row, plain, accented in zip(known.tolist(), *written, strict=True):
                form, marked = (formed(one, rule["endings"]) for one in (plain, accented or plain))
                if form is not None and marked is not None:  # else its marks would be lost
                    rows.append(row)
                    texts.append((form, marked))
            religion = _flags("religion", rule["religions"], religions) if rule["religions"] else None
            self._rules.append(
                _Rule(
                    _flags("sex", [rule["sex"]], sexes),
                    of,
                    _flags("nativity", rule["nativities"], nativities),
                    religion,
                    np.array(rows, dtype=np.int64),
                    len(self.texts),
                )
            )
            self.texts += [one for one, _ in texts] + [other for _, other in texts]
            self.of += rows * 2

    def taken(
        self, rows: Rows, sex: Codes, heritage: Codes, nativity: Codes, religion: Codes | None
    ) -> list[tuple[Ints, Ints, Ints]]:
        """For each rule who of the people with these surnames takes a form, and its row, plain and accented."""
        found = []
        left = np.ones(len(rows), dtype=np.bool_)
        for rule in self._rules:
            who = left & rule.sex[sex] & rule.heritage[heritage] & rule.nativity[nativity]
            if rule.religion is not None:
                who &= False if religion is None else rule.religion[religion]
            these = np.flatnonzero(who)
            place = np.searchsorted(rule.rows, rows[these])
            has = rule.rows[np.minimum(place, len(rule.rows) - 1)] == rows[these] if len(rule.rows) else place < 0
            form = self._after + rule.place + place[has]
            left[these[has]] = False
            found.append((these[has], form, form + len(rule.rows)))
        return found

    def of_one(self, row: int, sex: int, heritage: int, nativity: int, religion: int | None) -> tuple[str, str] | None:
        """The form that one persona takes of the surname of a row, plain and accented, if any."""
        for rule in self._rules:
            if rule.sex.item(sex) and rule.heritage.item(heritage) and rule.nativity.item(nativity):
                if rule.religion is not None and (religion is None or not rule.religion.item(religion)):
                    continue
                place = int(np.searchsorted(rule.rows, row))
                if place < len(rule.rows) and rule.rows.item(place) == row:
                    form = rule.place + place
                    return self.texts[form], self.texts[form + len(rule.rows)]
        return None


def formed(name: str, endings: Mapping[str, str]) -> str | None:
    """The name with the longest of these endings replaced, one with a capital being a whole name; None without one."""
    for end in sorted(endings, key=len, reverse=True):
        if name == end or (not end[0].isupper() and name.endswith(end) and len(name) > len(end) + 1):
            return name[: len(name) - len(end)] + endings[end]
    return None


def _flags(dimension: str, wanted: Sequence[str], categories: Sequence[str]) -> Flags:
    if unknown := [one for one in wanted if one not in categories]:
        raise SnapshotError(f"its forms of surnames are told of {dimension} {unknown[0]!r}, which the snapshot has not")
    return np.isin(np.array(categories), np.array(wanted))
