"""What tests of several modules share: the toy snapshot, and the API over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.api.app import create_app
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path: Path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path)
    return Snapshot.load(path)


@pytest.fixture(scope="module")
def client(snapshot: Snapshot) -> Iterator[TestClient]:
    with TestClient(create_app({"us": snapshot}), raise_server_exceptions=False) as client:
        yield client
