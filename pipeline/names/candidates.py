"""Which names are asked about, and in which request each stands.

Belongs here: the choice, made from the vendored tables of `warehouse.names`, and reading it. Does not belong here:
prompts (`requests`), the sources of the tables, drawing.

The choice is kept in `asked.parquet` beside this module, because a recorded answer belongs to a request with exactly
these names: what the tables or the spelling rules become later must not move a name to another request. To add to it
what is nominated: `python -m pipeline.names.candidates`. To make it anew, which starts a new record, remove it first.
"""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

import polars as pl

from warehouse.errors import ElicitationError
from warehouse.names import casing, export
from warehouse.names.build_names import write

Kind = Literal["first", "last"]
KINDS: tuple[Kind, ...] = ("first", "last")

ASKED = Path(__file__).parent / "asked.parquet"
PER_REQUEST = 100
TOTAL = 12_600
"""Names of each kind that figures choose."""

NOMINATED = Path(__file__).parent / "nominated.toml"
"""What language models name as typical of a heritage, by heritage and kind; asked about after the others."""

UNBORN = 2_000
"""First names without US birth data among them."""

EXPLAINED = 0.1
"""A first name is without birth data if the US births expected alive are less than this share of its bearers."""

CORE = {"first": 7_000, "last": 7_500}
"""The most frequent names of a kind, taken before any quota; what the quotas leave is filled by frequency too."""

DISTINCTIVE = {"api": 700, "hispanic": 600, "black": 800, "aian": 50}
"""How many more names each group of the Census gets: the most frequent of those of which most bearers belong to it."""

DISTINCTIVE_SHARE = {"api": 0.5, "hispanic": 0.5, "black": 0.5, "aian": 0.3}
PER_PEOPLE = 80
"""How many more names each people gets that has a locale list: the most frequent of those on few such lists."""

FEW_LISTS = 4
GROWN = 400
"""Further surnames of mostly white bearers that grew by a third from 2010 to 2020: the Census does not tell apart Arab,
Iranian, Balkan or recent Russian names, but they came with people in these years."""

GROWTH = 1.35

FORMS = {
    "arab": r"^(ABU|ABDE|ABDU)|^AL(HA|KH|SA|SH|MA|GH|NA|JA|QA|ZA|AB|RA|TA)",
    "armenian": r"[IY]AN$",
    "greek": r"(OPOULOS|AKIS|IDIS|OGLOU|OULIS|AKOS)$",
    "iranian": r"(ZADEH|POUR|NEJAD|ABADI|KHANI|MANESH|DOUST)$",
    "jewish": r"(STEIN|BERG|WITZ|BAUM|BLATT|FELD)$",
}
"""Forms of surnames of peoples that the Census counts as white and that have no locale list in Latin letters, or only a
short one; kept by hand. Each gets `PER_FORM` further names, the most frequent of mostly white bearers."""

PER_FORM = 50


def chosen(kind: Kind, folder: Path = Path(export.__file__).parent) -> pl.DataFrame:
    """Choose the names of a kind from the tables in `folder`: key, name (as shown), births (whether there are data).

    Sorted by frequency. The same tables give the same names.
    """
    known = _first_names(folder) if kind == "first" else _surnames(folder)
    known = known.sort("bearers", "key", descending=[True, False])
    taken = [known.filter("births").head(CORE[kind])]
    if kind == "first":
        taken.append(known.filter(~pl.col("births")).head(UNBORN))
        known = known.filter("births")

    def take(rows: pl.DataFrame, count: int) -> None:
        taken.append(rows.join(pl.concat(taken), on="key", how="anti", maintain_order="left").head(count))

    for group, quota in DISTINCTIVE.items():
        take(known.filter(pl.col(group) >= DISTINCTIVE_SHARE[group] * 10_000), quota)
    lists = pl.read_parquet(folder / "locale_names.parquet").filter(pl.col("kind") == kind)
    lists = lists.filter(pl.len().over("key") <= FEW_LISTS)
    for (_people,), names in sorted(lists.group_by("people")):
        take(known.join(names, on="key", how="semi", maintain_order="left"), PER_PEOPLE)
    take(known.filter(pl.col("key").is_in(casing.read_list(f"pacific_islander_{kind}.txt"))), PER_PEOPLE)
    if kind == "last":
        white = known.filter(pl.col("white") >= 5_000)
        for form in FORMS.values():
            take(white.filter(pl.col("key").str.contains(form)), PER_FORM)
        take(white.filter(pl.col("growth") >= GROWTH), GROWN)
    take(known, TOTAL - sum(map(len, taken)))
    return pl.concat(taken).sort("bearers", "key", descending=[True, False]).select("key", "name", "births")


def nominated(kind: Kind, folder: Path = Path(export.__file__).parent) -> pl.DataFrame:
    """The names of a kind in NOMINATED that can be drawn, as `chosen` gives names, by frequency."""
    known = _first_names(folder) if kind == "first" else _surnames(folder)
    named = tomllib.loads(NOMINATED.read_text(encoding="utf-8")).values()
    keys = {casing.key_of(casing.without_accents(name)) for of_heritage in named for name in of_heritage[kind]}
    found = known.filter(pl.col("key").is_in(keys)).sort("bearers", "key", descending=[True, False])
    return found.select("key", "name", "births")


def in_requests(names: pl.DataFrame, after: int = 0) -> pl.DataFrame:
    """Number the requests from `after` + 1 and lay the names out in them; adds the column `request`.

    Names with and without birth data stand in different requests. Within each half the order is that of a hash, so that
    a request mixes frequent and rare names.
    """
    ordered = names.with_columns(
        order=pl.Series([hashlib.sha256(key.encode()).hexdigest() for key in names["key"]], dtype=pl.String)
    )
    number, parts = after, []
    for births in (True, False):
        half = ordered.filter(pl.col("births") == births).sort("order")
        place = pl.int_range(pl.len(), dtype=pl.Int32)
        parts.append(half.with_columns(request=(place // PER_REQUEST + number + 1).cast(pl.Int32)))
        number += -(-len(half) // PER_REQUEST)
    return pl.concat(parts).drop("order")


@cache
def asked(kind: Kind) -> pl.DataFrame:
    """The names of a kind in the order they are asked: key, name (as shown), births, request (from 1)."""
    return read_asked(ASKED, kind)


def read_asked(path: Path, kind: Kind) -> pl.DataFrame:
    """The rows of a kind in a kept choice; raises `ElicitationError` if the file cannot be read."""
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ElicitationError(f"cannot read {path} ({reason}): restore it") from None
    return table.filter(pl.col("kind") == kind).drop("kind")


def bearers(kind: Kind, folder: Path = Path(export.__file__).parent) -> pl.DataFrame:
    """Key, name and bearers of every name of a kind that can be drawn."""
    return (_first_names(folder) if kind == "first" else _surnames(folder)).select("key", "name", "bearers")


def _first_names(folder: Path) -> pl.DataFrame:
    """Key, name, bearers, births and the shares of the distinctive groups of every first name that can be drawn."""
    table = pl.read_parquet(folder / "first_names.parquet")
    bearers = pl.max_horizontal(pl.col("count").max().fill_null(0), pl.col("alive").sum())
    by_key = table.group_by("key").agg(
        bearers=bearers,
        births=pl.col("alive").sum() >= EXPLAINED * bearers,
        **{group: pl.col(group).max() for group in ("white", *DISTINCTIVE)},
    )
    return by_key.join(_shown(export.first_names(table)), on="key")


def _surnames(folder: Path) -> pl.DataFrame:
    """Key, name, bearers, growth since 2010 and shares of every surname that can be drawn; `births` is always true."""
    table = pl.read_parquet(folder / "surnames.parquet")
    growth = pl.col("count") / pl.col("count_2010").fill_null(100)  # too rare in 2010 for its table
    return table.select(
        "key", bearers="count", births=pl.lit(True), growth=growth, **{g: pl.col(g) for g in ("white", *DISTINCTIVE)}
    ).join(_shown(export.surnames(table)), on="key")


def _shown(drawn: pl.DataFrame) -> pl.DataFrame:
    """Key and name of what can be drawn; of two sexes the first, spelled alike."""
    names = drawn["name"].unique(maintain_order=True)
    return pl.DataFrame({"key": [casing.key_of(name) for name in names], "name": names}).unique("key", keep="first")


def main() -> None:
    """Write `asked.parquet`: what it holds already, or else the choice by figures, and what is nominated beside it."""
    tables = []
    for kind in KINDS:
        kept = asked(kind) if ASKED.exists() else in_requests(chosen(kind))
        more = nominated(kind).join(kept, on="key", how="anti", maintain_order="left")
        both = pl.concat([kept, in_requests(more, after=len(kept["request"].unique()))])
        tables.append(both.select(pl.lit(kind).alias("kind"), pl.all()))
    write(pl.concat(tables), ASKED)


if __name__ == "__main__":
    main()
