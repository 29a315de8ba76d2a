"""The asset graph as a whole: an edge that appears or goes by accident shows here."""

from __future__ import annotations

import dagster as dg
import pytest

from pipeline.definitions import build_defs
from pipeline.resources import Build

GRAPH = {
    "dimensions": set(),
    "requests": {"dimensions"},
    "completions": {"requests"},
    "calls": {"requests"},
    "estimates": {"completions"},
    "rejections": {"completions"},
    "maps": {"estimates"},
    "weights": {"maps"},
    "trials": {"maps"},
    "trial_maps": {"maps"},
    "trial_report": {"trials", "trial_maps"},
    "snapshot": {"weights", "dimensions"},
    "personas": {"snapshot"},
    "map_distances": {"personas", "maps"},
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> dg.AssetGraph:
    defs = build_defs(Build(home=str(tmp_path_factory.mktemp("home"))))
    return defs.resolve_asset_graph()


def test_edges_are_those_of_the_arrow(graph: dg.AssetGraph) -> None:
    edges = {
        k.to_user_string(): {p.to_user_string() for p in graph.get(k).parent_keys} for k in graph.get_all_asset_keys()
    }
    assert edges == GRAPH


def test_every_asset_is_described_and_grouped(graph: dg.AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and len(node.description) > 40, key
        assert node.group_name != "default", key


def test_the_gate_over_estimates_and_the_structure_of_personas_block(graph: dg.AssetGraph) -> None:
    blocking = {k.name for k in graph.asset_check_keys if graph.get(k).blocking}
    assert blocking == {"estimates_hold", "structure_holds"}


def test_jobs_resolve(tmp_path: object) -> None:
    repository = build_defs(Build(home=str(tmp_path))).get_repository_def()
    assert {"answers", "mapping", "release"} <= set(repository.job_names)
