"""Snapshots read again: what changed is taken when it is whole, and what cannot be used changes nothing."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.api.app import create_app
from serving.api.metrics import Metrics
from serving.api.reloading import Reloader
from serving.api.settings import Settings
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot


class World:
    """A link `serving` to one of the snapshots `one` and `two`, and a reloader that looks at it."""

    def __init__(self, folder: Path) -> None:
        self.ids = {
            name: build_snapshot(folder / name, seed=seed).snapshot_id for name, seed in (("one", 1), ("two", 2))
        }
        self.folder, self.link = folder, folder / "serving"
        self.publish("one")
        self.samplers = {"us": Sampler(Snapshot.load(self.link), "numpy")}
        self.metrics = Metrics()
        self.reloader = Reloader(self.samplers, {"us": str(self.link)}, self.metrics)

    def publish(self, name: str) -> None:
        fresh = self.folder / "fresh"
        fresh.symlink_to(self.folder / name)
        fresh.replace(self.link)

    @property
    def serves(self) -> str:
        return next(name for name, one in self.ids.items() if one == self.samplers["us"].snapshot.id)

    def results(self, result: str) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "personagen_snapshot_reloads_total", {"population": "us", "result": result}
            )
            or 0.0
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_another_link_is_followed_when_it_has_settled(world: World) -> None:
    world.reloader.look()
    assert world.serves == "one"
    world.publish("two")
    world.reloader.look()
    assert world.serves == "one"  # it may be changing still
    world.reloader.look()
    assert world.serves == "two" and world.results("replaced") == 1
    labels = {"population": "us", "edition": "2026.11"}
    value = world.metrics.registry.get_sample_value
    assert value("personagen_snapshot_info", {**labels, "snapshot_id": world.ids["two"]}) == 1
    assert value("personagen_snapshot_info", {**labels, "snapshot_id": world.ids["one"]}) is None
    world.reloader.look()
    assert world.results("replaced") == 1 and world.results("unchanged") == 0


def test_nothing_keeps_the_old_one_in_memory(world: World) -> None:
    list(world.samplers["us"].sample(2, evidence={"sex": "male"}, fields=["summary", "sex"]).to_jsonl())
    old = weakref.ref(world.samplers["us"].snapshot)
    world.publish("two")
    world.reloader.look(at_once=True)
    gc.collect()
    assert old() is None


def test_a_signal_reads_at_once_and_a_whole_one_that_is_the_same_stays(world: World) -> None:
    before = world.samplers["us"]
    world.reloader.look(at_once=True)
    assert world.samplers["us"] is before and world.results("unchanged") == 1
    world.publish("two")
    world.reloader.look(at_once=True)
    assert world.serves == "two"


def test_a_bad_one_is_refused_with_one_line_until_it_changes(world: World, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(world.folder / "two", world.folder / "bad")
    (world.folder / "bad" / "weights.parquet").write_bytes(b"half")
    world.publish("bad")
    for _ in range(5):
        world.reloader.look()
    assert world.serves == "one" and world.results("refused") == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"snapshot of us stays {world.ids['one']}: snapshot {world.folder / 'bad'} is damaged: "
        "weights.parquet does not match its SHA-256; export it again"
    ]
    shutil.copy(world.folder / "two" / "weights.parquet", world.folder / "bad" / "weights.parquet")
    for _ in range(2):
        world.reloader.look()
    assert world.serves == "two"


def test_one_that_is_gone_or_of_others_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.link.unlink()
    for _ in range(3):
        world.reloader.look()
    assert world.serves == "one" and "no snapshot" in caplog.text
    manifest = json.loads((world.folder / "two" / "manifest.json").read_text())
    manifest["population"]["id"] = "gb"
    (world.folder / "two" / "manifest.json").write_text(json.dumps(manifest))
    world.publish("two")
    world.reloader.look(at_once=True)
    assert world.serves == "one" and "is of population gb" in caplog.text


def test_files_that_are_replaced_in_place_are_noticed(world: World) -> None:
    for file in (world.folder / "two").iterdir():
        shutil.copy(file, world.folder / "one" / file.name)
    for _ in range(2):
        world.reloader.look()
    assert world.serves == "two"


def test_another_manifest_of_the_same_people_is_taken(world: World) -> None:
    file = world.folder / "one" / "manifest.json"
    file.write_text(file.read_text().replace("2026.11", "2026.12"))
    world.reloader.look(at_once=True)
    assert world.serves == "one" and world.samplers["us"].snapshot.manifest.edition == "2026.12"
    assert world.results("replaced") == 1
    world.reloader.look(at_once=True)
    assert world.results("unchanged") == 1


def test_the_application_answers_from_the_new_one_under_other_tags(world: World) -> None:
    settings = Settings(places={"us": str(world.link)}, reload_every=0.01)
    with TestClient(create_app({"us": Snapshot.load(world.link)}, settings)) as client:
        before = client.get("/v1/personas?seed=3")
        world.publish("two")
        known = {"If-None-Match": before.headers["etag"]}
        while (after := client.get("/v1/personas?seed=3", headers=known)).status_code == 304:
            pass
        assert after.headers["x-snapshot-id"] == world.ids["two"] and after.headers["etag"] != before.headers["etag"]
        assert after.json()["personas"][0]["snapshot_id"] == world.ids["two"]
        assert client.get("/v1/snapshots").json()["snapshots"][0]["snapshot_id"] == world.ids["two"]
