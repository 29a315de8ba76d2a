"""The asset graph as a whole: an edge that appears or goes by accident shows here."""

from __future__ import annotations

import dagster as dg
import pytest

from pipeline.definitions import build_defs
from pipeline.resources import Build

GRAPH = {
    "dimensions": set(),
    "name_requests": {"dimensions"},
    "name_completions": {"name_requests"},
    "name_estimates": {"name_completions"},
    "name_rejections": {"name_completions"},
    "requests": {"dimensions"},
    "completions": {"requests"},
    "calls": {"requests"},
    "estimates": {"completions"},
    "rejections": {"completions"},
    "scorecards": {"calls", "requests", "completions", "estimates", "rejections"},
    "influences": {"calls", "requests", "completions", "estimates", "rejections"},
    "maps": {"estimates", "scorecards"},
    "weights": {"maps"},
    "trials": {"maps"},
    "trial_maps": {"maps"},
    "trial_report": {"trials", "trial_maps"},
    "name_files": {"weights", "name_estimates"},
    "particular_files": {"weights"},
    "snapshot": {"weights", "dimensions", "name_files", "particular_files"},
    "personas": {"snapshot"},
    "map_distances": {"personas", "maps"},
    "grounding": {"snapshot"},
    "report": {"map_distances", "grounding"},
    "drift_report": {"snapshot"},
    "promotion": {"snapshot", "map_distances", "drift_report"},
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
    parts = {"one_dimension", "one_model", "one_tier", "everything", "regenerate"}
    assert {"answers", "judging", "mapping", "release", "promote", *parts} <= set(repository.job_names)
    assert [s.name for s in repository.schedule_defs] == ["monthly_regeneration"]


def test_no_job_but_its_own_promotes(tmp_path: object) -> None:
    repository = build_defs(Build(home=str(tmp_path))).get_repository_def()
    promotion = dg.AssetKey("promotion")
    promoting = {j.name for j in repository.get_all_jobs() if promotion in j.asset_layer.selected_asset_keys}
    assert promoting <= {"promote", "__ASSET_JOB"}
    assert "promote" in promoting


def test_a_backfill_finds_the_partitions_above(graph: dg.AssetGraph) -> None:
    # A mapping that cannot be followed shows when a backfill is launched, not when definitions are loaded.
    for key in graph.get_all_asset_keys():
        for parent in graph.get(key).parent_keys:
            mapping = graph.get_partition_mapping(key, parent)
            below, above = graph.get(key).partitions_def, graph.get(parent).partitions_def
            assert below is not None and above is not None
            found = mapping.get_upstream_mapped_partitions_result_for_partitions(
                below.subset_with_partition_keys([below.get_partition_keys()[0]]), below, above
            )
            assert not found.required_but_nonexistent_subset.get_partition_keys(), (key, parent)
            assert set(found.partitions_subset.get_partition_keys()), (key, parent)
