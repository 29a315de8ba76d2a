"""Explanations add up: probabilities are what values are drawn with, odds ratios what factors do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from serving.explaining import explain
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import ToyDimension, build_snapshot
from warehouse.errors import SamplingError


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    path: Path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path)
    return Sampler(Snapshot.load(path))


def test_the_probability_is_how_often_the_value_is_drawn(sampler: Sampler) -> None:
    do = {"age": "35_44", "sex": "female", "education": "bachelor"}
    people = sampler.sample(20_000, 1, do=do)
    why = explain(people[0], "employment")
    shares = np.bincount(people.codes("employment"), minlength=4) / len(people)
    assert list(why.alternatives.values()) == pytest.approx(shares, abs=0.015)
    assert sum(why.alternatives.values()) == pytest.approx(1) and why.probability == why.alternatives[why.category]


def test_odds_ratios_are_what_a_factor_does(sampler: Sampler) -> None:
    persona = sampler.sample(1, 2)[0]
    why = explain(persona, "party")
    dimension = sampler.snapshot.dimension("party")
    code = dimension.code(why.category)
    assert [set(one.given) for one in why.contributions] != []
    for one in why.contributions:
        (factor,) = (f for f in dimension.factors if set(f.given) == set(one.given))
        others = np.ones(4)
        for f in dimension.factors:
            place = 0
            for name, size in zip(f.given, f.sizes, strict=True):
                place = place * size + sampler.snapshot.dimension(name).code(str(persona[name]))
            if f is not factor:
                others = others * f.table[place]
        without = others[code] / (others.sum() - others[code])
        assert one.odds_ratio == pytest.approx(why.probability / (1 - why.probability) / without)
        assert one.given == {name: persona[name] for name in one.given}
    strengths = [abs(math.log(one.odds_ratio)) for one in why.contributions]
    assert strengths == sorted(strengths, reverse=True)
    assert why.base is not None and why.base.models == 2  # the toy has base maps only
    text = why.to_text()
    assert text.startswith(f"party = {why.category}: ") and "odds x" in text and "no map of its own" in text
    assert "so they do not multiply to the whole" in text


def test_what_was_not_drawn_cannot_be_explained(sampler: Sampler) -> None:
    persona = sampler.sample(1, fields=["party", "education"])[0]
    with pytest.raises(SamplingError, match="has no 'ethnicity', which the explanation needs"):
        explain(persona, "party")
    with pytest.raises(SamplingError, match="unknown dimension 'job'"):
        explain(persona, "job")


def test_what_causes_rule_out_has_probability_zero(sampler: Sampler) -> None:
    persona = sampler.sample(1, do={"employment": "retired", "age": "65_74"})[0]
    why = explain(persona, "commute_mode")
    assert (why.category, why.probability) == ("not_applicable", 1.0)
    assert why.alternatives["drive"] == why.alternatives["transit"] == 0
    assert [one.odds_ratio for one in why.contributions if one.given == {"employment": "retired"}] == [math.inf]
    text = why.to_text()
    assert "leaves no other choice" in text and "nothing else was possible" in text and "nan" not in text


def test_a_value_set_against_its_causes_is_ruled_out_by_them(sampler: Sampler) -> None:
    why = explain(sampler.sample(1, do={"age": "18_24", "employment": "retired"})[0], "employment")
    ratios = {tuple(one.given): one.odds_ratio for one in why.contributions}
    assert why.probability == 0
    assert ratios == {("age",): 0, ("sex",): None, ("education",): None, ("age", "sex"): None}
    assert next(iter(ratios)) == ("age",)
    text = why.to_text()
    assert text.count("rules it out") == 1 and text.count("no effect, others decide") == 3
    assert "nan" not in text and "no other choice" not in text


def test_what_several_causes_leave_alone_is_told_of_each(tmp_path: Path) -> None:
    dimensions = (
        ToyDimension("sun", ("yes", "no")),
        ToyDimension("wind", ("yes", "no")),
        ToyDimension(
            "kite",
            ("up", "torn", "down"),
            (("sun",), ("wind",), ("sun", "wind")),
            zeros=((("sun",), (0,), 1), (("sun",), (0,), 2), (("wind",), (0,), 2), (("wind",), (1,), 0)),
        ),
    )
    build_snapshot(tmp_path / "s", dimensions)
    toy = Sampler(Snapshot.load(tmp_path / "s"))
    certain = explain(toy.sample(1, do={"sun": "yes", "wind": "yes"})[0], "kite")
    assert {tuple(one.given): one.odds_ratio for one in certain.contributions} == {
        ("sun",): math.inf,
        ("wind",): None,
        ("sun", "wind"): None,
    }
    nothing_left = explain(toy.sample(1, do={"sun": "yes", "wind": "no", "kite": "torn"})[0], "kite")
    assert set(nothing_left.alternatives.values()) == {0.0}
    assert {tuple(one.given): one.odds_ratio for one in nothing_left.contributions} == {
        ("sun",): 0,
        ("wind",): None,
        ("sun", "wind"): None,
    }


def test_maps_are_read_once(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "s")
    persona = Sampler(Snapshot.load(tmp_path / "s")).sample(1, 2)[0]
    before = explain(persona, "party")
    (tmp_path / "s" / "maps.parquet").unlink()
    assert explain(persona, "party") == before and explain(persona, "sex").base is not None
