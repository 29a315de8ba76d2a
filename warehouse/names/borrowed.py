"""The name files of a population whose names nobody counted: shared out from lists, and from names told of elsewhere.

What is known here is who the people are, by heritage and cohort, and which first names the largest heritages gave in
which years (`Given`), as they were told. What is assumed is whose names all others have (`Borrowing`): surnames that
are common in the country, by lists of these; names kept by hand; and names that another population's answers tell to be
of a like heritage, as often as they are borne there. From this follows how many people
of each heritage bear each name, and from that all that the files hold: births, bearers, ethnicities, heritages. Files
and their reader are those of names that were counted; docs/names.md says what is weak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from warehouse.errors import SnapshotError
from warehouse.names import casing
from warehouse.names.export import COHORTS, PRIOR_BEARERS, Told, borne, counted_first_names, counted_surnames, packed
from warehouse.names.files import EVERYONE, FOREIGN, KINDS, SHARE_UNIT

ADULTS = 50_000_000
"""The people who are shared out; only ratios of it are in the draw."""

LEAST = 60
"""A name that fewer of these bear is left out."""

TOLD = 0.02
"""Heritages are written down from this share of a name's bearers on, as language models were asked to list them."""

NEAR, COMMON, HERE = 0.1, 0.5, 0.8
"""Of the names that a list of a heritage and span lacks: how much rarer one of another list is for each span that it is
away; how much rarer where the common heritage lists it; and which part of them such names are, the rest being lent.
None is more frequent than the last of the list. Assumptions.
"""

TINY = 1e-12
BORN_HERE, BORN_ABROAD, LAST_KEPT = range(3)
"""Places in `Heritage.kept`."""

Kind = Literal["first", "last"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heritage:
    """Whose names a heritage has.

    Attributes:
        told: heritages of the lending population.
        sharp: power to which a told share is raised before it counts.
        listed: the share with a surname of the population's lists.
        named: by kind, the share with one of `names`; the others have a name that is told.
        kept: shares with a name of the own heritage: first names of those born here, of those born abroad, surnames.
        names: by `female`, `male`, `last`, those kept by hand; one that stands twice counts twice.

    First names that were told to be given count instead of all this.
    """

    told: tuple[str, ...]
    sharp: float
    listed: float
    named: Mapping[Kind, float]
    kept: tuple[float, float, float]
    names: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Given:
    """First names that were given to people of a heritage and sex born in the country from `first` to `last`: shares
    by name, of all who were born, which sum to less than 1.
    """

    heritage: str
    sex: str
    first: int
    last: int
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Borrowing:
    """Whose names the heritages of a population have; `common` is that whose names others have beside their own, and
    `left_out` are surnames that nobody gets.
    """

    population: str
    common: str
    heritages: Mapping[str, Heritage]
    left_out: frozenset[str] = frozenset()


def borrowed_files(
    borrowing: Borrowing, told: Told, given: Sequence[Given] = (), folder: Path = Path(__file__).parent
) -> dict[str, bytes]:
    """Bytes of the snapshot's name files by file name.

    `told.people` are those of this population, `told.heritage` and `told.facts` what is told in the lending one, whose
    tables lie in `folder`, beside the lists of names by population. Raises SnapshotError for a heritage that has no
    names.
    """
    heritages = told.people["heritage"].unique(maintain_order=True).to_list()
    if missing := [h for h in heritages if h not in borrowing.heritages]:
        raise SnapshotError(f"names of '{borrowing.population}': nothing says whose names '{missing[0]}' has: add it")
    if gone := [h for h in borrowing.heritages if h not in heritages]:
        raise SnapshotError(f"names of '{borrowing.population}': the catalogue has no heritage '{gone[0]}': remove it")
    lists = pl.read_parquet(folder / "listed_names.parquet").filter(population=borrowing.population)
    asked = {kind: set(told.heritage.filter(kind=kind)["key"]) for kind in KINDS}
    people = _People.of(told.people, heritages)
    counted = counted_first_names(asked["first"], folder)
    parts, tags = [], []
    for sex in ("female", "male"):
        theirs = [one for one in given if one.sex == sex]
        source = _Source.of(borrowing, sex, counted.filter(sex=sex), told, [n for one in theirs for n in one.shares])
        births, abroad = _first(source, people, heritages, theirs)
        mass = births.sum(axis=0) + abroad
        counts = {f"births_{cohort}": births[place].sum(axis=1) for place, cohort in enumerate(COHORTS)}
        table = _table(source.rows, counts | {"foreign": abroad.sum(axis=1)}, mass, people)
        parts.append(table.with_columns(sex=pl.lit(sex)))
        tags.append(_tags("first", source.rows["key"], mass, heritages))
    out = {casing.key_of(name) for name in borrowing.left_out}
    surnames = borne(counted_surnames(folder), asked["last"], told).filter(~pl.col("key").is_in(out))
    listed = dict(lists.select("name", "weight").iter_rows())
    source = _Source.of(borrowing, "last", surnames, told, list(listed), listed)
    own = source.own(source.rows["bearers"].to_numpy().astype(np.float64))
    mass = source.mixed(own, LAST_KEPT) * people.everyone * ADULTS
    last = _table(source.rows, {"bearers": mass.sum(axis=1)}, mass, people)
    tags.append(_tags("last", source.rows["key"], mass, heritages))
    # Heritages are written down by name: those of both sexes count together.
    heritage = pl.concat(tags).group_by("kind", "key", "heritage", maintain_order=True).agg(pl.col("mass").sum())
    heritage = heritage.with_columns(share=pl.col("mass") / pl.col("mass").sum().over("kind", "key"))
    heritage = heritage.filter(pl.col("share") >= TOLD).select("kind", "key", "heritage", "share")
    first = (
        pl.concat(parts)
        .sort("key", "sex")
        .select("key", "name", "listed", "sex", pl.exclude("key", "name", "listed", "sex"))
    )
    whose = Told(told.people, heritage, told.facts, told.standing, told.faiths, told.forms)
    return packed(first, last.sort("key"), whose, people.ethnicities, dict.fromkeys(people.ethnicities, 0.0))


@dataclass(frozen=True)
class _People:
    """Shares by heritage, (heritages,): of everyone, of those born abroad (of everyone), of those born here by cohort
    (each summing to 1); and P(ethnicity | heritage), (ethnicities, heritages).
    """

    ethnicities: tuple[str, ...]
    everyone: Floats
    abroad: Floats
    natives: tuple[Floats, ...]
    ethnicity_of: Floats

    @classmethod
    def of(cls, people: pl.DataFrame, heritages: Sequence[str]) -> _People:
        def shares(of: pl.DataFrame) -> Floats:
            found = dict(of.group_by("heritage").agg(pl.col("share").sum()).iter_rows())
            return np.array([found.get(heritage, 0.0) for heritage in heritages])

        everyone = people.filter(cohort=EVERYONE)
        ethnicities = tuple(everyone["ethnicity"].unique(maintain_order=True))
        whole = shares(everyone)
        return cls(
            ethnicities,
            whole,
            shares(everyone.filter(nativity=FOREIGN)),
            tuple(shares(people.filter(cohort=cohort)) for cohort in COHORTS),
            np.stack([shares(everyone.filter(ethnicity=e)) for e in ethnicities]) / np.maximum(whole, TINY),
        )


@dataclass(frozen=True)
class _Source:
    """Names of a kind, and of a sex if they are first names, with what tells whose they are.

    `told` is (names, heritages): the told share, raised to the power of the heritage; `listed` how frequent the lists
    have a name to be, times how far it is told to be of the heritage; `named` how often it stands among those by hand.
    """

    rows: pl.DataFrame
    kept: Floats
    common: int
    parts: tuple[Floats, Floats]
    told: Floats
    listed: Floats
    named: Floats

    @classmethod
    def of(  # noqa: PLR0917
        cls,
        borrowing: Borrowing,
        of: str,
        counted: pl.DataFrame,
        told: Told,
        known_here: Sequence[str],
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> _Source:
        """`of` is a key of `Heritage.names`, `known_here` are names that the population has, `weights` those of the
        listed ones.
        """
        kind: Kind = "last" if of == "last" else "first"
        heritages = list(told.people["heritage"].unique(maintain_order=True))
        ours = [borrowing.heritages[heritage] for heritage in heritages]
        rows = _with(counted, [*known_here, *(name for one in ours for name in one.names[of])])
        place = {key: row for row, key in enumerate(rows["key"])}
        there = sorted({heritage for one in ours for heritage in one.told})
        shares = np.zeros((len(rows), len(there)))
        for key, heritage, share in told.heritage.filter(kind=kind).select("key", "heritage", "share").iter_rows():
            if key in place and heritage in there:
                shares[place[key], there.index(heritage)] = share
        columns = [[there.index(heritage) for heritage in one.told] for one in ours]
        raised = np.stack([shares[:, c].sum(axis=1) ** one.sharp for c, one in zip(columns, ours, strict=True)], axis=1)
        # Of a name that the lists have, heritages that nobody here has are left out of account.
        known = shares.sum(axis=1, keepdims=True)
        like = np.where(known > 0, shares / np.maximum(known, TINY), 0.0)
        affinity = np.stack([like[:, c].sum(axis=1) for c in columns], axis=1)
        affinity[known[:, 0] == 0, heritages.index(borrowing.common)] = 1.0
        frequency = np.zeros((len(rows), 1))
        frequency[[place[casing.key_of(name)] for name in weights], 0] = list(weights.values())
        named = np.zeros((len(rows), len(heritages)))
        for column, one in enumerate(ours):
            for name in one.names[of]:
                named[place[casing.key_of(name)], column] += 1
        return cls(
            rows,
            np.array([one.kept for one in ours]),
            heritages.index(borrowing.common),
            (
                np.array([one.listed if weights else 0.0 for one in ours]),
                np.array([one.named[kind] for one in ours]),
            ),
            raised,
            frequency * affinity,
            named,
        )

    def own(self, borne: Floats) -> Floats:
        """P(name | heritage) of those with a name of the own heritage, (names, heritages); 0 for one that has none.

        `borne` (names,) is how often a name is borne in the lending population.
        """
        own = np.zeros(self.told.shape)
        free = np.ones(self.told.shape[1])
        for part, weight in zip(self.parts, (self.listed, self.named), strict=True):
            whole = weight.sum(axis=0)
            share = np.where(whole > 0, part, 0.0)
            own += weight * (share / np.maximum(whole, TINY))
            free -= share
        rest = self.told * borne[:, None]
        whole = rest.sum(axis=0)
        own += rest * (free / np.maximum(whole, TINY))
        return np.asarray(own / np.maximum(own.sum(axis=0), TINY))

    def mixed(self, own: Floats, kept: int) -> Floats:
        """P(name | heritage) of everybody, where `kept` is the place of the share that has names of its own."""
        mine = np.where(own.sum(axis=0) > 0, self.kept[:, kept], 0.0)
        found: Floats = own * mine + own[:, [self.common]] * (1 - mine)
        return found


def _first(source: _Source, people: _People, heritages: Sequence[str], given: Sequence[Given]) -> tuple[Floats, Floats]:
    """Bearers by name and heritage: those born here, (cohorts, names, heritages), and abroad, (names, heritages)."""
    births = np.stack([source.rows[f"births_{c}"].to_numpy().astype(np.float64) for c in COHORTS])
    foreign = source.rows["foreign"].to_numpy().astype(np.float64)
    each = ADULTS / 2 * (1 - people.abroad.sum()) / len(COHORTS)
    own = np.stack([source.own(born + foreign / len(COHORTS)) for born in births])
    own_abroad = source.own(births.sum(axis=0) + foreign)
    lists = {heritage: _spans([one for one in given if one.heritage == heritage], source) for heritage in heritages}
    common = lists[heritages[source.common]]
    for place, spans in enumerate(lists.values()):
        if spans:
            own[:, :, place] = _fashions(spans, common, own[:, :, place])
            own_abroad[:, place] = own[:, :, place].mean(axis=0)
    here = np.stack([source.mixed(one, BORN_HERE) for one in own]) * np.stack(people.natives)[:, None, :] * each
    return here, source.mixed(own_abroad, BORN_ABROAD) * people.abroad * ADULTS / 2


_Spans = dict[float, Floats]
"""Shares (names,) by the middle of the years in which they were given, ascending."""


def _spans(given: Sequence[Given], source: _Source) -> _Spans:
    place = {key: row for row, key in enumerate(source.rows["key"])}
    found: _Spans = {}
    for one in sorted(given, key=lambda one: one.first):
        shares = found[(one.first + one.last + 1) / 2] = np.zeros(len(place))
        for name, share in one.shares.items():
            shares[place[casing.key_of(name)]] += share
    return found


def _fashions(spans: _Spans, common: _Spans, lent: Floats) -> Floats:
    """P(name | born in a cohort), (cohorts, names): between the middles of two spans, what lies between their lists.

    What the lists leave open goes to names of other lists and, for what these cannot be, to those that are `lent`,
    (cohorts, names).
    """
    middles = list(spans)
    cohorts = [year + (COHORTS[1] - COHORTS[0]) / 2 for year in COHORTS]
    whole = []
    for at, (middle, shares) in enumerate(spans.items()):
        elsewhere = [other * NEAR ** abs(at - place) for place, other in enumerate(spans.values())]
        elsewhere += [other * COMMON for there, other in common.items() if there == middle]
        open_to = shares == 0
        least, rest = shares[~open_to].min(), 1 - shares.sum()
        here = _filled(np.where(open_to, np.max(elsewhere, axis=0), 0.0), HERE * rest, least)
        nearest = int(np.argmin([abs(year - middle) for year in cohorts]))
        whole.append(shares + here + _filled(np.where(open_to, lent[nearest], 0.0), rest - here.sum(), least - here))
    found = [[np.interp(year, middles, values) for values in np.stack(whole, axis=1)] for year in cohorts]
    return np.asarray(np.array(found) / np.sum(found, axis=1, keepdims=True))


def _filled(weights: Floats, mass: float, most: Floats | float) -> Floats:
    """`mass` shared out in proportion to `weights`, none above `most`; less where that cannot be."""
    found = np.zeros_like(weights)
    for _ in range(len(weights)):
        loose = (weights > 0) & (found < most)
        left = mass - found[~loose].sum()
        if not loose.any() or left <= 0:
            break
        tried = weights * (left / weights[loose].sum())
        over = loose & (tried > most)
        found = np.where(over, most, np.where(loose, tried, found))
        if not over.any():
            break
    return found


def _with(counted: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The counted names, and those of these beside them that are none, with nothing counted.

    A name is written as the list has it.
    """
    spelled = pl.DataFrame({"spelled": list(dict.fromkeys(names))}, schema={"spelled": pl.String})
    spelled = spelled.with_columns(key=pl.col("spelled").map_elements(casing.key_of, return_dtype=pl.String))
    rows = counted.join(spelled.unique("key", keep="first"), on="key", how="full", coalesce=True)
    numbers = [c for c, kind in counted.schema.items() if kind.is_numeric()]
    return rows.with_columns(
        pl.col(numbers).fill_null(0),
        name=pl.coalesce("spelled", "name"),
        listed=pl.col("listed").fill_null(False) | pl.col("spelled").is_not_null(),
    ).sort("key")


def _table(rows: pl.DataFrame, counts: Mapping[str, Floats], mass: Floats, people: _People) -> pl.DataFrame:
    """Key, name, listed, the counts, and share_E, of the names that LEAST people bear."""
    borne_by = mass.sum(axis=1)
    of = mass @ people.ethnicity_of.T
    of += PRIOR_BEARERS * of.sum(axis=0) / of.sum()
    shares = of / of.sum(axis=1, keepdims=True)
    columns = {name: np.rint(values).astype(np.uint32) for name, values in counts.items()}
    for place, ethnicity in enumerate(people.ethnicities):
        columns[f"share_{ethnicity}"] = np.rint(shares[:, place] * SHARE_UNIT).astype(np.uint16)
    table = rows.select("key", "name", "listed").with_columns(pl.Series(n, v) for n, v in columns.items())
    return table.filter(pl.Series(borne_by >= LEAST))


def _tags(kind: Kind, keys: pl.Series, mass: Floats, heritages: Sequence[str]) -> pl.DataFrame:
    """Kind, key, heritage and bearers, where there are any to speak of."""
    row, column = np.nonzero(mass > mass.sum(axis=1, keepdims=True) * TOLD / 2)
    return pl.DataFrame(
        {"key": keys.gather(row), "heritage": np.array(heritages)[column], "mass": mass[row, column]}
    ).select(pl.lit(kind).alias("kind"), "key", "heritage", "mass")
