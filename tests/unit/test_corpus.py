"""Work on a whole edition: of one population, or of all that it is about."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.corpus import all_requests, exported, status
from pipeline.elicitation.edition import write_members
from pipeline.plan import Plan
from tests.support.corpora import answer, answer_line
from warehouse.errors import ElicitationError

ONE, TWO = "recorded-pass-1", "recorded-pass-2"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """An edition that asks two members about one population and one about the other, with an answer about each."""
    folder = tmp_path_factory.mktemp("edition")
    write_members(folder, [ONE, TWO])
    with (folder / "edition.toml").open("a", encoding="utf-8") as file:
        file.write(f'[members_by_population]\ngb = ["{TWO}"]\n')
    plan, rng = Plan("e", folder), np.random.default_rng(0)
    asked = [plan.requests[population, "height", TWO][0] for population in ("us", "gb")]
    lines = [answer_line(request, answer(plan, request, rng)) for request in asked]
    (folder / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return plan


def test_requests_are_those_of_a_member_and_a_population(plan: Plan) -> None:
    of = {population: all_requests(plan, population=population) for population in ("us", "gb")}
    assert {r.model for r in of["us"]} == {ONE, TWO} and {r.model for r in of["gb"]} == {TWO}
    assert {r.population for r in of["gb"]} == {"gb"}
    assert len(all_requests(plan)) == sum(map(len, of.values()))
    with pytest.raises(ElicitationError, match=f"unknown panel member '{ONE}': choose one of {TWO}"):
        all_requests(plan, ONE, "gb")


def test_the_status_of_a_population_counts_its_answers_only(plan: Plan) -> None:
    told = status(plan, "gb").outcomes
    assert list(told) == [TWO] and [e.population for e in told[TWO].estimates] == ["gb"]
    assert len(told[TWO].unanswered) == len(all_requests(plan, TWO, "gb")) - 1
    whole = status(plan).outcomes
    assert sorted(e.population for e in whole[TWO].estimates) == ["gb", "us"]
    assert len(whole[ONE].unanswered) == len(all_requests(plan, ONE))


def test_an_export_may_be_of_one_population(plan: Plan, tmp_path: Path) -> None:
    (path,) = exported(plan, tmp_path, only_missing=True, model=None, population="gb")
    ids = [json.loads(line)["custom_id"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(ids) == len(all_requests(plan, TWO, "gb")) - 1
    assert all(custom_id.startswith("gb-") for custom_id in ids)
