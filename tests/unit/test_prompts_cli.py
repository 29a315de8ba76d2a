"""The command `prompts trial` as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.prompts import prompts
from pipeline.prompt_trial import RECORDED, Sample
from tests.support.trials import write_trial
from warehouse.errors import ElicitationError

US = load_catalogue("us")
SMALL = Sample.of(US, 2, ["analyst.whole_map.*"])
WHICH = ["--maps", "2", "--variant", "analyst.whole_map.*"]


def run(*arguments: str, columns: int = 200) -> Result:
    return CliRunner().invoke(prompts, ["trial", *arguments], env={"COLUMNS": str(columns)})


def test_the_ranking_is_printed_with_what_it_decides(tmp_path: Path) -> None:
    write_trial(tmp_path, US, SMALL.requests(RECORDED))
    result = run("--answers", str(tmp_path), *WHICH)
    assert result.exit_code == 0, result.output
    assert "6 of 6 requests answered. Chosen: analyst.whole_map.p" in result.output
    assert "First answers rejected: refusal 2." in result.output
    assert result.output.index("percent_keyed") < result.output.index("per_1000_rows")
    assert "passed over" not in result.output


def test_a_narrow_terminal_leaves_every_score_whole_and_on_one_line(tmp_path: Path) -> None:
    write_trial(tmp_path, US, SMALL.requests(RECORDED))
    result = run("--answers", str(tmp_path), *WHICH, columns=80)
    rows = [line for line in result.output.splitlines() if line.startswith(" analyst.whole_map.p")]
    assert len(rows) == 3 and "…" not in result.output
    assert all(re.search(r"[a-z] +[\d.]+ \([\d.]+ to [\d.]+\) +\d+ \(\d+ to \d+\) ", row) for row in rows)


def test_what_is_missing_is_exported(tmp_path: Path) -> None:
    write_trial(tmp_path / "answers", US, SMALL.requests(RECORDED)[:4])
    where = ["--answers", str(tmp_path / "answers"), "--export", str(tmp_path / "batch")]
    result = run("--member", RECORDED.id, *where, *WHICH)
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "batch" / "recorded-trial-001.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["custom_id"] for line in lines] == [r.custom_id for r in SMALL.requests(RECORDED)[4:]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--member", "local/smollm2-135m", "--ask", "--export", "batch"], "give one of the two"),
        (["--ask"], "say with --member whose requests"),
        (["--member", "nobody"], "'nobody' cannot be in a prompt trial"),
        (["--variant", "x"], "no prompt variant matches 'x'"),
        ([], "holds no answers to this trial"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("--answers", str(tmp_path), *arguments)
    assert isinstance(result.exception, ElicitationError)
    assert message in str(result.exception) and "\n" not in str(result.exception)
