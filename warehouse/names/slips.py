"""Names that are a frequent name misspelt: `GOZALEZ`, `ANDEW`.

Here belongs telling them by their letters and how rare they are. What is done about them is `export`'s business. A rule
for all such names would also take real variants (Gonzales, Andersson), so only slips of the pen or of reading count: a
letter left out, two letters swapped, and for first names a letter doubled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

SHORTEST = 5
"""Letters of a name that is misspelt: shorter ones have too many real neighbours."""


def slips(frequency: Mapping[str, float], *, ratio: float, doubled: bool) -> dict[str, str]:
    """Names that differ by a slip from one at least `ratio` times as frequent, each with the most frequent such name.

    `doubled` says whether a doubled letter is a slip as well.
    """
    found: dict[str, str] = {}
    for name, count in sorted(frequency.items(), key=lambda one: (-one[1], one[0])):
        if len(name) >= SHORTEST:
            for slip in _slips(name, doubled=doubled):
                if slip != name and slip in frequency and frequency[slip] * ratio <= count:
                    found.setdefault(slip, name)
    return found


def swapped(slip: str, name: str) -> bool:
    """Whether a slip has two letters swapped, which no variant of a name has."""
    return len(slip) == len(name)


def _slips(name: str, *, doubled: bool) -> Iterator[str]:
    for place, letter in enumerate(name):
        if place:  # the first letter is rarely lost
            yield name[:place] + name[place + 1 :]
        if place + 1 < len(name):
            yield name[:place] + name[place + 1] + letter + name[place + 2 :]
        if doubled:
            yield name[:place] + letter + name[place:]
