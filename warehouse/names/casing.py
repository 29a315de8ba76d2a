"""Spelling of names that the sources give in upper case, without spaces or apostrophes.

The lists `surnames_cased.txt` and `first_names_cased.txt` win over every rule. Accents are not restored here: the
sources do not have them; where they are told, they are kept apart from the plain form.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path

LISTS = Path(__file__).parent
DOUBLE_HEADS = ("JOSE", "JUAN", "LUIS", "MARIA", "ANA", "MARCO")
PARTICLES = {"DELAS": "de las", "DELOS": "de los", "DELA": "de la", "DEL": "del", "DE": "de"}

# Letters that Unicode does not take apart, and marks that stand for an apostrophe.
_STROKES = str.maketrans(
    {"đ": "d", "Đ": "D", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "ı": "i", "ħ": "h", "æ": "ae", "Æ": "Ae", "ß": "ss"}
    | {"ð": "d", "œ": "oe", "Œ": "Oe", "ə": "a", "ʻ": "'", "ʼ": "'", "’": "'"}
)


def read_list(name: str) -> tuple[str, ...]:
    """Words of a list file, in order; lines that begin with # are comments, an underscore is a space."""
    lines = (LISTS / name).read_text(encoding="utf-8").splitlines()
    words = [word for line in lines if not line.startswith("#") for word in line.split()]
    return tuple(word.replace("_", " ") for word in words)


def key_of(display: str) -> str:
    """Form in which the sources list a name: upper-case letters only."""
    return "".join(letter for letter in display.upper() if letter.isalpha())


def without_accents(display: str) -> str:
    """The form that the sources' letters allow: `José` -> `Jose`, `Nguyễn` -> `Nguyen`."""
    taken_apart = unicodedata.normalize("NFKD", display.translate(_STROKES))
    return "".join(letter for letter in taken_apart if not unicodedata.combining(letter))


def exceptions(name: str) -> dict[str, str]:
    """Display forms of a list file by source form."""
    return {key_of(display): display for display in read_list(name)}


def first_name(key: str, listed: Mapping[str, str], spanish: Collection[str]) -> str:
    """Display form of a first name: `DESHAWN` -> `DeShawn`, being listed; `JOSELUIS` -> `Jose Luis`.

    `spanish` holds the common Spanish first names (source form), the second halves of a double name.
    """
    if key in listed:
        return listed[key]
    for head in DOUBLE_HEADS:
        tail = key.removeprefix(head)
        if len(tail) >= 4 and tail != key and tail in spanish:
            return f"{head.capitalize()} {tail.capitalize()}"
    return key.capitalize()


def surname(
    key: str, listed: Mapping[str, str], saints: Collection[str], spanish: Mapping[str, int], iberian: bool
) -> str:
    """Display form of a surname.

    `spanish` maps common Spanish surnames (source form) to their bearers; `iberian` says whether most bearers
    of this one are Hispanic, Asian or Pacific (Filipino names are Spanish): only then is `DELACRUZ` split
    into `de la Cruz`, and `GARCIALOPEZ` into `Garcia Lopez`.
    """
    if key in listed:
        return listed[key]
    if key.startswith("MC") and len(key) > 4:
        return "Mc" + key[2:].capitalize()
    if key.startswith("ST") and key[2:] in saints:
        return "St. " + key[2:].capitalize()
    if iberian and not key.startswith("VILLA"):  # Villaflores is one name, not a Villa and a Flores
        halves = [(key[:cut], key[cut:]) for cut in range(3, len(key) - 2)]
        rated = [(min(spanish.get(half, 0) for half in pair), pair) for pair in halves]
        rarer, pair = max(rated, default=(0, ("", "")))
        if rarer > 10 * spanish.get(key, 0):
            return " ".join(half.capitalize() for half in pair)
    if iberian:
        for particle, written in PARTICLES.items():
            rest = key.removeprefix(particle)
            if rest != key and rest in spanish:
                return f"{written} {rest.capitalize()}"
    return key.capitalize()
