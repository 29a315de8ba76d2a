"""Keys are found in the environment, in every spelling, and cut out whole."""

from __future__ import annotations

import json

import pytest

from pipeline.elicitation.keys import key_in, keys_of, repeats_key, require_keys, without_key
from pipeline.elicitation.panel import Endpoint, Member
from warehouse.errors import ElicitationError


def member(variable: str | None) -> Member:
    return Member(id="m", source="live", variant="v", endpoint=Endpoint(base_url="http://x", key_variable=variable))


def test_only_keys_that_are_set_and_long_enough_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONG_KEY", " sk-0123456789 ")
    monkeypatch.setenv("SHORT_KEY", "EMPTY")
    monkeypatch.delenv("NO_KEY", raising=False)
    panel = [member("LONG_KEY"), member("SHORT_KEY"), member("NO_KEY"), member(None)]
    assert keys_of([*panel, panel[0].model_copy(update={"endpoint": None})]) == {"sk-0123456789"}


@pytest.mark.parametrize("spelled", ["sk-é/12345678", "sk-\\u00e9\\/12345678"])
def test_a_key_is_found_however_json_spells_it(spelled: str) -> None:
    received = json.loads('{"a": [{"' + spelled + '": 1}]}')
    assert repeats_key(json.dumps(received), ["other-key", "sk-é/12345678"])
    assert not repeats_key(json.dumps(received), ["sk-é/123456789"]) and not repeats_key(json.dumps(received), [])


def test_keys_are_cut_out() -> None:
    assert without_key("a sk-1 b sk-2", ["sk-1", "sk-2"]) == "a [key] b [key]"


@pytest.mark.parametrize("held", ["sk-0123\n456789", "sk-0123 456789", "sk-0123456789\u00e9", "sk-0123456789\x7f"])
def test_what_cannot_be_a_key_is_refused_without_quoting_it(monkeypatch: pytest.MonkeyPatch, held: str) -> None:
    monkeypatch.setenv("ODD_KEY", held)
    with pytest.raises(ElicitationError, match="variable ODD_KEY holds a line end, a blank or") as told:
        key_in("ODD_KEY")
    assert "0123" not in str(told.value) and "\n" not in str(told.value)
    monkeypatch.setenv("ODD_KEY", "\n sk-0123456789\r\n")
    assert key_in("ODD_KEY") == "sk-0123456789" and key_in(None) == ""


def test_keys_that_are_not_set_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "EMPTY")
    monkeypatch.delenv("B_KEY", raising=False)
    monkeypatch.setenv("C_KEY", " ")
    require_keys([member("A_KEY"), member(None)])
    with pytest.raises(ElicitationError, match="variable B_KEY and C_KEY is not set"):
        require_keys([member("A_KEY"), member("B_KEY"), member("C_KEY")])
