"""The pipeline's commands as a user types them: listing, drawing, exporting and importing requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.corpus import all_requests
from pipeline.plan import Plan
from serving.cli import main
from tests.support.corpora import EDITION, answer_line


def test_catalogue_lists_every_dimension_by_tier(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue"]) == 0
    out = capsys.readouterr().out
    assert "77 dimensions" in out and "tier 3, choices (20)" in out
    assert "  housing_tenure: Housing tenure" in out and "given: age household_income" in out


def test_an_unknown_population_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "--population", "fr"]) == 2
    assert "unknown population 'fr': choose one of us" in capsys.readouterr().err


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


def test_requests_go_out_and_answers_come_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--edition", EDITION, "--corpus", str(tmp_path)]
    assert main(["corpus", "export", str(tmp_path / "batch"), "--model", "recorded-pass-2", *where]) == 0
    lines = (tmp_path / "batch" / "recorded-pass-2-001.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    plan = Plan(EDITION, tmp_path / EDITION)
    asked = len(all_requests(plan, "recorded-pass-2"))
    assert (
        len(lines) == asked and first["method"] == "POST" and first["body"]["response_format"]["type"] == "json_schema"
    )

    request = plan.requests["us", "age", "recorded-pass-2"][0]
    assert request.custom_id == first["custom_id"]
    good = '{"everyone": [118, 178, 171, 153, 157, 133, 90]}'
    output = tmp_path / "output.jsonl"
    output.write_text(answer_line(request, "I cannot help with that.") + "\n" + answer_line(request, good) + "\n")
    assert main(["corpus", "import", str(output), *where]) == 0
    assert "2 answers imported, 0 were there already" in capsys.readouterr().out
    assert main(["corpus", "import", str(output), *where]) == 0
    assert "0 answers imported, 2 were there already" in capsys.readouterr().out

    assert main(["corpus", "status", *where]) == 0
    out = capsys.readouterr().out
    assert f"recorded-pass-2: 1 requests accepted, {asked - 1} without an accepted answer, 1 answers rejected" in out
    assert "refusal: 1" in out
    assert main(["corpus", "export", str(tmp_path / "rest"), "--only", "missing", *where]) == 0
    rest = (tmp_path / "rest" / "recorded-pass-2-001.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rest) == asked - 1


def test_an_unknown_member_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--edition", EDITION, "--corpus", str(tmp_path)]
    assert main(["corpus", "export", str(tmp_path / "x"), "--model", "nobody", *where]) == 2
    assert "unknown panel member 'nobody': choose one of recorded-pass-1" in capsys.readouterr().err


def test_pairs_are_ranked_with_what_is_asked_already(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "pairs", "voting"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " x " in line]
    assert len(lines) == 8 * 7 / 2
    told = [float(line.split()[3]) for line in lines]
    assert told == sorted(told, reverse=True) and told[0] > 0
    assert sum("in the fit" in line for line in lines) == 2
    assert sum("held out" in line for line in lines) == 2


@pytest.mark.parametrize(("dimension", "said"), [("sex", "no pair to ask for"), ("nope", "unknown dimension 'nope'")])
def test_a_dimension_without_pairs_says_so(dimension: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["catalogue", "pairs", dimension])
    out = capsys.readouterr()
    assert said in out.out + out.err
