"""Who is asked for an edition: what its folder says, and what is wrong with what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.elicitation.edition import asked_for, checked_name, members_of, populations_of, write_members
from pipeline.elicitation.panel import load_panel
from warehouse.errors import ElicitationError


def test_an_edition_without_the_file_has_all_recorded_members(tmp_path: Path) -> None:
    assert members_of(tmp_path) == tuple(m for m in load_panel() if m.source == "recorded")


def test_what_is_written_is_read_back_in_the_order_of_the_panel(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "2031.01"
    write_members(folder, ["recorded-pass-2", "recorded-pass-1"])
    assert [m.id for m in members_of(folder)] == ["recorded-pass-1", "recorded-pass-2"]
    with pytest.raises(ElicitationError, match="exists already"):
        write_members(folder, ["recorded-pass-1"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("members = [", "not valid TOML"),
        ("members = []", "'members'"),
        ('members = ["nobody"]', "'nobody' is no member"),
        ('members = ["recorded-pass-1"]\nlabel = "x"', "'label'"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "edition.toml").write_text(text)
    with pytest.raises(ElicitationError, match=message) as caught:
        members_of(tmp_path)
    assert "edition.toml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "a\n", "9" * 65, "x\ny" * 100])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(ElicitationError, match="write it in letters") as caught:
        checked_name(name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
    assert checked_name("9" * 64) == "9" * 64


def test_who_is_asked_may_differ_by_population(tmp_path: Path) -> None:
    two = frozenset({"recorded-pass-1", "recorded-pass-2"})
    assert asked_for(tmp_path, ["us", "xx"]) == {"us": None, "xx": None}
    write_members(tmp_path, sorted(two))
    assert asked_for(tmp_path, ["us", "xx"]) == {"us": two, "xx": two}
    with (tmp_path / "edition.toml").open("a") as file:
        file.write('[members_by_population]\nxx = ["recorded-pass-2", "local/smollm2-135m"]\n')
    asked = {"us": two, "xx": frozenset({"recorded-pass-2", "local/smollm2-135m"})}
    assert asked_for(tmp_path, ["us", "xx"]) == asked
    assert {m.id for m in members_of(tmp_path)} == {*two, "local/smollm2-135m"}


def test_an_edition_may_be_about_some_populations_only(tmp_path: Path) -> None:
    write_members(tmp_path, ["recorded-pass-1"], ["xx"])
    assert populations_of(tmp_path) == ("xx",)
    assert asked_for(tmp_path, ["us", "xx"]) == {"us": frozenset(), "xx": frozenset({"recorded-pass-1"})}
    with pytest.raises(ElicitationError, match=r"edition\.toml: 'xx' is no population of the catalogue: choose of us"):
        asked_for(tmp_path, ["us"])
