"""Fingerprints change with what a partition is made from, and with nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.batch import Failure, output_line
from pipeline.elicitation.edition import write_members
from pipeline.elicitation.panel import load_panel
from pipeline.elicitation.protocol import Call
from pipeline.heritage_shares import CHAIN
from pipeline.names.candidates import KINDS
from pipeline.plan import Cell, PanelWeights, Plan
from tests.support.names import write
from tests.support.populations import TOY, with_toy_population
from warehouse.errors import CorpusError, ElicitationError


def answer(folder: Path, plan: Plan, dimension: str, text: str) -> None:
    request = plan.requests["us", dimension, plan.panel[0].id][0]
    message = {"role": "assistant", "content": text}
    body = {
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    line = {"custom_id": request.custom_id, "response": {"status_code": 200, "body": body}, "error": None}
    folder.mkdir(exist_ok=True)
    with (folder / "a.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture(autouse=True)
def provenance(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none", tmp_path / "corpus"):
        folder.mkdir(exist_ok=True)
        (folder / "PROVENANCE.md").write_text("made up")


def prints(plan: Plan, stage: str, weights: PanelWeights = ()) -> dict[str, str]:
    return {d.id: plan.fingerprint(stage, "us", d.id, weights=weights) for d in plan.catalogues["us"].dimensions}


def test_the_same_inputs_have_the_same_fingerprints(tmp_path: Path) -> None:
    one, other = Plan("e", tmp_path), Plan("e", tmp_path)
    assert prints(one, "weights") == prints(other, "weights")


def test_one_new_answer_touches_its_dimension_and_what_depends_on_it(tmp_path: Path) -> None:
    before = Plan("e", tmp_path / "none")
    answer(tmp_path / "corpus", before, "net_worth", "x")
    after = Plan("e", tmp_path / "corpus")
    moved = {d for d, f in prints(after, "maps").items() if f != prints(before, "maps")[d]}
    assert moved == {"net_worth"}
    us = after.catalogues["us"]
    below = {d.id for d in us.dimensions if "net_worth" in us.ancestors(d.id)}
    moved = {d for d, f in prints(after, "weights").items() if f != prints(before, "weights")[d]}
    assert moved == {"net_worth"} | below and below
    assert after.fingerprint("scorecards", "us") != before.fingerprint("scorecards", "us")
    assert after.fingerprint("snapshot", "us") != before.fingerprint("snapshot", "us")
    assert after.fingerprint("dimensions", "us") == before.fingerprint("dimensions", "us")


def test_another_pooling_weight_touches_every_map_of_its_population_and_no_estimate(tmp_path: Path) -> None:
    plan = Plan("e", tmp_path)
    one, other = (("us", "a", 1.0), ("us", "b", 1.0)), (("us", "a", 1.0), ("us", "b", 0.99))
    assert not set(prints(plan, "maps", one).values()) & set(prints(plan, "maps", other).values())
    assert prints(plan, "maps", one) == prints(plan, "maps", (*one, ("gb", "b", 0.5)))
    assert plan.fingerprint("scorecards", "us", weights=one) == plan.fingerprint("scorecards", "us", weights=other)
    cell = ("us", "age", plan.panel[0].id)
    assert plan.fingerprint("estimates", *cell, one) == plan.fingerprint("estimates", *cell, other)


def test_a_failed_call_touches_the_books_only(tmp_path: Path) -> None:
    plan = Plan("e", tmp_path / "none", live=tmp_path / "live")
    request = plan.requests["us", "net_worth", plan.panel[0].id][0]
    cell = ("us", "net_worth", plan.panel[0].id)
    before = {stage: plan.fingerprint(stage, *cell) for stage in ("completions", "calls", "estimates")}
    (tmp_path / "live").mkdir()
    call = Call("cut_off", None, 1.0, None, None, 0.1, "estimated")
    line = output_line(Failure(request.custom_id, "", "half a body"), call)
    (tmp_path / "live" / "m.jsonl").write_bytes(line)
    after = plan.at_present()
    assert after is not plan and after.requests is plan.requests
    moved = {stage for stage, was in before.items() if after.fingerprint(stage, *cell) != was}
    assert moved == {"calls"}
    assert after.at_present() is after


def test_an_answer_of_no_request_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"custom_id":"us-0","response":null}\n')
    with pytest.raises(CorpusError, match=r"a\.jsonl line 1: no request has the custom_id us-0"):
        Plan("e", tmp_path).fingerprint("completions", "us", "age", load_panel()[0].id)


def test_the_batch_depends_on_its_size_and_seed(tmp_path: Path) -> None:
    one, other = Plan("e", tmp_path, (10, "0")), Plan("e", tmp_path, (10, "1"))
    assert one.fingerprint("personas", "us") != other.fingerprint("personas", "us")
    assert one.fingerprint("snapshot", "us") == other.fingerprint("snapshot", "us")


def test_another_variant_asks_anew(tmp_path: Path) -> None:
    panel = load_panel()
    swapped = (panel[0].model_copy(update={"variant": panel[1].variant}), *panel[1:])
    one, other = Plan("e", tmp_path), Plan("e", tmp_path, panel=swapped)
    model = panel[0].id
    assert one.fingerprint("requests", "us", "age", model) != other.fingerprint("requests", "us", "age", model)


def test_an_unknown_stage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Plan("e", tmp_path).fingerprint("dreams", "us")


def test_another_provenance_is_another_snapshot(tmp_path: Path) -> None:
    before = Plan("e", tmp_path).fingerprint("snapshot", "us")
    (tmp_path / "PROVENANCE.md").write_text("otherwise")
    assert Plan("e", tmp_path).fingerprint("snapshot", "us") != before


def test_an_edition_that_says_nothing_of_itself_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"2031\.01/PROVENANCE.md cannot be read"):
        Plan("2031.01", tmp_path / "2031.01").fingerprint("dimensions", "us")


def test_upstream_is_known_for_every_partition(tmp_path: Path) -> None:
    plan = Plan("e", tmp_path)
    assert plan.upstream("weights", Cell("us", "sex")) == [("maps", Cell("us", "sex")), ("weights", Cell("us", "age"))]
    for stage in ("estimates", "scorecards", "maps", "weights", "name_files", "snapshot", "personas", "map_distances"):
        whole = stage in ("scorecards", "name_files", "snapshot", "personas", "map_distances")
        cell = Cell("us", "" if whole else "sex", plan.panel[0].id if stage == "estimates" else "")
        for above, part in plan.upstream(stage, cell):
            assert plan.known(above, part.population, part.dimension, part.model)
    assert plan.upstream("name_files", Cell("us", "")) == [
        *(("weights", Cell("us", dimension)) for dimension in (*CHAIN, "childhood_religion")),
        *(("name_estimates", Cell("us", kind)) for kind in ("first", "last")),
    ]
    assert plan.known("maps", "us", "no_such_dimension") is None


def test_an_answer_about_names_touches_its_kind_and_no_map(tmp_path: Path) -> None:
    def of_names(plan: Plan, stage: str) -> dict[str, str]:
        return {kind: plan.fingerprint(stage, "us", kind) for kind in KINDS}

    plan = Plan("e", tmp_path, names=tmp_path / "names")
    stages = ("name_requests", "name_completions", "name_estimates", "name_rejections")
    before, maps = {stage: of_names(plan, stage) for stage in stages}, prints(plan, "maps")
    request = plan.enrichments["us"].requests["last"][0]
    write(tmp_path / "names" / "a.jsonl", {request.custom_id: "{}"})
    after = plan.at_present()
    assert after is not plan and prints(after, "maps") == maps
    moved = {(s, k) for s in stages for k in KINDS if of_names(after, s)[k] != before[s][k]}
    assert moved == {("name_completions", "last"), ("name_estimates", "last"), ("name_rejections", "last")}
    assert after.upstream("name_estimates", Cell("us", "last")) == [("name_completions", Cell("us", "last"))]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A second population in the catalogue that plans are made from."""
    folder = with_toy_population(tmp_path / "catalogue")
    monkeypatch.setattr("pipeline.plan.populations", lambda: ("us", TOY))
    monkeypatch.setattr("pipeline.plan.load_catalogue", lambda population: load_catalogue(population, folder))
    return TOY


def test_a_population_asks_its_own_members_and_leaves_the_others_alone(tmp_path: Path, toy: str) -> None:
    corpus = tmp_path / "corpus"
    write_members(corpus, ["recorded-pass-1", "recorded-pass-2"])
    before = Plan("e", corpus)
    with (corpus / "edition.toml").open("a") as file:
        file.write(f'[members_by_population]\n{toy} = ["recorded-pass-2"]\n')
    plan = Plan("e", corpus)
    assert {m for p, _, m in plan.requests if p == toy} == {"recorded-pass-2"}
    ours = {cell: requests for cell, requests in plan.requests.items() if cell[0] == "us"}
    assert ours == {cell: requests for cell, requests in before.requests.items() if cell[0] == "us"}
    assert prints(plan, "weights") == prints(before, "weights")
    assert plan.known("maps", toy, "age") != before.known("maps", toy, "age")
    above = plan.upstream("maps", Cell(toy, "age"))
    assert [cell.model for stage, cell in above if stage == "estimates"] == ["recorded-pass-2"]
    with pytest.raises(ElicitationError, match=f"'recorded-pass-1' is not asked for '{toy}'"):
        plan.requests_of(Cell(toy, "age", "recorded-pass-1"))
    assert plan.at_present().panels == plan.panels


def test_who_can_be_built_is_who_was_answered_about_or_can_be_asked_about(tmp_path: Path, toy: str) -> None:
    plan = Plan("e", tmp_path / "corpus")
    assert plan.populations == ()
    answer(tmp_path / "corpus", plan, "net_worth", "x")
    assert plan.at_present().populations == ("us",)
    assert plan.at_present().populations_of() == plan.at_present().populations_of("us") == ("us",)
    with pytest.raises(CorpusError, match=f"has no answers about '{toy}': .*, or choose of us"):
        plan.at_present().populations_of(toy)
    with pytest.raises(CorpusError, match=r"has no answers: export its requests .* import the output$"):
        plan.populations_of()
    local = tuple(m for m in load_panel() if m.source == "local")
    assert Plan("e", tmp_path / "none", panel=local).populations == ("us", toy)
