"""Prompt variants and text parts: names that do not exist and variables that nobody gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.prompts import variants
from pipeline.prompts.variants import all_variants, fill, parse_variant
from warehouse.errors import ElicitationError


def test_an_id_round_trips() -> None:
    name = "frequency.whole_map.per_1000_rows"
    assert parse_variant(name).id == name


def test_the_parts_compose_into_thirty_variants() -> None:
    variants = all_variants()
    assert len({v.id for v in variants}) == 30
    assert [len({getattr(v, kind) for v in variants}) for kind in ("framing", "granularity", "number_format")] == [
        5,
        2,
        3,
    ]
    assert all(parse_variant(v.id) == v for v in variants)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("analyst", "write it as framing.granularity.number_format"),
        ("poet.whole_map.percent_keyed", "no framing 'poet': choose analyst, anchored"),
        ("analyst.whole_map.roman", "no number_format 'roman': choose"),
        ("../x.whole_map.percent_keyed", "write it as|no framing"),
    ],
)
def test_an_unknown_part_is_named(name: str, message: str) -> None:
    with pytest.raises(ElicitationError, match=message):
        parse_variant(name)


def test_a_missing_variable_and_a_stray_dollar_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wants.txt").write_text("Hello $name")
    (tmp_path / "stray.txt").write_text("costs $ 5")
    monkeypatch.setattr(variants, "PARTS", tmp_path)
    with pytest.raises(ElicitationError, match="'wants': variable 'name' has no value"):
        fill("wants")
    with pytest.raises(ElicitationError, match=r"'stray': .*write a literal dollar"):
        fill("stray")
    with pytest.raises(ElicitationError, match="'gone': cannot be read"):
        fill("gone")
    assert fill("wants", name="you") == "Hello you"
