"""The page about a snapshot and its headline numbers, from figures made up here."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from pipeline.pages.report import Facts, headlines, leanings, render_report, worst_joints, worst_maps
from warehouse.snapshot_format import TABLES, Manifest, PopulationInfo

MANIFEST = Manifest(
    PopulationInfo("us", "adults in <b>Nowhere</b>", 2031, "crowns"),
    "2031.01",
    "c" * 64,
    dict.fromkeys(TABLES, "0" * 64),
    provenance="asked & answered",
    panel=("first", "second"),
)
CARD = {"model": "first", "requests": 10, "first": 9, "accepted": 10, "hedging": 0.01, "distance": 0.1, "tv": 0.03}
CARD |= {"information": 1.0, "similarity": None, "weight": 0.5}
TRIAL = {"dimension": "diet", "strategy": "winner", "chosen": True, "marginal_tv": 0.01, "one_way_tv": 0.02}
TRIAL |= {"two_way_tv": 0.03, "held_out_tv": 0.04, "held_out_js": 0.002, "held_out_js_low": 0.001}
TRIAL |= {"held_out_js_high": 0.003}


def distance(given: list[str], tv: float, held_out: bool = False) -> dict[str, Any]:
    row = {"dimension": "diet", "given": given, "held_out": held_out, "personas": 500, "tv": tv}
    return {**row, "worst_tv": tv, "worst_condition": ["25_34"] * len(given), "worst_mass": 0.1}


def between(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def data_set(name: str, above: float, apart: float, *, adults: bool = True, more: float = 3.0) -> dict[str, Any]:
    pair = {"first": "age", "second": "diet", "edge": True, "exact": False, "respondents": between(0.3)}
    one = {"dimension": "diet", "given": ("age",), "exact": True, "people": 900, "elicited": 0.1, "chance_high": 0.02}
    lean = {"theme": "health", "label": "eats no meat", "group": "", "category": "", "people": 900, "respondents": 9.0}
    group = {**lean, "group": "age", "category": "25_34", "difference": between(-30.0)}
    source = {"package": "made", "item": "up", "label": name, "frame": "all", "weights": "none", "years": "2030"}
    counted = {"dimensions": 6, "subsets": 1, "people": 900, "respondents": 100.0, "personas": 90.0}
    return {
        "data": name,
        "source": {**source, "adults": adults},
        "columns": ["age", "diet"],
        "respondents": 1_000,
        "people": 900,
        "areas": {arm: between(0.6) for arm in ("personas", "matched", "floor", "respondents")},
        "above_floor": {arm: between(above) for arm in ("personas", "matched", "respondents")},
        "maps": [{**one, "personas": above}],
        "pairs": [{**pair, "personas": between(0.3 + apart), "difference": between(apart)}],
        "leanings": [{**lean, "difference": between(more)}, group],
        "diversity": [{**counted, "ratio": between(0.9)}],
    }


@pytest.fixture
def facts() -> Facts:
    return Facts(
        MANIFEST,
        pl.DataFrame([CARD]),
        pl.DataFrame([TRIAL, {**TRIAL, "strategy": "loser", "chosen": False}]),
        pl.DataFrame([distance([], 0.01), distance(["age"], 0.03), distance(["age", "sex"], 0.2, held_out=True)]),
        {"diet": "Diet", "age": "Age", "sex": "Sex"},
        None,
    )


FOUND = (data_set("near", 0.05, 0.02), data_set("far", 0.2, -0.2, more=-8.0), data_set("few", 0.4, 0.4, adults=False))


def test_headlines_sum_up_what_was_measured_without_what_was_not(facts: Facts) -> None:
    found = headlines(facts)
    assert found["tv"] == {"marginal_worst": 0.01, "marginal": 0.01, "one_way": 0.03, "two_way": None, "held_out": 0.2}
    assert (found["dimensions"], found["maps"], found["personas"]) == (1, 3, 500)
    assert found["strategies"] == {"winner": 1}
    assert found["members"] == {"first": {"requests": 10, "accepted": 10, "weight": 0.5}}
    assert found["grounding"] is None


def test_headlines_of_the_grounding_are_those_of_all_adults(facts: Facts) -> None:
    found = headlines(replace(facts, grounding=FOUND))["grounding"]
    assert set(found["data_sets"]) == {"near", "far", "few"}
    assert (found["adult_sets"], found["within_goal"], found["above_floor"]) == (2, 1, 0.125)
    assert (found["pairs"], found["pairs_apart"]) == (2, 1)
    assert (found["leaning"], found["leaning_most"]) == (5.5, ["eats no meat", -8.0])


def test_the_worst_come_first(facts: Facts) -> None:
    assert [row["data"] for row in worst_joints(FOUND)] == ["few", "far", "near"]
    assert [row["data"] for row in worst_maps(FOUND)] == ["far", "near"]


def test_a_leaning_has_its_subgroups(facts: Facts) -> None:
    (health,) = leanings(FOUND).values()
    assert [row["data"] for row in health] == ["far", "near", "few"]
    assert [one["category"] for one in health[0]["groups"]["age"]] == ["25_34"]


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_it_shows(facts: Facts) -> None:
    text = render_report(replace(facts, grounding=FOUND))
    assert not re.findall(r'(?:src|href)="(?!#)|url\("(?!data:)|https?:', text)
    assert "adults in &lt;b&gt;Nowhere&lt;/b&gt;" in text and "<b>Nowhere" not in text
    assert "asked &amp; answered" in text
    assert "25–34" in text
    assert "Not measured" not in text


def test_the_page_says_plainly_what_nobody_measured(facts: Facts) -> None:
    text = render_report(facts)
    assert "Not measured" in text and "personagen[grounding]" in text and "report --population us --measure" in text
    assert "Can they be told from respondents?" not in text and "What this does not show" in text


def test_bars_stay_within_their_drawing(facts: Facts) -> None:
    text = render_report(replace(facts, grounding=FOUND))
    bars = re.findall(r'<rect class="(more|less)[^"]*" x="([-\d.]+)" width="([\d.]+)"', text)
    assert {kind for kind, _, _ in bars} == {"more", "less"}
    assert all(float(x) >= -120 and float(x) + float(width) <= 120 for _, x, width in bars)
    assert ("less", "-120.0", "120.0") in bars  # 30 points, where bars end at 20
