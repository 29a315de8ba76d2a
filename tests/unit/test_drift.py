"""What moved between two snapshots: nothing where nothing did, and the right thing where something did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.drift import drift
from pipeline.drift_frames import drift_frame
from pipeline.pages.drift import render_drift
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot, frames
from warehouse.snapshot_format import PopulationInfo, write_snapshot

PEOPLE = 4_000
BY_SEX = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3]])
LEVELS = ("high_school", "bachelor", "doctorate")


def map_rows(p: np.ndarray, spread: float = 0.1, models: int = 2) -> pl.DataFrame:
    """P(education | sex) as rows of a snapshot."""
    rows = [
        {
            "dimension": "education",
            "given": ["sex"],
            "condition": [sex],
            "category": level,
            "probability": float(p[i, k]),
            "spread": spread,
            "models": models,
        }
        for i, sex in enumerate(("female", "male"))
        for k, level in enumerate(LEVELS)
    ]
    return pl.DataFrame(rows)


def snapshot(folder: Path, maps: pl.DataFrame, winner: str = "max_entropy", edition: str = "2026.11") -> Snapshot:
    dimensions, weights, _ = frames(TOY)
    write_snapshot(
        folder,
        population=PopulationInfo("us", "Toy adults", 2025, "USD"),
        edition=edition,
        catalogue_hash="0" * 64,
        dimensions=dimensions,
        weights=weights,
        maps=maps,
        strategies={"education": {"winner": winner}},
        panel=("toy",),
    )
    return Snapshot.load(folder)


def test_nothing_moves_between_a_snapshot_and_itself(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "a")
    one = Snapshot.load(tmp_path / "a")
    found = drift(one, one, people=PEOPLE)
    assert {m.tv.value for m in found.maps} == {m.tv.high for m in found.maps} == {0.0}
    assert {(m.tv.value, m.changed) for m in found.marginals} == {(0.0, 0.0)}
    assert all(p.before == p.after for p in found.pairs)
    assert not (found.gone or found.new or found.strategies or found.examples)
    assert not any(m.beyond_noise for m in found.maps) and all(m.noise > 0 for m in found.maps)


def test_a_map_is_weighted_by_the_people_in_its_conditions(tmp_path: Path) -> None:
    moved = BY_SEX.copy()
    moved[0] = [0.5, 0.4, 0.1]  # women only, by 0.2
    before, after = snapshot(tmp_path / "a", map_rows(BY_SEX)), snapshot(tmp_path / "b", map_rows(moved))
    found = drift(before, after, people=PEOPLE)
    (one,) = found.maps
    factors = frames(TOY)[1].filter(dimension="sex")["factors"][0]
    women = factors[0] / sum(factors)
    assert one.tv.value == pytest.approx(0.2 * women, abs=0.01)
    assert one.tv.low < one.tv.value < one.tv.high


def test_the_interval_widens_with_the_spread_and_narrows_with_the_members(tmp_path: Path) -> None:
    moved = np.array([[0.5, 0.4, 0.1], [0.5, 0.3, 0.2]])  # both rows by 0.2: conditions add nothing to the interval
    width, noise = {}, {}
    for name, spread, models in (("sure", 0.05, 2), ("unsure", 0.4, 2), ("many", 0.4, 32)):
        before = snapshot(tmp_path / f"a-{name}", map_rows(BY_SEX, spread, models))
        after = snapshot(tmp_path / f"b-{name}", map_rows(moved, spread, models))
        (one,) = drift(before, after, people=PEOPLE).maps
        width[name], noise[name] = one.tv.high - one.tv.low, one.noise
        assert one.tv.value == pytest.approx(0.2, abs=1e-6)
    assert width["sure"] < width["many"] < width["unsure"]
    assert noise["unsure"] == pytest.approx(4 * noise["many"]) and noise["unsure"] == pytest.approx(8 * noise["sure"])


def test_noise_is_what_two_readings_of_the_same_truth_differ_by(tmp_path: Path) -> None:
    spread, models = 0.2, 4
    same = snapshot(tmp_path / "a", map_rows(BY_SEX, spread, models))
    (one,) = drift(same, same, people=PEOPLE).maps
    rng = np.random.default_rng(5)

    def read() -> np.ndarray:
        p = BY_SEX * np.exp(rng.normal(0, spread / np.sqrt(models), (2_000, *BY_SEX.shape)))
        return p / p.sum(axis=-1, keepdims=True)

    rows = 0.5 * np.abs(read() - read()).sum(axis=-1).mean(axis=0)
    assert min(rows) * 0.97 < one.noise < max(rows) * 1.03


def test_the_interval_covers_the_true_move_as_often_as_it_says(tmp_path: Path) -> None:
    spread, models = 0.2, 4
    truth = np.array([[0.4, 0.4, 0.2], [0.5, 0.3, 0.2]])
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(60):
        readings = []
        for name, p in (("a", BY_SEX), ("b", truth)):
            noisy = p * np.exp(rng.normal(0, spread / np.sqrt(models), p.shape))
            noisy /= noisy.sum(axis=1, keepdims=True)
            readings.append(snapshot(tmp_path / name, map_rows(noisy, spread, models)))
        (one,) = drift(*readings, people=200).maps
        true = 0.5 * np.abs(BY_SEX - truth).sum(axis=1)
        covered.append(one.tv.low <= true.max() and true.min() <= one.tv.high)
    assert np.mean(covered) >= 0.85


def test_only_what_depends_on_a_change_changes_in_people(tmp_path: Path) -> None:
    dimensions, weights, maps = frames(TOY)
    turned = weights.with_columns(
        factors=pl.when((pl.col("dimension") == "party") & (pl.col("order") == 0))
        .then(pl.col("factors").list.reverse())
        .otherwise(pl.col("factors"))
    )
    build_snapshot(tmp_path / "a")
    write_snapshot(
        tmp_path / "b",
        population=PopulationInfo("us", "Toy adults", 2025, "USD"),
        edition="2026.12",
        catalogue_hash="0" * 64,
        dimensions=dimensions,
        weights=turned,
        maps=maps,
    )
    found = drift(Snapshot.load(tmp_path / "a"), Snapshot.load(tmp_path / "b"), people=PEOPLE)
    moved = {m.dimension: m for m in found.marginals if m.changed}
    assert set(moved) == {"party"} and found.marginals[0].dimension == "party"
    assert moved["party"].changed >= moved["party"].tv.value > moved["party"].tv.low > 0
    assert {(p.first, p.second) for p in found.pairs if p.before != p.after} == {
        (d.id, "party") for d in TOY if d.id != "party"
    }
    assert len(found.examples) == 3
    assert all([c[0] for c in e.changed] == ["party"] and e.before != e.after for e in found.examples)


def test_what_only_one_has_is_told(tmp_path: Path) -> None:
    base = frames(TOY)[2].filter(dimension="sex")
    before = snapshot(tmp_path / "a", pl.concat([map_rows(BY_SEX), base], how="diagonal_relaxed"), "max_entropy")
    after = snapshot(tmp_path / "b", base, "log_pool", edition="2026.12")
    found = drift(before, after, people=200)
    assert found.gone == (("education", ("sex",)),) and found.new == ()
    assert [(m.dimension, m.given) for m in found.maps] == [("sex", ())]
    assert found.strategies == (("education", "max_entropy", "log_pool"),)
    text = render_drift(found)
    assert "P(education \\| sex)" in text and "education: max_entropy, now log_pool" in text
    rows = drift_frame(found)
    assert dict(rows["kind"].value_counts().iter_rows()) == {
        "map": 1, "gone": 1, "strategy": 1, "marginal": len(TOY), "pair": len(TOY) * (len(TOY) - 1) // 2,
    }  # fmt: skip
    assert set(rows["edition_b"]) == {"2026.12"} and set(rows["snapshot_a"]) == {before.id}


def test_a_dimension_with_other_categories_is_not_compared(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "a")
    other = tuple(ToyDimension("sex", ("female", "male", "other")) if d.id == "sex" else d for d in TOY)
    build_snapshot(tmp_path / "b", other)
    found = drift(Snapshot.load(tmp_path / "a"), Snapshot.load(tmp_path / "b"), people=200)
    assert ("sex", ()) in found.gone and ("sex", ()) in found.new
    assert "sex" not in {m.dimension for m in found.marginals}
    assert "age" in {m.dimension for m in found.marginals}
