"""The verdict on answers about names: each name by itself, each refusal with its reason."""

from __future__ import annotations

import json
from itertools import chain

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.names.candidates import KINDS, Kind
from pipeline.names.census import known, ruled_out
from pipeline.names.requests import NameRequest, name_requests
from pipeline.names.validation import Judge, NameEstimate, NameRejection, letters
from pipeline.prompts.parsing import Reason
from tests.support.names import answer, completion, entry

US = load_catalogue("us")
REQUESTS = {kind: tuple(name_requests(US, kind)) for kind in KINDS}
FIRST = REQUESTS["first"][0]
BORN = REQUESTS["first"][-1]
LAST = REQUESTS["last"][0]


def judge(kind: Kind) -> Judge:
    return Judge(US.dimension("heritage"), known(kind), ruled_out(US))


def verdict(request: NameRequest, name: str, one: object) -> NameEstimate | NameRejection:
    text = json.dumps({name: one})
    (found,) = judge(request.kind).verdicts(request, completion(request, text), [name])
    return found


def estimate(request: NameRequest, name: str, one: object) -> NameEstimate:
    found = verdict(request, name, one)
    assert isinstance(found, NameEstimate), found
    return found


def refused(request: NameRequest, name: str, one: object) -> tuple[str, str]:
    found = verdict(request, name, one)
    assert isinstance(found, NameRejection), found
    return str(found.reason), found.detail


def of_name(kind: Kind, name: str) -> NameRequest:
    return next(r for r in REQUESTS[kind] if name in r.names)


@pytest.mark.parametrize("request_", [FIRST, BORN, LAST], ids=["first", "born", "last"])
def test_a_whole_answer_is_accepted_in_the_order_asked(request_: NameRequest) -> None:
    found = judge(request_.kind).verdicts(request_, completion(request_, answer(request_)), request_.names)
    assert [one.name for one in found if isinstance(one, NameEstimate)] == list(request_.names)


def test_an_estimate_holds_shares_of_one() -> None:
    shares = {"Mexican": 80, "spanish": "8%", "filipino": 0, "mixed_other": 4.0}
    found = estimate(of_name("last", "Garcia"), "Garcia", {"heritage": shares, "spelling": "García"})
    assert found.heritage == {"mexican": 0.8, "spanish": 0.08, "mixed_other": 0.04}
    assert (found.key, found.name, found.spelling, found.female, found.born) == (
        *("GARCIA", "Garcia", "García"),
        *(None, None),
    )


def test_a_sum_beyond_a_hundred_is_scaled_down() -> None:
    found = estimate(of_name("last", "Garcia"), "Garcia", {"heritage": {"mexican": 84, "spanish": 21}})
    assert sum(found.heritage.values()) == pytest.approx(1) and found.heritage["mexican"] == pytest.approx(0.8)


def test_a_cohort_curve_is_normalised() -> None:
    name = BORN.names[0]
    born = {"before_1950": 10, "1950_1969": 20, "1970-1989": 30, "1990_on": 42}
    assert estimate(BORN, name, entry(BORN, name, born=born)).born == pytest.approx([x / 102 for x in (10, 20, 30, 42)])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"heritage": {"english": 50}}, ("bad_sum", "the listed shares sum to 50")),
        ({"heritage": {"english": 70, "irish": 40}}, ("bad_sum", "the listed shares sum to 110")),
        ({"heritage": {"klingon": 90}}, ("unknown_heritage", "'klingon'")),
        ({"heritage": {"english": 45, "English": 45}}, ("unknown_heritage", "'English' stands twice")),
        ({"heritage": {"english": "most"}}, ("bad_share", "english: 'most' is not a number")),
        ({"heritage": {"english": -5, "irish": 95}}, ("bad_share", "english: -5.0 is no percentage")),
        ({"heritage": {}}, ("bad_share", "expected heritages with shares, found {}")),
        ({"heritage": None}, ("bad_share", "expected heritages with shares, found None")),
        ({"female": None}, ("bad_sex", "female: None is not a number")),
        ({"female": 101}, ("bad_sex", "female: 101.0 is no percentage")),
        ({"spelling": "Bryant"}, ("bad_spelling", "'Bryant' for Brant")),
        ({"spelling": "BRANT"}, ("bad_spelling", "'BRANT' for Brant")),
        ({"spelling": "Brant 2"}, ("bad_spelling", "'Brant 2' for Brant")),
        ({"spelling": ["Brant"]}, ("bad_spelling", "['Brant'] for Brant")),
        ({"female": 95}, ("census_conflict", None)),
        ({"heritage": {"mexican": 90}}, ("census_conflict", None)),
    ],
)
def test_an_entry_is_refused_with_its_reason(changed: dict[str, object], reason: tuple[str, str | None]) -> None:
    found = refused(FIRST, "Brant", entry(FIRST, "Brant", **changed))
    assert found[0] == reason[0] and reason[1] in (None, found[1])


@pytest.mark.parametrize(
    "born",
    [
        None,
        {"before_1950": 100},
        {"before_1950": 10, "1950_1969": 20, "1970_1989": 30, "1990_on": 60},
        {"before_1950": 10, "1950_1969": 20, "1970_1989": 30, "1990_on": -40},
        [10, 20, 30, 40],
    ],
)
def test_a_cohort_curve_must_be_whole(born: object) -> None:
    name = BORN.names[0]
    assert refused(BORN, name, entry(BORN, name, born=born))[0] == "bad_cohort"


def test_the_conflict_is_told_with_its_figures() -> None:
    found = refused(of_name("last", "Garcia"), "Garcia", {"heritage": {"irish": 90}})
    assert found[0] == "census_conflict"
    assert "bearers are Hispanic by the Census, but 90% were given to irish" in found[1]


def test_an_answer_is_used_in_part() -> None:
    first, second, third, *rest = FIRST.names
    text = answer(FIRST, **{first: None, second: {"female": 3}, "Nobody": {"female": 1}})
    found = judge("first").verdicts(FIRST, completion(FIRST, text), FIRST.names)
    rejected = {one.name: str(one.reason) for one in found if isinstance(one, NameRejection)}
    assert rejected == {first: "missing_name", second: "bad_share", "": "unknown_name"}
    assert [one.name for one in found if isinstance(one, NameEstimate)] == [third, *rest]


def test_a_name_is_found_by_its_letters() -> None:
    request = of_name("last", "O'Brien")
    one = json.dumps(entry(request, "O'Brien"))
    for key in ("O'Brien", "O’Brien", "Obrien", "Ó Brien"):
        text = f'Here you are:\n```json\n{{"answer": {{"{key}": {one}}}}}\n```'
        (found,) = judge("last").verdicts(request, completion(request, text), ["O'Brien"])
        assert isinstance(found, NameEstimate) and found.name == "O'Brien"


def test_a_name_that_stands_twice_costs_that_name_only() -> None:
    first, second, *_ = FIRST.names
    one, other = (json.dumps(entry(FIRST, name)) for name in (first, second))
    text = f'{{"{first}": {one}, "{second}": {other}, "{first}": {{"female": 1}}}}'
    found = judge("first").verdicts(FIRST, completion(FIRST, text), [first, second])
    assert isinstance(found[0], NameRejection) and str(found[0].reason) == "bad_entry"
    assert isinstance(found[1], NameEstimate)
    twice = f'{{"{first}": {{"female": 1, "heritage": {{"english": 50, "english": 40}}}}, "{second}": {other}}}'
    found = judge("first").verdicts(FIRST, completion(FIRST, twice), [first, second])
    assert isinstance(found[0], NameRejection) and isinstance(found[1], NameEstimate)


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        (None, "stop", Reason.EMPTY),
        ("I'm sorry, I cannot help with that.", "stop", Reason.REFUSAL),
        ("Surely the first one is English.", "stop", Reason.NOT_JSON),
        ('{"Brant": {"female": 2, "heri', "stop", Reason.TRUNCATED),
        ('{"Brant": {}}', "length", Reason.TRUNCATED),
        ('[{"name": "Brant"}, {"name": "Kye"}]', "stop", Reason.WRONG_SHAPE),
        ('{"Brant": {}}', "content_filter", Reason.REFUSAL),
    ],
)
def test_what_spoils_an_answer_rejects_all_its_names(text: str | None, finish: str, reason: Reason) -> None:
    found = judge("first").verdicts(FIRST, completion(FIRST, text, finish=finish), FIRST.names)
    assert [(one.name, one.reason) for one in found if isinstance(one, NameRejection)] == [
        (name, reason) for name in FIRST.names
    ]
    (alone,) = judge("first").verdicts(FIRST, completion(FIRST, text, finish=finish), FIRST.names, again=True)
    assert isinstance(alone, NameRejection) and (alone.name, alone.key) == ("", "")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Nguyen", "Nguyễn"),
        ("Munoz", "Muñoz"),
        ("Mueller", "Müller"),
        ("Obrien", "O’Brien"),
        ("Dangelo", "D'Angelo"),
        ("Delacruz", "de la Cruz"),
        ("Lukasz", "Łukasz"),
        ("Jeanpaul", "Jean-Paul"),
        ("Stjohn", "St. John"),
        ("Ng", "NG"),
        ("Iolani", "ʻIolani"),
        ("Alii", "Aliʻi"),
    ],
)
def test_accents_marks_and_capitals_leave_the_letters_alone(name: str, written: str) -> None:
    assert letters(written) == name.upper() or name == "Mueller"
    request = of_name("last", "Garcia")
    known_names = {**known("last"), **{name.upper(): known("last")["SMITH"]}}
    text = json.dumps({name: {"heritage": {"english": 60, "african_american": 25}, "spelling": written}})
    one = Judge(US.dimension("heritage"), known_names, ruled_out(US))
    (found,) = one.verdicts(request, completion(request, text), [name])
    assert isinstance(found, NameEstimate) and found.spelling == written.replace("’", "'").replace("ʻ", "'")


def test_the_form_shown_is_no_other_spelling() -> None:
    assert estimate(FIRST, "Brant", entry(FIRST, "Brant", spelling="Brant")).spelling is None
    assert estimate(FIRST, "Brant", entry(FIRST, "Brant", spelling=None)).spelling is None


def test_no_text_breaks_it() -> None:
    odd = ["{}", '{"Brant": null}', '{"Brant": []}', '{"Brant": 3}', '{"": {}}', '{"\\u0000": {"a": {}}}', "[]", "{{}}"]
    found = chain.from_iterable(judge("first").verdicts(FIRST, completion(FIRST, t), FIRST.names) for t in odd)
    assert all(isinstance(one, NameRejection) for one in found)
