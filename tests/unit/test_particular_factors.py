"""From places and titles to factors: likelihoods, and shares that come out among the people who are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.particulars.answers import (
    Holders,
    Home,
    Named,
    Part,
    Place,
    Studies,
    Terms,
    Title,
    read_places,
    read_titles,
)
from pipeline.particulars.enrichment import Outcome
from pipeline.particulars.factors import (
    FLOOR,
    GIVENS,
    NEEDS,
    RULED_OUT,
    detail_table,
    fitted,
    place_table,
    subject_table,
    title_table,
    written,
)
from pipeline.particulars.files import PEOPLE, files_of
from pipeline.particulars.requests import WITHIN, Kind, details, load_settings
from serving.particulars import Particulars
from tests.support.particulars import answer
from warehouse.particulars import AGES, PLACES, TITLES

US = load_catalogue("us")
SETTINGS = load_settings(US)
CATEGORIES = {d.id: d.category_ids for d in US.dimensions}


def people(n: int = 6_000, **fixed: str) -> dict[str, np.ndarray]:
    """People whose values are uneven and independent, but for those that are fixed."""
    rng = np.random.default_rng(1)
    found = {}
    for name in NEEDS:
        weights = rng.dirichlet(np.ones(len(CATEGORIES[name])))
        found[name] = rng.choice(len(weights), n, p=weights).astype(np.uint8)
    for name, category in fixed.items():
        found[name][:] = CATEGORIES[name].index(category)
    return found


def test_factors_are_likelihoods() -> None:
    table = title_table(read_titles(answer(US, "title", "sales"), US, SETTINGS), (), (), US, SETTINGS)
    sex, education, age, field, industry, income, arrangement, faith = table.factors
    female, bachelor = CATEGORIES["sex"].index("female"), CATEGORIES["education"].index("bachelor")
    assert (sex[0, female], sex[1, female]) == (0.05, 0.95)
    assert (education[0, bachelor], education[2, bachelor]) == (0.9, 0.1)
    assert (age == 1).all() and (field == 1).all() and (arrangement == 1).all() and (faith == 1).all()
    unlisted = len(CATEGORIES["industry"]) - 3  # of two that are listed, and none
    assert industry[0, 0] == 0.8 and industry[0, 5] == pytest.approx(0.05 / unlisted * RULED_OUT)
    bands = income.reshape(len(sex), len(CATEGORIES["employment"]), -1)
    full_time = bands[0, CATEGORIES["employment"].index("full_time")]
    # Half of the mass lies between quartiles of 20,000 and 30,000, and so all but none of it below 10,000.
    assert full_time[CATEGORIES["personal_income"].index("20k_35k")] > 0.5
    assert FLOOR < full_time[0] < 0.002 and full_time[-1] == FLOOR
    assert full_time.sum() == pytest.approx(1, abs=8 * FLOOR)
    assert (bands[0, CATEGORIES["employment"].index("part_time")] == 1).all()


def test_what_was_not_told_of_a_heritage_is_as_everywhere() -> None:
    places = read_places(answer(US, "place", "maine"), US, SETTINGS)
    kinds, heritages, *living = place_table(places, (), (), US).factors
    assert kinds[0].tolist() == [0.8, 0.05, 0.05, 0.05, 0.05]
    assert heritages[0].tolist() == [5, *[1] * (len(CATEGORIES["heritage"]) - 1)]
    assert all((factors == 1).all() for factors in living)


def test_who_lives_in_towers_without_a_car_and_goes_by_train_is_in_the_city() -> None:
    kinds = (0.2,) * 5
    places = [Place("Manhattan", 0.5, kinds, {}), Place("Batavia", 0.5, kinds, {})]
    towers, farms = (0.01, 0.02, 0.1, 0.86, 0, 0.01), (0.8, 0.05, 0.05, 0.01, 0.08, 0.01)
    homes = [Home("Batavia", farms, 0.05, (0.01, 0.04, 0.95)), Home("Manhattan", towers, 0.76, (0.6, 0.3, 0.1))]
    told = place_table(places, (), homes, US)
    dwelling, vehicle, way = told.factors[2:]
    assert dwelling[0].tolist() == [0.01, 0.02, 0.1, 0.86, FLOOR, 0.01] and dwelling[1, 0] == 0.8
    none, *some = vehicle[0].tolist()
    assert none == 0.76 and some == pytest.approx([0.24] * len(some))
    ways = dict(zip(CATEGORIES["commute_mode"], way[0].tolist(), strict=True))
    assert (ways["public_transport"], ways["walks"], ways["cycles"], ways["drives_alone"]) == (0.6, 0.3, 0.3, 0.1)
    assert ways["works_from_home"] == ways["not_applicable"] == 1
    content = written("region", GIVENS["place"], {"new_york": told}, US)
    read = Particulars.read(content, PLACES, CATEGORIES)
    fixed = {"region": "new_york", "dwelling": "detached_house", "vehicle": "suv", "commute_mode": "drives_alone"}
    drawn = read.draw_rows(1, "x", np.arange(4_000, dtype=np.uint64), people(4_000, **fixed))
    # Batavia .8 * .95 * .95, Manhattan .01 * .24 * .1.
    assert drawn.mean() > 0.998
    fixed |= {"dwelling": "large_apartment_building", "vehicle": "none", "commute_mode": "public_transport"}
    drawn = read.draw_rows(1, "x", np.arange(4_000, dtype=np.uint64), people(4_000, **fixed))
    assert drawn.mean() < 0.002


@pytest.mark.parametrize("kind", ["place", "title"])
def test_the_people_who_are_drawn_come_out_by_the_shares_that_were_told(kind: Kind) -> None:
    if kind == "place":
        category, these, file = "maine", people(region="maine"), PLACES
        told = place_table(read_places(answer(US, "place", category), US, SETTINGS), (), (), US)
    else:
        category, these, file = "sales", people(occupation="sales"), TITLES
        # As many of each industry, so that what others rule out leaves room for every title.
        these["industry"] = (np.arange(6_000) % (len(CATEGORIES["industry"]) - 1)).astype(np.uint8)
        told = title_table(read_titles(answer(US, "title", category), US, SETTINGS), (), (), US, SETTINGS)
    index = np.arange(6_000, dtype=np.uint64)
    shares = []
    for table in (told, fitted(told, kind, category, US, these)):
        content = written(WITHIN[kind], GIVENS[kind], {category: table}, US)
        assert content == written(WITHIN[kind], GIVENS[kind], {category: table}, US)
        drawn = Particulars.read(content, file, CATEGORIES).draw_rows(1, kind, index, these)
        shares.append(np.bincount(drawn, minlength=len(table.names)) / len(index))
    assert np.abs(shares[0] - told.shares).sum() > 0.2
    assert np.abs(shares[1] - told.shares).sum() < 0.06  # of drawing 6,000


def test_of_a_category_that_nobody_is_of_the_shares_stay() -> None:
    told = place_table(read_places(answer(US, "place", "maine"), US, SETTINGS), (), (), US)
    assert fitted(told, "place", "maine", US, people(region="ohio")) is told


def test_nobody_is_of_a_place_that_has_not_their_surroundings() -> None:
    kinds = len(CATEGORIES["urbanicity"])
    places = [Place("Portland", 0.9, (0,) * (kinds - 1) + (1,), {}), Place("Eastport", 0.1, (0.5, 0.5, 0, 0, 0), {})]
    these = people(4_000, region="maine")
    table = fitted(place_table(places, (), (), US), "place", "maine", US, these)
    content = written("region", GIVENS["place"], {"maine": table}, US)
    rows = Particulars.read(content, PLACES, CATEGORIES).draw_rows(1, "x", np.arange(4_000, dtype=np.uint64), these)
    assert (rows[these["urbanicity"] < 2] == 1).all() and (rows[these["urbanicity"] == kinds - 1] == 0).all()
    # Of surroundings that no place has, it goes by the shares.
    assert 0 < rows[these["urbanicity"] == 2].mean() < 1


def title(name: str, share: float) -> Title:
    return Title(name, share, 0.5, 0.5, (20_000, 90_000), {})


def test_a_part_of_a_city_has_its_name_behind() -> None:
    places = read_places(answer(US, "place", "maine"), US, SETTINGS)
    names = place_table(places, [Part(places[1].name, "Bangor")], (), US).names
    assert names[:3] == (places[0].name, f"{places[1].name}, Bangor", places[2].name)


def test_what_the_holders_cannot_be_nobody_is_and_the_rest_of_the_title_makes_up_for_it() -> None:
    educations, ages = CATEGORIES["education"], CATEGORIES["age"]
    anybody = Holders("clerk", (1 / 8,) * 8, (1 / 7,) * 7, {})
    learned = Holders("judge", (0,) * 6 + (1, 0), (0, 0.1, 0.3, 0.3, 0.2, 0.1, 0), {"law_public_service": 0.97})
    titles = [title("clerk", 0.9), title("judge", 0.1)]
    told = title_table(titles, [learned, anybody], (), US, SETTINGS)
    these = people(20_000, occupation="legal")
    table = fitted(told, "title", "legal", US, these)
    content = written("occupation", GIVENS["title"], {"legal": table}, US)
    rows = Particulars.read(content, TITLES, CATEGORIES).draw_rows(1, "x", np.arange(20_000, dtype=np.uint64), these)
    judges = rows == 1
    assert set(these["education"][judges].tolist()) == {educations.index("professional")}
    assert not {ages.index("18_24"), ages.index("75_plus")} & set(these["age"][judges].tolist())
    possible = (these["education"] == educations.index("professional")) & (these["age"] > 0) & (these["age"] < 6)
    if possible.mean() > 0.11:
        assert judges.mean() == pytest.approx(0.1, abs=0.01)
    # Where fewer can than should, all who can do, and no others.
    none = {name: codes.copy() for name, codes in these.items()}
    none["education"][none["education"] == educations.index("professional")] = 0
    none["education"][:200] = educations.index("professional")
    few = fitted(told, "title", "legal", US, none)
    content = written("occupation", GIVENS["title"], {"legal": few}, US)
    rows = Particulars.read(content, TITLES, CATEGORIES).draw_rows(1, "x", np.arange(20_000, dtype=np.uint64), none)
    can = (none["education"] == educations.index("professional")) & (none["age"] > 0) & (none["age"] < 6)
    assert (rows == 1)[can].mean() > 0.95 and not (rows == 1)[~can].any()


def test_a_trace_of_an_education_is_nobody() -> None:
    learned = Holders("judge", (0, 0.002, 0.004, 0.004, 0.01, 0.08, 0.8, 0.1), (1 / 7,) * 7, {})
    education = title_table([title("judge", 1)], [learned], (), US, SETTINGS).factors[1][0]
    assert education[5:].tolist() == [0.08, 0.8, 0.1]
    assert (np.diff(education[:5]) > 0).all() and education[4] < RULED_OUT  # the more, the nearer to the learned


def test_for_whom_everything_is_ruled_out_the_least_unlikely_is_drawn() -> None:
    learned = Holders("judge", (0,) * 6 + (1, 0), (1 / 7,) * 7, {})
    half = Holders("clerk", (0, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0), (1 / 7,) * 7, {})
    table = title_table([title("judge", 0.1), title("clerk", 0.9)], [learned, half], (), US, SETTINGS)
    these = people(2_000, education="less_than_high_school")
    content = written("occupation", GIVENS["title"], {"legal": table}, US)
    these["occupation"][:] = CATEGORIES["occupation"].index("legal")
    rows = Particulars.read(content, TITLES, CATEGORIES).draw_rows(1, "x", np.arange(2_000, dtype=np.uint64), these)
    assert (rows == 1).all()  # next to whom there are clerks, and judges far away


def test_who_has_no_field_of_study_is_no_less_likely_to_have_a_title() -> None:
    learned = Holders("judge", (1 / 8,) * 8, (1 / 7,) * 7, {"law_public_service": 0.97})
    field = title_table([title("judge", 1)], [learned], (), US, SETTINGS).factors[3][0]
    fields = CATEGORIES["field_of_study"]
    assert field[fields.index("not_applicable")] == 1 and field[fields.index("law_public_service")] == 0.97
    assert field[fields.index("trades")] == pytest.approx(0.03 / (len(fields) - 2))


def test_nobody_has_a_title_of_which_the_work_cannot_be_done_so() -> None:
    titles = [title("clerk", 0.5), title("cleaner", 0.5)]
    terms = [
        Terms("clerk", (0.3, 0.3, 0.4), (0.5, 0.25, 0.25)),
        Terms("cleaner", (0.995, 0, 0.005), (0.5, 0.5, 0)),
    ]
    told = title_table(titles, (), terms, US, SETTINGS)
    these = people(20_000, occupation="sales")
    content = written("occupation", GIVENS["title"], {"sales": fitted(told, "title", "sales", US, these)}, US)
    rows = Particulars.read(content, TITLES, CATEGORIES).draw_rows(1, "x", np.arange(20_000, dtype=np.uint64), these)
    where, how = (these[name] for name in ("work_arrangement", "employment"))
    arrangements, employments = CATEGORIES["work_arrangement"], CATEGORIES["employment"]
    cleaners = rows == 1
    assert cleaners.any()
    for category in ("hybrid", "remote"):  # of which a trace is nobody
        of_these = where == arrangements.index(category)
        assert of_these.any() and not cleaners[of_these].any()
    self_employed = how == employments.index("self_employed")
    assert self_employed.any() and not cleaners[self_employed].any()
    # Who has neither is none the less likely to have a title: nothing was told of them.
    idle = (where == arrangements.index("not_applicable")) & (how == employments.index("retired"))
    assert 0 < cleaners[idle].mean() < 1
    # Where not all titles were asked about, none is told apart.
    *_, arrangement = title_table(titles, (), terms[:1], US, SETTINGS).factors
    assert (arrangement == 1).all()


CANCER = details(US)["diagnosis.cancer"]
TOLD = (
    Named("breast cancer", 0.4, {"sex": {"female": 1.9, "male": 0}}),
    Named("prostate cancer", 0.4, {"sex": {"female": 0, "male": 2.0}}),
    Named("lung cancer", 0.2, {}),
)


def test_of_a_detail_what_was_not_told_is_neutral_and_zero_rules_out() -> None:
    age, sex, health = detail_table(TOLD, CANCER).factors
    assert (age == 1).all() and (health == 1).all()
    assert sex.tolist() == [[1.9, RULED_OUT], [RULED_OUT, 2.0], [1.0, 1.0]]


def test_of_those_who_differ_as_many_have_a_detail_as_was_told_and_nobody_what_is_ruled_out() -> None:
    sexes = np.arange(20_000) % 2
    these = {
        "chronic_condition": np.full(20_000, CATEGORIES["chronic_condition"].index("cancer")),
        "age": np.zeros(20_000, dtype=np.int64),
        "sex": sexes,
        "general_health": np.zeros(20_000, dtype=np.int64),
    }
    givens = [(dimension.id,) for dimension in CANCER.by]
    content = written("chronic_condition", givens, {"cancer": detail_table(TOLD, CANCER)}, US)
    read = Particulars.read(content, "diagnosis.parquet", CATEGORIES)
    rows = read.draw_rows(1, "diagnosis", np.arange(20_000, dtype=np.uint64), these)
    female = sexes == CATEGORIES["sex"].index("female")
    assert not (rows[female] == 1).any() and not (rows[~female] == 0).any()
    # Of women .4 times 1.9 against .2; of men .4 times 2 against .2.
    assert (rows[female] == 0).mean() == pytest.approx(0.76 / 0.96, abs=0.015)
    assert (rows[~female] == 1).mean() == pytest.approx(0.8, abs=0.015)


def test_a_detail_and_its_twin_have_the_same_names_by_the_same_factors() -> None:
    rows = {"denomination.jewish": (Named("Reform Jew", 0.7, {"region": {"new_york": 0.4}}), Named("Hasid", 0.3, {}))}
    kinds: tuple[Kind, ...] = ("place", "title", "income", "part", "home", "holder", "arrangement", "study")
    outcomes = {kind: Outcome({}, (), {}) for kind in kinds} | {"detail": Outcome(rows, (), {})}
    rng = np.random.default_rng(2)
    these = {name: rng.integers(0, len(CATEGORIES[name]), 5_000).astype(np.uint8) for name in PEOPLE}
    made = files_of(US, outcomes, these)
    assert set(made) == {AGES, "denomination.parquet", "childhood_denomination.parquet"}
    now, before = (
        Particulars.read(made[f"{f}.parquet"], f, CATEGORIES) for f in ("denomination", "childhood_denomination")
    )
    index = np.arange(5_000, dtype=np.uint64)
    these |= {"ethnicity": these["heritage"] % 8}
    then = these | {"childhood_religion": np.full(5_000, CATEGORIES["childhood_religion"].index("jewish"))}
    today = these | {"religion": np.full(5_000, CATEGORIES["religion"].index("jewish"))}
    grown = before.draw_rows(7, "childhood_denomination", index, then)
    assert (now.draw_rows(7, "denomination", index, today) == grown).all()
    assert set(grown.tolist()) == {0, 1}


def test_subjects_go_with_the_title_and_what_was_not_listed_shares_what_is_left() -> None:
    trades = details(US)["subject.trades"]
    rows = [Named("welding", 0.5, {"sex": {"female": 0.2}}), Named("plumbing", 0.3, {}), Named("carpentry", 0.2, {})]
    studies = [
        Studies("plumber", {"trades": {"Plumbing": 1.0}}),
        Studies("luthier", {"trades": {"instrument making": 0.6}}),
        Studies("nurse", {"health": {"nursing": 1.0}}),
        None,
    ]
    table = subject_table(rows, trades, studies)
    assert table.names == ("welding", "plumbing", "carpentry", "instrument making")
    sex, by_title = table.factors[0], table.factors[-1]
    assert sex[:, CATEGORIES["sex"].index("female")].tolist() == [0.2, 1, 1, 1]
    given = (table.shares[:, None] * by_title) / (table.shares[:, None] * by_title).sum(axis=0)
    assert given[:, 0] == pytest.approx([0, 1, 0, 0], abs=1e-6)
    assert given[:, 1] == pytest.approx([0.2, 0.12, 0.08, 0.6], abs=1e-6)
    for column in (2, 3, 4):  # of another field, of whom nobody told, and without a title
        assert given[:, column] == pytest.approx([0.5, 0.3, 0.2, 0], abs=1e-6)


def test_a_title_that_takes_a_faith_is_held_by_the_faithful_alone() -> None:
    titles = [title("priest", 0.5), title("counselor", 0.5)]
    told = title_table(titles, (), (), US, SETTINGS)
    religions = CATEGORIES["religion"]
    faith = dict(zip(religions, told.factors[-1].T.tolist(), strict=True))
    assert faith["catholic"] == [1, 1] and faith["atheist"] == [RULED_OUT, 1]
    these = people(4_000, occupation="community_social")
    content = written("occupation", GIVENS["title"], {"community_social": told}, US)
    rows = Particulars.read(content, TITLES, CATEGORIES).draw_rows(1, "x", np.arange(4_000, dtype=np.uint64), these)
    held = {religions[code] for code in np.unique(these["religion"][rows == 0])}
    assert "catholic" in held and held <= set(SETTINGS.faiths["priest"])
