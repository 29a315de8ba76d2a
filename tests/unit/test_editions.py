"""Editions side by side: beginning one, telling which there are, and the commands over them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from pipeline import editions as module
from pipeline.cli.edition import edition_group
from pipeline.editions import begin, editions, new_edition, panel_members
from pipeline.elicitation.edition import asked_for, members_of, write_members
from pipeline.elicitation.panel import Endpoint, Member, load_panel
from pipeline.pages.provenance import render_provenance
from pipeline.resources import Build
from tests.support.toy_snapshot import build_snapshot
from warehouse.database import replace_cells
from warehouse.errors import ElicitationError, PersonaGenError

MEMBERS = ("openai/gpt-6-luna", "local/smollm2-135m")
LIVE = Member(
    id="maker/model",
    source="live",
    variant="analyst.whole_map.percent_keyed",
    maker="Maker",
    endpoint=Endpoint(base_url="https://example.org/v1", key_variable="SOME_KEY"),
)


def build(home: Path, edition: str = "2031.02") -> Build:
    return Build(home=str(home), edition=edition)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(edition_group, arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


def stored(one: Build, table: str, **row: object) -> None:
    with one.connect() as connection:
        replace_cells(connection, table, pl.DataFrame(), pl.DataFrame([row]))


def test_a_new_edition_says_whom_it_asks(tmp_path: Path) -> None:
    one = build(tmp_path)
    new_edition(one, panel_members(MEMBERS))
    assert tuple(m.id for m in members_of(one.edition_folder)) == MEMBERS
    assert "2031.02" in one.plan.provenance and MEMBERS[1] in one.plan.provenance
    with pytest.raises(ElicitationError, match="exists already"):
        new_edition(one, panel_members(MEMBERS))


def test_an_edition_like_another_keeps_who_is_asked_for_one_population_only(tmp_path: Path) -> None:
    first = build(tmp_path, "2031.01")
    write_members(first.live_folder, MEMBERS[:1], [], {"gb": [MEMBERS[1], "recorded-pass-2"]})
    run("new", "2031.02", "--like", "2031.01", "--home", str(tmp_path))
    asked = asked_for(build(tmp_path).live_folder, ("us", "gb"))
    assert asked == {"us": {MEMBERS[0]}, "gb": {MEMBERS[1]}}
    run("new", "2031.03", "--like", "2031.01", "--population", "us", "--home", str(tmp_path))
    asked = asked_for(build(tmp_path, "2031.03").live_folder, ("us", "gb"))
    assert asked == {"us": {MEMBERS[0]}, "gb": frozenset()}


def test_provenance_tells_who_is_asked_live_and_who_is_not() -> None:
    from datetime import date

    text = render_provenance("2031.02", date(2031, 2, 1), [LIVE, load_panel()[0]])
    assert "`maker/model`: asked live, made by Maker, as `maker/model` at https://example.org/v1" in text
    assert "`recorded-pass-1`: not asked" in text and "Begun on 2031-02-01" in text
    assert "SOME_KEY" not in text and "share training data" not in text  # one model has no spread to understate


def test_a_recorded_edition_and_an_edition_of_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ElicitationError, match="is a recorded one"):
        new_edition(build(tmp_path, "2026.11"), panel_members(MEMBERS))
    with pytest.raises(ElicitationError, match="nobody to ask"):
        new_edition(build(tmp_path), ())
    with pytest.raises(ElicitationError, match="'recorded-pass-1' answers from the record and cannot be asked"):
        new_edition(build(tmp_path), [load_panel()[0], *panel_members(MEMBERS)])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ElicitationError, match="unknown panel member 'nobody'"):
        panel_members(["nobody"])


def test_regenerating_asks_whom_the_serving_edition_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = (*load_panel()[:2], LIVE, LIVE.model_copy(update={"id": "maker/other"}))
    monkeypatch.setattr(module, "load_panel", lambda: panel)
    monkeypatch.setattr(module, "members_of", lambda folder: members_of(folder, panel))
    first = build(tmp_path, "2031.01")
    write_members(first.live_folder, [panel[0].id, LIVE.id])
    assert [m.id for m in begin(build(tmp_path, "2031.00"))] == ["maker/model", "maker/other"]  # nothing serves
    at = pl.Series(["2031-01-01"]).str.to_datetime().item()
    stored(first, "promotions", population="us", edition="2031.01", snapshot_id="s", at=at)
    second = build(tmp_path, "2031.02")
    assert [m.id for m in begin(second)] == ["maker/model"]
    assert [m.id for m in begin(second)] == ["maker/model"]  # begun already: as it is
    with pytest.raises(ElicitationError, match=r"edition '2031\.01' serves"):
        begin(first)


def test_editions_are_listed_with_what_is_stored_of_them(tmp_path: Path) -> None:
    one = build(tmp_path)
    new_edition(one, panel_members(MEMBERS[:1]))
    assert [(e.edition, e.recorded, e.requests) for e in editions(one)] == [("2026.11", True, 0), ("2031.02", False, 0)]
    for custom_id, given in (("us-1", "sex"), ("us-2", "age"), ("us-3", "age")):
        asked = {"population": "us", "dimension": "diet", "given": [given], "model": "m", "custom_id": custom_id}
        stored(one, "requests", edition="2031.02", **asked)
        stored(one, "requests", edition="2026.11", **asked)
    for attempt in (1, 2):
        stored(one, "completions", edition="2031.02", model="m", custom_id="us-1", attempt=attempt)
    for category in ("a", "b"):
        key = {"population": "us", "edition": "2031.02", "dimension": "diet", "model": "m", "given": ["age"]}
        stored(one, "estimates", **key, category=category)
    stored(one, "snapshots", population="us", edition="2031.02", snapshot_id="s")
    at = pl.Series(["2031-01-01", "2031-01-02"]).str.to_datetime()
    stored(one, "promotions", population="us", edition="2031.02", snapshot_id="s", at=at[0])
    stored(one, "promotions", population="us", edition="2026.11", snapshot_id="r", at=at[1])
    recorded, live = editions(one)
    assert (recorded.requests, recorded.answered, recorded.accepted, recorded.serves) == (3, 0, 0, ("us",))
    assert (live.requests, live.answered, live.snapshots, live.serves) == (3, 1, ("us s",), ())
    assert (live.maps, live.accepted) == (2, 1)
    assert live.members == MEMBERS[:1]


def test_the_commands_begin_and_list(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path)]
    free, paid = "local/smollm2-135m", "openai/gpt-6-luna"
    out = run("new", "2031.02", "--member", free, *home)
    assert f"asks {free}" in out and "`personagen build --edition 2031.02` asks and builds" in out
    out = run("new", "2031.03", "--member", paid, *home)
    assert "`personagen ask --edition 2031.03 --dry-run` tells what it costs" in out and "--budget" in out
    assert f"asks {paid}:" in run("new", "2031.04", "--like", "2031.03", *home)
    out = run("list", *home)
    assert "2031.02" in out and "2026.11 (recorded)" in out and "not built" in out


def test_a_broken_edition_is_listed_with_what_is_wrong_and_the_others_too(tmp_path: Path) -> None:
    new_edition(build(tmp_path, "2031.03"), panel_members(MEMBERS))
    (build(tmp_path).live_folder).mkdir(parents=True)
    (build(tmp_path).live_folder / "edition.toml").write_text("members = [", encoding="utf-8")
    assert [(e.edition, bool(e.error)) for e in editions(build(tmp_path))] == [
        ("2026.11", False),
        ("2031.02", True),
        ("2031.03", False),
    ]
    out = run("list", "--home", str(tmp_path))
    assert "2031.03" in out and "broken" in out and "2031.02: " in out and "edition.toml is not valid TOML" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", "2031.02", "--member", "recorded-pass-1", "--like", "2026.11"), "exclude each other"),
        (("new", "2031.02", "--like", "2030.01"), "there is no edition '2030.01'"),
        (("new", "2031.02", "--like", ""), "write it in letters"),
        (("new", "2031.02", "--like", "2026.11"), "edition '2026.11' has recorded members only"),
        (("new", "../x"), "write it in letters"),
        (("new", ""), "edition '': write it in letters"),
        (("new", "9" * 300), "at most 64"),
        (("diff", "2026.11", "2031.02"), "edition '2026.11' is not built"),
        (("diff", "2026.11", "2031.02", "--population", "fr"), "unknown population 'fr'"),
        (("promote", "2031.02"), "there is no edition '2031.02'"),
        (("promote", "2026.11"), "edition '2026.11' is not built"),
    ],
)
def test_bad_commands_are_one_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(PersonaGenError, match=message) as caught:
        run(*arguments, "--home", str(tmp_path))
    assert "\n" not in str(caught.value)


def test_diff_prints_what_the_page_says(tmp_path: Path) -> None:
    for seed, edition in enumerate(("2031.01", "2031.02")):
        build_snapshot(build(tmp_path, edition).snapshot_folder("us"), seed=seed, edition=edition)
    out = run("diff", "2031.01", "2031.02", "--home", str(tmp_path), "--top", "3")
    page = build(tmp_path).drift_page("us").read_text(encoding="utf-8")
    assert out.endswith(page) and "Drift of us: 2031.01 to 2031.02" in page
    with build(tmp_path).connect() as connection:
        assert connection.execute("select distinct edition_a, edition_b from drifts").fetchall() == [
            ("2031.01", "2031.02")
        ]
