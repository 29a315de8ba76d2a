"""Getting answers: recorded ones are read, others asked for once, again where rejected, and never beyond the budget."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.budget import Budget
from pipeline.elicitation.panel import Endpoint, Member
from pipeline.elicitation.record import Record, completions_of
from pipeline.elicitation.sources import Asker, Gathered, Order, gather
from pipeline.plan import Plan
from pipeline.prompts.reask import base_id
from pipeline.prompts.render import Request, render_request
from tests.support.asking import USD, Scripted, Told
from tests.support.corpora import answer, answer_line
from warehouse.errors import BudgetSpent, CorpusError, ElicitationError

US = load_catalogue("us")
VARIANT = "analyst.whole_map.percent_keyed"
LIVE, OTHER = (
    Member(id=i, source="live", variant=VARIANT, endpoint=Endpoint(base_url="http://127.0.0.1:9"))
    for i in ("maker/model", "maker/other")
)
RECORDED = Member(id="recorded", source="recorded", variant=VARIANT)


def requests(*members: Member) -> list[Request]:
    dimension = US.dimension("height")
    return [render_request(US, "e", dimension, given, m) for m in members for given in dimension.asked]


def good(request: Request) -> str:
    return answer(Plan("e", Path("none"), panel=(LIVE,)), request, np.random.default_rng(1))


def get(folder: Path, asker: Asker, *members: Member, **options: Any) -> Gathered:
    wanted = requests(*members)
    member_of = {r.custom_id: m for m in members for r in wanted if r.model == m.id}
    record = Record(folder / "recorded", folder / "live", member_of)
    return gather(wanted, record, member_of=member_of, catalogues={"us": US}, asker=asker, **options)


def test_what_arrived_is_kept_and_asked_for_once(tmp_path: Path) -> None:
    wanted = requests(LIVE)
    broken = Scripted(lambda r: good(r) if r.custom_id == wanted[0].custom_id else None)
    got = get(tmp_path, broken, LIVE)
    assert set(got.left) == {r.custom_id for r in wanted[1:]} and isinstance(got.error, ElicitationError) and got.fatal
    assert [c.custom_id for c in completions_of(got.attempts)] == [wanted[0].custom_id]
    second = Scripted(good)
    got = get(tmp_path, second, LIVE)
    assert second.asked == [r.custom_id for r in wanted[1:]]
    assert not got.left and got.error is None and len(completions_of(got.attempts)) == len(wanted)
    third = Scripted(good)
    again = get(tmp_path, third, LIVE)
    assert third.budgets == [] and completions_of(again.attempts) == completions_of(got.attempts)


def test_rejected_answers_are_asked_again_up_to_the_limit_across_restarts(tmp_path: Path) -> None:
    wanted = requests(LIVE)
    first = Scripted(lambda r: "no" if r.custom_id == base_id(r.custom_id) else None)
    got = get(tmp_path, first, LIVE)
    assert len(first.asked) == 2 * len(wanted) and len(got.left) == len(wanted)
    second = Scripted(lambda r: "still no")
    got = get(tmp_path, second, LIVE)
    turns = [i.rsplit(".r", 1)[1][0] for i in second.asked]
    assert turns == ["2"] * len(wanted) + ["3"] * len(wanted)
    assert not got.left and got.error is None  # asked as often as it may be
    assert sorted({c.attempt for c in completions_of(got.attempts)}) == [1, 2, 3]


def test_a_member_s_failure_is_not_fatal_where_another_answered(tmp_path: Path) -> None:
    got = get(tmp_path, Scripted(lambda r: good(r) if r.model == LIVE.id else None), LIVE, OTHER)
    assert {r.model for r in got.left.values()} == {OTHER.id} and got.error and not got.fatal
    got = get(tmp_path, Scripted(lambda r: None), LIVE, OTHER)
    assert got.fatal  # nothing came of this run


def test_all_members_are_asked_in_one_go(tmp_path: Path) -> None:
    asker = Scripted(good)
    get(tmp_path, asker, LIVE, OTHER)
    assert len(asker.budgets) == 1 and len(asker.asked) == len(requests(LIVE, OTHER))


def test_the_budget_counts_what_earlier_runs_spent(tmp_path: Path) -> None:
    first = Scripted(good)
    got = get(tmp_path, first, LIVE, budget=Decimal(1))
    assert isinstance(got.error, BudgetSpent) and got.fatal and len(first.asked) == 2
    second = Scripted(good)
    get(tmp_path, second, LIVE, OTHER, budget=Decimal(2))
    assert second.budgets == [(Decimal(2), Decimal(1))] and len(second.asked) == 2


def test_members_that_charge_are_not_asked_without_a_budget(tmp_path: Path) -> None:
    priced = LIVE.model_copy(update={"price_out": 1.0})
    asker = Scripted(good)
    got = get(tmp_path, asker, priced)
    assert asker.asked == [] and got.fatal and "maker/model" in str(got.error) and "--budget" in str(got.error)
    assert get(tmp_path, asker, priced, budget=Decimal(100)).error is None


def test_progress_tells_each_request_once_when_nothing_follows(tmp_path: Path) -> None:
    told: list[str] = []
    get(tmp_path, Scripted(lambda r: good(r) if ".r" in r.custom_id else "no"), LIVE, settled=told.append)
    assert sorted(told) == sorted(r.custom_id for r in requests(LIVE))


def test_a_recorded_member_is_never_asked_and_its_gaps_are_named(tmp_path: Path) -> None:
    wanted = requests(RECORDED)
    (tmp_path / "recorded").mkdir()
    lines = [answer_line(wanted[0], "no"), json.dumps({"custom_id": wanted[1].custom_id, "error": "x"})]
    (tmp_path / "recorded" / "a.jsonl").write_text("\n".join(lines) + "\n")
    asker = Scripted(good)
    got = get(tmp_path, asker, RECORDED)
    assert asker.budgets == [] and set(got.left) == {r.custom_id for r in wanted[1:]} and len(got.attempts) == 2
    assert isinstance(got.error, CorpusError) and got.fatal
    assert f"lacks answers to {len(wanted) - 1} of {len(wanted)} requests ({wanted[1].custom_id}, " in str(got.error)
    assert not (tmp_path / "live").exists()


def test_every_call_is_in_the_books(tmp_path: Path) -> None:
    wanted = requests(LIVE)
    got = get(tmp_path, Scripted(lambda r: good(r) if r.custom_id == wanted[0].custom_id else None), LIVE)
    calls = [a.line.call_by(LIVE) for a in got.attempts]
    assert [c.outcome for c in calls if c] == ["answered", *["cut_off"] * (len(wanted) - 1)]
    assert sum(c.usd for c in calls if c) == USD * len(wanted)


def test_nobody_is_asked_where_the_answers_that_there_are_have_to_do(tmp_path: Path) -> None:
    wanted = requests(LIVE)
    get(tmp_path, Scripted(lambda r: good(r) if r.custom_id == wanted[0].custom_id else None), LIVE)
    nobody = Scripted(good)
    got = get(tmp_path, nobody, LIVE, asking=False)
    assert not nobody.asked and len(got.left) == len(wanted) - 1 and not got.fatal
    assert f"{len(wanted) - 1} requests have no usable answer" in str(got.error)


def test_what_an_earlier_run_left_withheld_counts_against_the_budget(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "withheld.usd").write_text("0.75\n")
    told: list[Decimal] = []

    def asker(orders: Sequence[Order], budget: Budget) -> Iterator[Told]:
        told.extend((budget.spent, budget.withheld))
        budget.note(budget.withheld + 1)
        return iter(())

    get(tmp_path, asker, LIVE, budget=Decimal(1))
    assert told == [0, Decimal("0.75")]
    assert Decimal((tmp_path / "live" / "withheld.usd").read_text()) == Decimal("1.75")
