"""What is asked about places and job titles, and which answers can be used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.particulars.answers import (
    Part,
    read_details,
    read_first_names,
    read_holders,
    read_homes,
    read_parts,
    read_places,
    read_studies,
    read_terms,
    read_titles,
)
from pipeline.particulars.requests import Kind, details, groups, load_settings, particular_requests
from pipeline.prompts.parsing import AnswerError, Reason
from tests.support.particulars import (
    answer,
    detail_rows,
    first_name_rows,
    holder_rows,
    home_rows,
    place_rows,
    study_rows,
    terms_rows,
    title_rows,
)

US, GB = load_catalogue("us"), load_catalogue("gb")


def test_every_region_and_every_occupation_but_none_is_asked_about_once() -> None:
    for catalogue in (US, GB):
        for kind, within in (("place", "region"), ("title", "occupation")):
            requests = particular_requests(catalogue, kind)  # type: ignore[arg-type]
            wanted = [one for one in catalogue.dimension(within).category_ids if one != "none"]
            assert [r.category for r in requests] == wanted
            assert len({r.custom_id for r in requests}) == len(requests)


def test_a_request_says_what_it_is_about() -> None:
    maine = next(r for r in particular_requests(US, "place") if r.category == "maine")
    assert maine.custom_id.startswith("us.place.maine.recorded-particulars.plain-")
    text = maine.messages[1]["content"]
    assert "12 to 30 places of Maine" in text and "rural (open country" in text and "\n- irish: Irish\n" in text
    sales = next(r for r in particular_requests(GB, "title") if r.category == "sales")
    text = sales.messages[1]["content"]
    assert "First degree, Postgraduate degree" in text and "pounds sterling" in text
    assert "- education: Education" in text and "- none:" not in text


def test_the_id_follows_the_prompt() -> None:
    ids = {r.category: r.custom_id for r in particular_requests(US, "title")}
    other = US.model_copy(update={"population": US.population.model_copy(update={"year": 2030})})
    assert all(ids[r.category] != r.custom_id for r in particular_requests(other, "title"))


@pytest.mark.parametrize("catalogue", [US, GB], ids=["us", "gb"])
def test_a_valid_answer_is_read(catalogue: Any) -> None:
    settings = load_settings(catalogue)
    rows = place_rows(catalogue, "maine", 30)
    places = read_places(json.dumps({"places": rows}), catalogue, settings)
    assert [place.name for place in places] == [row[0] for row in rows]
    assert sum(place.share for place in places) == pytest.approx(1)
    assert places[1].kinds == (0.05, 0.8, 0.05, 0.05, 0.05) and list(places[0].multiples.values()) == [5]
    titles = read_titles(answer(catalogue, "title", "sales"), catalogue, settings)
    assert (titles[0].women, titles[0].degree, titles[0].pay) == (0.05, 0.9, (20_000, 30_000))
    assert sum(titles[0].industries.values()) == pytest.approx(0.95)


def test_small_misses_of_a_sum_are_scaled() -> None:
    rows = place_rows(US, "maine")
    rows[0][1] *= 1.5
    rows[0][2] = [48, 48, 0, 0, 0]
    places = read_places(json.dumps({"places": rows}), US, load_settings(US))
    assert sum(place.share for place in places) == pytest.approx(1)
    assert places[0].kinds == (0.5, 0.5, 0, 0, 0)
    assert places[0].share / places[1].share == pytest.approx(1.5)


def broken(kind: Kind, row: int, column: int, value: Any) -> str:
    rows = place_rows(US, "maine") if kind == "place" else title_rows(US, "sales")
    rows[row][column] = value
    return json.dumps({f"{kind}s": rows})


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        (0, 0, "maine place b 1", Reason.DUPLICATE_KEY),
        (0, 0, "<script>", Reason.WRONG_SHAPE),
        (0, 1, 500, Reason.BAD_SUM),
        (0, 1, 0, Reason.WRONG_SHAPE),
        (0, 1, "many", Reason.WRONG_SHAPE),
        (0, 2, [50, 50], Reason.WRONG_SHAPE),
        (0, 2, [50, 20, 0, 0, 0], Reason.BAD_SUM),
        (0, 2, [120, -20, 0, 0, 0], Reason.WRONG_SHAPE),
        (0, 3, {"klingon": 2}, Reason.UNKNOWN_CATEGORY),
        (0, 3, {"irish": -1}, Reason.WRONG_SHAPE),
    ],
)
def test_what_is_wrong_with_a_place_is_named(row: int, column: int, value: Any, reason: Reason) -> None:
    with pytest.raises(AnswerError) as error:
        read_places(broken("place", row, column, value), US, load_settings(US))
    assert error.value.reason is reason and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (0, "sales worker 1", Reason.DUPLICATE_KEY),
        (0, "clerk/cashier", Reason.WRONG_SHAPE),
        (2, 101, Reason.WRONG_SHAPE),
        (4, [50_000, 40_000], Reason.WRONG_SHAPE),
        (4, [40, 50], Reason.WRONG_SHAPE),
        (5, {"retail": 40}, Reason.BAD_SUM),
        (5, {"none": 100}, Reason.UNKNOWN_CATEGORY),
    ],
)
def test_what_is_wrong_with_a_title_is_named(column: int, value: Any, reason: Reason) -> None:
    with pytest.raises(AnswerError) as error:
        read_titles(broken("title", 0, column, value), US, load_settings(US))
    assert error.value.reason is reason


@pytest.mark.parametrize("text", ["{}", '{"places": {}}', '{"places": [1]}', '{"places": []}', "I cannot"])
def test_an_answer_of_another_shape_is_rejected(text: str) -> None:
    with pytest.raises(AnswerError):
        read_places(text, US, load_settings(US))


def test_too_few_places_are_rejected() -> None:
    with pytest.raises(AnswerError, match="7 are named, 12 to 30 were asked for"):
        read_places(json.dumps({"places": place_rows(US, "maine", 7)}), US, load_settings(US))


def test_requests_about_names_list_them_and_keep_their_id() -> None:
    names = {"legal": ["judge", "bailiff"]}
    (request,) = particular_requests(US, "holder", names)
    assert request.names == ("judge", "bailiff") and "\n- judge\n- bailiff\n" in request.messages[1]["content"]
    assert "- trades: Skilled trades" in request.messages[1]["content"]
    assert "- not_applicable:" not in request.messages[1]["content"]
    (other,) = particular_requests(US, "holder", {"legal": ["judge"]})
    assert other.custom_id == request.custom_id
    (part,) = particular_requests(GB, "part", {"scotland": ["Leith"]})
    assert '"I live in NAME, Scotland"' in part.messages[1]["content"]


def test_parts_are_told_of_the_places_that_were_asked_about() -> None:
    names = ["Chicago", "South Side"]
    assert read_parts('{"parts": {"south side": "Chicago"}}', names) == (Part("South Side", "Chicago"),)
    assert read_parts('{"parts": {}}', names) == ()
    for text, reason in (
        ('{"parts": {"Loop": "Chicago"}}', Reason.UNKNOWN_CONDITION),
        ('{"parts": {"South Side": ""}}', Reason.WRONG_SHAPE),
        ('{"parts": {"South Side": "<b>"}}', Reason.WRONG_SHAPE),
        ('{"parts": ["South Side"]}', Reason.WRONG_SHAPE),
    ):
        with pytest.raises(AnswerError) as error:
            read_parts(text, names)
        assert error.value.reason is reason


@pytest.mark.parametrize("catalogue", [US, GB], ids=["us", "gb"])
def test_holders_are_read_in_the_order_that_was_asked(catalogue: Any) -> None:
    titles = ["judge", "bailiff", "clerk"]
    rows = holder_rows(catalogue, titles)
    holders = read_holders(json.dumps({"holders": rows[::-1]}), catalogue, titles)
    assert [one.name for one in holders] == titles
    assert holders[0].education[:3] == (0.6, 0.4, 0) and holders[1].age[:4] == (0, 0.6, 0.4, 0)
    assert len(holders[0].education) == len(catalogue.dimension("education").categories)
    assert list(holders[0].fields.values()) == [0.9]


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        (0, 0, "bailiff", Reason.DUPLICATE_KEY),
        (0, 0, "clown", Reason.UNKNOWN_CONDITION),
        (0, 1, [100], Reason.WRONG_SHAPE),
        (0, 2, [50, 20, 0, 0, 0, 0, 0], Reason.BAD_SUM),
        (0, 3, {"alchemy": 95}, Reason.UNKNOWN_CATEGORY),
        (0, 3, {"not_applicable": 95}, Reason.UNKNOWN_CATEGORY),
        (0, 3, {"trades": 50}, Reason.BAD_SUM),
    ],
)
def test_what_is_wrong_with_holders_is_named(row: int, column: int, value: Any, reason: Reason) -> None:
    titles = ["judge", "bailiff"]
    rows = holder_rows(US, titles)
    rows[row][column] = value
    with pytest.raises(AnswerError) as error:
        read_holders(json.dumps({"holders": rows}), US, titles)
    assert error.value.reason is reason


def test_a_title_without_holders_is_missed() -> None:
    with pytest.raises(AnswerError, match="missing_condition: 'bailiff'"):
        read_holders(json.dumps({"holders": holder_rows(US, ["judge"])}), US, ["judge", "bailiff"])


def test_details_are_asked_of_each_category_that_leaves_something_open() -> None:
    for catalogue in (US, GB):
        requests = particular_requests(catalogue, "detail")
        assert [r.category for r in requests] == list(details(catalogue))
    request = next(r for r in particular_requests(US, "detail") if r.category == "diagnosis.cancer")
    assert request.custom_id.startswith("us.detail.diagnosis.cancer.recorded-particulars.plain-")
    text = request.messages[1]["content"]
    assert "Cancer" in text and 'after "she has …"' in text and "\n- 18_24: 18 to 24\n" in text


def test_details_are_read_with_their_multiples() -> None:
    one = details(US)["pet.other"]
    rows = detail_rows(US, "pet.other")
    found = read_details(json.dumps({"details": rows}), one)
    assert [named.name for named in found] == [row[0] for row in rows]
    assert sum(named.share for named in found) == pytest.approx(1)
    assert found[1].multiples == {"age": {"25_34": 3}}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["a ferret", 70, {"sex": {"female": 2}}], Reason.UNKNOWN_CATEGORY),  # pets are not asked by sex
        (["a ferret", 70, {"age": {"teens": 2}}], Reason.UNKNOWN_CATEGORY),
        (["a ferret", 70, {"age": {"18_24": -1}}], Reason.WRONG_SHAPE),
        (["a ferret", 0, {}], Reason.WRONG_SHAPE),
        (["a ferret", 900, {}], Reason.BAD_SUM),
        (["<b>", 70, {}], Reason.WRONG_SHAPE),
        (["pet other 1", 70, {}], Reason.DUPLICATE_KEY),
    ],
)
def test_details_that_cannot_be_used_are_rejected(row: list[Any], reason: Reason) -> None:
    rows = [row, *detail_rows(US, "pet.other")[1:]]
    with pytest.raises(AnswerError) as error:
        read_details(json.dumps({"details": rows}), details(US)["pet.other"])
    assert error.value.reason is reason


def test_what_was_studied_is_read_by_field() -> None:
    titles = ["judge", "bailiff"]
    found = read_studies(json.dumps({"studies": study_rows(US, titles)}), US, titles)
    first, second = US.dimension("field_of_study").category_ids[1:3]
    assert found[0].subjects == {first: {"judge studies": 0.7, "philosophy": 0.1}}
    assert found[1].subjects == {second: {"bailiff studies": 0.7, "philosophy": 0.1}}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"magic": {"spells": 100}}, Reason.UNKNOWN_CATEGORY),
        ({"not_applicable": {"nothing": 100}}, Reason.UNKNOWN_CATEGORY),
        ({"business": {"accounting": 40}}, Reason.BAD_SUM),
        ({"business": {"accounting": 80, "Accounting": 20}}, Reason.DUPLICATE_KEY),
        ({"business": {"<b>": 100}}, Reason.WRONG_SHAPE),
    ],
)
def test_studies_that_cannot_be_used_are_rejected(told: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(AnswerError) as error:
        read_studies(json.dumps({"studies": [["judge", told]]}), US, ["judge"])
    assert error.value.reason is reason


def test_first_names_are_asked_of_each_group_once() -> None:
    assert particular_requests(US, "name") == ()
    requests = particular_requests(GB, "name")
    asked = load_settings(GB).first_names
    assert [r.category for r in requests] == list(groups(GB))
    assert len(requests) == 2 * len(asked.number) * len(asked.born)
    text = next(r for r in requests if r.category == "welsh.male.1960").messages[1]["content"]
    assert "the 80 first names" in text and "among men of this heritage" in text and "1960 to 1969" in text
    assert "10,000 boys" in text and "Heritage: Welsh" in text


def test_first_names_are_read_with_their_shares() -> None:
    rows = first_name_rows("welsh.male.1960", 80)
    names = read_first_names(json.dumps({"names": rows}), 80)
    assert names[0].share > names[-1].share > 0
    assert sum(one.share for one in names) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("row", "value", "reason"),
    [
        (0, ["Rhys", 7000], Reason.BAD_SUM),
        (0, ["Rhys", 0], Reason.WRONG_SHAPE),
        (0, ["Rhys", "many"], Reason.WRONG_SHAPE),
        (0, ["Rhys"], Reason.WRONG_SHAPE),
        (0, ["<b>", 5], Reason.WRONG_SHAPE),
        (1, ["rhys", 5], Reason.DUPLICATE_KEY),
    ],
)
def test_what_is_wrong_with_first_names_is_named(row: int, value: list[Any], reason: Reason) -> None:
    rows = first_name_rows("welsh.male.1960", 80)
    rows[0] = ["Rhys", 50]
    rows[row] = value
    with pytest.raises(AnswerError) as error:
        read_first_names(json.dumps({"names": rows}), 80)
    assert error.value.reason is reason


def test_first_names_that_are_too_few_or_hardly_anybodys_are_rejected() -> None:
    rows = first_name_rows("welsh.male.1960", 80)
    with pytest.raises(AnswerError, match="40 are named, 80 to 80 were asked for"):
        read_first_names(json.dumps({"names": rows[:40]}), 80)
    with pytest.raises(AnswerError, match="bad_sum"):
        read_first_names(json.dumps({"names": [[name, figure / 2] for name, figure in rows]}), 80)


def test_homes_are_read_in_the_order_that_was_asked() -> None:
    places = ["Bangor", "Portland"]
    found = read_homes(json.dumps({"homes": home_rows(US, places)[::-1]}), US, places)
    assert [one.name for one in found] == places
    assert found[1].dwelling == (0.05, 0.75, 0.05, 0.05, 0.05, 0.05) and found[0].without_vehicle == 0.05
    assert found[1].ways == (0.6, 0.1, 0.3)
    (request,) = particular_requests(US, "home", {"maine": places})
    text = request.messages[1]["content"]
    assert "State: Maine" in text and "\n- Bangor\n- Portland\n" in text and "- mobile_home:" in text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["Portland", [100, 0, 0, 0, 0, 0], 5, [0, 0, 100]], Reason.DUPLICATE_KEY),
        (["Salem", [100, 0, 0, 0, 0, 0], 5, [0, 0, 100]], Reason.UNKNOWN_CONDITION),
        (["Bangor", [100, 0, 0, 0, 0], 5, [0, 0, 100]], Reason.WRONG_SHAPE),
        (["Bangor", [100, 0, 0, 0, 0, 0], 101, [0, 0, 100]], Reason.WRONG_SHAPE),
        (["Bangor", [100, 0, 0, 0, 0, 0], 5, [0, 100]], Reason.WRONG_SHAPE),
        (["Bangor", [100, 0, 0, 0, 0, 0], 5, [0, 0, 80]], Reason.BAD_SUM),
        (["Bangor", [50, 0, 0, 0, 0, 0], 5, [0, 0, 100]], Reason.BAD_SUM),
    ],
)
def test_what_is_wrong_with_homes_is_named(row: list[Any], reason: Reason) -> None:
    places = ["Bangor", "Portland"]
    with pytest.raises(AnswerError) as error:
        read_homes(json.dumps({"homes": [row, *home_rows(US, places)[1:]]}), US, places)
    assert error.value.reason is reason


def test_terms_are_read_in_the_order_that_was_asked() -> None:
    titles = ["judge", "bailiff"]
    found = read_terms(json.dumps({"arrangements": terms_rows(titles)[::-1]}), US, titles)
    assert [one.name for one in found] == titles
    assert found[1].arrangement == (0.1, 0.8, 0.1) and found[0].employment == (0.7, 0.2, 0.1)
    (request,) = particular_requests(US, "arrangement", {"legal": titles})
    text = request.messages[1]["content"]
    assert "\n- judge\n- bailiff\n" in text and "- self_employed:" in text
    assert "retired:" not in text and "not_applicable:" not in text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["bailiff", [100, 0, 0], [100, 0, 0]], Reason.DUPLICATE_KEY),
        (["clown", [100, 0, 0], [100, 0, 0]], Reason.UNKNOWN_CONDITION),
        (["judge", [100, 0], [100, 0, 0]], Reason.WRONG_SHAPE),
        (["judge", [100, 0, 0], [50, 0, 0]], Reason.BAD_SUM),
        (["judge", [100, 0, -1], [100, 0, 0]], Reason.WRONG_SHAPE),
    ],
)
def test_what_is_wrong_with_terms_is_named(row: list[Any], reason: Reason) -> None:
    titles = ["judge", "bailiff"]
    with pytest.raises(AnswerError) as error:
        read_terms(json.dumps({"arrangements": [row, *terms_rows(titles)[1:]]}), US, titles)
    assert error.value.reason is reason
