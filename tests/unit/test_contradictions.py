"""Values set by `do` that some people cannot have: these are not there, everybody else is who they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from serving.contradictions import at_risk
from serving.engine import Engine
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import ToyDimension, build_snapshot
from warehouse.errors import SamplingError

SERVICE, EMPLOYMENT, OCCUPATION = ("never", "active"), ("employed", "student"), ("none", "clerk", "soldier")

# A soldier is employed, as a soldier; a student has no occupation; who is employed has one.
WORLD = (
    ToyDimension("home", ("north", "south")),
    ToyDimension("service", SERVICE, (("home",),)),
    ToyDimension("employment", EMPLOYMENT, (("home",), ("service",)), zeros=((("service",), (1,), 1),)),
    ToyDimension(
        "occupation",
        OCCUPATION,
        (("employment",), ("service",)),
        zeros=(
            (("employment",), (0,), 0),
            *((("employment",), (1,), code) for code in (1, 2)),
            *((("service",), (1,), code) for code in (0, 1)),
            (("service",), (0,), 2),
        ),
    ),
    ToyDimension("hat", ("plain", "feathered"), (("occupation",),)),
    ToyDimension("shoe", ("brown", "black"), (("home",),)),
)


@pytest.fixture(scope="module", params=["numpy", "numba"])
def sampler(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Sampler:
    path = tmp_path_factory.mktemp("snapshots") / "world"
    build_snapshot(path, WORLD)
    return Sampler(Snapshot.load(path), request.param)


def position(snapshot: Snapshot, name: str) -> int:
    return snapshot.dimension(name).position


def test_only_who_can_be_left_without_a_category_is_at_risk(sampler: Sampler) -> None:
    snapshot = sampler.snapshot
    employment, service, hat = (position(snapshot, name) for name in ("employment", "service", "hat"))
    assert at_risk(snapshot, {employment: 1}) == ("occupation",)
    # Whoever is employed has some occupation, soldiers theirs; and a soldier is never a student unless that is set.
    assert at_risk(snapshot, {employment: 0}) == at_risk(snapshot, {service: 1}) == at_risk(snapshot, {hat: 0}) == ()
    assert at_risk(snapshot, {}) == ()
    assert at_risk(snapshot, {employment: 1, service: 1}) == ("occupation",)


def test_who_cannot_have_what_is_set_is_not_there(sampler: Sampler) -> None:
    before, after = sampler.sample(40_000), sampler.sample(40_000, do={"employment": "student"})
    soldier = before.codes("service") == 1
    assert 1_000 < soldier.sum() < 39_000
    assert not (after.codes("service") == 1).any()
    assert (after.codes("occupation") == 0).all()
    for name in ("home", "service", "shoe"):
        assert np.array_equal(before.codes(name)[~soldier], after.codes(name)[~soldier])
    # Those in the soldiers' places follow P(home | no soldier).
    others = np.bincount(before.codes("home")[~soldier], minlength=2)
    instead = np.bincount(after.codes("home")[soldier], minlength=2)
    assert chisquare(instead, others / others.sum() * instead.sum()).pvalue > 1e-3
    assert after.support.probability == pytest.approx(1 - soldier.mean(), abs=0.02)


def test_a_persona_does_not_depend_on_the_batch_the_fields_or_the_way_it_is_drawn(sampler: Sampler) -> None:
    do = {"employment": "student"}
    whole = list(sampler.sample(300, seed=5, do=do).to_jsonl())
    assert whole[100:130] == list(sampler.sample(30, seed=5, start=100, do=do).to_jsonl())
    lines = sampler.lines(do)
    assert whole == [lines.line(5, index).decode() for index in range(300)]
    homes = sampler.sample(300, seed=5, do=do).values("home")
    assert homes == sampler.sample(300, seed=5, do=do, fields=["home"]).values("home")
    only = sampler.lines(do, fields=["home"])
    assert [f'"home": "{home}"'.encode() in only.line(5, index) for index, home in enumerate(homes)] == [True] * 300


def test_other_conditions_go_together_with_it(sampler: Sampler) -> None:
    do = {"employment": "student"}
    southern = sampler.sample(2_000, do=do, evidence={"home": "south"})
    assert set(southern.values("home")) == {"south"}
    assert set(southern.values("service")) == {"never"}
    half = sampler.sample(4_000, do=do, target_marginal={"home": {"south": 0.5}})
    assert np.mean(half.codes("home")) == pytest.approx(0.5, abs=0.04)
    exact = sampler.sample(100, do=do, quota={"home": {"south": 30, "north": 70}})
    assert exact.values("home").count("south") == 30
    assert set(exact.values("service")) == {"never"}


def test_what_nobody_can_have_is_refused_at_once(sampler: Sampler) -> None:
    do = {"employment": "student", "service": "active"}
    said = "no category of 'occupation' is possible together with the values set.*employment and service"
    for people in (0, 1, 50):
        with pytest.raises(SamplingError, match=said) as raised:
            sampler.sample(people, do=do)
        assert raised.value.argument == "do"
    with pytest.raises(SamplingError, match=said):
        sampler.lines(do)
    # It is not the other conditions that are to blame.
    for more in ({"evidence": {"home": "south"}}, {"quota": {"home": {"south": 1}}}):
        with pytest.raises(SamplingError, match=said):
            sampler.sample(5, do=do, **more)  # type: ignore[arg-type]
    with pytest.raises(SamplingError, match="evidence has probability zero"):
        sampler.sample(5, do={"employment": "student"}, evidence={"service": "active"})


def test_what_only_tries_show_to_be_impossible_is_named_as_it_was_set() -> None:
    us = Sampler(Snapshot.load("us"), "numpy")
    do = {"occupation": "none", "military_service": "active_duty"}
    said = "nobody among 32,768 people can have military_service=active_duty and occupation=none"
    for people in (0, 2):
        with pytest.raises(SamplingError, match=said) as raised:
            us.sample(people, do=do, evidence={"sex": "female"})
        assert raised.value.argument == "do"


def test_a_few_replacements_do_not_tell_the_share_of_those_who_can() -> None:
    us = Sampler(Snapshot.load("us"), "numpy")
    for seed in range(3):
        assert us.sample(5, seed, do={"occupation": "legal"}).support.probability == pytest.approx(0.6, abs=0.03)
        assert us.sample(1_000, seed, do={"employment": "student"}).support.probability < 1


@pytest.mark.parametrize("population", ["us", "gb"])
def test_everything_can_be_set(population: str) -> None:
    snapshot = Snapshot.load(population)
    engine, sampler = Engine(snapshot, "numpy"), Sampler(snapshot, "numpy")
    indices, everything = np.arange(600, dtype=np.uint64), range(len(snapshot.dimensions))
    risky = set()
    for dimension in snapshot.dimensions:
        for code, category in enumerate(dimension.categories):
            if found := at_risk(snapshot, {dimension.position: code}):
                risky.add((dimension.id, found))
                assert len(sampler.sample(600, do={dimension.id: category}, fields=["age"])) == 600
            else:
                engine.draw(indices, 0, everything, {dimension.position: code})
    assert {name for name, _ in risky} == {"employment", "occupation", "work_arrangement"}
