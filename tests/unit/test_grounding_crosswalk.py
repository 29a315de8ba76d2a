"""Recoding of respondents and personas, on a data frame made up here; the microdata themselves are an extra."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.grounding.crosswalk import (
    BAND_SHARES,
    banded,
    coded_respondents,
    crosswalk,
    load_crosswalks,
    personas,
    scale_means,
)
from serving import Sampler, Snapshot
from warehouse.errors import GroundingError

CATALOGUE = load_catalogue("us")
SOURCE: dict[str, Any] = {
    "package": "none",
    "item": "none",
    "adults": True,
    "rows": {"years": [18, 120]},
    "weight": "w",
    "groups": ["sex"],
    "columns": {
        "sex": {"match": "exact", "column": "s", "values": {"1": "female", "0": "male"}},
        "employment": {
            "match": "rough",
            "note": "collapsed",
            "column": "job",
            "values": {"yes": "works", "no": "does_not"},
            "personas": {"works": ["full_time", "part_time", "self_employed"], "does_not": ["retired", "unemployed"]},
        },
        "occupation": {
            "match": "rough",
            "note": "two groups",
            "column": "occ",
            "values": {"law": "legal", "sale": "sales"},
            "personas": {"legal": ["legal"], "sales": ["sales"], "none": ["none"]},
            "among": {"employment": ["works"]},
            "outside": "none",
        },
        "personal_income": {
            "match": "rough",
            "note": "other money",
            "column": "pay",
            "times": 2.0,
            "cuts": {"under_10k": 0, "rest": 10_000},
            "personas": {"under_10k": ["under_10k"], "rest": ["10k_20k", "20k_35k"]},
            "among": {"employment": ["works"]},
            "joint": False,
        },
        "ethnicity": {
            "match": "rough",
            "note": "Hispanic first",
            "column": "race",
            "values": {"w": "white"},
            "first": {"column": "hisp", "values": {"1": "hispanic"}},
            "personas": {"white": ["white"], "hispanic": ["hispanic"]},
        },
    },
    "leanings": [{"theme": "income", "label": "some", "column": "personal_income", "categories": ["rest"]}],
}
FRAME = pd.DataFrame(
    {
        "years": [17, 30, 40, 50, 60],
        "w": [9.0, 1.0, 1.0, 2.0, 4.0],
        "s": [1, 1, 0, 1, 0],
        "job": ["yes", "yes", "no", "yes", None],
        "occ": ["law", "law", "sale", "other", "sale"],
        "pay": [1.0, 4_999.0, 9e9, 5_000.0, np.nan],
        "race": ["w", "w", "w", "b", "b"],
        "hisp": [np.nan, np.nan, 1.0, 0.0, 1.0],
    }
)


def test_a_population_has_the_data_sets_about_it() -> None:
    ours = {walk.id for walk in load_crosswalks(CATALOGUE)}
    assert "acs12" in ours and not ours & {"smoking", "ESS9GB"}
    elsewhere = CATALOGUE.population.model_copy(update={"id": "nowhere"})
    assert load_crosswalks(CATALOGUE.model_copy(update={"population": elsewhere})) == ()


def test_respondents_are_recoded_by_values_cuts_precedence_and_of_whom_a_column_is_told() -> None:
    walk = crosswalk("made_up", SOURCE, CATALOGUE)
    people = coded_respondents(walk, FRAME)
    assert [c.id for c in walk.columns] == ["sex", "ethnicity", "employment", "occupation", "personal_income"]
    # The one of 17 is out of frame. The second does not work, whatever the occupation and pay say.
    assert people.codes.tolist() == [[0, 0, 0, 0, 0], [1, 1, 1, 2, -1], [0, -1, 0, -1, 1], [1, 1, -1, 1, -1]]
    assert people.weights.tolist() == [0.5, 0.5, 1.0, 2.0]
    assert people.of([0, 2]).codes.tolist() == [[0, 0], [1, 1], [0, 0]]


def test_who_has_no_value_is_in_the_category_that_says_so() -> None:
    source = copy.deepcopy(SOURCE)
    source["columns"]["sex"] |= {"column": "hisp", "values": {"1": "male"}, "missing": "female"}
    people = coded_respondents(crosswalk("made_up", source, CATALOGUE), FRAME)
    assert people.codes[:, 0].tolist() == [0, 1, -1, 1]  # nothing, yes, no, yes
    source["columns"]["sex"]["missing"] = "neither"
    with pytest.raises(GroundingError, match="lead to neither"):
        crosswalk("made_up", source, CATALOGUE)


def test_personas_fall_into_the_same_columns() -> None:
    walk = crosswalk("made_up", SOURCE, CATALOGUE)
    batch = Sampler(Snapshot.load("us")).sample(2_000, seed=3, fields=[c.id for c in walk.columns])
    made = personas(walk, batch)
    employment, occupation = made.codes[:, 2], made.codes[:, 3]
    jobs = np.array(CATALOGUE.dimension("employment").category_ids)[batch.codes("employment")]
    assert (employment[jobs == "self_employed"] == 0).all()
    assert (employment[jobs == "retired"] == 1).all()
    assert (employment[jobs == "student"] == -1).all()
    assert (occupation[employment == 1] == 2).all()
    assert not (occupation[employment == 0] == 2).any()
    assert (made.codes[employment == 1, 4] == -1).all()


@pytest.mark.parametrize(
    ("column", "key", "value", "message"),
    [
        ("sex", "match", "rough", "with a note"),
        ("employment", "personas", {"works": ["full_time"], "does_not": ["full_time"]}, "each once at most"),
        ("employment", "personas", {"works": ["nobody"], "does_not": ["retired"]}, "each once at most"),
        ("employment", "values", {"yes": "elsewhere"}, "lead to elsewhere"),
        ("occupation", "outside", "legal", "must be the last"),
        ("occupation", "among", {"employment": ["sleeps"]}, "'employment' with sleeps"),
    ],
)
def test_a_malformed_crosswalk_is_refused_by_name(column: str, key: str, value: object, message: str) -> None:
    source = copy.deepcopy(SOURCE)
    source["columns"][column][key] = value
    with pytest.raises(GroundingError, match=message):
        crosswalk("made_up", source, CATALOGUE)


def test_a_dimension_that_is_not_in_the_catalogue_is_refused() -> None:
    source = copy.deepcopy(SOURCE)
    source["columns"]["sign_of_the_zodiac"] = {}
    with pytest.raises(GroundingError, match="sign_of_the_zodiac: the catalogue has no"):
        crosswalk("made_up", source, CATALOGUE)


def test_the_crosswalks_fit_the_catalogue_and_say_of_every_set_who_was_asked() -> None:
    walks = load_crosswalks(CATALOGUE)
    assert {w.id for w in walks if w.adults} == {"acs12", "TV16", "gss_wages", "gss_abortion", "gss_spending"}
    assert {w.id for w in walks if not w.adults and not w.held_out} == {"mm_nhis", "bfi", "TIPI"}
    held_out = {"anes_partytherms", "wvs_usa_abortion", "happiness", "HealthInsurance", "nesarc_drinkspd"}
    assert {w.id for w in walks if w.held_out} == held_out
    for walk in walks:
        assert walk.source["frame"] and walk.source["weights"] and walk.source["years"]
        assert bool(walk.evidence) == (walk.id in {"mm_nhis", "anes_partytherms", "HealthInsurance"})


def test_scales_are_reversed_averaged_and_banded_by_rank() -> None:
    frame = pd.DataFrame({"a": [1.0, 6.0, np.nan], "b": [6.0, 6.0, 3.0]})
    means = scale_means(frame, ["a", "-b"], 1, 6)
    assert means[:2].tolist() == [1.0, 3.5]
    assert np.isnan(means[2])
    scores = np.repeat(np.arange(4.0), 250)
    bands = banded(np.append(scores, np.nan), BAND_SHARES)
    assert bands[-1] == -1
    assert np.bincount(bands[:-1]).tolist() == [100, 200, 400, 200, 100]
    assert (np.diff([scores[bands[:-1] == b].mean() for b in range(5)]) > 0).all()
