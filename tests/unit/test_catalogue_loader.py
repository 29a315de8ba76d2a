"""Loading the catalogue: what the shipped one is, and what each broken rule is called."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalogue.loader import DATA, load_catalogue, populations
from pipeline.catalogue.models import Catalogue
from tests.support.populations import TOY, with_toy_population
from warehouse.errors import CatalogueError

TIER_1, TIER_2, TIER_3 = "tier1_born_with.toml", "tier2_circumstances.toml", "tier3_choices.toml"


@pytest.fixture(scope="module")
def us() -> Catalogue:
    return load_catalogue("us")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copied = tmp_path / "data"
    shutil.copytree(DATA, copied)
    return copied


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{old!r} is not in {file}"
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_has_77_dimensions_in_three_tiers(us: Catalogue) -> None:
    tiers = [d.tier for d in us.dimensions]
    assert (tiers.count(1), tiers.count(2), tiers.count(3)) == (28, 29, 20)


def test_every_parent_stands_before_its_child(us: Catalogue) -> None:
    seen: set[str] = set()
    for dimension in us.dimensions:
        assert set(dimension.parents) <= seen
        seen.add(dimension.id)


def test_givens_are_base_then_parents_then_pairs(us: Catalogue) -> None:
    marital = us.dimension("marital")
    assert marital.givens[0] == ()
    assert marital.givens[1 : 1 + len(marital.parents)] == tuple((p,) for p in marital.parents)
    assert marital.givens[1 + len(marital.parents) :] == marital.pairs


def test_ancestors_reach_through_several_generations(us: Catalogue) -> None:
    assert {"household_income", "personal_income", "education", "parental_education", "age"} <= us.ancestors(
        "housing_tenure"
    )
    assert us.ancestors("age") == frozenset()


def test_hash_follows_the_content(us: Catalogue, folder: Path) -> None:
    assert load_catalogue("us", folder).hash == us.hash
    edit(folder, TIER_1, '"Age in completed years."', '"Age in full years."')
    assert load_catalogue("us", folder).hash != us.hash


def test_unknown_population_names_the_known_ones() -> None:
    with pytest.raises(CatalogueError, match=f"unknown population 'fr'.*{populations()[0]}"):
        load_catalogue("fr")


def test_definitions_and_models_are_frozen(us: Catalogue) -> None:
    with pytest.raises(ValueError, match="frozen"):
        us.dimensions[0].label = "x"  # type: ignore[misc]


BROKEN: list[tuple[str, str, str, str, str]] = [
    ("wrong tier", TIER_1, 'id = "handedness"', 'id = "housing_tenure"', "tier 1 has no dimension of this id"),
    ("bad id", TIER_1, 'id = "handedness"', 'id = "Handed-ness"', "ids are snake_case"),
    ("no label", TIER_1, 'label = "Handedness"', 'label = " "', "has a label"),
    ("no definition", TIER_1, '"The hand the person writes with."', '""', "definition of one line"),
    ("bad category", TIER_1, 'right = "Right-handed"', 'Right = "Right-handed"', "category ids are snake_case"),
    ("label twice", TIER_1, 'left = "Left-handed"', 'left = "Right-handed"', "labels tell the categories apart"),
    ("coarsened", TIER_1, ', 75_plus = "75 and over"', "", "never coarsened: '75_plus' is missing"),
    ("too few", TIER_2, 'wyoming = "Wyoming"\n', "", "at least 51 are needed"),
    (
        "order lost",
        TIER_1,
        '18_24 = "18 to 24", 25_34 = "25 to 34"',
        '25_34 = "25 to 34", 18_24 = "18 to 24"',
        "keep their order",
    ),
    (
        "too few parents",
        TIER_3,
        'parents = ["age", "sex", "household_income", "education", "ethnicity", "urbanicity", "social_media"]',
        'parents = ["age", "sex"]',
        "tier 3 takes 4 to 12 parents, this has 2",
    ),
    (
        "cycle or unknown parent",
        TIER_1,
        'parents = ["siblings"]',
        'parents = ["neuroticism"]',
        "'neuroticism' does not stand before it",
    ),
    (
        "parent twice",
        TIER_1,
        'parents = ["siblings"]',
        'parents = ["siblings", "siblings"]',
        "a parent stands only once",
    ),
    (
        "no pair",
        TIER_1,
        'pairs = [["ethnicity", "skin_tone"]]',
        "pairs = []",
        "3 parents take 1 to 3 two-way maps, this has 0",
    ),
    (
        "pair of a stranger",
        TIER_1,
        'pairs = [["ethnicity", "skin_tone"]]',
        'pairs = [["ethnicity", "sex"]]',
        "a pair names two different parents",
    ),
    (
        "zero of a stranger",
        TIER_1,
        'given = { siblings = ["0"] }',
        'given = { age = ["18_24"] }',
        "conditions on parents: 'age' is none",
    ),
    (
        "zero of no category",
        TIER_1,
        'given = { siblings = ["0"] }',
        'given = { siblings = ["7"] }',
        "names '7', which 'siblings' does not have",
    ),
    (
        "zero of all",
        TIER_1,
        'never = ["only_child"]',
        'never = ["only_child", "first_born", "last_born"]',
        "nothing is for",
    ),
    (
        "must not reach",
        TIER_2,
        '"childhood_setting", "childhood_religion"], gb = ["ethnicity"',
        '"childhood_setting", "childhood_religion", "eye_color"], gb = ["ethnicity"',
        "'eye_color' reaches it",
    ),
    ("unknown field", TIER_1, 'label = "Handedness"', 'label = "Handedness"\ncolour = "red"', "field 'colour'"),
]


@pytest.mark.parametrize(("file", "old", "new", "rule"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_rule_is_named_with_file_and_dimension(folder: Path, file: str, old: str, new: str, rule: str) -> None:
    edit(folder, file, old, new)
    with pytest.raises(CatalogueError, match=re.escape(rule)) as caught:
        load_catalogue("us", folder)
    message = str(caught.value)
    assert message.startswith(f"{file}: dimension '") and "\n" not in message


def test_a_missing_influence_is_named(folder: Path) -> None:
    edit(folder, "rules.toml", '["sex", "occupation"]', '["hair_color", "occupation"]')
    with pytest.raises(CatalogueError, match=f"{TIER_2}: dimension 'occupation': .*'hair_color' must reach it"):
        load_catalogue("us", folder)


def test_a_missing_dimension_is_named(folder: Path) -> None:
    text = (folder / TIER_1).read_text(encoding="utf-8")
    start = text.index('[[dimension]]\nid = "blood_type"')
    end = text.index("[[dimension]]", start + 1)
    (folder / TIER_1).write_text(text[:start] + text[end:], encoding="utf-8")
    with pytest.raises(CatalogueError, match="dimension 'blood_type': tier 1 needs it"):
        load_catalogue("us", folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_text("[[dimension", encoding="utf-8"), "is not valid TOML"),
        (lambda p: p.write_bytes(b"\xff\xfe"), "is not valid TOML"),
        (lambda p: p.unlink(), "cannot be read"),
    ],
)
def test_an_unreadable_file_is_named(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder / TIER_3)
    with pytest.raises(CatalogueError, match=f"{TIER_3}: {message}"):
        load_catalogue("us", folder)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return with_toy_population(tmp_path / "two")


def test_a_population_shares_what_is_not_split(two: Path, us: Catalogue) -> None:
    toy = load_catalogue(TOY, two)
    assert toy.dimensions == us.dimensions and toy.hash != us.hash
    assert populations(two) == (*populations(), TOY)


@pytest.mark.parametrize(
    ("dimension", "field", "value", "read"),
    [
        ("age", "definition", "How old.", "How old."),
        ("age", "label", "Years", "Years"),
        ("sex", "parents", [], ()),
        ("age", "ordinal", False, False),
        ("nativity", "pairs", [["ethnicity", "age"]], (("ethnicity", "age"),)),
        ("heritage", "held_out", None, ()),
        ("birth_order", "zeros", None, ()),
    ],
)
def test_any_field_may_be_split_by_population(
    tmp_path: Path, dimension: str, field: str, value: object, read: object
) -> None:
    us = load_catalogue("us")

    def split(raw: dict[str, Any]) -> None:
        if raw["id"] == dimension:
            shared = raw[field] if not isinstance(raw[field], dict) else raw[field]["us"]
            raw[field] = dict.fromkeys(populations(), shared) | ({TOY: value} if value is not None else {})

    folder = with_toy_population(tmp_path, split)
    assert load_catalogue("us", folder).hash == us.hash
    toy = load_catalogue(TOY, folder)
    assert getattr(toy.dimension(dimension), field) == read
    assert [d.id for d in us.dimensions if toy.dimension(d.id) != d] == [dimension]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"us": "Age."}, f"field 'definition' has no part for population '{TOY}': add definition.{TOY}"),
        ({"us": "Age.", TOY: "Age.", "xy": "Age."}, "split by population, and 'xy' is none: write it for us"),
    ],
)
def test_a_part_that_is_missing_or_of_nobody_is_named(tmp_path: Path, parts: dict[str, str], message: str) -> None:
    def split(raw: dict[str, Any]) -> None:
        if raw["id"] == "age":
            raw["definition"] = parts

    with pytest.raises(CatalogueError, match=message) as caught:
        load_catalogue(TOY, with_toy_population(tmp_path, split))
    assert str(caught.value).startswith(f"{TIER_1}: dimension 'age': ")


def test_a_population_that_lacks_its_categories_is_told_where_they_belong(tmp_path: Path) -> None:
    def drop(raw: dict[str, Any]) -> None:
        if raw["id"] == "ethnicity":
            del raw["categories"][TOY]

    with pytest.raises(CatalogueError, match=f"'ethnicity': field 'categories' has no part for population '{TOY}'"):
        load_catalogue(TOY, with_toy_population(tmp_path, drop))


def test_a_population_has_rules_of_its_own_beside_the_shared_ones(two: Path) -> None:
    raw = tomllib.loads((two / "rules.toml").read_text(encoding="utf-8"))
    assert raw["least_categories"][TOY]["region"] == 51
    edit(two, "rules.toml", f'"{TOY}" = {{"region" = 51', f'"{TOY}" = {{"region" = 60')
    load_catalogue("us", two)
    with pytest.raises(CatalogueError, match="'region': categories are never coarsened: at least 60"):
        load_catalogue(TOY, two)
    edit(two, "rules.toml", f'"{TOY}" = {{"region" = 60', f'"{TOY}" = {{"region" = 51')
    load_catalogue(TOY, two)
    edit(two, "rules.toml", "[influence]", f'[influence]\n{TOY} = {{ must_reach = [["hair_color", "occupation"]] }}')
    load_catalogue("us", two)
    with pytest.raises(CatalogueError, match="'hair_color' must reach it"):
        load_catalogue(TOY, two)
