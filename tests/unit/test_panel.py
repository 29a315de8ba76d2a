"""The panel file: the shipped one, and what is wrong with broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.elicitation.panel import BY_TRIAL, DEFAULT_VARIANT, Endpoint, load_panel
from pipeline.prompts.variants import parse_variant
from warehouse.errors import ElicitationError


def test_the_shipped_panel_has_three_recorded_passes_with_different_variants() -> None:
    recorded = [m for m in load_panel() if m.source == "recorded"]
    assert len({parse_variant(m.variant) for m in recorded}) == len(recorded) == 3


def test_the_shipped_panel_asks_25_models_of_many_makers_and_states_all_about_each() -> None:
    panel = load_panel()
    live = [m for m in panel if m.source == "live"]
    assert len(live) == 25 and len({m.maker for m in live}) >= 10
    assert [m.source for m in panel] == ["recorded"] * 3 + ["live"] * 25 + ["local"]
    for member in live:
        assert member.endpoint is not None and member.endpoint.key_variable == "OPENROUTER_API_KEY"
        assert member.maker and member.price_in and member.price_out and member.context and member.max_output
        assert {"structured_output", "reasoning", "concurrency"} <= member.model_fields_set, member.id
        assert member.price_in <= member.price_out and member.max_output <= member.context
        assert parse_variant(member.variant).id == "analyst.whole_map.percent_keyed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one member"),
        ("[[member", "not valid TOML"),
        ('[[member]]\nid = "a"\nsource = "guess"\nvariant = "v"', "'source'"),
        ('[[member]]\nid = "a|b"\nsource = "live"\nvariant = "v"', "'id'"),
        ('[[member]]\nid = "a"\nsource = "recorded"\nvariant = "v"\n' * 2, "each id once"),
        ('[[member]]\nid = "a"\nsource = "recorded"\nvariant = "v"\napi_key = "s"', "'api_key'"),
        ('[[member]]\nid = "a"\nsource = "live"\nvariant = "v"', "'a' is live but has no endpoint"),
        ('[[member]]\nid = "a"\nsource = "live"\nvariant = "v"\nendpoint = "x"', r"add \[endpoint\.x\]"),
        ('[endpoint.x]\nbase_url = "http://h"\nkey_variable = "sk-1 2"\n', "endpoint 'x', field 'key_variable'"),
        ('[[member]]\nid = "a\\nb"', r"member 'a\\nb', field 'id'"),
        ("member = 3", r"'member' is no list of tables: .* \[\[member\]\]"),
        ('[member]\nid = "a"', r"'member' is no list of tables: .* \[\[member\]\]"),
        ("member = [3]", r"member 1 is no table: .* \[\[member\]\]"),
        ("[[member]]\nid = 3", "member 1, field 'id'"),
        ("endpoint = 3", r"'endpoint' is no table: .* \[endpoint\.NAME\]"),
        ("[endpoint]\na = 3", r"endpoint 'a' is no table: write it as \[endpoint\.a\]"),
        (
            '[[member]]\nid = "a"\nendpoint = {base_url = "http://h"}',
            r"'a': 'endpoint' is no name: .* \[endpoint\.NAME\]",
        ),
        (
            '[[member]]\nid = "a"\nsource = "live"\nvariant = "v"\nprice_in = 1',
            "'a': only one of price_in and price_out",
        ),
        ('[[member]]\nid = "a"\nsource = "live"\nvariant = "v"\nprice_in = nan\nprice_out = 1', "field 'price_in'"),
        (
            '[[member]]\nid = "a"\nsource = "recorded"\nvariant = "v"',
            "member 'a': prompt variant 'v': write it as framing",
        ),
    ],
)
def test_a_broken_panel_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "panel.toml"
    path.write_text(text)
    with pytest.raises(ElicitationError, match=message) as caught:
        load_panel(path)
    assert "panel.toml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://[bad/v1",
        "http://h:99999/v1",
        "http://h:0/v1",
        "http://h:port/v1",
        "http://1.2.3.999/v1",
        "http://a..b/v1",
        "http:///v1",
        "http://[::1",
        "localhost:8000",
        "https://",
        "http://h/v 1",
        "h/v1",
        "ftp://h/v1",
        "http://user:secret@h/v1",
        "https://h/v1?key=secret",
    ],
)
def test_a_base_url_that_cannot_be_called_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    path = tmp_path / "panel.toml"
    path.write_text(f'[endpoint.x]\nbase_url = "{url}"\n')
    with pytest.raises(ElicitationError, match=r"panel\.toml: endpoint 'x', field 'base_url': it .*") as caught:
        load_panel(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValidationError) as refused:
        Endpoint(base_url=url)
    assert "secret" not in str(refused.value) + str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://[::1]:80/v1", "https://a_b.example/v1/"])
def test_any_other_base_url_is_kept_as_it_is_written(tmp_path: Path, url: str) -> None:
    path = tmp_path / "panel.toml"
    path.write_text(LIVE.format(DEFAULT_VARIANT).replace("http://h", url))
    assert load_panel(path)[0].endpoint == Endpoint(base_url=url)


def test_a_missing_panel_is_named(tmp_path: Path) -> None:
    with pytest.raises(ElicitationError, match=r"gone\.toml: cannot be read"):
        load_panel(tmp_path / "gone.toml")


LIVE = '[endpoint.x]\nbase_url = "http://h"\n[[member]]\nid = "m"\nsource = "live"\nendpoint = "x"\nvariant = "{}"\n'


def test_a_variant_by_trial_is_the_chosen_one_else_the_default(tmp_path: Path) -> None:
    panel, choices = tmp_path / "panel.toml", tmp_path / "variants.toml"
    panel.write_text(LIVE.format(BY_TRIAL))
    assert load_panel(panel, choices)[0].variant == DEFAULT_VARIANT
    choices.write_text('"n" = "n.n.n"\n"m" = "anchored.one_row.percent_keyed"\n')
    assert load_panel(panel, choices)[0].variant == "anchored.one_row.percent_keyed"
    panel.write_text(LIVE.format("analyst.one_row.percent_keyed"))
    assert load_panel(panel, choices)[0].variant == "analyst.one_row.percent_keyed"
    assert parse_variant(DEFAULT_VARIANT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m = ", "not valid TOML"),
        ("m = 1", "'m' names no variant"),
        ('m = "a.b.c"', "variants.toml: member 'm': prompt variant 'a.b.c'"),
    ],
)
def test_broken_choices_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    panel, choices = tmp_path / "panel.toml", tmp_path / "variants.toml"
    panel.write_text(LIVE.format(BY_TRIAL))
    choices.write_text(text)
    with pytest.raises(ElicitationError, match=message):
        load_panel(panel, choices)
