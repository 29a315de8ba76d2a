"""The recorded edition as a panel: its passes keep equal weights, and a useless third is shut out by itself."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipeline.catalogue.models import Catalogue
from pipeline.combination.agreement import Agreement
from pipeline.combination.influence import influences
from pipeline.combination.scorecards import Standing, standings
from pipeline.corpus import judged
from pipeline.plan import Plan
from pipeline.prompts.validation import estimates_frame
from pipeline.resources import CORPUS, EDITION
from pipeline.scorecard_frames import influence_frame, panel_maps, scorecard_frame, shares_accepted

PASSES = ["recorded-pass-1", "recorded-pass-2"]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(EDITION, CORPUS / EDITION)


@pytest.fixture(scope="module")
def us(plan: Plan) -> Catalogue:
    return plan.catalogues["us"]


@pytest.fixture(scope="module")
def estimates(plan: Plan, us: Catalogue) -> pl.DataFrame:
    """Of two passes, to which the tests add a third member."""
    found = [e for outcome in judged(plan).values() for e in outcome.estimates]
    return estimates_frame([e for e in found if e.population == "us" and e.model in PASSES], us.dimension)


def weights(us: Catalogue, estimates: pl.DataFrame, members: list[str], acceptance: list[float]) -> list[float]:
    return [s.weight for s in standings(Agreement.of(panel_maps(us, estimates), members), acceptance)]


def test_the_recorded_passes_have_equal_weights(us: Catalogue, estimates: pl.DataFrame) -> None:
    assert weights(us, estimates, PASSES, [1.0, 1.0]) == [1.0, 1.0]
    assert weights(us, estimates, PASSES, [753 / 756, 1.0]) == [1.0, 1.0]


def test_a_third_that_answers_next_to_nothing_is_shut_out(us: Catalogue, estimates: pl.DataFrame) -> None:
    first = estimates.filter(pl.col("model") == PASSES[0])
    echo = first.filter((pl.col("dimension") == "handedness") & (pl.col("given").list.len() == 0))
    three = pl.concat([estimates, echo.with_columns(model=pl.lit("useless"), probability=1 / echo.height)])
    assert weights(us, three, [*PASSES, "useless"], [1.0, 1.0, 0.01]) == [1.0, 1.0, 0.0]
    assert weights(us, estimates, [*PASSES, "useless"], [1.0, 1.0, 0.0]) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_a_third_that_answers_everything_at_random_is_shut_out(
    us: Catalogue, estimates: pl.DataFrame, noise: float
) -> None:
    first = estimates.filter(pl.col("model") == PASSES[0])
    drawn = first["probability"].to_numpy() * np.exp(np.random.default_rng(7).normal(0, noise, first.height))
    row = ["dimension", "given", "condition"]
    wild = first.with_columns(model=pl.lit("wild"), probability=pl.Series(drawn)).with_columns(
        probability=pl.col("probability") / pl.col("probability").sum().over(row)
    )
    both = pl.concat([estimates, wild])
    assert weights(us, both, [*PASSES, "wild"], [1.0, 1.0, 1.0]) == [1.0, 1.0, 0.0]


def test_the_mass_of_conditions_is_a_distribution_that_follows_the_base_rates(
    us: Catalogue, estimates: pl.DataFrame
) -> None:
    maps = {(m.dimension, m.given): m for m in panel_maps(us, estimates)}
    assert len(maps) == sum(len(d.asked) for d in us.dimensions)
    assert all(m.mass.sum() == pytest.approx(1) and (m.mass >= 0).all() for m in maps.values())
    assert all(m.mass.size == np.prod(m.allowed.shape[:-1], dtype=int) for m in maps.values())
    sex = np.mean(list(maps["sex", ()].answers.values()), axis=0)
    assert maps["height", ("sex",)].mass == pytest.approx(sex, abs=0.01)


def test_acceptance_is_of_what_was_answered() -> None:
    counts = pl.DataFrame({"model": ["a", "b"], "answered": [4, 0], "accepted": [3, 0]})
    assert shares_accepted(counts, ["b", "a", "new"]) == [0.0, 0.75, 0.0]


def test_cards_keep_what_is_unknown_empty() -> None:
    counts = pl.DataFrame(
        {
            "model": ["a"],
            "requests": [9],
            "answered": [5],
            "first": [3],
            "accepted": [4],
            "usd_per_cell": [None],
            "tokens_per_cell": [12.5],
            "median_seconds": [1.0],
            "p95_seconds": [2.0],
        }
    )
    rejected = pl.DataFrame({"model": ["a", "a"], "reason": ["bad_sum", "refusal"], "answers": [1, 2]})
    nothing = float("nan")
    standing = Standing("a", nothing, nothing, nothing, nothing, None, nothing, 1.0)
    (row,) = scorecard_frame("us", "e", counts, rejected, [standing]).to_dicts()
    assert (row["distance"], row["usd_per_cell"], row["tokens_per_cell"], row["weight"]) == (None, None, 12.5, 1.0)
    assert row["rejected"] == [{"reason": "bad_sum", "answers": 1}, {"reason": "refusal", "answers": 2}]


def test_influences_name_the_condition(us: Catalogue, estimates: pl.DataFrame) -> None:
    one = next(m for m in panel_maps(us, estimates) if m.dimension == "height" and m.given == ("sex",))
    frame = influence_frame("e", us, [(one, influences(one, dict.fromkeys(PASSES, 1.0)))])
    assert frame["model"].to_list() == PASSES
    assert {c for (c,) in frame["worst_condition"].to_list()} <= set(us.dimension("sex").category_ids)
    assert (frame["tv"] > 0).all()
