"""API keys: shown once, kept as digests in a file that is never half written, and good until they are revoked."""

from __future__ import annotations

import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.api import keys as module
from serving.api.keys import Keyring, create_key, read_keys, revoke_key
from serving.cli import main
from warehouse.errors import KeyFileError


def test_a_key_is_good_until_it_is_revoked(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys.json"
    first, second = create_key(path, "one"), create_key(path, "two")
    ring = Keyring(path)
    one, two = read_keys(path)
    assert (ring.holder(first), ring.holder(second)) == (one.id, two.id)
    assert revoke_key(path, "one") == one
    assert (ring.holder(first), ring.holder(second)) == (None, two.id)
    third = create_key(path, "one")
    assert ring.holder(third) is not None and ring.holder(first) is None


def test_what_is_no_key_is_not_good(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = create_key(path, "one")
    ring = Keyring(path)
    identifier = read_keys(path)[0].id
    for wrong in ("", "x", key[:-1], key + "0", key.upper(), f"pg_{identifier}_", f"pg_00000000_{'0' * 64}", "\ud800é"):
        assert ring.holder(wrong) is None


def test_the_file_holds_digests_and_belongs_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = create_key(path, "one")
    text = path.read_text()
    assert key not in text and key.rpartition("_")[2] not in text
    assert read_keys(path)[0].sha256 == hashlib.sha256(key.encode()).hexdigest()
    path.chmod(0o644)
    create_key(path, "two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(key.rpartition("_")[2]) * 4 == 256 and create_key(path, "three") != key


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    create_key(path, "one")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        create_key(path, "two")
    assert path.read_bytes() == before and not list(tmp_path.glob(".*.part"))


def test_of_changes_at_once_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: create_key(path, f"name {i}"), range(24)))
    ring = Keyring(path)
    assert all(ring.holder(key) for key in made) and len(read_keys(path)) == 24


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{}]}', '{"format": 1, "keys": [3]}']
)
def test_a_damaged_file_is_told_and_lets_nobody_in(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys.json"
    key = create_key(path, "one")
    ring = Keyring(path)
    good = path.read_text()
    path.write_text(text)
    with pytest.raises(KeyFileError, match="is no key file"):
        read_keys(path)
    assert [ring.holder(key) for _ in range(3)] == [None] * 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    path.write_text(good)
    assert ring.holder(key) is not None
    path.unlink()
    assert ring.holder(key) is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="no name for a key"):
        create_key(tmp_path / "keys.json", name)


def test_errors_name_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(KeyFileError, match="personagen keys create NAME"):
        read_keys(path)
    create_key(path, "one")
    with pytest.raises(KeyFileError, match="choose another name"):
        create_key(path, "one")
    with pytest.raises(KeyFileError, match=r"no key 'two' .* \(one\)"):
        revoke_key(path, "two")
    with pytest.raises(KeyFileError, match="cannot write beside"):
        create_key(path / "below" / "keys.json", "one")


def test_the_command_shows_a_key_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONAGEN_KEYS_FILE", str(tmp_path / "keys.json"))
    assert main(["keys", "create", "survey team"]) == 0
    key = capsys.readouterr().out.strip()
    identifier = Keyring(tmp_path / "keys.json").holder(key)
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert listed.split() == [identifier, read_keys(tmp_path / "keys.json")[0].created, "survey", "team"]
    assert main(["keys", "revoke", str(identifier)]) == 0 and main(["keys", "revoke", str(identifier)]) == 2
    assert "no key" in capsys.readouterr().err


def test_without_a_file_named_the_users_folder_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERSONAGEN_KEYS_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["keys", "create", "me"]) == 0
    assert json.loads((tmp_path / "personagen" / "keys.json").read_text())["keys"][0]["name"] == "me"
    assert str(tmp_path) in capsys.readouterr().err
