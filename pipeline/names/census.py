"""What public data say of a name, and which answers they rule out.

Belongs here: the Census shares and sex shares of the vendored tables, the heritages that a Census group cannot have,
and how far an answer may depart. Does not belong here: reading answers (`validation`).

A bearer of a Census group cannot have the heritages that the catalogue's structural zeros forbid to it, or, by `HAVE`,
that hardly anybody of it names. What a name's answer gives to such heritages can therefore not exceed the share of
its bearers who are not of that group. Shares are of all ages and what is asked about is adults; shares of a name with
few bearers are noisy, and heritage is what people name first: so there is a tolerance, wider for few bearers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from pipeline.catalogue.models import Catalogue
from pipeline.names.candidates import Kind
from warehouse.errors import ElicitationError
from warehouse.names import export

GROUPS = ("white", "black", "api", "aian", "two", "hispanic")
"""The groups that the Census publishes."""

# fmt: off
HAVE: Mapping[str, tuple[str, ...]] = {
    "black": (
        "african_american", "west_african", "east_african", "jamaican", "haitian", "other_latin_american",
        "native_american", "mixed_other",
    ),
    "api": (
        "indian", "pakistani", "bangladeshi", "chinese", "filipino", "vietnamese", "korean", "japanese", "other_asian",
        "hawaiian_pacific", "mixed_other",
    ),
    "hispanic": (
        "mexican", "puerto_rican", "cuban", "dominican", "salvadoran", "guatemalan", "colombian",
        "other_latin_american", "spanish", "portuguese", "african_american", "native_american", "mixed_other",
    ),
}
# fmt: on
"""The heritages that a group has: all others are those of under one in two hundred of it, by the pooled map
P(heritage | ethnicity) of edition 2026.11. They say more than the structural zeros, which let a Hispanic be Irish."""

FORBIDDEN_TO = {"white": "white", "aian": "native_american", "two": "two_or_more"}
"""The other groups, and the ethnicity of the catalogue whose structural zeros hold for them."""

TOLERANCE = 0.15
"""How much of a name may be given to what a group rules out beyond the share of those who are not of it."""

SEX_TOLERANCE = 0.2
"""How far the share of women may lie from the one counted."""

ADULTS = 0.1
"""Adults born in the US with a name tell its share of women if they are this share of the Census bearers."""

NOISE = 1.5
"""Both tolerances grow by this over the square root of the number of bearers: 0.15 at 100 bearers, 0.02 at 5,000."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a name: bearers and the shares (0 to 1) of Census groups among them, empty where the Census does
    not list it; the least and most of the shares of women that were counted, and over how many people, 0 where nobody.
    """

    bearers: int
    shares: Mapping[str, float]
    female: tuple[float, float]
    sexed: int


@cache
def known(kind: Kind, folder: Path = Path(export.__file__).parent) -> dict[str, Known]:
    """What the vendored tables say of each name of a kind, by key."""
    try:
        if kind == "last":
            table = pl.read_parquet(folder / "surnames.parquet").with_columns(least=0.0, most=0.0, sexed=0)
        else:
            table = _first_names(pl.read_parquet(folder / "first_names.parquet"))
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ElicitationError(f"cannot read the name tables ({reason}); run warehouse.names.build_names") from None
    return {
        row["key"]: Known(
            bearers=row["count"] or 0,
            shares={group: row[group] / 10_000 for group in GROUPS} if row["count"] else {},
            female=(row["least"], row["most"]),
            sexed=row["sexed"],
        )
        for row in table.iter_rows(named=True)
    }


def ruled_out(catalogue: Catalogue) -> dict[str, frozenset[str]]:
    """The heritages that each group of the Census cannot have, or hardly ever has."""
    heritage = catalogue.dimension("heritage")
    found = {group: frozenset(heritage.category_ids).difference(names) for group, names in HAVE.items()}
    for group, ethnicity in FORBIDDEN_TO.items():
        zeros = [z for z in heritage.zeros if set(z.given) == {"ethnicity"} and ethnicity in z.given["ethnicity"]]
        found[group] = frozenset(category for zero in zeros for category in zero.never)
    return found


def conflict(known: Known, heritage: Mapping[str, float], impossible: Mapping[str, Collection[str]]) -> str | None:
    """What the Census says against these heritage shares (0 to 1), in a line, or None."""
    worst, told = 0.0, None
    room = TOLERANCE + _noise(known.bearers)
    for group, share in known.shares.items():
        mass = sum(part for name, part in heritage.items() if name in impossible[group])
        excess = mass - (1 - share) - room
        if excess > worst:
            named = sorted((n for n in heritage if n in impossible[group]), key=lambda n: -heritage[n])
            told = (
                f"{share:.0%} of {known.bearers} bearers are {_WORDS[group]} by the Census, "
                f"but {mass:.0%} were given to {', '.join(named[:3])}"
            )
            worst = excess
    return told


def sex_conflict(known: Known, female: float) -> str | None:
    """What the counts say against this share of women (0 to 1), in a line, or None."""
    least, most = known.female
    room = SEX_TOLERANCE + _noise(known.sexed)
    if not known.sexed or least - room <= female <= most + room:
        return None
    counted = f"{least:.0%}" if f"{least:.0%}" == f"{most:.0%}" else f"{least:.0%} to {most:.0%}"
    return f"{counted} of {known.sexed} bearers are female by the counts, but {female:.0%} was given"


COMPARED: Mapping[str, tuple[str, ...]] = {
    "black": ("african_american", "west_african", "east_african", "jamaican", "haitian"),
    "api": tuple(name for name in HAVE["api"] if name != "mixed_other"),
    "hispanic": (
        *("mexican", "puerto_rican", "cuban", "dominican", "salvadoran", "guatemalan", "colombian"),
        *("other_latin_american", "spanish"),
    ),
}
"""The heritages of a group that hardly anybody of another group has."""


def group_shares(kind: Kind, shares: pl.DataFrame) -> list[tuple[str, float, float]]:
    """What answers give to the heritages of a group, and what the Census counted, as shares of all names' bearers.

    `shares` has a row per name and heritage (key, heritage, share). Returns (group, told, counted) for each of
    `COMPARED`; nothing without names. What was not listed and `mixed_other` is of all groups: told falls short by it.
    """
    facts = known(kind)
    bearers = {key: facts[key].bearers for key in shares["key"].unique().to_list() if facts[key].shares}
    total = sum(bearers.values())
    if not total:
        return []
    given = dict.fromkeys(COMPARED, 0.0)
    for key, heritage, share in shares.select("key", "heritage", "share").iter_rows():
        for group, heritages in COMPARED.items():
            if heritage in heritages and key in bearers:
                given[group] += bearers[key] * share
    counted = {group: sum(n * facts[key].shares[group] for key, n in bearers.items()) for group in COMPARED}
    return [(group, given[group] / total, counted[group] / total) for group in COMPARED]


_WORDS = {
    "white": "White and not Hispanic",
    "black": "Black",
    "api": "Asian or Pacific Islander",
    "aian": "American Indian or Alaska Native",
    "two": "of two or more races",
    "hispanic": "Hispanic",
}


def _noise(bearers: int) -> float:
    return NOISE / math.sqrt(bearers) if bearers else 0.0


def _first_names(table: pl.DataFrame) -> pl.DataFrame:
    """A row per key: Census bearers and shares, the least and most share of women, and over how many it was counted.

    Women are counted among all bearers in the Census and among the adults of today that were born with the name in the
    US, where these are a tenth of the bearers: a name may have changed sex. Without either, among all births.
    """
    women = pl.col("sex") == "F"
    births = pl.sum_horizontal(pl.col("^births_.*$"))

    def counted(people: pl.Expr) -> pl.Expr:
        return pl.when(people.sum() > 0).then(people.filter(women).sum() / people.sum())

    adults = pl.when(pl.col("alive_adult").sum() >= ADULTS * pl.col("bearers").sum()).then(
        counted(pl.col("alive_adult"))
    )
    shares = (counted(pl.col("bearers")), adults)
    return table.group_by("key").agg(
        pl.col("count").max(),
        *(pl.col(group).max() for group in GROUPS),
        least=pl.coalesce(pl.min_horizontal(*shares), counted(births), 0.0),
        most=pl.coalesce(pl.max_horizontal(*shares), counted(births), 0.0),
        sexed=pl.max_horizontal(pl.col("bearers").sum(), births.sum()),
    )
