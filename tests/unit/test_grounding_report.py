"""Which goals the page says are met, and what it says beside them."""

from __future__ import annotations

import numpy as np

from benchmarks.grounding.report import goals, map_table, pair_table, points, summary
from pipeline.catalogue.loader import load_catalogue
from pipeline.combination.bootstrap import Interval
from pipeline.grounding.association import PairRow
from pipeline.grounding.crosswalk import load_crosswalks
from pipeline.grounding.findings import Finding
from pipeline.grounding.leanings import LeaningRow
from pipeline.grounding.maps import MapRow

WALKS = {walk.id: walk for walk in load_crosswalks(load_catalogue("us"))}


def _finding(name: str, above_floor: float, v_apart: list[float]) -> Finding:
    spread = np.linspace(-0.01, 0.01, 101)
    areas = {arm: np.concatenate([[0.5], 0.5 + spread]) for arm in ("floor", "matched", "respondents")}
    areas["personas"] = areas["floor"] + above_floor
    pairs = [
        PairRow(
            "age",
            "sex",
            True,
            True,
            900,
            Interval(0.1, 0.0, 0.2),
            Interval(0.2, 0.2, 0.2),
            Interval(v, v - 0.01, v + 0.01),
        )
        for v in v_apart
    ]
    maps = [MapRow("sex", ("age",), True, 900, tv, None, 0.02, 0.03) for tv in (0.025, 0.05)]
    return Finding(WALKS[name], 1_000, 900, ("age", "sex"), maps, pairs, areas, [], [])


def test_a_goal_is_met_or_missed_and_sets_of_some_people_only_have_none() -> None:
    text = goals(
        [_finding("acs12", 0.079, [-0.11, 0.02]), _finding("TV16", 0.081, [0.1]), _finding("mm_nhis", 0.3, [0.5])]
    )
    acs, tv = (line.split(" | ") for line in text.splitlines()[2:])
    assert (acs[0], acs[2], acs[4], acs[-1]) == ("| acs12", "met", "1 of 2", "**missed** |")
    assert acs[5] == "age x sex -0.11"
    assert (tv[0], tv[2], tv[4], tv[-1]) == ("| TV16", "**missed**", "0 of 1", "met |")


def test_all_pairs_that_miss_the_goal_are_shown_and_ten_otherwise() -> None:
    many = _finding("acs12", 0.0, [0.2] * 14)
    few = _finding("TV16", 0.0, [0.2] + [0.01] * 20)
    lines = pair_table([many, few]).splitlines()
    assert sum(line.startswith("| acs12") for line in lines) == 14
    assert sum(line.startswith("| TV16") for line in lines) == 10


def test_a_map_is_a_signal_only_beyond_chance() -> None:
    first, second = map_table([_finding("acs12", 0.0, [0.0])]).splitlines()[2:]
    assert "sex given age" in first
    assert "0.050" in first and first.endswith("| signal |")
    assert "0.025" in second and not second.endswith("| signal |")


def test_points_are_bold_where_the_interval_leaves_out_nought() -> None:
    row = LeaningRow("income", "much", "", "", 100, 20.0, Interval(-4.0, -6.0, -2.0))
    assert points(row) == "**-4.0 ±2.0**"
    assert points(LeaningRow("income", "much", "", "", 100, 20.0, Interval(1.0, -1.0, 3.0))) == "+1.0 ±2.0"


def test_the_summary_names_every_arm() -> None:
    text = summary(_finding("acs12", 0.1, [0.2]))
    assert text.startswith("acs12: AUC floor 0.500")
    assert "personas 0.600" in text and "1 of 1 pairs off" in text
