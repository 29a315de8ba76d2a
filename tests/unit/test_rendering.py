"""Prose: grammar, what is said and left out, and words for every category of the catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue.loader import load_catalogue
from serving.particulars import FIELDS
from serving.rendering import Renderer, compile_text, join_with_and, load_wording, render
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot
from warehouse.errors import SamplingError

POPULATIONS = ("us", "gb")


def labels_of(population: str) -> dict[str, dict[str, str]]:
    return {d.id: {c.id: c.label for c in d.categories} for d in load_catalogue(population).dimensions}


CATALOGUE = load_catalogue("us")
LABELS = labels_of("us")
ANYBODY = st.fixed_dictionaries({d.id: st.sampled_from(d.category_ids) for d in CATALOGUE.dimensions})
SAID = re.compile(r"[<>{}\[\]|]|\(\(|\)\)|a\(n\)")


WRITER = Renderer(load_wording(), LABELS)


@pytest.fixture
def write() -> Renderer:
    return WRITER


def test_second_and_third_person_agree_with_their_verbs(write: Renderer) -> None:
    person = {
        "first_name": "Ada",
        "last_name": "Lopez",
        "age_years": 34,
        "sex": "female",
        "urbanicity": "suburb",
        "region": "texas",
        "ethnicity": "hispanic",
        "heritage": "mexican",
        "nativity": "second_generation",
        "education": "bachelor",
        "field_of_study": "business",
        "employment": "full_time",
        "occupation": "management",
        "industry": "retail",
        "work_arrangement": "on_site",
        "marital": "married",
        "children": "2",
        "living_arrangement": "partner_children",
    }
    assert write(person) == (
        "You are Ada Lopez, a 34-year-old woman living in a suburb in Texas. You are Hispanic, have Mexican roots, and "
        "are a child of immigrants. You have a bachelor's degree in business and management, and "
        "work full time in management in the retail trade. You are married, have two children, and live with your "
        "spouse and children."
    )
    assert write(person, "third") == (
        "Ada Lopez is a 34-year-old woman living in a suburb in Texas. She is Hispanic, has Mexican roots, and is "
        "a child of immigrants. She has a bachelor's degree in business and management, and "
        "works full time in management in the retail trade. She is married, has two children, and lives with her "
        "spouse and children."
    )


@pytest.mark.parametrize(
    ("identity", "sex", "opening"),
    [
        ("cisgender", "male", "This person is a man. He has a dog."),
        ("transgender", "male", "This person is a trans woman. She has a dog."),
        ("transgender", "female", "This person is a trans man. He has a dog."),
        ("nonbinary", "male", "This person is a non-binary person. They have a dog."),
    ],
)
def test_pronouns_follow_gender(write: Renderer, identity: str, sex: str, opening: str) -> None:
    assert write({"gender_identity": identity, "sex": sex, "pets": "dog"}, "third") == opening


def test_without_gender_identity_pronouns_follow_sex_and_without_both_are_they(write: Renderer) -> None:
    assert write({"sex": "female", "pets": "dog"}, "third").endswith("She has a dog.")
    assert write({"pets": "dog"}, "third") == "This person is a person. They have a dog."


@settings(max_examples=150, deadline=None)
@given(values=ANYBODY, person=st.sampled_from(["second", "third"]))
def test_anybody_can_be_written_about(values: dict[str, str], person: str) -> None:
    text = WRITER(values, person)  # type: ignore[arg-type]
    assert not SAID.search(text)
    assert "  " not in text
    assert " ." not in text
    assert " ," not in text
    assert not re.search(r"\ba (?:[aeio]|8\d|18|11-)", text, re.IGNORECASE), text
    assert not re.search(r"\ban (?![aeiou8]|1[18]|SUV)", text, re.IGNORECASE), text
    assert not re.search(r"not applicable|\bnone\b(?! now)", text, re.IGNORECASE)
    for sentence in re.split(r"(?<=\.) ", text):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
    if person == "second":
        assert not re.search(r"\b[Yy]ou (?:is|has|was|lives|works|does)\b|\b(?:he|she|they)\b", text)
    else:
        assert not re.search(r"\b(?:[Hh]e|[Ss]he) (?:are|have|were|live|work|do)\b|\b[Yy]ou(?:r|rs|rself)?\b", text)


@settings(max_examples=50, deadline=None)
@given(values=ANYBODY, present=st.sets(st.sampled_from(sorted(LABELS))))
def test_any_part_of_a_persona_can_be_written_about(values: dict[str, str], present: set[str]) -> None:
    text = WRITER({name: values[name] for name in present}, "third")
    assert not SAID.search(text)
    assert "  " not in text
    assert text.startswith("This person is a")


@pytest.mark.parametrize("population", POPULATIONS)
def test_the_wording_knows_the_catalogues_and_nothing_else(population: str) -> None:
    wording, labels = load_wording(population), labels_of(population)
    beside = {"age_years", "height_cm", "personal_income_figure", *FIELDS, "height_feet", "city_is", "worship"}
    shared = {d: set(phrases) for d, phrases in load_wording()["phrases"].items()}
    for dimension, phrases in wording["phrases"].items():
        assert dimension in labels or dimension in beside
        own = set(phrases) - shared.get(dimension, set()) if population != "us" else set(phrases)
        unknown = own - set(labels.get(dimension, ())) - {"*"}
        assert dimension in beside or unknown <= {"none"}, f"{dimension}: {unknown}"
    shared_rules = [] if population == "us" else load_wording()["override"]
    for rule in [*wording["override"][len(shared_rules) :], *wording["pronouns"]]:
        for dimension, categories in [*rule.get("if", {}).items(), *rule.get("unless", {}).items()]:
            if dimension not in beside:  # whose values are no categories
                assert set(categories) <= {*labels[dimension], "none"}, rule
        assert set(rule.get("set", {})) <= wording["phrases"].keys(), rule


@pytest.mark.parametrize("population", POPULATIONS)
def test_every_category_of_a_dimension_with_words_has_some(population: str) -> None:
    labels = labels_of(population)
    for dimension, phrases in load_wording(population)["phrases"].items():
        if "*" not in phrases:
            assert set(labels[dimension]) <= set(phrases), dimension


def test_a_population_is_written_about_in_its_own_words() -> None:
    person = {
        "sex": "female",
        "ethnicity": "pakistani",
        "heritage": "pakistani",
        "nativity": "second_generation",
        "education": "gcse",
        "housing_tenure": "rented_social",
        "dwelling": "terraced_house",
        "health_coverage": "nhs_only",
        "net_worth": "1m_plus",
        "eye_color": "gray",
        "hair_color": "black",
        "height_cm": 160,
        "agreeableness": "very_low",
    }
    text = Renderer(load_wording("gb"), labels_of("gb"))(person, "third")
    for said in ("British Pakistani", "GCSEs", "terraced house", "council", "NHS", "£1,000,000", "grey eyes"):
        assert said in text
    assert "$" not in text and "gray" not in text and "roots" not in text


@pytest.mark.parametrize("population", ["", "nowhere", "../us"])
def test_a_population_without_words_of_its_own_has_the_shared_ones(population: str) -> None:
    assert load_wording(population) == load_wording()


def test_the_slots_of_sentences_have_words() -> None:
    wording = load_wording()
    for sentence in wording["sentences"]:
        for slot in re.findall(r"<([a-z0-9_+,]+)>", sentence):
            assert set(re.split(r"[+,]", slot)) <= wording["phrases"].keys()


def test_an_unknown_category_is_said_by_its_label_and_an_unknown_dimension_not_at_all() -> None:
    labels = {"hobby": {"falconry": "Falconry"}, "shoe_size": {"43": "43"}}
    text = Renderer(load_wording(), labels)({"hobby": "falconry", "shoe_size": "43"}, "third")
    assert text == "This person is a person. In their free time they like falconry."


def test_a_label_with_template_characters_is_said_as_it_is() -> None:
    labels = {"hobby": {"odd": "Odd <b>[x|y]</b> {they} ((z))"}}
    assert "odd <b>[x|y]</b> {they} ((z))." in Renderer(load_wording(), labels)({"hobby": "odd"})


def test_what_is_left_out_is_not_mentioned(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "s")
    snapshot = Snapshot.load(tmp_path / "s")
    do = {"ethnicity": "asian", "party": "republican"}
    whole, careful = (Sampler(snapshot).sample(1, do=do, exclude=e)[0] for e in ([], ["sensitive"]))
    assert "Asian" in whole.to_prompt()
    assert "Republican" in whole.to_prompt()
    assert not re.search("Asian|Republican", careful.to_prompt())
    assert render(snapshot, careful.values) == careful.to_prompt()


def test_an_unknown_person_is_refused(write: Renderer) -> None:
    with pytest.raises(SamplingError, match="must be 'second' or 'third', not 'first'"):
        write({}, "first")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phrases", "text"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b, and c"),
        (["has a dog and a cat", "walks"], "has a dog and a cat, and walks"),
    ],
)
def test_phrases_are_joined_as_in_a_sentence(phrases: list[str], text: str) -> None:
    assert join_with_and(phrases) == text


@pytest.mark.parametrize("text", ["((open", "closed))", "a ((b)) c))"])
def test_wording_with_unbalanced_brackets_is_a_defect(text: str) -> None:
    with pytest.raises(ValueError, match="unbalanced"):
        compile_text(text)
