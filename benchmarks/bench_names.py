"""How drawn names compare with the published tables, whose heritage they are, what they cost.

    python -m benchmarks.bench_names [snapshot]

Fills the tables of docs/names.md from the packaged snapshot `us`, or the folder given. Draws from fixed seeds; about a
minute on one core. What the names are made of is `warehouse.names`; bounds are asserted in tests, nothing is here.
"""

from __future__ import annotations

import json
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from benchmarks.pages import fill, table
from pipeline.heritage_shares import RELIGION
from serving.batch import Batch
from serving.names import Names
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.names import casing, export
from warehouse.names.files import FILES, FIRST, FOREIGN, HERITAGE_UNIT, LAST, METADATA, REST, SHARE_UNIT

PAGE = Path(__file__).parent.parent / "docs" / "names.md"
VENDORED = Path(export.__file__).parent
CHECKED = Path(__file__).parent / "names_checked.toml"
DRAWS = 1_000_000
PERSONAS, PEOPLE = 100_000, 4_000_000
PER_HERITAGE = 200_000
DECADES = range(1930, 2001, 10)
DECADE_DRAWS = 1_000_000
FIRST_COHORT = 1930  # before it there is hardly anybody left
ROUNDS = 5
SARAH_ROUNDS = 8
FEW, OF_IT, ONE_PEOPLE = 500, 0.1, 0.8  # people of a heritage; shares told of a name
FIELDS = ("sex", "ethnicity", "nativity", "heritage")
GROUP_OF = {"white": "white", "black": "black", "asian": "api", "pacific_islander": "api", "native_american": "aian"}
GROUP_OF |= {"two_or_more": "two", "hispanic": "hispanic"}

Codes = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class People:
    """What names are drawn for: codes of FIELDS and of RELIGION, and birth years; all of shape (n,)."""

    sex: Codes
    ethnicity: Codes
    nativity: Codes
    heritage: Codes
    birth_year: Codes
    religion: Codes

    def of(self, chosen: Codes) -> People:
        """Some of them, by place."""
        return People(**{name: values[chosen] for name, values in vars(self).items()})


class Subject:
    """A snapshot and its names, with random people from a fixed seed."""

    def __init__(self, snapshot: Snapshot) -> None:
        assert snapshot.names is not None, "the snapshot has no names"
        self.snapshot, self.names = snapshot, snapshot.names
        self.categories = {name: snapshot.dimension(name).categories for name in FIELDS}
        self.keys = {"first": as_keys(self.names.first), "last": as_keys(self.names.last)}
        self.rng = np.random.default_rng(1)
        batch = Sampler(snapshot).sample(PEOPLE, seed="names", fields=[*FIELDS, RELIGION, "birth_date"])
        years = batch.to_arrow()["birth_date"].to_numpy().astype("datetime64[Y]").astype(np.int64) + 1970
        codes = {name: batch.codes(name) for name in FIELDS}
        self.people = People(**codes, birth_year=years, religion=batch.codes(RELIGION))

    def code(self, dimension: str, category: str) -> int:
        """Code of a category."""
        return self.categories[dimension].index(category)

    @property
    def native(self) -> npt.NDArray[np.bool_]:
        """Which of the people were born in the country."""
        return self.people.nativity != self.code("nativity", FOREIGN)

    def draw(self, people: People, seed: str) -> dict[str, Codes]:
        """Rows of the first names and surnames of these people."""
        drawn = self.names.draw_rows(seed, np.arange(len(people.sex), dtype=np.uint64), **vars(people))
        # A surname in the form of one sex counts as the surname.
        return {name: self.names.listed(kind, drawn[kind]) for kind, name in enumerate(("first", "last"))}

    def counts(self, kind: str, rows: Codes) -> dict[str, int]:
        """How often each name was drawn, by key."""
        distinct, counts = np.unique(rows, return_counts=True)
        found = pl.DataFrame({"key": self.keys[kind][distinct], "n": counts}).group_by("key").sum()
        return dict(found.iter_rows())

    def like(self, ethnicity: Codes, among: Flags) -> People:
        """People of these ethnicities, in all else like those of `among` who have the ethnicity."""
        found = np.empty(len(ethnicity), dtype=np.int64)
        for code in np.unique(ethnicity):
            pool = np.flatnonzero(among & (self.people.ethnicity == code))
            members = np.flatnonzero(ethnicity == code)
            found[members] = self.rng.choice(pool, len(members))
        return self.people.of(found)


def published(kind: str) -> pl.DataFrame:
    """Shares of the Census groups by key, of the names with at least a thousand bearers."""
    file = "first_names" if kind == "first" else "surnames"
    groups = [pl.col(g).max() / 10_000 for g in export.GROUPS]
    return pl.read_parquet(VENDORED / f"{file}.parquet").filter(pl.col("count") >= 1_000).group_by("key").agg(groups)


def bearers(subject: Subject) -> Floats:
    """Ethnicities among the bearers of all surnames, as the file implies; (ethnicities,), summing to 1."""
    counted = with_white(pl.read_parquet(subject.snapshot.folder / LAST))
    return shares_over(subject, counted, pl.col("bearers").cast(pl.Float64))


def cohort(subject: Subject, sex: str, year: int) -> Floats:
    """Ethnicities among which the names of a cohort have their published shares, (ethnicities,), summing to 1.

    The draw tilts these shares to the ethnicities of the cohort, and divides by the sum of what is tilted.
    """
    file = subject.snapshot.folder / FIRST
    tilts = json.loads(pq.read_schema(file).metadata[METADATA])["native_tilt"][sex]
    place = subject.names.cohorts.tolist().index(year)
    tilted = pl.sum_horizontal(pl.col(f"share_{e}") * factors[place] for e, factors in tilts.items())
    counted = with_white(pl.read_parquet(file)).filter(sex=sex)
    return shares_over(subject, counted, pl.col(f"births_{year}") / tilted)


def with_white(counted: pl.DataFrame) -> pl.DataFrame:
    rest = SHARE_UNIT - pl.sum_horizontal(pl.col("^share_.*$").cast(pl.Int64))
    return counted.with_columns(rest.alias(f"share_{REST}"))


def shares_over(subject: Subject, counted: pl.DataFrame, weight: pl.Expr) -> Floats:
    mass = [
        counted.select((weight * pl.col(f"share_{e}")).sum()).item() if e in GROUP_OF else 0.0
        for e in subject.categories["ethnicity"]
    ]
    return np.array(mass) / sum(mass)


def deviations(subject: Subject, rows: Codes, ethnicity: Codes, kind: str) -> Floats:
    """Standard errors between the share of each Census group among those who drew a name, and the published one."""
    groups = [GROUP_OF.get(e, "") for e in subject.categories["ethnicity"]]
    drawn = pl.DataFrame({"key": subject.keys[kind][rows], "group": np.array(groups)[ethnicity]})
    found = drawn.group_by("key").agg(
        *((pl.col("group") == g).mean().alias(f"drawn_{g}") for g in export.GROUPS), pl.len()
    )
    both = found.filter(pl.col("len") >= 200).join(published(kind), on="key")
    errors = []
    for group in export.GROUPS:
        p, n = both[group].to_numpy(), both["len"].to_numpy()
        told = n * np.minimum(p, 1 - p) >= 5  # else the share is no normal variable
        off = both[f"drawn_{group}"].to_numpy() - p
        errors.append((off / np.sqrt(np.maximum(p * (1 - p), 1e-12) / n))[told])
    return np.concatenate(errors)


def race_block(subject: Subject) -> str:
    p = bearers(subject)
    codes = subject.rng.choice(len(p), DRAWS, p=p)
    measured = [
        ("surnames", subject.draw(subject.like(codes, np.ones(PEOPLE, dtype=np.bool_)), "race")["last"], codes, "last")
    ]
    parts, of = [], []
    for sex in ("female", "male"):
        for year in range(FIRST_COHORT, subject.names.cohorts[-1] + 1, 5):
            p = cohort(subject, sex, year)
            count = DRAWS // 32
            there = subject.native & (subject.people.birth_year // 5 * 5 == year)
            codes = subject.rng.choice(len(p), count, p=p)
            people = replace(
                subject.like(codes, there),
                sex=np.full(count, subject.code("sex", sex)),
                birth_year=np.full(count, year),
            )
            parts.append(subject.draw(people, f"race {sex} {year}")["first"])
            of.append(codes)
    measured.append(("first names of the US-born", np.concatenate(parts), np.concatenate(of), "first"))
    lines = []
    for label, rows, codes, kind in measured:
        z = deviations(subject, rows, codes, kind)
        beyond = np.abs(z) > 2
        lines.append(
            [label, f"{len(z):,}", f"{beyond.mean():.1%}", f"{z.std():.2f}", f"{np.percentile(np.abs(z), 99):.1f}"]
        )
    return table(
        ["", "comparisons", "beyond 2 s.e. (chance alone: 4.6 %)", "s.d. of z (1)", "99th percentile of abs z (2.6)"],
        lines,
    )


def as_keys(names: Texts) -> Texts:
    distinct, place = np.unique(names.astype(str), return_inverse=True)
    return np.array([casing.key_of(name) for name in distinct], dtype=object)[place]


def top_block(subject: Subject) -> str:
    births = pl.read_parquet(VENDORED / "first_names.parquet").filter(pl.col("key") != export.ALL_OTHERS)
    lines = []
    for decade in DECADES:
        off = []
        for sex in ("female", "male"):
            of_sex = subject.native & (subject.people.sex == subject.code("sex", sex))
            there = np.flatnonzero(of_sex & (subject.people.birth_year // 10 * 10 == decade))
            people = subject.people.of(subject.rng.choice(there, DECADE_DRAWS))
            cohorts = [decade, decade + 5]
            counted = births.filter(sex=sex[0].upper()).select("key", *(f"births_{year}" for year in cohorts))
            weights = np.array([(people.birth_year // 5 * 5 == year).mean() for year in cohorts])
            drawn = subject.counts("first", subject.draw(people, f"top {decade} {sex}")["first"])
            off.append(np.abs(off_by(drawn, top_100(counted, weights))))
        both = np.concatenate(off)
        within = (both <= 0.1).mean()
        lines.append(
            [f"{decade}s", f"{both.mean():.1%}", f"{np.median(both):.1%}", f"{both.max():.1%}", f"{within:.0%}"]
        )
    return table(["born in the", "mean", "median", "largest", "within 10 %"], lines)


def top_100(births: pl.DataFrame, weights: Floats) -> dict[str, float]:
    """The most frequent names and their shares, where the cohorts that are the columns beside `key` weigh so."""
    shares = [pl.col(c) / pl.col(c).sum() * w for c, w in zip(births.columns[1:], weights, strict=True)]
    top = births.select("key", n=pl.sum_horizontal(shares)).top_k(100, by="n")
    return dict(top.iter_rows())


def off_by(drawn: dict[str, int], expected: dict[str, float]) -> Floats:
    """Relative deviations of the drawn shares from the expected ones."""
    drawn_in_all = sum(drawn.values())
    return np.array([drawn.get(key, 0) / drawn_in_all / p - 1 for key, p in expected.items()])


def effective(keys: Sequence[str] | Texts) -> float:
    """Effective number of distinct values, exp of the entropy."""
    _, counts = np.unique(np.asarray(keys).astype(str), return_counts=True)
    p = counts / counts.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def diversity_block(subject: Subject) -> str:
    batch = Sampler(subject.snapshot).sample(
        PERSONAS, seed=1, fields=["first_name", "last_name", "nativity", "sex", "birth_date"]
    )
    first, last = (np.array(batch.values(name), dtype=object) for name in ("first_name", "last_name"))
    _, full = np.unique((first + " " + last).astype(str), return_counts=True)
    native = batch.codes("nativity") != subject.code("nativity", FOREIGN)
    mine, theirs = effective(as_keys(first[native])), effective(same_births(subject, batch, native))
    sarahs, expected = sarah_chen(subject)
    return table(
        ["", "measured", "bound or expected"],
        [
            [f"most frequent full name among {PERSONAS:,} personas", f"{full.max() / PERSONAS:.3%}", "0.05 %"],
            ["different full names among them", f"{len(full):,}", ""],
            ["effective number of first names, US-born", f"{mine:,.0f}", f"{theirs:,.0f} ({mine / theirs - 1:+.1%})"],
            ["effective number of first names, all", f"{effective(first):,.0f}", ""],
            ["effective number of surnames, all", f"{effective(last):,.0f}", ""],
            *raised(subject, last),
            ["Sarah Chen among a million personas", f"{sarahs:.1f}", f"{expected:.1f}"],
        ],
    )


def raised(subject: Subject, last: Texts) -> list[list[str]]:
    """How many of these people bear a surname that stands for rarer ones, by how many times its own bearers it does."""
    names = pl.read_parquet(subject.snapshot.folder / LAST, columns=["name", "bearers"])
    counted = pl.read_parquet(VENDORED / "surnames.parquet", columns=["key", "count"])
    known = names.with_columns(key=pl.Series(as_keys(names["name"].to_numpy()), dtype=pl.String)).join(
        counted, on="key"
    )
    times = dict(known.select("name", pl.col("bearers") / pl.col("count")).iter_rows())
    # Forms of one sex that the Census does not list are left out.
    each = np.array([times[name] for name in last if name in times])
    return [
        [f"of them with a surname that stands for over {most} times its bearers", f"{(each > most).mean():.1%}", ""]
        for most in (2, 5)
    ]


def same_births(subject: Subject, batch: Batch, chosen: npt.NDArray[np.bool_]) -> Texts:
    """For each of these personas the name of somebody of that sex and cohort, drawn from all births.

    As many draws as there are personas, because the entropy of a sample is lower the smaller it is.
    """
    births = pl.read_parquet(VENDORED / "first_names.parquet").filter(pl.col("key") != export.ALL_OTHERS)
    years = np.array([date.year for date in batch.values("birth_date")])[chosen]
    cohorts, sexes = np.maximum(years // 5 * 5, 1910), batch.codes("sex")[chosen]
    drawn = np.empty(len(years), dtype=object)
    for code, sex in enumerate(subject.categories["sex"]):
        of_sex = births.filter(sex=sex[0].upper())
        for cohort in np.unique(cohorts):
            members = np.flatnonzero((sexes == code) & (cohorts == cohort))
            weights = of_sex[f"births_{cohort}"].to_numpy().astype(np.float64)
            drawn[members] = subject.rng.choice(of_sex["key"].to_numpy(), len(members), p=weights / weights.sum())
    return drawn


def sarah_chen(subject: Subject) -> tuple[float, float]:
    """Per million: drawn, and what the Census implies if first name and surname are independent within a group."""
    sarah, chen, met = subject.names.first == "Sarah", subject.names.last == "Chen", []
    for again in range(SARAH_ROUNDS):
        rows = subject.draw(subject.people, f"sarah {again}")
        met.append((sarah[rows["first"]] & chen[rows["last"]]).mean())
    mass = {}
    for file, key in (("first_names", "SARAH"), ("surnames", "CHEN")):
        counted = pl.read_parquet(VENDORED / f"{file}.parquet").filter(pl.col("count").is_not_null())
        counted = counted.unique("key").select("key", *(pl.col(g) * pl.col("count").cast(float) for g in export.GROUPS))
        own, total = counted.filter(key=key).drop("key").row(0), counted.drop("key").sum().row(0)
        mass[file] = np.array(own) / np.array(total), np.array(total) / sum(total)
    (p_first, _), (p_last, groups) = mass["first_names"], mass["surnames"]
    rate = float((p_first * p_last * groups).sum()) * (1 - export.UNLISTED) * 1e6
    return float(np.mean(met)) * 1e6, rate


def routing_block(subject: Subject) -> tuple[str, str]:
    """How much of a checked name's bearers have its heritage, over all and by heritage."""
    checked = tomllib.loads(CHECKED.read_text(encoding="utf-8"))
    heritages = subject.categories["heritage"]
    share = np.bincount(subject.people.heritage, minlength=len(heritages)) / len(subject.people.heritage)
    wanted = {kind: sorted({casing.key_of(n) for names in by.values() for n in names}) for kind, by in checked.items()}
    found = {kind: np.zeros((len(names), len(heritages))) for kind, names in wanted.items()}
    for code in range(len(heritages)):
        pool = np.flatnonzero(subject.people.heritage == code)
        people = subject.people.of(subject.rng.choice(pool, PER_HERITAGE))
        for kind, rows in subject.draw(people, f"routing {code}").items():
            counts = subject.counts(kind, rows)
            drawn = np.array([counts.get(key, 0) for key in wanted[kind]])
            found[kind][:, code] = drawn / PER_HERITAGE * share[code]
    before = by_ethnicity_alone(subject, wanted)
    told = {}
    for kind, file in (("first", FIRST), ("last", LAST)):
        stored = pl.read_parquet(subject.snapshot.folder / file).filter(pl.col("heritage").list.len() > 0)
        told[kind] = set(as_keys(stored["name"].to_numpy()))
    lines, asked, unasked = [], [], []
    for heritage in heritages:
        code = subject.code("heritage", heritage)
        rows = []
        for kind, by in checked.items():
            for name in by.get(heritage, ()):
                place = wanted[kind].index(casing.key_of(name))
                routed = found[kind][place] / found[kind][place].sum()
                measured = (routed[code], routed.argmax() == code, before[kind][place][code])
                rows.append(measured)
                (asked if casing.key_of(name) in told[kind] else unasked).append(measured)
        if rows:
            mean = np.mean(np.array(rows, dtype=np.float64), axis=0)
            lines.append([heritage, str(len(rows)), f"{mean[0]:.0%}", f"{mean[1]:.0%}", f"{mean[2]:.0%}"])
    head = ["names", "of their bearers have it", "of the names have it most", "by ethnicity alone"]
    total = []
    for label, rows in (("all", asked + unasked), ("those with an answer", asked), ("those without", unasked)):
        if rows:
            mean = np.mean(np.array(rows, dtype=np.float64), axis=0)
            total.append([label, str(len(rows)), f"{mean[0]:.0%}", f"{mean[1]:.0%}", f"{mean[2]:.0%}"])
    return table(["", *head], total), table(["heritage", *head], lines)


def told_shares(subject: Subject) -> dict[str, Floats]:
    """P(heritage | name) as told, by row of each file, (rows, heritages); 0 for what was not told."""
    found = {}
    for kind, file in (("first", FIRST), ("last", LAST)):
        path = subject.snapshot.folder / file
        order = json.loads(pq.read_schema(path).metadata[METADATA])["heritages"]
        tags = pl.read_parquet(path).with_row_index("row").explode("heritage", "heritage_share").drop_nulls("heritage")
        codes = np.array([subject.code("heritage", heritage) for heritage in order])[tags["heritage"].to_numpy()]
        found[kind] = np.zeros((len(subject.keys[kind]), len(subject.categories["heritage"])))
        found[kind][tags["row"].to_numpy(), codes] = tags["heritage_share"].to_numpy() / HERITAGE_UNIT
    return found


def abroad_block(subject: Subject) -> tuple[str, str]:
    """How many of the foreign-born have names of their heritage, and how often both names of a person disagree."""
    told = told_shares(subject)
    heritages = subject.categories["heritage"]
    lines = []
    for code, heritage in enumerate(heritages):
        pool = np.flatnonzero(~subject.native & (subject.people.heritage == code))
        if len(pool) < FEW:
            continue
        people = subject.people.of(subject.rng.choice(pool, PER_HERITAGE))
        first, last = (told[kind][rows, code] >= OF_IT for kind, rows in subject.draw(people, f"abroad {code}").items())
        lines.append([heritage, *(f"{share.mean():.0%}" for share in (first, last, ~first & ~last))])
    rows = subject.draw(subject.people, "both")
    first, last = (
        np.where(told[kind].max(axis=1) >= ONE_PEOPLE, told[kind].argmax(axis=1), -1)[rows[kind]]
        for kind in ("first", "last")
    )
    both = (first >= 0) & (last >= 0)
    off = both & (first != last)
    pairs = table(
        ["", "share"],
        [
            ["of personas, both names are told to be mostly of one heritage", f"{both.mean():.1%}"],
            ["of these, of two different ones", f"{off.sum() / both.sum():.1%}"],
        ],
    )
    return table(["heritage", "first name", "surname", "neither"], lines), pairs


def faith_block(subject: Subject) -> str:
    """Who has a name that is told to be of other faiths than that of their childhood, with and without regard to it."""
    head = ["heritage", "faith", "first name, without regard to it", "by faith", "surname, without", "by faith"]
    facts = json.loads(pq.read_schema(subject.snapshot.folder / LAST).metadata[METADATA]).get("faiths")
    if facts is None:
        return table(head, [])
    religions = subject.snapshot.dimension(RELIGION).categories
    neither = next(code for code, religion in enumerate(religions) if religion not in facts["of"])
    told = {kind: faith_shares(subject, file) for kind, file in (("first", FIRST), ("last", LAST))}
    lines = []
    for heritage, faiths in product(facts["among"], sorted(set(map(tuple, facts["of"].values())))):
        codes = [religions.index(religion) for religion, of in facts["of"].items() if tuple(of) == faiths]
        of_it = subject.people.heritage == subject.code("heritage", heritage)
        chosen = np.flatnonzero(of_it & np.isin(subject.people.religion, codes))
        if len(chosen) < FEW:
            continue
        people = subject.people.of(subject.rng.choice(chosen, PER_HERITAGE))
        without = replace(people, religion=np.full(PER_HERITAGE, neither))
        others = [place for place, faith in enumerate(facts["names"]) if faith not in faiths]
        drawn = subject.draw(without, heritage), subject.draw(people, heritage)
        shares = [
            (told[kind][rows[kind]][:, others].sum(axis=1) >= ONE_PEOPLE).mean() for kind in told for rows in drawn
        ]
        lines.append([heritage, " or ".join(faiths), *(f"{share:.0%}" for share in shares)])
    return table(head, lines)


def faith_shares(subject: Subject, file: str) -> Floats:
    """What is told of the faiths of the names of a file, (rows, faiths); 0 throughout where nothing is."""
    lists = pl.read_parquet(subject.snapshot.folder / file)["faith_share"]
    none = [0] * lists.list.len().max()  # type: ignore[operator]
    return np.array([one or none for one in lists.to_list()]) / HERITAGE_UNIT


def by_ethnicity_alone(subject: Subject, wanted: dict[str, list[str]]) -> dict[str, Floats]:
    """P(heritage | name) if a name told no more than the Census shares: sum over e of P(e | name) P(heritage | e)."""
    ethnicities, heritages = subject.categories["ethnicity"], subject.categories["heritage"]
    joint = np.zeros((len(ethnicities), len(heritages)))
    np.add.at(joint, (subject.people.ethnicity, subject.people.heritage), 1)
    given = joint / joint.sum(axis=1, keepdims=True)
    counted = [place for place, e in enumerate(ethnicities) if e in GROUP_OF]
    found = {}
    for kind, file in (("first", FIRST), ("last", LAST)):
        stored = pl.read_parquet(subject.snapshot.folder / file).unique("name", keep="first", maintain_order=True)
        stored = stored.with_columns(key=pl.Series(as_keys(stored["name"].to_numpy()), dtype=pl.String))
        stored = with_white(stored)
        rows = pl.DataFrame({"key": wanted[kind]}).join(stored, on="key", how="left", maintain_order="left")
        shares = rows.select(f"share_{ethnicities[place]}" for place in counted).to_numpy() / SHARE_UNIT
        found[kind] = shares @ given[counted]
    return found


def cost_block(subject: Subject) -> str:
    snapshot = subject.snapshot
    some = subject.people.of(np.arange(PERSONAS))
    index = np.arange(PERSONAS, dtype=np.uint64)
    fresh = Snapshot.load(snapshot.folder).names
    assert fresh is not None
    first_use = seconds(lambda: fresh.draw_rows(0, index, **vars(some)))

    def into_arrow() -> None:
        rows = fresh.draw_rows(0, index, **vars(some))
        for kind, chosen in enumerate(rows):
            fresh.spelt(kind, chosen)

    samplers = [Sampler(snapshot, "numpy"), Sampler(snapshot, "numba")]
    dimensions = [d.id for d in snapshot.dimensions]
    times = []
    for _ in range(ROUNDS):
        rest = [seconds(partial(one.sample, PERSONAS, seed=1, fields=dimensions)) for one in samplers]
        times.append([seconds(into_arrow), *rest])
    both, *without = np.array(times).min(axis=0)
    parts = " / ".join(f"{both / (both + one):.0%}" for one in without)
    size = {name: (snapshot.folder / name).stat().st_size / 1e6 for name in FILES}
    names: Names = subject.names
    return table(
        ["", "measured", "bound"],
        [
            ["first names / surnames", f"{len(set(names.first)):,} / {len(set(names.last)):,}", "30,000 / 50,000"],
            ["the files", f"{sum(size.values()):.2f} MB ({' + '.join(f'{one:.2f}' for one in size.values())})", "4 MB"],
            ["drawing both names into Arrow, of a persona's time, numpy / numba", parts, "15 %"],
            [f"making the tables that {PERSONAS:,} personas need, once", f"{first_use:.1f} s", ""],
            ["these tables in memory", f"{fresh.nbytes / 1e6:.0f} MB", ""],
        ],
    )


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    subject = Subject(Snapshot.load(sys.argv[1] if sys.argv[1:] else "us"))
    overall, by_heritage = routing_block(subject)
    abroad, pairs = abroad_block(subject)
    fill(
        PAGE,
        {
            "cost": cost_block(subject),
            "race": race_block(subject),
            "top": top_block(subject),
            "diversity": diversity_block(subject),
            "routing": overall,
            "heritages": by_heritage,
            "abroad": abroad,
            "pairs": pairs,
            "faith": faith_block(subject),
        },
    )


if __name__ == "__main__":
    main()
