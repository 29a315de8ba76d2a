"""Exact ages: the years of a band that a persona's education leaves open, in batches and in single lines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from serving import ages
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import TOY, build_snapshot
from warehouse.errors import SamplingError


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path)
    return Sampler(Snapshot.load(path))


def years(sampler: Sampler, education: str, n: int = 4_000) -> np.ndarray:
    batch = sampler.sample(n, 5, do={"age": "18_24", "education": education}, fields=["age_years"])
    return np.array(batch.values("age_years"))


def test_nobody_has_a_degree_before_its_age_and_the_years_left_are_even(sampler: Sampler) -> None:
    for education, first in (("high_school", 18), ("bachelor", 21), ("doctorate", 24)):
        seen = np.bincount(years(sampler, education) - 18, minlength=7)
        assert (seen[: first - 18] == 0).all()
        expected = 4_000 / (25 - first)
        assert (np.abs(seen[first - 18 :] - expected) < 5 * np.sqrt(expected)).all()


def test_single_lines_have_the_ages_of_a_batch(sampler: Sampler) -> None:
    fields = ["age_years", "birth_date", "generation", "education"]
    lines = sampler.lines(fields=fields)
    batch = sampler.sample(300, "x", fields=fields)
    assert [lines.line("x", index).decode() for index in range(300)] == list(batch.to_jsonl())
    for line in batch.to_jsonl():
        one = json.loads(line)
        assert one["education"] == "high_school" or one["age_years"] >= 21


def test_shares_of_spans_are_of_the_years_that_are_open(sampler: Sampler) -> None:
    share = ages.shares_of(sampler.snapshot, ((18, 21), (30, 33)))
    assert share[0].tolist() == pytest.approx([4 / 7, 1 / 4, 0])
    assert share[1].tolist() == pytest.approx([0.4] * 3) and (share[2:] == 0).all()
    told = ages.years_of(sampler.snapshot, ((18, 21), (30, 33)))
    assert told is not None and told.ratios[0].tolist() == pytest.approx([1, 7 / 16, 0])
    assert ages.years_of(sampler.snapshot, ((30, 33),)) is None


def test_evidence_on_years_that_education_rules_out_has_probability_zero(sampler: Sampler) -> None:
    with pytest.raises(SamplingError, match="the evidence has probability zero"):
        sampler.sample(1, evidence={"age": "18..19", "education": "bachelor"})


def test_a_target_counts_those_whom_the_years_allow(sampler: Sampler) -> None:
    batch = sampler.sample(
        20_000, 2, evidence={"age": "18..21"}, target_marginal={"education": {"bachelor": 0.3, "high_school": 0.7}}
    )
    bachelor = batch.codes("education") == 1
    assert bachelor.mean() == pytest.approx(0.3, abs=0.03)
    assert min(np.array(batch.values("age_years"))[bachelor]) == 21


def test_without_education_ages_follow_their_band(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "plain", [one for one in TOY if one.id in {"age", "sex", "birth_month"}])
    batch = Sampler(Snapshot.load(tmp_path / "plain")).sample(500, do={"age": "18_24"}, fields=["age_years"])
    assert set(batch.values("age_years")) == set(range(18, 25))
