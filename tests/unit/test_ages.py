"""Exact ages: the years of a band that a persona's characteristics leave open, in batches and in single lines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from serving import ages
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.particulars import file
from tests.support.toy_snapshot import TOY, build_snapshot
from warehouse.errors import SamplingError, SnapshotError
from warehouse.particulars import AGES


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


@pytest.mark.parametrize(
    "years", [[], ["x"], ["18", "18"], ["19", "18"], ["18", "25"], ["18", "-3"], ["18", "99999999"]]
)
def test_a_file_of_ages_without_years_is_refused(tmp_path: Path, years: list[str]) -> None:
    bands = next(one.categories for one in TOY if one.id == "age")
    rows = [("18_24", year, 1.0, [1.0] * 3) for year in years]
    rows += [(band, band[:2], 1.0, [1.0] * 3) for band in bands[1:]]
    build_snapshot(tmp_path / "toy", extra_files={AGES: file(TOY, "age", rows, ("education",))})
    with pytest.raises(SnapshotError, match=r"ages\.parquet has a band without years of its own"):
        Snapshot.load(tmp_path / "toy")


BANDS = {"18_24": (18, 25), "25_34": (25, 35), "35_44": (35, 45), "45_54": (45, 55), "55_64": (55, 65)}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    """Years told by education and employment: the retired are the older ones of a band, the unemployed the younger."""
    rows = []
    for band, (low, high) in {**BANDS, "65_74": (65, 75), "75_plus": (75, 101)}.items():
        for year in range(low, high):
            older = (year - low + 1) / (high - low)
            degree = [1.0, *[float(year >= first) for first in (21, 24)]]
            rows.append((band, str(year), 1.0, degree, [1.0, 1.0, 1.5 - older, older**2]))
    path = tmp_path_factory.mktemp("snapshots") / "told"
    content = file(TOY, "age", rows, ("education",), ("employment",))
    build_snapshot(path, extra_files={AGES: content})
    return Sampler(Snapshot.load(path))


def test_years_are_by_what_the_file_tells(told: Sampler) -> None:
    assert ages.needs(told.snapshot) == ("age", "education", "employment")
    n = 40_000
    batch = told.sample(
        n, 5, fields=["age_years"], do={"age": "25_34", "employment": "retired", "education": "bachelor"}
    )
    seen = np.bincount(np.array(batch.values("age_years")) - 25, minlength=10)
    expected = np.linspace(0.1, 1, 10) ** 2
    expected *= n / expected.sum()
    assert ((seen - expected) ** 2 / expected).sum() < 30  # chi-square of nine degrees of freedom
    young = told.sample(2_000, 5, fields=["age_years"], do={"age": "18_24", "education": "doctorate"})
    assert set(young.values("age_years")) == {24}


def test_lines_have_the_told_years_of_a_batch(told: Sampler) -> None:
    fields = ["age_years", "birth_date", "employment"]
    lines = told.lines(fields=fields)
    batch = told.sample(300, "x", fields=fields)
    assert [lines.line("x", index).decode() for index in range(300)] == list(batch.to_jsonl())


@pytest.mark.parametrize("spans", [(19, 22), (23, 27), (40, 90)])
def test_evidence_on_told_years_is_exact(told: Sampler, spans: tuple[int, int]) -> None:
    """Those of the years among everybody are the yardstick; whoever has them anyway stays."""
    n = 60_000
    fields = ["age_years", "education", "employment", "party"]
    everybody = told.sample(n, "all", fields=fields)
    inside = np.array([spans[0] <= year <= spans[1] for year in everybody.values("age_years")])
    batch = told.sample(n // 4, "some", fields=fields, evidence={"age": f"{spans[0]}..{spans[1]}"})
    assert set(batch.values("age_years")) <= set(range(spans[0], spans[1] + 1))
    assert batch.support.probability == pytest.approx(inside.mean(), rel=0.05)
    for field in ("age_years", "education", "employment", "party"):
        wanted = np.array(everybody.values(field))[inside]
        seen = np.array(batch.values(field))
        for value in np.unique(wanted):
            p, q = (wanted == value).mean(), (seen == value).mean()
            assert abs(p - q) < 4.5 * np.sqrt(p * (1 - p) * (1 / len(wanted) + 1 / len(seen))) + 1e-9


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
