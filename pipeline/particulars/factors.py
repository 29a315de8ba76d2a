"""From places, job titles and details to the factors that a snapshot carries.

Belongs here: likelihoods of what is known of a person given one of these, and fitting shares to the people who are
drawn. Does not belong here: answers (`answers`), the layout of the files (`warehouse.particulars`), drawing.

    P(place | region, kind of surroundings, heritage, dwelling, vehicle, commute)
        ~ share * P(kind | place) * multiple(heritage) * P(dwelling | place) P(vehicle or none | place) P(way | place)
    P(title | occupation, sex, education, age, field of study, industry, employment, income, work arrangement, religion)
        ~ share * P(sex | title) P(education | title) P(age | title) P(field | title) P(industry | title)
          * P(employment | title) P(band | title) P(arrangement | title), 0 without the faith that it takes
    P(detail | category, others) ~ share * product of multiple(other)
    P(subject | field, others, title) ~ share * product of multiple(other) * P(subject | field, title) / share

which is Bayes' rule with these independent of each other given the place, title or detail. The people who are drawn
are not those of the answers, so that shares would come out otherwise than they were told. They are scaled until they
come out, as far as that can be: where fewer have the degree than should have the title, fewer have the title. Those of
details stay as told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.catalogue.models import Catalogue
from pipeline.combination.raking import Margin, rake
from pipeline.particulars.answers import Holders, Home, LowIncomes, Named, Part, Place, Studies, Terms, Title
from pipeline.particulars.requests import AT_WORK, NONE, WITHIN, WITHOUT, Detail, Kind, Settings, arrangements
from pipeline.prompts.parsing import canonical
from serving.incomes import income_bands
from warehouse.parquet import parquet_bytes
from warehouse.particulars import INCOME_PARTS, INCOME_UNIT, JOB_TITLE, METADATA, column_of, title_categories
from warehouse.snapshot_format import round_significant

GIVENS: Mapping[Kind, tuple[tuple[str, ...], ...]] = {
    "place": (("urbanicity",), ("heritage",), ("dwelling",), ("vehicle",), ("commute_mode",)),
    "title": (
        *(("sex",), ("education",), ("age",), ("field_of_study",)),
        *(("industry",), ("employment", "personal_income"), ("work_arrangement",), ("religion",)),
    ),
}
"""What a place and a title depend on besides what it is within; dimensions of one given act together."""

NEEDS = tuple(
    dict.fromkeys([*(WITHIN[k] for k in GIVENS), *(name for givens in GIVENS.values() for g in givens for name in g)])
)
"""All dimensions that any of these depend on."""

DRAWN_BY: tuple[Kind, ...] = ("place", "title", "income", "detail", "part", "home", "holder", "arrangement", "study")
"""The kinds of answers that these factors are made of."""

FLOOR = 0.0005
"""The least probability that a likelihood gives where a zero says that nothing was thought of. Where it was asked what
is ruled out (surroundings of a place; schooling and age of a title's holders, and how they work), a zero rules out.
"""

TRACE = 0.01
"""Shares of a title's holders by education, arrangement and terms below which nobody is meant: stock values, by the
model's own account, which scaling would make many of where few have the schooling that the others have.
"""

RULED_OUT = 1e-9
"""What remains of a likelihood that is ruled out: it decides for those alone for whom everything is."""

NEARNESS = 0.01
"""How much less of it remains for each step on the scale from those who were told of."""

MOST_SCALED = 100.0
"""How many times its share a place or title may be scaled up or down, so that what is ruled out stays so."""

FULL_TIME, FEMALE, FIELD = "full_time", "female", "field_of_study"

NO_VEHICLE = "none"
WAYS: Mapping[str, int | None] = {
    **{"public_transport": 0, "walks": 1, "cycles": 1},
    **{"works_from_home": None, "not_applicable": None},
}
"""Which of `Home.ways` a category of `commute_mode` is of; the last, where it is not listed; None for no way at all."""
_QUARTILE = 0.6744897501960817  # of the standard normal distribution

Floats = npt.NDArray[np.float64]
People = Mapping[str, npt.NDArray[np.uint8]]
"""Codes by dimension of the people who are drawn, each (n,)."""


@dataclass(frozen=True, slots=True)
class Table:
    """Names within one category: shares (names,), and a factor for each given, (names, combinations of categories)."""

    names: tuple[str, ...]
    shares: Floats
    factors: tuple[Floats, ...]


def place_table(places: Sequence[Place], parts: Sequence[Part], homes: Sequence[Home], catalogue: Catalogue) -> Table:
    """The places of a region as they were told, those that are parts of something with its name behind theirs. Where it
    was not asked how people live there, nobody is told apart by it.
    """
    kinds = _ruling_out(np.array([place.kinds for place in places]), 0.0)
    heritages = catalogue.dimension("heritage").category_ids
    multiples = np.array([[place.multiples.get(h, 1.0) for h in heritages] for place in places])
    shares = np.array([place.share for place in places])
    of = {part.name: f", {part.of}" for part in parts}
    names = tuple(place.name + of.get(place.name, "") for place in places)
    return Table(names, shares, (kinds, np.maximum(multiples, FLOOR), *_living(places, homes, catalogue)))


def _living(places: Sequence[Place], homes: Sequence[Home], catalogue: Catalogue) -> tuple[Floats, Floats, Floats]:
    """Factors of the dwelling, the vehicle and the way to work, which have no say in who has no such way."""
    dwellings, vehicles, ways = (
        catalogue.dimension(name).category_ids for name in ("dwelling", "vehicle", "commute_mode")
    )
    by_name = {one.name: one for one in homes}
    if any(place.name not in by_name for place in places):
        neutral = [np.ones((len(places), len(ids))) for ids in (dwellings, vehicles, ways)]
        return neutral[0], neutral[1], neutral[2]
    told = [by_name[place.name] for place in places]
    vehicle = [[one.without_vehicle if v == NO_VEHICLE else 1 - one.without_vehicle for v in vehicles] for one in told]
    way = [[1.0 if (place := WAYS.get(w, 2)) is None else one.ways[place] for w in ways] for one in told]
    dwelling = [one.dwelling for one in told]
    return np.maximum(dwelling, FLOOR), np.maximum(vehicle, FLOOR), np.maximum(way, FLOOR)


def title_table(
    titles: Sequence[Title],
    holders: Sequence[Holders],
    terms: Sequence[Terms],
    catalogue: Catalogue,
    settings: Settings,
) -> Table:
    """The titles of an occupation as they were told, who holds them and how they work. Where holders were not asked
    about, nobody is told apart by age and field of study, and by education only whether it is a degree; where terms
    were not, nobody by arrangement and terms.
    """
    sexes, employments = (catalogue.dimension(name).category_ids for name in ("sex", "employment"))
    women = np.array([[t.women if sex == FEMALE else 1 - t.women for sex in sexes] for t in titles])
    industry = np.array([_industries(t.industries, catalogue) for t in titles])
    bands = np.maximum([_in_bands(t.pay, catalogue) for t in titles], FLOOR)
    # Pay was told of people who work full time; of others a band says nothing about the title.
    income = np.ones((len(titles), len(employments), bands.shape[1]))
    income[:, employments.index(FULL_TIME)] = bands
    employment, arrangement = _work(titles, terms, catalogue)
    income *= employment[:, :, None]
    factors = (
        np.maximum(women, FLOOR),
        *_schooling(titles, holders, catalogue, settings),
        industry,
        income.reshape(len(titles), -1),
        arrangement,
        _faiths(titles, catalogue, settings),
    )
    shares = np.array([t.share for t in titles])
    return Table(tuple(t.name for t in titles), shares, factors)


def _faiths(titles: Sequence[Title], catalogue: Catalogue, settings: Settings) -> Floats:
    """Factors of religion: only of titles that one has to have a faith for."""
    religions = catalogue.dimension("religion").category_ids
    open_to = [settings.faiths.get(title.name, religions) for title in titles]
    return np.array([[1.0 if one in held else RULED_OUT for one in religions] for held in open_to])


def detail_table(rows: Sequence[Named], detail: Detail) -> Table:
    """What a category leaves open, as it was told; a multiple of 0 rules out.

    Shares are not scaled (`fitted`): share times multiple is what was told of those who differ, and were there fewer
    East Africans than the model took, West Africans would speak Swahili.
    """
    factors = []
    for dimension in detail.by:
        told = [[row.multiples.get(dimension.id, {}).get(one, 1.0) for one in dimension.category_ids] for row in rows]
        factors.append(np.where(np.array(told) == 0, RULED_OUT, np.maximum(told, FLOOR)))
    return Table(tuple(row.name for row in rows), np.array([row.share for row in rows]), tuple(factors))


def subject_table(rows: Sequence[Named], detail: Detail, studies: Sequence[Studies | None]) -> Table:
    """The subjects of a field, with a last factor by title, in the order of `studies`, and by having none.

    Where holders of a title were told to come from this field, their subjects are those that were listed, and others in
    proportion to their shares for what was left. Subjects that only titles name are next to nobody's otherwise.
    """
    plain = detail_table(rows, detail)
    place = {canonical(name): n for n, name in enumerate(plain.names)}
    names, field = [*plain.names], detail.category.id
    told = [one.subjects.get(field, {}) if one else {} for one in studies]
    for listed in told:
        for name in listed:
            if canonical(name) not in place:
                place[canonical(name)] = len(names)
                names.append(name)
    added = len(names) - len(rows)
    general = np.concatenate([plain.shares, np.zeros(added)])
    shares = np.concatenate([plain.shares, np.full(added, FLOOR)])
    by_title = np.ones((len(names), len(studies) + 1))
    by_title[len(rows) :] = RULED_OUT
    for column, listed in enumerate(told):
        if listed:
            target = np.zeros(len(names))
            target[[place[canonical(name)] for name in listed]] = list(listed.values())
            others = np.where(target == 0, general, 0)
            left = 1 - target.sum()
            if others.sum() > 0 and left > TRACE:
                target += left * others / others.sum()
            by_title[:, column] = np.maximum(target / shares, RULED_OUT)
    more = [np.concatenate([one, np.ones((added, one.shape[1]))]) for one in plain.factors]
    return Table(tuple(names), shares, (*more, by_title))


def _schooling(
    titles: Sequence[Title], holders: Sequence[Holders], catalogue: Catalogue, settings: Settings
) -> tuple[Floats, Floats, Floats]:
    """Factors of education, age and field of study."""
    educations, ages, fields = (catalogue.dimension(name).category_ids for name in ("education", "age", FIELD))
    by_name = {one.name: one for one in holders}
    if any(title.name not in by_name for title in titles):
        degree = np.array(
            [[t.degree if one in settings.degree else 1 - t.degree for one in educations] for t in titles]
        )
        neutral = np.ones((len(titles), len(ages))), np.ones((len(titles), len(fields)))
        return np.maximum(degree, FLOOR), *neutral
    told = [by_name[title.name] for title in titles]
    # Who has no field has no say in it: what was told is of those who have one.
    field = np.array([_spread(one.fields, fields, WITHOUT["holder"]) for one in told])
    field = np.where(np.array(fields) == WITHOUT["holder"], 1.0, np.maximum(field, FLOOR))
    education = _ruling_out(np.array([one.education for one in told]), TRACE)
    return education, _ruling_out(np.array([one.age for one in told]), 0.0), field


def _work(titles: Sequence[Title], terms: Sequence[Terms], catalogue: Catalogue) -> tuple[Floats, Floats]:
    """Factors of employment and of the work arrangement, which have no say in who has no job."""
    by_name = {one.name: one for one in terms}
    told = [by_name[title.name] for title in titles if title.name in by_name]
    found = []
    for dimension, of, rows in (
        ("employment", AT_WORK, [one.employment for one in told]),
        ("work_arrangement", arrangements(catalogue), [one.arrangement for one in told]),
    ):
        ids = catalogue.dimension(dimension).category_ids
        factors = np.ones((len(titles), len(ids)))
        if len(told) == len(titles):
            factors[:, [ids.index(one) for one in of]] = _ruling_out(np.array(rows), TRACE)
        found.append(factors)
    return found[0], found[1]


def _ruling_out(shares: Floats, trace: float) -> Floats:
    """Shares with next to nothing for what is no more than a trace: less, the farther others are."""
    steps = np.arange(shares.shape[1])
    near = shares @ NEARNESS ** np.abs(steps[:, None] - steps)
    return np.where(shares <= trace, np.maximum(near, FLOOR**4) * RULED_OUT, shares)


def _industries(told: Mapping[str, float], catalogue: Catalogue) -> list[float]:
    """Shares of the industries that were listed, with next to nothing for others: each of these has less than three in
    a hundred, and where few have the industry that a title is of, scaling would make school principals in factories.
    """
    ids = catalogue.dimension("industry").category_ids
    unlisted = {one: max(share, FLOOR) * RULED_OUT for one, share in zip(ids, _spread(told, ids, NONE), strict=True)}
    return [told.get(one, 1.0 if one == NONE else unlisted[one]) for one in ids]


def _spread(told: Mapping[str, float], categories: Sequence[str], without: str) -> list[float]:
    """Shares by category, with what is left in equal parts for those that were not listed."""
    unlisted = [one for one in categories if one != without and one not in told]
    rest = (1 - sum(told.values())) / max(len(unlisted), 1)
    return [told.get(one, rest) for one in categories]


def _in_bands(pay: tuple[float, float], catalogue: Catalogue) -> Floats:
    """Mass in the bands of income of the lognormal distribution that has these quartiles."""
    bands = income_bands(catalogue.dimension("personal_income").category_ids)
    begins = bands.values[np.searchsorted(bands.edges, bands.base, side="right")]
    low, high = math.log(pay[0]), math.log(pay[1])
    middle, width = (low + high) / 2, (high - low) / (2 * _QUARTILE)
    below = [0.5 * (1 + math.erf((math.log(b) - middle) / width / math.sqrt(2))) for b in begins[1:].tolist()]
    return np.diff([0.0, *below, 1.0])


def fitted(table: Table, kind: Kind, category: str, catalogue: Catalogue, people: People) -> Table:
    """The same table with shares scaled so that the people of this category who are drawn come out as was told, or as
    near to it as what is ruled out leaves room for.

    Of a category that nobody is of, the shares stay.
    """
    within = catalogue.dimension(WITHIN[kind]).category_ids
    these = people[WITHIN[kind]] == within.index(category)
    if not these.any():
        return table
    cells = np.stack([_cells(given, catalogue, people)[these] for given in GIVENS[kind]], axis=1)
    kinds, counts = np.unique(cells, axis=0, return_counts=True)
    start, faint = np.tile(table.shares, (2, len(kinds), 1))
    for factors, cell in zip(table.factors, kinds.T, strict=True):
        faint *= factors.T[cell]
        start *= np.where(factors < RULED_OUT, 0.0, factors).T[cell]
    nobody = start.max(axis=1) == 0
    start[nobody] = faint[nobody]
    everybody = Margin(np.zeros(len(kinds), dtype=np.intp), table.shares[None, :])
    logs = rake(counts / counts.sum(), start, [everybody]).logs[0][0]
    limit = math.log(MOST_SCALED)
    shares = table.shares * np.exp(np.clip(logs - np.median(logs), -limit, limit))
    return Table(table.names, shares / shares.sum(), table.factors)


def _cells(given: Sequence[str], catalogue: Catalogue, people: People) -> npt.NDArray[np.intp]:
    sizes = tuple(len(catalogue.dimension(name).categories) for name in given)
    return np.ravel_multi_index(tuple(people[name].astype(np.intp) for name in given), sizes)


def written(
    name: str,
    givens: Sequence[tuple[str, ...]],
    tables: Mapping[str, Table],
    catalogue: Catalogue,
    titles: Sequence[str] = (),
) -> bytes:
    """A file of the snapshot, from tables by category of the dimension of this name; `titles` are the names of all job
    titles, in the order of their file, if a given is `job_title`.
    """
    within = catalogue.dimension(name)
    ordered = [(category, tables[category]) for category in within.category_ids if category in tables]
    columns: dict[str, pa.Array] = {
        "within": pa.array([category for category, table in ordered for _ in table.names], pa.string()),
        "name": pa.array([name for _, table in ordered for name in table.names], pa.string()),
        "share": pa.array(_rounded([table.shares for _, table in ordered]), pa.float64()),
    }
    for place, given in enumerate(givens):
        rows = [row for _, table in ordered for row in _relative(table.factors[place])]
        columns[column_of(given)] = pa.array([_rounded([row]) for row in rows], pa.list_(pa.float64()))
    dimensions = dict.fromkeys([within.id, *(name for given in givens for name in given)])
    told = {
        "within": within.id,
        "givens": [list(given) for given in givens],
        "categories": {
            name: title_categories(titles) if name == JOB_TITLE else list(catalogue.dimension(name).category_ids)
            for name in dimensions
        },
    }
    metadata = {METADATA: json.dumps(told, sort_keys=True).encode()}
    return parquet_bytes(pa.table(columns).replace_schema_metadata(metadata), store_schema=True)


def written_incomes(told: Mapping[str, Sequence[LowIncomes]], catalogue: Catalogue) -> bytes:
    """The snapshot's file of low incomes, from answers by category of `employment`; where one is missing, all parts but
    nothing are alike.
    """
    even = (0.0, *[1 / INCOME_PARTS] * INCOME_PARTS)
    rows = {
        one: told[one][0].shares if told.get(one) else even for one in catalogue.dimension("employment").category_ids
    }
    counts = pa.array([_counts(shares) for shares in rows.values()], pa.list_(pa.int64()))
    return parquet_bytes(pa.table({"employment": pa.array(list(rows), pa.string()), "shares": counts}))


def _counts(shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to shares, INCOME_UNIT in all: running sums are rounded, so that none is lost."""
    running = np.round(np.cumsum(shares) / sum(shares) * INCOME_UNIT).astype(int)
    return [int(count) for count in np.diff(running, prepend=0)]


def _relative(factors: Floats) -> Floats:
    """Factors divided by the largest of their combination, which changes no draw: the same for all is 1."""
    return np.asarray(factors / factors.max(axis=0))


def _rounded(arrays: Sequence[Floats]) -> list[float]:
    return [round_significant(value, 4) for array in arrays for value in array.tolist()]
