"""What counts as breaking one's record."""

from __future__ import annotations

import polars as pl

from pipeline.checks import broken_records


def cards(edition: str, **weights: tuple[float, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"population": "us", "edition": edition, "model": m, "weight": w, "accepted": a, "answered": 100}
            for m, (w, a) in weights.items()
        ]
    )


def test_a_panel_that_keeps_its_record_is_quiet() -> None:
    now, before = cards("2", a=(0.8, 95), b=(1.0, 100)), cards("1", a=(1.0, 100), b=(0.2, 50))
    assert broken_records(now, before) == []
    assert broken_records(now, before.clear()) == []


def test_who_is_shut_out_is_named_with_the_reason() -> None:
    assert broken_records(cards("2", a=(0.0, 3)), cards("1", b=(1.0, 100))) == [
        "us: 'a' has weight 0, 3 of 100 requests accepted"
    ]


def test_who_falls_is_named_with_both_figures() -> None:
    assert broken_records(cards("2", a=(0.7, 80), b=(1.0, 98)), cards("1", a=(1.0, 99), b=(1.0, 99))) == [
        "us: 'a' fell from weight 1.0 in 1 to 0.7",
        "us: 'a' fell from 99% accepted in 1 to 80%",
    ]
