"""The commands `ask`, `panel` and `build --dry-run` as a user types them, against an endpoint on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline.cli.panel
import pipeline.elicitation.edition
from pipeline.ask import missing, part_of
from pipeline.elicitation.edition import write_members
from pipeline.elicitation.panel import Endpoint, load_panel
from pipeline.plan import Plan
from pipeline.prompts.reask import base_id
from serving.cli import main
from tests.support.corpora import answer, answer_line
from tests.support.endpoint import Served, chat, serving
from warehouse.errors import CatalogueError, ElicitationError

EDITION, MEMBER, FREE = "2026.12", "openai/gpt-6-luna", "local/smollm2-135m"
KEY = "sk-test-0123456789abcdef-very-secret"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an edition that asks one member that charges, and one that does not."""
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    write_members(tmp_path / "editions" / EDITION, [MEMBER, FREE])
    (tmp_path / "editions" / EDITION / "PROVENANCE.md").write_text("made up for a test\n", encoding="utf-8")
    return tmp_path


def plan_of(home: Path) -> Plan:
    return Plan(EDITION, home / "editions" / EDITION)


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The member's endpoint: it gives valid answers to all but the base map, which it refuses to tell."""
    requests = {r.messages[1]["content"]: r for rs in plan_of(home).requests.values() for r in rs if r.model == MEMBER}

    def reply(body: dict[str, Any]) -> Any:
        request = next(r for prompt, r in requests.items() if body["messages"][1]["content"].startswith(prompt))
        text = answer(plan_of(home), request, np.random.default_rng(0)) if request.given else "I cannot say."
        return chat(text, MEMBER, prompt_tokens=1000, completion_tokens=100)

    with serving(reply, [{"id": MEMBER}]) as served:
        here = Endpoint(base_url=served.base_url, key_variable="OPENROUTER_API_KEY")
        panel = tuple(m.model_copy(update={"endpoint": here}) if m.id == MEMBER else m for m in load_panel())
        monkeypatch.setattr(pipeline.elicitation.edition, "load_panel", lambda: panel)
        monkeypatch.setattr(pipeline.cli.panel, "load_panel", lambda: panel)
        yield served


def run(home: Path, *arguments: str) -> int:
    return main([*arguments, "--edition", EDITION, "--home", str(home)])


def test_a_dry_run_tells_the_cost_and_asks_nothing(home: Path, served: Served, capsys: Capture) -> None:
    assert run(home, "ask", "--dry-run", "--dimension", "height") == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith((MEMBER, FREE))}
    asked = len([r for (_, d, m), rs in plan_of(home).requests.items() if (d, m) == ("height", MEMBER) for r in rs])
    assert rows[MEMBER][1] == rows[FREE][1] == str(asked)
    assert float(rows[MEMBER][4]) > 0 and rows[FREE][4] == "0.00"
    assert "in total" in out and served.calls == [] and not (home / "personagen.duckdb").exists()


def test_who_charges_is_not_asked_without_a_budget(home: Path, served: Served, capsys: Capture) -> None:
    assert run(home, "ask", "--dimension", "height") == 2
    assert f"asking {MEMBER} for" in (said := capsys.readouterr().err) and "expected to cost 0.0" in said
    assert "give a budget, such as --budget 1usd" in said
    assert run(home, "build") == 2
    assert "is expected to cost" in capsys.readouterr().err and served.calls == []


def test_a_build_forecasts_too(home: Path, served: Served, capsys: Capture) -> None:
    assert run(home, "build", "--dry-run") == 0
    whole = len(missing(plan_of(home), part_of(plan_of(home))))
    assert capsys.readouterr().out.split("in total")[1].split()[0] == f"{whole:,}"
    assert served.calls == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "25"], "the currency is missing"),
        (["--member", "openai/gpt-5.4-mini"], f"not asked for edition '{EDITION}'"),
        (["--member", "openai/gpt-5.4-mini"], "personagen edition new NAME --member openai/gpt-5.4-mini"),
        (["--member", "recorded-pass-1"], "'recorded-pass-1' answers from the record"),
        (["--member", "nobody"], "unknown panel member 'nobody'"),
        (["--dimension", "nothing"], "unknown dimension 'nothing'"),
        (["--dimension", "age", "--tier", "3"], "dimension 'age' is of tier 1, not 3"),
        (["--population", "fr"], "unknown population 'fr'"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(home: Path, capsys: Capture, arguments: list[str], said: str) -> None:
    assert run(home, "ask", "--dry-run", *arguments) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1


def test_an_edition_of_recorded_members_has_nobody_to_ask(tmp_path: Path, capsys: Capture) -> None:
    assert main(["ask", "--dry-run", "--home", str(tmp_path)]) == 2
    assert "recorded members only" in capsys.readouterr().err
    assert main(["ask", "--dry-run", "--edition", "2031.01", "--home", str(tmp_path)]) == 2
    assert "there is no edition '2031.01'" in capsys.readouterr().err


def test_a_part_is_what_its_options_name(home: Path) -> None:
    plan = plan_of(home)
    assert [m.id for m in part_of(plan).members] == [MEMBER, FREE]
    assert part_of(plan, members=[FREE]).models == {FREE}
    assert part_of(plan, dimensions=["age", "sex"]).dimensions == {"us/age", "us/sex", "gb/age", "gb/sex"}
    assert part_of(plan, "gb", dimensions=["age", "sex"]).dimensions == {"gb/age", "gb/sex"}
    tiers = [part_of(plan, "us", tier=tier).dimensions for tier in (1, 2, 3)]
    assert sum(map(len, tiers)) == len(frozenset.union(*tiers)) == 77
    with pytest.raises(CatalogueError, match="unknown population"):
        part_of(plan, "fr")
    with pytest.raises(ElicitationError, match="unknown panel member"):
        part_of(plan, members=["x"])


def test_only_what_has_no_accepted_answer_is_missing(home: Path) -> None:
    plan = plan_of(home)
    part = part_of(plan, members=[MEMBER], dimensions=["height"])
    before = missing(plan, part)
    good, bad = before[1], before[2]
    text = answer(plan, good, np.random.default_rng(0))
    lines = [answer_line(good, text), answer_line(bad, "I cannot say.")]
    (plan.corpus / "answers.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    after = missing(plan_of(home), part)
    assert [base_id(r.custom_id) for r in after] == [r.custom_id for r in before if r is not good]
    assert sum(".r2-" in r.custom_id for r in after) == 1  # the rejected one, asked again with the reason


def test_members_are_asked_judged_and_told_about(home: Path, served: Served, capsys: Capture) -> None:
    arguments = ["ask", "--member", MEMBER, "--dimension", "height", "--budget", "1usd"]
    run(home, *arguments)
    out = capsys.readouterr().out
    plan = plan_of(home)
    requests = plan.requests["us", "height", MEMBER]
    assert {headers["authorization"] for headers, _ in served.calls} == {f"Bearer {KEY}"}
    assert "so far" in out and f"{MEMBER} rejected: " in out and KEY not in out
    told = next(line.split() for line in out.split("so far")[1].splitlines() if line.startswith(MEMBER))
    assert told[3] == str(len(requests) - 1)
    kept = [line for path in plan.corpus.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(kept) == len(served.calls) >= len(requests)
    assert not [path for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_missing_key_is_told_before_anything_is_written(
    home: Path, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY")
    for command in (["ask", "--dimension", "height"], ["build"]):
        assert run(home, *command, "--budget", "100usd") == 2
        err = capsys.readouterr().err
        assert "OPENROUTER_API_KEY is not set" in err and len(err.splitlines()) == 1
    assert not (home / "personagen.duckdb").exists() and served.calls == []


def test_answers_that_are_all_rejected_are_an_outcome_and_no_error(
    home: Path, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(served, "reply", lambda body: chat("I cannot say.", MEMBER))
    assert run(home, "ask", "--member", MEMBER, "--dimension", "handedness", "--budget", "1usd") == 0
    told = capsys.readouterr()
    assert "rejected: refusal 6" in told.out and "personagen corpus status" in told.err


def test_what_a_member_answered_before_it_failed_is_judged_and_told(
    home: Path, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    answering = served.reply

    def reply(body: dict[str, Any]) -> Any:
        return answering(body) if len(served.calls) < 3 else (401, {"error": {"message": "no credit"}})

    monkeypatch.setattr(served, "reply", reply)
    assert run(home, "ask", "--member", MEMBER, "--dimension", "height", "--budget", "1usd") == 2
    told = capsys.readouterr()
    row = next(line.split() for line in told.out.split("so far")[1].splitlines() if line.startswith(MEMBER))
    assert int(row[3]) >= 1 and "401" in told.err


def test_an_interrupt_says_that_nothing_is_lost(
    home: Path, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.build.run_work", interrupted)
    assert run(home, "ask", "--member", MEMBER, "--budget", "100usd") == 130
    assert "run again to go on" in capsys.readouterr().err


def test_the_panel_is_listed_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    assert main(["panel"]) == 0
    out = capsys.readouterr().out
    assert all(m.id in out for m in load_panel()) and out.count("key missing") == 25
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    assert main(["panel"]) == 0
    out = capsys.readouterr().out
    assert out.count("key set") == 25 and KEY not in out


def test_the_panel_is_checked_and_failure_is_the_exit_code(
    home: Path, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert main(["panel", "check", "--member", "nobody"]) == 2
    assert "'nobody' is no panel member" in capsys.readouterr().err
    monkeypatch.delenv("OPENROUTER_API_KEY")
    assert main(["panel", "check", "--member", MEMBER]) == 1
    told = capsys.readouterr()
    assert f"{MEMBER}: environment variable OPENROUTER_API_KEY is not set" in told.out
    assert "1 of 1 members cannot be asked" in told.err


def test_the_local_member_passes_the_check(capsys: Capture) -> None:
    assert main(["panel", "check", "--member", FREE]) == 0
    assert FREE in capsys.readouterr().out
