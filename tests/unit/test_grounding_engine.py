"""People made from exact maps, and our own maps combined by another strategy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Catalogue
from pipeline.combination.strategies import STRATEGIES
from pipeline.grounding.crosswalk import People, crosswalk
from pipeline.grounding.engine import floor, recombined, snapshot_maps
from serving import Sampler, Snapshot
from warehouse.errors import GroundingError

CATALOGUE = load_catalogue("us")
SNAPSHOT = Snapshot.load("us")


def test_the_floor_has_the_margins_and_the_ties_of_the_people_it_was_made_from() -> None:
    exact = {"match": "exact", "column": "x", "values": {}}
    source = {
        "groups": [],
        "adults": True,
        "frame": "made-up people",
        "columns": {"age": exact, "sex": exact, "handedness": exact},
    }
    walk = crosswalk("made_up", source, CATALOGUE)
    rng = np.random.default_rng(0)
    sex = rng.integers(0, 2, 4_000)
    hand = np.where(rng.random(4_000) < 0.8, sex, 2)
    codes = np.column_stack([rng.integers(0, 7, 4_000), sex, hand]).astype(np.int16)
    train = People(codes, np.where(sex == 0, 1.0, 3.0))
    made = floor(walk, [0, 1, 2], train, 6_000, seed=1)
    assert len(made) == 6_000
    assert made.codes[:, 1].mean() == pytest.approx(0.75, abs=0.02)
    for value in (0, 1):
        of_sex = made.codes[made.codes[:, 1] == value, 2]
        assert np.bincount(of_sex, minlength=3)[[value, 2]] / len(of_sex) == pytest.approx([0.8, 0.2], abs=0.02)


def test_the_floor_keeps_to_the_structural_zeros_of_the_catalogue() -> None:
    source = {
        "groups": [],
        "adults": True,
        "frame": "made-up people",
        "columns": {
            "siblings": {"match": "exact", "column": "x", "values": {}},
            "birth_order": {
                "match": "rough",
                "note": "only child or not",
                "column": "x",
                "values": {},
                "personas": {"only": ["only_child"], "with_siblings": ["first_born", "middle", "last_born"]},
            },
        },
    }
    walk = crosswalk("made_up", source, CATALOGUE)
    siblings = np.random.default_rng(0).integers(0, 5, 2_000)
    codes = np.column_stack([siblings, siblings > 0]).astype(np.int16)
    made = floor(walk, [0, 1], People(codes, np.ones(2_000)), 5_000, seed=1)
    assert ((made.codes[:, 0] > 0) == (made.codes[:, 1] == 1)).all()


def test_the_snapshots_maps_are_those_that_the_catalogue_asks_for() -> None:
    maps = snapshot_maps(SNAPSHOT, CATALOGUE)
    assert set(maps) == set(CATALOGUE.by_id)
    assert all(set(CATALOGUE.dimension(name).givens) <= set(found) for name, found in maps.items())
    assert maps["sex"][("age",)].p.shape == (7, 2)


def test_maps_of_another_catalogue_are_refused() -> None:
    other = Catalogue(population=CATALOGUE.population, dimensions=CATALOGUE.dimensions[:3])
    with pytest.raises(GroundingError, match="another catalogue"):
        snapshot_maps(SNAPSHOT, other)


def test_all_dimensions_can_be_combined_by_one_strategy_and_sampled_with_evidence(tmp_path: Path) -> None:
    maps = snapshot_maps(SNAPSHOT, CATALOGUE)
    made = recombined(SNAPSHOT, CATALOGUE, maps, STRATEGIES["base_only"], tmp_path / "control")
    assert len(made.dimensions) == len(CATALOGUE.dimensions)
    batch = Sampler(made).sample(20_000, seed=1, evidence={"age": "65.."}, fields=["age", "employment"])
    retired = made.dimension("employment").code("retired")
    share = (batch.codes("employment") == retired).mean()
    assert share == pytest.approx(maps["employment"][()].p[retired], abs=0.05)  # whom age says nothing about
