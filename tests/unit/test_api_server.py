"""From the options of `personagen serve` to the settings of the API."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from serving.api import server
from serving.api.keys import create_key
from serving.api.settings import Limits, Settings
from serving.cli import main
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot


@pytest.fixture
def toy(tmp_path: Path) -> str:
    build_snapshot(tmp_path / "toy")
    return str(tmp_path / "toy")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server would have been run with."""
    seen: dict[str, Any] = {}

    def create_app(snapshots: Mapping[str, Snapshot], settings: Settings) -> str:
        seen.update(snapshots=snapshots, settings=settings)
        return "app"

    for variable in ("PERSONAGEN_KEYS_FILE", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(server, "create_app", create_app)
    monkeypatch.setattr(server.uvicorn, "run", lambda app, **options: seen.update(options, app=app))
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    return seen


def test_without_options_it_is_open_and_unlimited(toy: str, ran: dict[str, Any]) -> None:
    assert main(["serve", "--snapshot", toy]) == 0
    assert ran["settings"] == Settings(threads=os.cpu_count() or 1, places={"us": toy})
    assert (ran["app"], ran["host"], ran["port"]) == ("app", "127.0.0.1", 8000)


def test_with_keys_there_are_limits_unless_switched_off(toy: str, ran: dict[str, Any], tmp_path: Path) -> None:
    create_key(tmp_path / "keys.json", "one")
    with_keys = ["serve", "--snapshot", toy, "--keys", str(tmp_path / "keys.json")]
    assert main(with_keys) == 0
    assert ran["settings"].keys == tmp_path / "keys.json"
    assert (ran["settings"].requests_per_minute, ran["settings"].personas_per_minute) == (600, 1_000_000)
    assert main([*with_keys, "--limit-requests", "0", "--limit-personas", "5"]) == 0
    assert (ran["settings"].requests_per_minute, ran["settings"].personas_per_minute) == (None, 5)


def test_all_options_arrive(toy: str, ran: dict[str, Any]) -> None:
    options = (
        "--reload --timeout 2.5 --threads 3 --in-flight 4 --max-personas 5 --max-conditions 6 --max-body 7 --grace 8"
    )
    origins = ["--cors-origin", "https://a.example", "--cors-origin", "https://b.example"]
    assert main(["serve", "--snapshot", toy, *options.split(), *origins]) == 0
    assert ran["settings"] == Settings(
        limits=Limits(5, 6, 7),
        timeout=2.5,
        threads=3,
        in_flight=4,
        cors_origins=("https://a.example", "https://b.example"),
        places={"us": toy},
        reload_every=server.EVERY,
    )
    assert ran["timeout_graceful_shutdown"] == 8


def test_the_variable_names_the_key_file_too(
    toy: str, ran: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONAGEN_KEYS_FILE", str(tmp_path / "keys.json"))
    assert main(["serve", "--snapshot", toy]) == 0
    assert ran["settings"].keys == tmp_path / "keys.json"


def test_forwarded_addresses_are_believed_only_where_a_proxy_is_named(
    toy: str, ran: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["serve", "--snapshot", toy]) == 0
    assert ran["proxy_headers"] is False
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.1")
    assert main(["serve", "--snapshot", toy]) == 0
    assert ran["proxy_headers"] is True
