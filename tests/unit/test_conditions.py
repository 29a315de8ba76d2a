"""Conditioning: the right distribution, by brute force over a small catalogue; determinism; and every error named."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import serving.conditions
import serving.lookahead
from serving.batch import Batch
from serving.sampler import Sampler, SupportWarning
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot
from warehouse.errors import SamplingError

NAMES = ["age", "sex", "ethnicity", "education", "employment", "commute_mode", "party"]
PEOPLE = 30_000
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module", params=["numpy", "numba"])
def sampler(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Sampler:
    path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path)
    return Sampler(Snapshot.load(path), request.param)


def joint(snapshot: Snapshot, do: Mapping[str, str] | None = None) -> Floats:
    """P of every combination of `NAMES`, by multiplying out."""
    shape = [len(snapshot.dimension(name).categories) for name in NAMES]
    whole = np.ones(shape)
    for axis, name in enumerate(NAMES):
        dimension = snapshot.dimension(name)
        weights = np.ones(shape)
        for factor in dimension.factors:
            axes = [NAMES.index(parent) for parent in (*factor.given, name)]
            table = factor.table.reshape(*factor.sizes, -1).transpose(np.argsort(axes))
            weights = weights * table.reshape([shape[a] if a in axes else 1 for a in range(len(NAMES))])
        if name in (do or {}):
            weights = np.zeros(shape)
            np.moveaxis(weights, axis, 0)[dimension.code((do or {})[name])] = 1.0
        whole = whole * weights / weights.sum(axis=axis, keepdims=True)
    return whole


def times(whole: Floats, snapshot: Snapshot, likelihoods: Mapping[str, Mapping[str, float]]) -> Floats:
    """The joint times likelihoods, which sums to the probability of the evidence.

    One of `a+b` is that of some categories of two dimensions together, `c+d`; of others it is 1.
    """
    for name, values in likelihoods.items():
        if "+" in name:
            axes = [NAMES.index(one) for one in name.split("+")]
            for together, value in values.items():
                place: list[Any] = [slice(None)] * len(NAMES)
                for axis, category in zip(axes, together.split("+"), strict=True):
                    place[axis] = snapshot.dimension(NAMES[axis]).code(category)
                whole = whole.copy()
                whole[tuple(place)] *= value
            continue
        vector = np.array([values.get(c, 0.0) for c in snapshot.dimension(name).categories])
        shape = [len(vector) if other == name else 1 for other in NAMES]
        whole = whole * vector.reshape(shape)
    return whole


def counts(batch: Batch) -> Floats:
    shape = [len(batch.snapshot.dimension(name).categories) for name in NAMES]
    cells = np.ravel_multi_index([batch.codes(name).astype(np.intp) for name in NAMES], shape)
    return np.bincount(cells, minlength=math.prod(shape)).reshape(shape).astype(np.float64)


def improbability(seen: Floats, expected: Floats) -> float:
    """P of a chi-square at least as large, cells of fewer than five expected taken together."""
    assert not seen[expected == 0].any()
    expected = expected.ravel() * seen.sum() / expected.sum()
    seen = seen.ravel()
    large = expected >= 5
    gathered = [(seen[large], expected[large]), (seen[~large].sum(keepdims=True), expected[~large].sum(keepdims=True))]
    used = [(s, e) for s, e in gathered if e.sum() > 0]
    statistic = sum(float(((s - e) ** 2 / e).sum()) for s, e in used)
    return float(chi2.sf(statistic, sum(len(e) for _, e in used) - 1))


HARD: list[tuple[dict[str, Any], dict[str, Mapping[str, float]]]] = [
    ({"sex": "female"}, {"sex": {"female": 1}}),
    ({"commute_mode": "transit"}, {"commute_mode": {"transit": 1}}),
    (
        {"employment": ["unemployed", "retired"], "sex": "male"},
        {"employment": {"unemployed": 1, "retired": 1}, "sex": {"male": 1}},
    ),
    ({"education": "bachelor.."}, {"education": {"bachelor": 1, "doctorate": 1}}),
    ({"age": "25_34..45_54"}, {"age": {"25_34": 1, "35_44": 1, "45_54": 1}}),
    ({"age": "30..36", "party": ("none",)}, {"age": {"25_34": 0.5, "35_44": 0.2}, "party": {"none": 1}}),
    (
        {"age": range(20, 40), "commute_mode": "drive", "party": "democrat"},
        {
            "age": {"18_24": 1, "25_34": 1, "35_44": 0.5},
            "age+education": {"18_24+high_school": 5 / 7},  # nobody below 21 is a bachelor
            "commute_mode": {"drive": 1},
            "party": {"democrat": 1},
        },
    ),
    ({"age": "18..19"}, {"age": {"18_24": 2 / 7}, "education": {"high_school": 1}}),
    (
        {"age": "19..22", "education": "bachelor", "sex": "female"},
        {"age": {"18_24": 2 / 4}, "education": {"bachelor": 1}, "sex": {"female": 1}},
    ),
    (
        {"employment": "retired", "commute_mode": "not_applicable", "party": "republican", "ethnicity": "asian"},
        {
            "employment": {"retired": 1},
            "commute_mode": {"not_applicable": 1},
            "party": {"republican": 1},
            "ethnicity": {"asian": 1},
        },
    ),
]


@pytest.mark.parametrize(("evidence", "meaning"), HARD)
def test_evidence_gives_the_conditional_distribution(
    sampler: Sampler, evidence: dict[str, Any], meaning: dict[str, Mapping[str, float]]
) -> None:
    batch = sampler.sample(PEOPLE, "evidence", evidence=evidence)
    expected = times(joint(sampler.snapshot), sampler.snapshot, meaning)
    assert improbability(counts(batch), expected) > 1e-4
    assert batch.support.resampled == 0 and batch.support.excess < 1e-3
    assert batch.support.probability == pytest.approx(expected.sum(), rel=0.05)


@pytest.mark.parametrize("cells", [0, 20, 200, 100_000])
@pytest.mark.parametrize("combinations", [0, 2_000_000])
@pytest.mark.parametrize(("evidence", "meaning"), HARD)
def test_the_same_whatever_is_drawn_with_the_evidence_in_view(  # noqa: PLR0917
    sampler: Sampler,
    monkeypatch: pytest.MonkeyPatch,
    evidence: dict[str, Any],
    meaning: dict[str, Mapping[str, float]],
    combinations: int,
    cells: int,
) -> None:
    monkeypatch.setattr(serving.lookahead, "CELLS", cells)
    monkeypatch.setattr(serving.lookahead, "COMBINATIONS", combinations)
    monkeypatch.setattr(serving.conditions, "BLIND", 0.0)
    batch = Sampler(sampler.snapshot, "numpy").sample(PEOPLE, f"core {cells}", evidence=evidence)
    expected = times(joint(sampler.snapshot), sampler.snapshot, meaning)
    assert improbability(counts(batch), expected) > 1e-5
    assert batch.support.probability == pytest.approx(expected.sum(), rel=0.05)


def test_the_distribution_is_told_from_a_slightly_other_one(sampler: Sampler) -> None:
    batch = sampler.sample(PEOPLE, "evidence", evidence={"commute_mode": "transit"})
    other = times(
        joint(sampler.snapshot), sampler.snapshot, {"commute_mode": {"transit": 1}, "sex": {"female": 1, "male": 0.8}}
    )
    assert improbability(counts(batch), other) < 1e-4


@pytest.mark.parametrize("core", [None, 0, 100_000])
@pytest.mark.parametrize(
    ("do", "evidence"),
    [
        ({"education": "doctorate"}, {"commute_mode": "transit"}),
        ({"ethnicity": "white"}, {"commute_mode": "drive", "education": "doctorate"}),
        ({"sex": "male"}, {"commute_mode": "transit", "party": "none"}),
        ({"education": "bachelor", "sex": "female"}, {"employment": "retired", "party": "democrat"}),
    ],
)
def test_evidence_and_do_together(
    sampler: Sampler,
    monkeypatch: pytest.MonkeyPatch,
    do: dict[str, str],
    evidence: dict[str, str],
    core: int | None,
) -> None:
    if core is not None:  # as it is drawn for rarer evidence: what is set is no part of the core
        monkeypatch.setattr(serving.lookahead, "CELLS", core)
        monkeypatch.setattr(serving.conditions, "BLIND", 0.0)
        sampler = Sampler(sampler.snapshot, "numpy")
    batch = sampler.sample(PEOPLE, 1, evidence=evidence, do=do)
    meaning = {name: {category: 1.0} for name, category in evidence.items()}
    expected = times(joint(sampler.snapshot, do), sampler.snapshot, meaning)
    assert improbability(counts(batch), expected) > 1e-4
    assert batch.support.probability == pytest.approx(expected.sum(), rel=0.05)


def test_soft_evidence_is_a_likelihood(sampler: Sampler) -> None:
    soft = {"employment": {"full_time": 0.2, "retired": 0.9}, "sex": {"female": 3.0, "male": 1.0}}
    batch = sampler.sample(PEOPLE, 2, likelihood=soft)
    assert improbability(counts(batch), times(joint(sampler.snapshot), sampler.snapshot, soft)) > 1e-4


def test_exact_ages_stay_within_the_range_and_are_even(sampler: Sampler) -> None:
    years = np.array(sampler.sample(PEOPLE, 3, evidence={"age": "30..33"}).values("age_years"))
    seen = np.bincount(years - 30, minlength=4)
    assert years.min() == 30 and years.max() == 33 and improbability(seen.astype(float), np.full(4, 0.25)) > 1e-4
    assert set(sampler.sample(50, evidence={"age": 40}).values("age_years")) == {40}
    assert min(sampler.sample(300, evidence={"age": "80.."}).values("age_years")) >= 80  # type: ignore[type-var]


def test_target_marginals_are_met_and_nothing_else_is_distorted(sampler: Sampler) -> None:
    target = {"sex": {"female": 0.6}, "employment": {"full_time": 0.3, "retired": 0.3}}
    batch = sampler.sample(PEOPLE, 4, target_marginal=target)
    seen = counts(batch) / PEOPLE
    sex = seen.sum(axis=tuple(a for a in range(7) if NAMES[a] != "sex"))
    employment = seen.sum(axis=tuple(a for a in range(7) if NAMES[a] != "employment"))
    assert sex[0] == pytest.approx(0.6, abs=0.012)
    assert employment[[0, 3]] == pytest.approx([0.3, 0.3], abs=0.012)
    # Within what the targets leave free, the population's own proportions hold: raking has one factor per group.
    plain = joint(sampler.snapshot)
    axes = (NAMES.index("sex"), NAMES.index("employment"))
    others = tuple(a for a in range(7) if a not in axes)
    groups = [[0], [1, 2], [3]]
    for gender in (0, 1):
        for group in groups:
            part = np.take(np.take(plain, [gender], axes[0]), group, axes[1])
            mine = np.take(np.take(counts(batch), [gender], axes[0]), group, axes[1])
            keep = tuple(a for a in others if NAMES[a] != "party")
            assert improbability(mine.sum(axis=keep), part.sum(axis=keep)) > 1e-5


def test_target_marginals_with_evidence(sampler: Sampler) -> None:
    batch = sampler.sample(
        PEOPLE, 5, evidence={"party": "none"}, target_marginal={"sex": {"male": 0.25, "female": 0.75}}
    )
    assert set(batch.values("party")) == {"none"}
    assert np.mean(batch.codes("sex")) == pytest.approx(0.25, abs=0.012)


def test_quotas_are_filled_to_the_last_place(sampler: Sampler) -> None:
    quota = {"sex": {"female": 150, "male": 50}, "employment": {"retired": 120}, "party": {"none": 3}}
    batch = sampler.sample(200, 6, 1000, quota=quota, fields=["sex", "party", "employment", "ethnicity"])
    frame = batch.to_polars()
    assert frame["sex"].value_counts().sort("sex")["count"].to_list() == [150, 50]
    assert (frame["employment"] == "retired").sum() == 120 and (frame["party"] == "none").sum() == 3
    indices = frame["index"].to_list()
    assert indices == sorted(set(indices)) and indices[0] >= 1000 and frame["ethnicity"].n_unique() == 4
    again = sampler.sample(200, 6, 1000, quota=quota)
    assert again.indices.tolist() == indices
    assert len(sampler.sample(0, quota={"sex": {"female": 0, "male": 0}})) == 0


def test_who_meets_the_evidence_anyway_stays_who_they_are(sampler: Sampler) -> None:
    evidence = {"employment": ["full_time", "part_time"], "party": "none"}
    plain, known = sampler.sample(2000, 7), sampler.sample(2000, 7, evidence=evidence)
    stayed = 0
    for before, after in zip(plain, known, strict=True):
        if before["employment"] in evidence["employment"] and before["party"] == "none":
            stayed += 1
            assert after == before
        assert after["party"] == "none" and after["birth_month"] == before["birth_month"]
    assert stayed > 50


def test_several_spans_of_exact_ages(sampler: Sampler) -> None:
    years = sampler.sample(2000, 1, evidence={"age": ["25..30", 40, range(50, 52)]}).values("age_years")
    assert set(years) == {*range(25, 31), 40, 50, 51}
    padded = sampler.sample(500, 1, evidence={"age": "0000000000025..000030"}).values("age_years")
    assert set(padded) == {*range(25, 31)}


PROPERTY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EVIDENCE = st.dictionaries(
    st.sampled_from(["age", "sex", "ethnicity", "education", "party", "birth_month", "height"]),
    st.integers(0, 30),
    max_size=3,
)


@PROPERTY
@given(
    EVIDENCE,
    st.one_of(st.integers(), st.text(max_size=5)),
    st.integers(0, 2**62),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_a_persona_depends_on_seed_index_and_evidence_alone(  # noqa: PLR0917
    sampler: Sampler, places: dict[str, int], seed: int | str, start: int, size: int, cut: int
) -> None:
    categories = {name: sampler.snapshot.dimension(name).categories for name in places}
    evidence = {name: categories[name][place % len(categories[name])] for name, place in places.items()}
    try:
        whole = sampler.sample(size, seed, start, evidence)
    except SamplingError:
        assert (evidence.get("age"), evidence.get("education")) == ("18_24", "doctorate")
        return
    first = sampler.sample(min(cut, size), seed, start, evidence)
    second = sampler.sample(size - len(first), seed, start + len(first), evidence)
    assert [*first, *second] == list(whole)
    assert all(persona[name] == value for persona in whole for name, value in evidence.items())
    if size:
        assert sampler.sample(1, seed, start + size - 1, evidence)[0] == whole[-1]


def test_kernels_weigh_alike_to_the_last_bit(sampler: Sampler) -> None:
    other = Sampler(sampler.snapshot, "numpy")
    indices = np.arange(5000, dtype=np.uint64)
    commute = sampler.snapshot.dimension("commute_mode").position
    likelihoods = {0: np.array([0.5, 0, 1, 0, 0, 0.25, 1]), commute: np.array([0.2, 1.0, 0.0])}
    codes, weights = sampler._engine.weigh(indices, 3, likelihoods, {1: 0})
    expected, by_numpy = other._engine.weigh(indices, 3, likelihoods, {1: 0})
    assert weights.tobytes() == by_numpy.tobytes() and codes.keys() == expected.keys()
    assert all((codes[p] == expected[p]).all() for p in codes)


def test_numbers_of_numpy_are_numbers(sampler: Sampler) -> None:
    plain = sampler.sample(50, 1, evidence={"age": 30}, quota={"sex": {"male": 20}})
    other = sampler.sample(
        np.int64(50), np.int64(1), evidence={"age": np.int64(30)}, quota={"sex": {"male": np.int64(20)}}
    )  # type: ignore[arg-type, dict-item]
    assert plain.to_dicts() == other.to_dicts()
    soft = sampler.sample(50, 1, likelihood={"sex": {"male": np.float32(0.5), "female": np.float64(1)}})  # type: ignore[dict-item]
    assert soft.to_dicts() == sampler.sample(50, 1, likelihood={"sex": {"male": 0.5, "female": 1}}).to_dicts()


def test_rare_targets_are_met(sampler: Sampler) -> None:
    target = {"employment": {"unemployed": 0.5}, "party": {"none": 0.45}, "height": {"under_150": 0.5}}
    batch = sampler.sample(PEOPLE, 9, target_marginal=target)
    for name, shares in target.items():
        for category, share in shares.items():
            assert np.mean([value == category for value in batch.values(name)]) == pytest.approx(share, abs=0.012)


def test_targets_of_very_many_dimensions_are_met(tmp_path: Path) -> None:
    names = [f"coin_{i}" for i in range(70)]
    build_snapshot(tmp_path / "coins", [ToyDimension(name, ("heads", "tails")) for name in names])
    wide = Sampler(Snapshot.load(tmp_path / "coins"), "numpy")
    batch = wide.sample(PEOPLE, 3, target_marginal={name: {"heads": 0.5} for name in names}, fields=names)
    shares = [float(np.mean(batch.codes(name) == 0)) for name in names]
    assert max(abs(share - 0.5) for share in shares) < 0.02


def test_targets_that_nearly_decide_each_other_are_met(sampler: Sampler) -> None:
    plain = sampler.sample(PEOPLE, 1)
    home = float(np.mean([v == "not_applicable" for v in plain.values("commute_mode")]))
    idle = float(np.mean([v in ("unemployed", "retired") for v in plain.values("employment")]))
    assert home == pytest.approx(idle)  # the toy says so: one is the other
    target = {"commute_mode": {"not_applicable": 0.5}, "employment": {"unemployed": 0.2, "retired": 0.3}}
    batch = sampler.sample(PEOPLE, 2, target_marginal=target)
    assert np.mean([v == "retired" for v in batch.values("employment")]) == pytest.approx(0.3, abs=0.012)


def test_weights_beyond_the_bound_are_told(sampler: Sampler) -> None:
    support = serving.conditions.Support(probability=1e-4, tries=10, excess=0.25)
    assert "off by about 25% in total variation" in support.warning
    assert not serving.conditions.Support(excess=0.001).warning


def test_a_numba_that_is_of_no_use_is_passed_over(sampler: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(*_: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("serving.numba_kernel.NumbaKernel", unusable)
    monkeypatch.setattr("serving.engine.WORTH_COMPILED", 5)
    plain = Sampler(sampler.snapshot, "numpy").sample(20, 1)
    assert Sampler(sampler.snapshot).sample(20, 1).to_dicts() == plain.to_dicts()
    with pytest.raises(SamplingError, match="numba cannot be used here"):
        Sampler(sampler.snapshot, "numba")


def test_rare_evidence_is_resampled_and_told(sampler: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.conditions, "TRIES", 24)
    rare = {"commute_mode": "transit", "party": "none", "ethnicity": "black", "sex": "male", "birth_month": "may"}
    with pytest.warns(SupportWarning, match=r"thin support: \d+ personas .* P\(evidence\) is about"):
        batch = Sampler(sampler.snapshot).sample(400, 8, evidence=rare)
    assert batch.support.resampled > 0 and 1 <= batch.support.effective <= 24
    silent = Sampler(sampler.snapshot).sample(400, 8, evidence=rare, warn=False)  # a warning would be an error here
    assert silent.support == batch.support
    assert all(persona[name] == value for persona in batch for name, value in rare.items())
    expected = times(joint(sampler.snapshot), sampler.snapshot, {n: {c: 1} for n, c in rare.items() if n in NAMES})
    ages = expected.sum(axis=tuple(range(1, 7))) / expected.sum()
    assert np.bincount(batch.codes("age"), minlength=7) / 400 == pytest.approx(ages, abs=0.12)


def test_no_evidence_has_full_support(sampler: Sampler) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        support = sampler.sample(3).support
    assert (support.probability, support.resampled, support.warning) == (1.0, 0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"evidence": {"sx": "male"}}, "unknown dimension 'sx'"),
        ({"evidence": {"sex": "man"}}, "has no category 'man'"),
        ({"evidence": {"sex": []}}, "allows no category"),
        ({"evidence": {"sex": 3}}, "must be a category, a list"),
        ({"evidence": {"sex": {"male": 1}}}, "must be a category, a list"),
        ({"evidence": {"party": "democrat..none"}}, "'party' has no order"),
        ({"evidence": {"education": "doctorate..bachelor"}}, "is empty: turn it round"),
        ({"evidence": {"age": "40..30"}}, "is empty: turn it round"),
        ({"evidence": {"age": 12}}, "nobody is 12 years old: ages go from 18 to 100"),
        ({"evidence": {"age": range(30, 20)}}, "range without gaps"),
        ({"evidence": {"age": "18_24", "education": "doctorate"}}, "probability zero: 'education'"),
        ({"evidence": {"commute_mode": "drive", "employment": "retired"}}, "probability zero: 'commute_mode'"),
        ({"evidence": {"sex": "male"}, "do": {"sex": "male"}}, "'sex' is in evidence and in do"),
        ({"likelihood": {"sex": {"male": -1}}}, "must be a number from 0"),
        ({"likelihood": {"sex": {"male": 0}}}, "allows no category"),
        ({"likelihood": {"sex": "male"}}, "needs a number for each category"),
        ({"target_marginal": {"sex": {"male": 0.8, "female": 0.3}}}, "sum to more than 1"),
        ({"target_marginal": {"sex": {"male": 0.3, "female": 0.3}}}, "sum to less than 1"),
        ({"target_marginal": {"sex": {"male": 2}}}, "must be from 0 to 1"),
        (
            {"target_marginal": {"employment": {"retired": 0.5}}, "evidence": {"age": "18_24"}},
            "nobody with employment retired",
        ),
        (
            {"target_marginal": {"employment": {"retired": 0.9}, "commute_mode": {"drive": 0.9}}},
            "contradict each other",
        ),
        ({"quota": {"sex": {"male": 7, "female": 7}}}, "sums to 14, but 10 personas"),
        ({"quota": {"sex": {"male": 2.5}}}, "must be a whole number"),
        ({"quota": {"sex": {"male": 3}}, "start": 2**63 - 20}, "would pass index 2**63"),
        ({"evidence": {"age": ["25..30", "45_54"]}}, "mixes years and bands"),
        ({"evidence": {"age": "9" * 5000}}, "nobody is 999999999 years old"),
        ({"evidence": "sex=male"}, "evidence must be a mapping"),
        ({"evidence": {None: "male"}}, "evidence must be a mapping"),
        ({"do": {"education": ["bachelor"]}}, "to one category, not to"),
        ({"likelihood": {"sex": {"male": 10**400}}}, "must be a number from 0"),
        ({"fields": 5}, "fields must be a list of names"),
        ({"exclude": [None]}, "exclude must be a list of names"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(sampler: Sampler, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(SamplingError) as told:
        sampler.sample(10, **arguments)
    assert said in str(told.value) and "\n" not in str(told.value)


def test_evidence_that_no_draw_meets_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Impossible only through two parents at once, and with too many combinations to see it in the tables."""
    monkeypatch.setattr(serving.lookahead, "CELLS", 0)
    build_snapshot(
        tmp_path / "s",
        (
            ToyDimension("a", ("x", "y")),
            ToyDimension("b", ("x", "y"), (("a",),), zeros=((("a",), (0,), 1), (("a",), (1,), 0))),
            ToyDimension("c", ("x", "y"), (("a",),), zeros=((("a",), (0,), 1), (("a",), (1,), 0))),
        ),
    )
    monkeypatch.setattr(serving.conditions, "TRIES", 64)
    with pytest.raises(SamplingError, match="probability zero, or less than 1 in 64 draws shows"):
        Sampler(Snapshot.load(tmp_path / "s")).sample(5, evidence={"b": "x", "c": "y"})


def test_what_nobody_meets_ends_with_the_first_who_are_hopeless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opposite = ((("a",), (0,), 1), (("a",), (1,), 0))
    build_snapshot(
        tmp_path / "s",
        (
            ToyDimension("a", ("x", "y")),
            ToyDimension("b", ("x", "y"), (("a",),), zeros=opposite),
            ToyDimension("c", ("x", "y"), (("a",),), zeros=opposite),
        ),
    )
    tried: list[int] = []
    tries = serving.conditions._Trier.tries

    def counted(self: Any, indices: Any, first: int, count: int) -> Any:
        tried.extend(indices.tolist())
        return tries(self, indices, first, count)

    monkeypatch.setattr(serving.lookahead, "CELLS", 0)
    monkeypatch.setattr(serving.conditions, "TRIES", 64)
    monkeypatch.setattr(serving.conditions._Trier, "tries", counted)
    with pytest.raises(SamplingError, match="probability zero, or less than"):
        Sampler(Snapshot.load(tmp_path / "s")).sample(1000, evidence={"b": "x", "c": "y"})
    assert set(tried) == {0, 1}


def test_what_a_single_cause_rules_out_is_seen_whatever_the_other_causes(
    sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving.lookahead, "COMBINATIONS", 1)  # no table over all combinations of causes
    with pytest.raises(SamplingError, match="probability zero: 'education'") as told:
        Sampler(sampler.snapshot, "numpy").sample(5, evidence={"age": "18_24", "education": "doctorate"})
    assert told.value.allowed == ("high_school", "bachelor")


def test_rare_evidence_gives_the_same_people_however_many_are_searched_for_at_a_time(
    sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = {"commute_mode": "transit", "party": "none", "ethnicity": "black", "birth_month": "may"}
    expected = Sampler(sampler.snapshot, "numpy").sample(30, 8, evidence=rare, warn=False).to_dicts()
    found = serving.conditions.condition

    def unmet(*arguments: Any) -> Any:
        return replace(found(*arguments), mean=0.0)

    monkeypatch.setattr(serving.conditions, "condition", unmet)
    assert Sampler(sampler.snapshot, "numpy").sample(30, 8, evidence=rare, warn=False).to_dicts() == expected


def test_the_toy_has_what_these_tests_speak_of() -> None:
    assert {d.id for d in TOY} >= set(NAMES)
