"""The command `panel` as a user types it; what is checked is stood in for."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from pipeline.cli.panel import panel
from pipeline.elicitation.check import Checked
from pipeline.elicitation.panel import Member, load_panel
from warehouse.errors import ElicitationError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(panel, arguments, env={"COLUMNS": "80"})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The members that were checked, all of which work."""
    ids: list[str] = []

    def check(members: Sequence[Member]) -> list[Checked]:
        ids.extend(m.id for m in members)
        return [Checked(m.id, True, True, True, True, 12.3, Decimal("0.000123")) for m in members]

    monkeypatch.setattr("pipeline.cli.panel.check_panel", check)
    return ids


def test_everybody_but_recorded_members_is_checked_and_told_in_80_columns(asked: list[str]) -> None:
    result = run("check")
    assert result.exit_code == 0, result.output
    assert asked == [m.id for m in load_panel() if m.source != "recorded"]
    lines = result.output.splitlines()
    assert lines[0].split() == ["member", "key", "listed", "answers", "JSON", "seconds", "cost"]
    for line, name in zip(lines[2:], asked, strict=False):
        assert line.split() == [name, "yes", "yes", "yes", "yes", "12.3", "0.000123"]
    assert max(map(len, lines)) <= 80


def test_only_the_named_members_are_checked(asked: list[str]) -> None:
    assert run("check", "--member", "local/smollm2-135m").exit_code == 0
    assert asked == ["local/smollm2-135m"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("recorded-pass-1", "'recorded-pass-1' answers from its record and cannot be asked: name a live or local"),
        ("nobody", "'nobody' is no panel member: `personagen panel` lists them"),
    ],
)
def test_who_cannot_be_asked_is_told_in_one_line(asked: list[str], name: str, message: str) -> None:
    result = run("check", "--member", name)
    assert isinstance(result.exception, ElicitationError) and message in str(result.exception)
    assert not asked
