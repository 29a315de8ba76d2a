"""Of which faith the families are that bear a name: about which names that is asked, and how the requests read.

Belongs here: the choice of names, and rendering. Does not belong here: what holds of an answer (`faith_answers`), what
is drawn by it (`serving.name_faiths`).

It is asked for the heritages in which faiths differ by name, of the names that most people of these heritages bear.
The choice rests on what was told of heritage, and is kept in `faith_asked.parquet`, because a recorded answer belongs
to a request with exactly these names. To make it anew, which starts a new record: `python -m pipeline.names.faiths`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import polars as pl

from pipeline.elicitation.panel import Member
from pipeline.names.candidates import KINDS, Kind, bearers, read_asked
from pipeline.names.requests import RECORDED, NameRequest, name_request
from pipeline.names.ways import Faith
from pipeline.templates import templates_of
from warehouse.names import casing
from warehouse.names.build_names import write

if TYPE_CHECKING:
    from pipeline.catalogue.models import Catalogue

FAITHS: tuple[Faith, ...] = get_args(Faith)
SPLIT = ("indian", "arab", "west_african", "east_african")
"""Heritages whose people are of several faiths, each with names of its own."""

ASKED = Path(__file__).parent / "faith_asked.parquet"
PER_REQUEST = 90
MOST = {"first": 1_400, "last": 1_000}
"""Names of each kind: those by hand, and then those that most people of `SPLIT` bear."""


def chosen(kind: Kind, shares: pl.DataFrame, by_hand: Sequence[str]) -> pl.DataFrame:
    """Choose the names of a kind: key, name (as shown), request (from 1), in the order they are asked.

    Args:
        kind: first names or surnames.
        shares: kind, key, heritage, share, as `frames.heritage_shares` gives them.
        by_hand: names that are asked about in any case.
    """
    of = shares.filter(pl.col("heritage").is_in(SPLIT), kind=kind).group_by("key").agg(pl.col("share").sum())
    known = of.join(bearers(kind), on="key").with_columns(people=(pl.col("share") * pl.col("bearers")).round(3))
    told = known.sort("people", "key", descending=[True, False]).select("key", "name")
    kept = pl.DataFrame({"key": [casing.key_of(name) for name in by_hand], "name": by_hand})
    names = pl.concat([kept, told]).unique("key", keep="first", maintain_order=True).head(MOST[kind])
    order = pl.Series([hashlib.sha256(f"faith {key}".encode()).hexdigest() for key in names["key"]])
    mixed = names.with_columns(order=order).sort("order").drop("order")
    return mixed.with_columns(request=(pl.int_range(pl.len(), dtype=pl.Int32) // PER_REQUEST + 1).cast(pl.Int32))


@cache
def faith_asked(kind: Kind) -> pl.DataFrame:
    """The names of a kind in the order they are asked: key, name (as shown), request (from 1)."""
    return read_asked(ASKED, kind)


def faith_requests(catalogue: Catalogue, kind: Kind, member: Member = RECORDED) -> Iterator[NameRequest]:
    """Every request of a kind, in order."""
    population = catalogue.population.id
    for (number,), rows in faith_asked(kind).group_by("request", maintain_order=True):
        assert isinstance(number, int)
        names = tuple(rows["name"])
        messages = faith_messages(catalogue, kind, names)
        yield name_request(population, "faith", kind, number, names, messages, member)


def faith_messages(
    catalogue: Catalogue,
    kind: Kind,
    names: Sequence[str],
    *,
    born: bool = False,  # as `messages_about` takes it: nobody is asked for birth years here
    again: Sequence[tuple[str, str]] = (),
) -> tuple[dict[str, str], ...]:
    """System and user message about these names; `again` says, name by name, why an answer before could not be used."""
    heritage = catalogue.dimension("heritage")
    ancestries = [one for one in heritage.categories if one.id in SPLIT]
    templates = templates_of("pipeline.names")
    user = templates.get_template("faith.j2").render(kind=kind, names=names, ancestries=ancestries, again=again)
    system = templates.get_template("faith_system.j2").render()
    return ({"role": "system", "content": system}, {"role": "user", "content": user.rstrip("\n")})


def main() -> None:
    """Write `faith_asked.parquet` from what the packaged record tells of heritage."""
    from pipeline.catalogue.loader import load_catalogue  # noqa: PLC0415
    from pipeline.names import ways  # noqa: PLC0415
    from pipeline.names.enrichment import FOLDER, Enrichment  # noqa: PLC0415
    from pipeline.names.frames import estimates_frame, heritage_shares  # noqa: PLC0415
    from pipeline.resources import CORPUS  # noqa: PLC0415

    tables = []
    for population in ways.counted():
        told = Enrichment(load_catalogue(population), CORPUS / FOLDER)
        for kind in KINDS:
            shares = heritage_shares(estimates_frame(population, "", told.outcome(kind).estimates))
            names = chosen(kind, shares, ways.by_hand(kind, SPLIT))
            tables.append(names.select(pl.lit(kind).alias("kind"), pl.all()))
    write(pl.concat(tables), ASKED)


if __name__ == "__main__":
    main()
