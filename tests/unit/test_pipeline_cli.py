"""The pipeline's commands as a user types them: listing, drawing, exporting and importing requests."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpus import all_requests
from pipeline.elicitation.journal import held
from pipeline.grounding.goals import require_installed
from pipeline.plan import Plan
from serving.cli import main
from tests.support.corpora import EDITION, answer_line
from tests.support.toy_snapshot import build_snapshot
from warehouse.errors import GroundingError
from warehouse.snapshot_format import write_report


def test_catalogue_lists_every_dimension_by_tier(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue"]) == 0
    out = capsys.readouterr().out
    assert "77 dimensions" in out and "tier 3, choices (20)" in out
    assert "  housing_tenure: Housing tenure" in out and "given: age household_income" in out


def test_an_unknown_population_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "--population", "fr"]) == 2
    assert "unknown population 'fr': choose one of gb, us" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "head"), [("g.svg", b"<?xml"), ("g.png", b"\x89PNG")])
def test_the_graph_is_drawn_the_same_each_time(tmp_path: Path, name: str, head: bytes) -> None:
    assert main(["catalogue", "graph", "-o", str(tmp_path / name)]) == 0
    first = (tmp_path / name).read_bytes()
    assert first.startswith(head)
    assert main(["catalogue", "graph", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes() == first


def test_a_graph_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "graph", "-o", str(tmp_path / "g.docx")]) == 2
    assert "name the file .svg or .png" in capsys.readouterr().err


def options(tmp_path: Path) -> list[str]:
    return ["--edition", EDITION, "--corpus", str(tmp_path), "--home", str(tmp_path / "home")]


def exported(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "recorded-pass-2-001.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_requests_go_out_and_answers_come_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = options(tmp_path)
    (tmp_path / EDITION).mkdir()
    assert main(["corpus", "export", str(tmp_path / "batch"), "--model", "recorded-pass-2", *where]) == 0
    calls = exported(tmp_path / "batch")
    plan = Plan(EDITION, tmp_path / EDITION)
    asked = len(all_requests(plan, "recorded-pass-2"))
    assert len(calls) == asked and calls[0]["method"] == "POST"
    assert calls[0]["body"]["model"] == "recorded-pass-2" and "response_format" not in calls[0]["body"]

    request, other = plan.requests["us", "age", "recorded-pass-2"][0], plan.requests["us", "sex", "recorded-pass-2"][0]
    assert request.custom_id == calls[0]["custom_id"]
    good = '{"everyone": [118, 178, 171, 153, 157, 133, 90]}'
    output = tmp_path / "output.jsonl"
    usage = json.loads(answer_line(request, "I cannot help with that."))
    usage["response"]["body"]["usage"] = {"prompt_tokens": 700, "completion_tokens": 6}
    refused = answer_line(other, "[500, 500")
    expired = {"custom_id": other.custom_id, "response": None, "error": {"message": "expired"}}
    output.write_text("".join(f"{line}\n" for line in (json.dumps(expired), json.dumps(usage), refused)))
    empty = tmp_path / "errors.jsonl"
    empty.touch()
    assert main(["corpus", "import", str(output), str(empty), *where]) == 0
    out = capsys.readouterr().out
    assert "2 answers imported, 0 were there already, 1 failures, 0 of them booked" in out
    assert f"{empty} holds no line" in out and "1: expired (first: " in out

    assert main(["corpus", "export", str(tmp_path / "again"), "--only", "missing", *where]) == 0
    again = exported(tmp_path / "again")
    assert len(again) == asked and again[0]["custom_id"].startswith(f"{request.custom_id}.r2-")
    prompt = again[0]["body"]["messages"][1]["content"]
    assert prompt.startswith(request.messages[1]["content"]) and "refusal" in prompt
    reask = replace(request, custom_id=again[0]["custom_id"])
    output.write_text(answer_line(reask, good) + "\n")
    assert main(["corpus", "import", str(output), *where]) == 0
    assert "1 answers imported, 0 were there already" in capsys.readouterr().out
    assert main(["corpus", "import", str(output), *where]) == 0
    assert "0 answers imported, 1 were there already" in capsys.readouterr().out

    (tmp_path / EDITION / "nothing.jsonl").touch()
    assert main(["corpus", "status", *where]) == 0
    out = capsys.readouterr().out
    assert (
        f"recorded-pass-2: 1 maps accepted, {asked - 1} requests without an accepted answer, 2 answers rejected" in out
    )
    assert "refusal: 1" in out and "truncated: 1" in out and "nothing.jsonl holds no line" in out
    assert "  1 calls, 1 answered, 700 tokens in, 6 out, 0.0000 usd" in out
    assert main(["corpus", "export", str(tmp_path / "rest"), "--only", "missing", *where]) == 0
    assert len(exported(tmp_path / "rest")) == asked - 1


def test_nothing_is_imported_while_somebody_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / EDITION).mkdir()
    request = Plan(EDITION, tmp_path / EDITION).requests["us", "age", "recorded-pass-2"][0]
    (tmp_path / "output.jsonl").write_text(answer_line(request, "?") + "\n")
    command = ["corpus", "import", str(tmp_path / "output.jsonl"), *options(tmp_path)]
    with held(tmp_path / "home" / "editions" / EDITION):
        assert main(command) == 2
    assert "another run is asking" in capsys.readouterr().err and not list((tmp_path / EDITION).iterdir())
    assert main(command) == 0


def test_a_key_that_an_endpoint_repeats_is_neither_printed_nor_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-made-up-0123456789")
    (tmp_path / EDITION).mkdir()
    request = Plan(EDITION, tmp_path / EDITION).requests["us", "age", "recorded-pass-2"][0]
    error = {"error": {"message": "Incorrect API key sk-made-up-0123456789"}}
    body = {**error, "usage": {"prompt_tokens": 7, "completion_tokens": 0}}
    line = {"custom_id": request.custom_id, "response": {"status_code": 401, "body": body}}
    (tmp_path / "errors.jsonl").write_text(json.dumps(line) + "\n")
    assert main(["corpus", "import", str(tmp_path / "errors.jsonl"), *options(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "1 failures, 0 of them booked" in out and "1: the line repeats an API key" in out and "0123456789" not in out
    assert not list((tmp_path / EDITION).iterdir())


def test_lines_of_requests_that_are_gone_are_pruned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(EDITION, tmp_path / EDITION)
    request = plan.requests["us", "age", "recorded-pass-2"][0]
    (tmp_path / EDITION).mkdir()
    path = tmp_path / EDITION / "a.jsonl"
    path.write_text(answer_line(request, "?") + "\n" + answer_line(replace(request, custom_id="us-old"), "?") + "\n")
    before = path.read_bytes()
    assert main(["corpus", "status", *options(tmp_path)]) == 2
    assert "personagen corpus prune" in capsys.readouterr().err
    assert main(["corpus", "prune", "--dry-run", *options(tmp_path)]) == 0
    assert f"{path}: 1 lines stay, 1 answer no request of today" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert main(["corpus", "prune", *options(tmp_path)]) == 0
    assert "pruned-001.jsonl.gz" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / EDITION).iterdir()) == ["a.jsonl", "pruned"]
    assert main(["corpus", "status", *options(tmp_path)]) == 0
    assert main(["corpus", "prune", *options(tmp_path)]) == 0
    assert "nothing to prune" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["corpus", "status"],
        ["corpus", "export", "batch"],
        ["corpus", "import", __file__],
        ["corpus", "prune"],
        ["build", "--dry-run"],
        ["build"],
        ["ask", "--dry-run"],
        ["report"],
    ],
    ids=" ".join,
)
def test_an_edition_that_is_nowhere_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = []
    for corpus in ([], ["--corpus", str(tmp_path)]):
        if command != ["report"] or not corpus:
            assert main([*command, "--edition", EDITION, "--home", str(tmp_path / "home"), *corpus]) == 2
            said.append(capsys.readouterr().err)
    assert f"there is no edition '{EDITION}' in {tmp_path}/home/editions: begin it with" in said[0]
    assert all(f"there is no edition '{EDITION}' in {tmp_path}: " in other for other in said[1:])
    assert not list(tmp_path.iterdir()) and [len(one.splitlines()) for one in said] == [1] * len(said)


def test_an_unknown_member_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = options(tmp_path)
    (tmp_path / EDITION).mkdir()
    assert main(["corpus", "export", str(tmp_path / "x"), "--model", "nobody", *where]) == 2
    assert "unknown panel member 'nobody': choose one of recorded-pass-1" in capsys.readouterr().err


def test_pairs_are_ranked_with_what_is_asked_already(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "pairs", "voting"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " x " in line]
    assert len(lines) == 10 * 9 / 2
    told = [float(line.split()[3]) for line in lines]
    assert told == sorted(told, reverse=True) and told[0] > 0
    assert sum("in the fit" in line for line in lines) == 2
    assert sum("held out" in line for line in lines) == 2


@pytest.mark.parametrize(("dimension", "said"), [("sex", "no pair to ask for"), ("nope", "unknown dimension 'nope'")])
def test_a_dimension_without_pairs_says_so(dimension: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["catalogue", "pairs", dimension])
    out = capsys.readouterr()
    assert said in out.out + out.err


def test_without_a_build_the_report_of_the_packaged_snapshot_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONAGEN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("serving.snapshot.PACKAGED", tmp_path)
    build_snapshot(tmp_path / "us")
    assert main(["report"]) == 2
    assert f"{tmp_path}/us/report.html is not there: run `personagen build" in capsys.readouterr().err
    write_report(tmp_path / "us", {}, "<p>")
    assert main(["report"]) == 0
    assert capsys.readouterr().out == f"report: {tmp_path}/us/report.html\n"
    assert not (tmp_path / "home").exists()


def test_nothing_is_measured_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("pipeline.grounding.goals.version", missing)
    with pytest.raises(GroundingError, match=r"run `pip install 'personagen\[grounding\]'` first"):
        require_installed()
