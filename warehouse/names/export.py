"""The two name files of a snapshot, from the vendored tables: smoothing, spelling, dropping of non-names.

`name_files` gives their bytes, the same on every run. Fetching the sources belongs to `build_names`, their format to
`files`, drawing to `serving.names`. The model, its sources and what it leaves out stand in docs/names.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from warehouse.errors import SnapshotError
from warehouse.names import casing
from warehouse.names.files import (
    ETHNICITIES,
    EVERYONE,
    FIRST,
    FOREIGN,
    HERITAGE_UNIT,
    KINDS,
    LAST,
    METADATA,
    PEOPLE,
    REST,
    SHARE_UNIT,
)
from warehouse.names.slips import slips, swapped
from warehouse.parquet import parquet_bytes

ALL_OTHERS = "ALL OTHER NAMES"
GROUPS = ("white", "black", "api", "aian", "two", "hispanic")

# Pseudo-bearers with the population's shares, added to every name: one of 100 bearers keeps 5/6 of its own.
PRIOR_BEARERS = 20
# Census 2020, not Hispanic, one race: 622,018 Pacific Islanders beside 19,618,719 Asians.
PACIFIC_SHARE = 622_018 / (622_018 + 19_618_719)
PACIFIC_IF_LISTED, PACIFIC_AT_MOST = 0.9, 0.5  # of the published Asian-or-Pacific share

# Census 2020: the listed surnames have 87,869.57 of 100,000 people. Whose the others are is published for 2010 only
# ("ALL OTHER NAMES").
UNLISTED = 1 - 0.8786957
UNLISTED_SHARES = {"white": 0.6665, "black": 0.0853, "api": 0.0797, "aian": 0.0086, "two": 0.0232, "hispanic": 0.1367}

MIN_BIRTHS, MIN_FOREIGN, MIN_BEARERS = 60, 40, 150
# Fewer than one bearer in a hundred of the other sex: more often a clerical error than a person.
MIN_SEX_SHARE = 0.01
# So many times as frequent is the name of which another is taken for a slip.
SLIP_FIRST, SLIP_LAST = 200, 300
TWO_LETTERS = ("AL", "BO", "CY", "DI", "ED", "JO", "KY", "MO", "OM", "OZ", "TY", "VI")


COHORTS = tuple(range(1920, 2006, 5))
"""Of adults up to a hundred; others count to the nearest."""

ROUNDS = 200
"""Of proportional fitting; then nothing moves in the sixth digit."""

BORN = ("born_before_1950", "born_1950_1969", "born_1970_1989", "born_1990_on")
"""Columns of `Told.facts`, in the order of BANDS."""


@dataclass(frozen=True)
class Faiths:
    """Of which faiths the families are that bear names, and the people who have them.

    Attributes:
        shares: kind, key, faiths: the share (0 to 1) of each faith, a list in the order of `names`.
        names: the faiths.
        dimension: whose categories tell a person's faith.
        of: the faiths that a category stands for, for those that stand for any.
        among: by heritage whose names differ by faith, the share of each of these categories among its people.
    """

    shares: pl.DataFrame
    names: tuple[str, ...]
    dimension: str
    of: Mapping[str, Sequence[str]]
    among: Mapping[str, Mapping[str, float]]

    def columns(self, kind: str) -> pl.DataFrame:
        """Key and the column of `files`, a row for each name of the kind."""
        unit = pl.col("faiths").list.eval((pl.element() * HERITAGE_UNIT).round().cast(pl.UInt8))
        return self.shares.filter(kind=kind).select("key", faith_share=unit)

    @property
    def facts(self) -> dict[str, object]:
        """What the metadata of `files` say of them."""
        among = {h: {c: float(f"{share:.5e}") for c, share in parts.items()} for h, parts in self.among.items()}
        return {"names": list(self.names), "dimension": self.dimension, "of": dict(self.of), "among": among}


@dataclass(frozen=True)
class Told:
    """What the maps and the language models say of people and of names.

    Attributes:
        people: cohort, ethnicity, nativity, heritage, share: joint shares of EVERYONE and of those born here in each of
            COHORTS, a row for each combination, summing to 1 for each cohort.
        heritage: kind, key, heritage, share (0 to 1) of those who bear the name; what is missing to 1 was not told.
        facts: kind, key, BORN (0 to 1, null where births are known), spelling (null where it is as shown).
        standing: key, factor: how many times its bearers a surname stands for, see `pipeline.names.rare`; 1 for others.
        faiths: if anything was told of them.
        forms: what the metadata of `files` say of surnames as the people of one sex bear them.
    """

    people: pl.DataFrame
    heritage: pl.DataFrame
    facts: pl.DataFrame
    standing: pl.DataFrame
    faiths: Faiths | None = None
    forms: Sequence[Mapping[str, object]] = ()

    def columns(self, kind: str, codes: dict[str, int]) -> pl.DataFrame:
        """Key and the columns of `files` that come from here, a row for each name of the kind."""
        unit = (pl.col("share") * HERITAGE_UNIT).round().cast(pl.UInt8)
        tags = (
            self.heritage.filter(kind=kind)
            .with_columns(unit, code=pl.col("heritage").replace_strict(codes, return_dtype=pl.UInt8))
            .filter(pl.col("share") > 0)
            .sort("key", "code")
            .group_by("key", maintain_order=True)
            .agg(heritage="code", heritage_share="share")
        )
        born = pl.concat_list((pl.col(band) * HERITAGE_UNIT).round().cast(pl.UInt8) for band in BORN)
        facts = self.facts.filter(kind=kind).select(
            "key", "spelling", born=pl.when(pl.all_horizontal(pl.col(BORN).is_not_null())).then(born)
        )
        told = tags.join(facts, on="key", how="full", coalesce=True)
        if self.faiths is not None:
            told = told.join(self.faiths.columns(kind), on="key", how="full", coalesce=True)
        return told


def name_files(told: Told, folder: Path = Path(__file__).parent) -> dict[str, bytes]:
    """Bytes of the snapshot's name files by file name, from the vendored tables in `folder`."""
    listed = first_names(_vendored(folder, "first_names"))
    asked = {kind: set(told.heritage.filter(kind=kind)["key"]) for kind in KINDS}
    adults = of_adults(listed, asked["first"])
    last = borne(counted_surnames(folder), asked["last"], told)
    return packed(adults, last, told, ETHNICITIES, as_born_here(listed, told.people))


def packed(
    first: pl.DataFrame, last: pl.DataFrame, told: Told, ethnicities: Sequence[str], as_here: dict[str, float]
) -> dict[str, bytes]:
    """Bytes of the name files by file name, from tables as `of_adults` and `borne` give them.

    `ethnicities` are those that the tables have shares of, `as_here` what the files call as_born_here.
    """
    heritages = told.people["heritage"].unique(maintain_order=True).to_list()
    codes = {heritage: code for code, heritage in enumerate(heritages)}
    if unknown := set(told.heritage["heritage"]) - codes.keys():
        raise SnapshotError(f"names were told to be of the unknown heritage {min(unknown)!r}: validate them again")
    facts: dict[str, object] = {"heritages": heritages}
    if told.faiths is not None:
        facts["faiths"] = told.faiths.facts
    of_first = facts | {"native_tilt": native_tilt(first, told.people, ethnicities), "as_born_here": as_here}
    of_last = facts | ({"forms": list(told.forms)} if told.forms else {})
    return {
        FIRST: _parquet_bytes(_written(first, told.columns("first", codes)), of_first),
        LAST: _parquet_bytes(_written(last, told.columns("last", codes)), of_last),
        PEOPLE: _people_bytes(told.people),
    }


def counted_first_names(asked: Collection[str], folder: Path = Path(__file__).parent) -> pl.DataFrame:
    """`of_adults` of the vendored table in `folder`."""
    return of_adults(first_names(_vendored(folder, "first_names")), asked)


def counted_surnames(folder: Path = Path(__file__).parent) -> pl.DataFrame:
    """`surnames` of the vendored table in `folder`."""
    return surnames(_vendored(folder, "surnames"))


def listed_surnames(folder: Path = Path(__file__).parent) -> tuple[pl.DataFrame, dict[str, float]]:
    """`surnames` and `everybody` of the vendored table in `folder`."""
    last = _vendored(folder, "surnames")
    return surnames(last), everybody(last)


def _vendored(folder: Path, table: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(folder / f"{table}.parquet")
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise SnapshotError(f"cannot read the name tables ({reason}); run warehouse.names.build_names") from None


def as_born_here(listed: pl.DataFrame, people: pl.DataFrame) -> dict[str, float]:
    """By ethnicity, the share of the foreign-born whose names US births could explain, as those of the US-born.

    It is what bearers that no US birth explains lack to the foreign-born among all people of the ethnicity.
    """
    everyone = people.filter(cohort=EVERYONE)
    found = {}
    for ethnicity in ETHNICITIES:
        share = listed[f"share_{ethnicity}"].to_numpy().astype(np.float64)
        excess, alive = (float((listed[c].to_numpy() * share).sum()) for c in ("excess", "alive_adult"))
        of = everyone.filter(ethnicity=ethnicity)
        abroad = float(of.filter(nativity=FOREIGN)["share"].sum()) / float(of["share"].sum())
        found[ethnicity] = round(max(1 - excess / (excess + alive) / abroad, 0.0), 4)
    return found


def native_tilt(
    adults: pl.DataFrame, people: pl.DataFrame, ethnicities: Sequence[str] = ETHNICITIES
) -> dict[str, dict[str, list[float]]]:
    """By sex and ethnicity, for each of COHORTS, the factor that `files` describes.

    Found by iterative proportional fitting of births(name) * P(ethnicity | name) * factor: its sums over ethnicities
    are the births, and those over names the ethnicities of the cohort.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for (sex,), rows in adults.group_by("sex", maintain_order=True):
        shares = rows.select(f"share_{e}" for e in ethnicities).to_numpy() / SHARE_UNIT
        by_ethnicity: dict[str, list[float]] = {e: [] for e in ethnicities}
        for cohort in COHORTS:
            births = rows[f"births_{cohort}"].to_numpy()
            natives = people.filter(cohort=cohort)
            wanted = np.array([natives.filter(ethnicity=e)["share"].sum() for e in ethnicities])
            wanted *= births.sum() / wanted.sum()
            tilt = np.ones(len(ethnicities))
            for _ in range(ROUNDS):
                tilt *= wanted / (shares.T @ (births / (shares @ tilt)) * tilt)
            for ethnicity, factor in zip(ethnicities, tilt / tilt[0], strict=True):
                by_ethnicity[ethnicity].append(float(f"{factor:.5e}"))
        found[str(sex)] = by_ethnicity
    return found


def _people_bytes(people: pl.DataFrame) -> bytes:
    """The people as `files` describes them, shares to six digits."""
    rounded = pl.Series("share", [float(f"{share:.5e}") for share in people["share"]], dtype=pl.Float32)
    stored = people.with_columns(rounded, pl.col("cohort").cast(pl.Int32))
    return parquet_bytes(stored.to_arrow(compat_level=pl.CompatLevel.oldest()))


def _written(table: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Put in what was told of the names: tags, cohorts of the foreign-born, and how they are written."""
    joined = table.join(told, on="key", how="left", maintain_order="left")
    plain = pl.col("spelling").map_elements(casing.without_accents, return_dtype=pl.String)
    letters = plain.map_elements(casing.key_of, return_dtype=pl.String)
    better = (letters == pl.col("key")) & ~pl.col("listed")
    name = pl.when(better).then(plain).otherwise("name")
    accented = pl.when(pl.col("spelling") != plain).then("spelling").otherwise(pl.lit(""))
    written = ["heritage", "heritage_share", *(["born"] if "sex" in table.columns else [])]
    lists = [pl.col(c).fill_null([]) for c in (*written, *({"faith_share"} & set(told.columns)))]
    columns = [c for c in table.columns if c not in {"key", "name", "listed", f"share_{REST}"}]
    return joined.with_columns(name=name, accented=accented.fill_null("")).select("name", "accented", *columns, *lists)


def ethnicity_shares(frame: pl.DataFrame, weight: str, prior: dict[str, float], pacific: str) -> pl.DataFrame:
    """Replace the published shares (hundredths of a percent) by smoothed share_E columns, E in ETHNICITIES.

    The published Asian-or-Pacific share is split: Pacific Islanders have PACIFIC_IF_LISTED of it if the name
    is on a hand-kept list, else a multiple of the share of bearers with two or more races, who are many among
    them; the multiple is solved so that they come to PACIFIC_SHARE of all Asians and Pacific Islanders.
    """
    count = pl.col(weight).cast(pl.Float64)
    smoothed = frame.with_columns(
        ((count * pl.col(group) / 10_000 + PRIOR_BEARERS * prior[group]) / (count + PRIOR_BEARERS)).alias(group)
        for group in GROUPS
    ).with_columns(listed=pl.col("key").is_in(casing.read_list(pacific)))
    mass = smoothed.select("api", "two", "listed", bearers=count)

    def islanders(multiple: float) -> pl.Expr:
        unlisted = pl.min_horizontal(multiple * pl.col("two"), PACIFIC_AT_MOST * pl.col("api"))
        return pl.when("listed").then(PACIFIC_IF_LISTED * pl.col("api")).otherwise(unlisted)

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        share = mass.select(
            (pl.col("bearers") * islanders(middle)).sum() / (pl.col("bearers") * pl.col("api")).sum()
        ).item()
        low, high = (middle, high) if share < PACIFIC_SHARE else (low, middle)
    multiple = round(low, 6)  # absorbs the order of summation, so that every machine writes the same bytes
    parts = {
        "white": pl.col("white"),
        "black": pl.col("black"),
        "hispanic": pl.col("hispanic"),
        "asian": pl.col("api") - islanders(multiple),
        "native_american": pl.col("aian"),
        "pacific_islander": islanders(multiple),
        "two_or_more": pl.col("two"),
    }
    unit = [(parts[e] * SHARE_UNIT).round().cast(pl.UInt16).alias(f"share_{e}") for e in ETHNICITIES]
    return smoothed.with_columns(unit).drop("listed", *GROUPS)


def overall_shares(frame: pl.DataFrame, weight: str) -> dict[str, float]:
    """Shares of the six published groups among all bearers, adding up to 1."""
    sums = frame.select((pl.col(group).cast(pl.Float64) * pl.col(weight)).sum() for group in GROUPS).row(0)
    return dict(zip(GROUPS, (round(value / sum(sums), 6) for value in sums), strict=True))


def first_names(vendored: pl.DataFrame) -> pl.DataFrame:
    """Key, name, listed (whether a list here spells it), sex, births of all cohorts, foreign, shares; by key, sex.

    Beside these the counts that `as_born_here` needs: excess and alive_adult.
    """
    cohorts = [column for column in vendored.columns if column.startswith("births_")]
    rest = vendored.filter(pl.col("key") == ALL_OTHERS).row(0, named=True)
    named = vendored.filter(pl.col("key") != ALL_OTHERS)
    prior = overall_shares(named.filter(pl.col("count").is_not_null()).unique("key"), "count")
    # Too rare for the Census table: the shares published for all such names together.
    named = named.with_columns(pl.col(group).fill_null(rest[group]) for group in GROUPS)
    named = named.with_columns(pl.col("count", "bearers").fill_null(0))
    named = ethnicity_shares(
        named.with_columns(weight=pl.max_horizontal("count", "alive")),
        "weight",
        prior,
        "pacific_islander_first.txt",
    )
    sex_share = pl.when(pl.col("count") > 0).then(pl.col("bearers") / pl.col("count")).otherwise(0.0)
    named = named.with_columns(births=pl.sum_horizontal(cohorts), sex_share=sex_share)
    both_births = pl.col("births").sum().over("key")
    # Bearers that no US birth explains.
    excess = (pl.col("bearers").cast(pl.Float64) - pl.col("alive")).clip(lower_bound=0)
    short = pl.col("key").is_in(casing.read_list("short_forms.txt"))
    clerical = pl.col("sex_share") < 3 * MIN_SEX_SHARE
    named = named.with_columns(excess=pl.when(short | clerical).then(0.0).otherwise(excess))
    # A name tells the more of a birth abroad, the larger the part of its bearers that no US birth explains.
    weight = pl.when(pl.col("excess") > 0).then(pl.col("excess") ** 2 / pl.col("bearers")).otherwise(0.0)
    named = named.with_columns(
        foreign=weight.round().cast(pl.UInt32),
        rare_sex=pl.col("births") < MIN_SEX_SHARE * both_births,
    ).with_columns(pl.when("rare_sex").then(0).otherwise(c).cast(pl.UInt32).alias(c) for c in cohorts)
    letters = pl.col("key").str.len_chars()
    initials = (letters < 2) | (
        (letters == 2) & ~pl.col("key").is_in(TWO_LETTERS) & (pl.col("share_asian") < SHARE_UNIT // 2)
    )
    # Neither sex, no births, no people it belongs to: a word from a form.
    word = (
        pl.col("sex_share").is_between(0.35, 0.65)
        & (both_births < pl.col("count") / 10)
        & (pl.max_horizontal("share_asian", "share_hispanic", "share_black") < SHARE_UNIT // 2)
    )
    placeholder = pl.col("key").is_in(casing.read_list("non_names_first.txt"))
    frequent = (pl.sum_horizontal(cohorts) >= MIN_BIRTHS) | (pl.col("foreign") >= MIN_FOREIGN)
    kept = named.filter(frequent & ~placeholder & ~initials & ~word.fill_null(False)).sort("key", "sex")
    spelling = casing.exceptions("first_names_cased.txt")
    spanish = set(kept.filter((pl.col("share_hispanic") > 0.4 * SHARE_UNIT) & (pl.col("count") >= 3_000))["key"])
    display = pl.Series("name", [casing.first_name(key, spelling, spanish) for key in kept["key"]])
    sex = pl.col("sex").replace_strict({"F": "female", "M": "male"})
    shares = [f"share_{e}" for e in ETHNICITIES]
    listed = pl.col("key").is_in(list(spelling))
    return kept.with_columns(display, sex, listed=listed).select(
        "key", "name", "listed", "sex", *cohorts, "foreign", "excess", "alive_adult", *shares
    )


def of_adults(first: pl.DataFrame, asked: Collection[str]) -> pl.DataFrame:
    """The first names that adults bear, with the cohorts that they are of.

    Nobody came with a misspelt name: those keep their births only, unless they were among the `asked` and may be names.
    """
    cohorts = [f"births_{year}" for year in COHORTS]
    of_key = first.group_by("key").agg(n=pl.sum_horizontal(pl.col("^births_.*$").sum()) + pl.col("excess").sum())
    none = _misspelt(of_key, asked, ratio=SLIP_FIRST, doubled=True) + list(casing.read_list("never_foreign.txt"))
    foreign = pl.when(pl.col("key").is_in(none)).then(0).otherwise("foreign").cast(pl.UInt32).alias("foreign")
    kept = first.with_columns(foreign).filter(
        (pl.sum_horizontal(cohorts) >= MIN_BIRTHS) | (pl.col("foreign") >= MIN_FOREIGN)
    )
    others = [c for c in first.columns if c.startswith("births_") and c not in cohorts]
    return kept.drop("excess", "alive_adult", *others)


def _misspelt(frequency: pl.DataFrame, asked: Collection[str], *, ratio: float, doubled: bool) -> list[str]:
    """Keys that are slips of others, by a frame of key and frequency; of the `asked` ones only sure slips."""
    found = slips(dict(frequency.iter_rows()), ratio=ratio, doubled=doubled)
    return [slip for slip, name in found.items() if slip not in asked or swapped(slip, name)]


def borne(last: pl.DataFrame, asked: Collection[str], told: Told) -> pl.DataFrame:
    """The surnames without misspelt ones, each with the bearers that it stands for."""
    none = _misspelt(last.select("key", "bearers"), asked, ratio=SLIP_LAST, doubled=False)
    kept = last.filter(~pl.col("key").is_in(none)).join(told.standing, on="key", how="left", maintain_order="left")
    bearers = (pl.col("bearers") * pl.col("factor").fill_null(1.0)).round().cast(pl.UInt32)
    return kept.with_columns(bearers.alias("bearers")).drop("factor")


def everybody(vendored: pl.DataFrame) -> dict[str, float]:
    """People by ethnicity, whether their surname is listed or not."""
    named = ethnicity_shares(vendored, "count", overall_shares(vendored, "count"), "pacific_islander_last.txt")
    listed = {e: named.select(pl.col("count").cast(float).dot(f"share_{e}")).item() / SHARE_UNIT for e in ETHNICITIES}
    unlisted = float(vendored["count"].sum()) * UNLISTED / (1 - UNLISTED)
    rest = UNLISTED_SHARES | {
        "asian": UNLISTED_SHARES["api"] * (1 - PACIFIC_SHARE),
        "native_american": UNLISTED_SHARES["aian"],
        "pacific_islander": UNLISTED_SHARES["api"] * PACIFIC_SHARE,
        "two_or_more": UNLISTED_SHARES["two"],
    }
    return {e: listed[e] + unlisted * rest[e] for e in ETHNICITIES}


def surnames(vendored: pl.DataFrame) -> pl.DataFrame:
    """Key, name, listed (whether a list here spells it), bearers, shares; by key."""
    named = ethnicity_shares(vendored, "count", overall_shares(vendored, "count"), "pacific_islander_last.txt")
    iberian = pl.col("share_hispanic") + pl.col("share_asian") > SHARE_UNIT // 2
    common = named.filter((pl.col("share_hispanic") > 0.4 * SHARE_UNIT) & (pl.col("count") >= 3_000))
    common = common.filter(~pl.col("key").is_in(list(casing.PARTICLES)))
    spanish = dict(zip(common["key"].to_list(), common["count"].to_list(), strict=True))
    spelling = casing.exceptions("surnames_cased.txt")
    saints = {casing.key_of(word) for word in casing.read_list("saint_surnames.txt")}
    display = [
        casing.surname(key, spelling, saints, spanish, is_iberian)
        for key, is_iberian in named.select("key", iberian).iter_rows()
    ]
    named = named.with_columns(pl.Series("name", display))
    # Tripled within ten years outside the groups that immigration tripled: read wrongly from a form.
    misread = (
        (pl.col("count") >= 3 * pl.col("count_2010"))
        & (pl.max_horizontal("share_asian", "share_black") < SHARE_UNIT // 2)
        & ~pl.col("name").str.contains(" ")
    )
    placeholder = pl.col("key").is_in(casing.read_list("non_names_last.txt"))
    two_letters = (pl.col("key").str.len_chars() < 3) & (pl.col("share_asian") < 0.4 * SHARE_UNIT)
    kept = named.filter(
        (pl.col("count") >= MIN_BEARERS) & ~misread.fill_null(False) & ~placeholder & ~two_letters
    ).sort("key")
    listed = pl.col("key").is_in(list(spelling))
    return kept.select(
        "key", "name", listed.alias("listed"), pl.col("count").alias("bearers"), *[f"share_{e}" for e in ETHNICITIES]
    )


def _parquet_bytes(frame: pl.DataFrame, facts: dict[str, object]) -> bytes:
    """Serialise with every setting fixed, so that equal tables are equal bytes."""
    metadata = {METADATA: json.dumps(facts)}
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).replace_schema_metadata(metadata)
    lists = [f"{c}.list.element" for c in ("heritage", "heritage_share", "born") if c in frame.columns]
    plain = [c for c in frame.columns if not isinstance(frame.schema[c], pl.List) and c not in {"name", "sex"}]
    return parquet_bytes(
        table,
        use_dictionary=["sex"] if "sex" in frame.columns else False,
        column_encoding={"name": "DELTA_BYTE_ARRAY"} | dict.fromkeys([*plain, *lists], "PLAIN"),
        store_schema=True,
    )
