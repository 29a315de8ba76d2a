"""Base rates of a survey's year: what is asked, and which answers they are made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.panel import Member
from pipeline.grounding.crosswalk import Crosswalk, load_crosswalks
from pipeline.grounding.years import base_rates, in_year, judged, year_requests
from tests.support.particulars import write
from warehouse.errors import CorpusError, GroundingError

US = load_catalogue("us")
WALKS = {walk.id: walk for walk in load_crosswalks(US)}
PANEL = [Member(id=f"recorded-pass-{n}", source="recorded", variant="analyst.whole_map.percent_keyed") for n in (1, 2)]


def _answers(walks: list[Crosswalk], member: Member, share: float) -> dict[str, str]:
    """Answers that give the first category this share, in percent, and the others equal parts of the rest."""
    found = {}
    for (_, name), request in year_requests(US, walks, member).items():
        first, *others = US.dimension(name).category_ids
        row = {first: share} | dict.fromkeys(others, (100 - share) / len(others))
        found[request.custom_id] = json.dumps({"everyone": row})
    return found


def test_a_year_and_dimension_is_asked_once_whichever_surveys_share_it() -> None:
    asked = year_requests(US, WALKS.values(), PANEL[0])
    assert {setting for setting, _ in asked} == {2012, 2014, 2016, 2018, "TV16"}
    assert {name for year, name in asked if year == 2014} == {
        column.id for name in ("gss_wages", "gss_abortion") for column in WALKS[name].columns
    }
    assert len({request.custom_id for request in asked.values()}) == len(asked)


def test_a_request_is_about_the_year_in_the_prices_of_personas() -> None:
    asked = year_requests(US, WALKS.values(), PANEL[0])
    text = asked[2016, "household_income"].messages[1]["content"]
    assert "living in the United States, in 2016." in text
    assert "In 2016 US dollars, converted to prices of 2025 by the consumer price index." in text
    assert in_year(US, 2016).dimensions == US.dimensions


def test_who_joins_a_panel_by_themselves_is_a_population_of_its_own() -> None:
    asked = year_requests(US, WALKS.values(), PANEL[0])
    assert {name for setting, name in asked if setting == "TV16"} == {c.id for c in WALKS["TV16"].columns}
    text = asked["TV16", "party"].messages[1]["content"]
    assert "who had joined the online panel of a polling firm by themselves" in text and "in 2016." in text
    assert "panel of a polling firm" not in asked[2016, "party"].messages[1]["content"]


def test_members_are_pooled_with_equal_weights(tmp_path: Path) -> None:
    walks = [WALKS["gss_spending"]]
    for member, share in zip(PANEL, (30.0, 70.0), strict=True):
        write(tmp_path / f"{member.id}.jsonl", _answers(walks, member, share))
    told = base_rates(US, walks, PANEL, tmp_path)
    assert told.keys() == {(2018, column.id) for column in walks[0].columns}
    # The geometric mean of 30 and 70 %, and of what is left to the only other one.
    assert told[2018, "sex"] == pytest.approx([0.5, 0.5])
    assert all(one.sum() == pytest.approx(1) for one in told.values())
    assert np.argmax(told[2018, "age"]) == 0


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    walks = [WALKS["gss_spending"]]
    write(tmp_path / "1.jsonl", _answers(walks, PANEL[0], 30.0))
    with pytest.raises(GroundingError, match="no accepted answer of recorded-pass-2 about 'age' in 2018"):
        base_rates(US, walks, PANEL, tmp_path)
    write(tmp_path / "2.jsonl", _answers(walks, PANEL[1], 140.0))
    assert len(judged(US, walks, PANEL, tmp_path)[1].rejections) == len(walks[0].columns)
    with pytest.raises(CorpusError, match="no request has the custom_id"):
        base_rates(US, walks, PANEL[:1], tmp_path)
