"""Weights of personas as of a survey's year and by its sampling, and how they are told from respondents."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.grounding.crosswalk import load_crosswalks
from pipeline.grounding.settings import ADULTS_AT_HOME, HOUSEHOLD, as_sampled, fields_of, of_year
from serving import Sampler, Snapshot

WALKS = {walk.id: walk for walk in load_crosswalks(load_catalogue("us"))}
SNAPSHOT = Snapshot.load("us")
N = 20_000


def test_every_dimension_has_the_base_rate_that_was_told_and_keeps_how_it_goes_together() -> None:
    walk = WALKS["gss_abortion"]
    batch = Sampler(SNAPSHOT).sample(N, 1, fields=fields_of(walk))
    rng = np.random.default_rng(2)
    told = {(2014, column.id): rng.dirichlet(np.full(len(column.dimension.categories), 20)) for column in walk.columns}
    weights = of_year(walk, batch, told)
    for column in walk.columns:
        share = np.bincount(batch.codes(column.id), weights, len(column.dimension.categories)) / weights.sum()
        assert share == pytest.approx(told[2014, column.id], abs=1e-3)
    # The odds of sex by age are those of the personas, as raking keeps them where nothing else is between.
    sexes = {(2014, name): told[2014, name] for name in ("age", "sex")}
    pair = [column for column in walk.columns if column.id in ("age", "sex")]
    only = of_year(type(walk)(walk.id, tuple(pair), (), walk.source), batch, sexes)
    cell = 2 * batch.codes("age").astype(int) + batch.codes("sex")
    before, after = (np.bincount(cell, w, 14).reshape(7, 2) for w in (np.ones(N), only))
    odds = [np.log(table[:, 0] * table[0, 1] / (table[:, 1] * table[0, 0])) for table in (before, after)]
    assert odds[0] == pytest.approx(odds[1], abs=1e-6)


def test_one_adult_of_each_household_is_asked_and_nobody_outside() -> None:
    walk = WALKS["gss_wages"]
    batch = Sampler(SNAPSHOT).sample(N, 1, fields=fields_of(walk))
    weights = dict(zip(batch.values(HOUSEHOLD), as_sampled(walk, batch, {}).tolist(), strict=True))
    assert (weights["alone"], weights["partner"], weights["parents"]) == (1, 0.5, pytest.approx(1 / 3))
    assert weights["group_quarters"] == 0


def test_a_survey_of_no_known_year_or_sampling_leaves_personas_as_they_are() -> None:
    walk = WALKS["bfi"]
    batch = Sampler(SNAPSHOT).sample(100, 1, fields=fields_of(walk))
    assert HOUSEHOLD not in fields_of(walk)
    assert (of_year(walk, batch, {}) == 1).all() and (as_sampled(walk, batch, {}) == 1).all()


def test_a_panel_weighs_people_until_every_column_is_as_was_told_of_it() -> None:
    walk = WALKS["TV16"]
    batch = Sampler(SNAPSHOT).sample(N, 1, fields=fields_of(walk))
    told = {}
    for column in walk.columns:
        size = len(column.dimension.categories)
        odd = np.bincount(batch.codes(column.id), minlength=size) * np.where(np.arange(size) % 2, 1.3, 1.0)
        told[walk.id, column.id] = odd / odd.sum()
    weights = as_sampled(walk, batch, told)
    for column in walk.columns:
        share = np.bincount(batch.codes(column.id), weights=weights, minlength=len(column.dimension.categories))
        assert share / share.sum() == pytest.approx(told[walk.id, column.id], abs=0.005)


def test_adults_at_home_are_told_of_every_arrangement() -> None:
    for population in ("us", "gb"):
        assert set(load_catalogue(population).dimension(HOUSEHOLD).category_ids) == ADULTS_AT_HOME.keys()
    assert sum(walk.one_of_household for walk in WALKS.values() if not walk.held_out) == 3
