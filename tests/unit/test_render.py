"""Rendering requests: what a prompt says, and what its id depends on."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Catalogue, StructuralZero
from pipeline.elicitation.batch import read_lines
from pipeline.elicitation.panel import Member
from pipeline.elicitation.record import edition_files
from pipeline.plan import Plan
from pipeline.prompts.render import render_corpus, render_request, requests_for
from pipeline.prompts.variants import all_variants
from pipeline.resources import CORPUS, EDITION
from warehouse.errors import ElicitationError

KEYED = Member(id="a", source="recorded", variant="analyst.whole_map.percent_keyed")
ROWS = Member(id="b", source="recorded", variant="frequency.whole_map.per_1000_rows")
ONE_ROW = Member(id="c", source="recorded", variant="anchored.one_row.probability_keyed")
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "combination" / "answers"


@pytest.fixture(scope="module")
def us() -> Catalogue:
    return load_catalogue("us")


def prompt(us: Catalogue, dimension: str, given: tuple[str, ...], member: Member = KEYED) -> str:
    return render_request(us, "e", us.dimension(dimension), given, member).messages[1]["content"]


def test_a_prompt_states_population_year_definition_and_categories(us: Catalogue) -> None:
    text = prompt(us, "education", ("age",))
    assert us.population.label in text and "2025" in text
    for dimension in (us.dimension("education"), us.dimension("age")):
        assert dimension.definition in text
        assert all(f"- {c.id}: {c.label}" in text for c in dimension.categories)


def test_a_prompt_forbids_hedging_and_asks_for_json_alone(us: Catalogue) -> None:
    text = prompt(us, "education", ())
    assert "Do not hedge" in text and "one JSON object and nothing else" in text


def test_structure_is_told_only_where_the_given_shows_it(us: Catalogue) -> None:
    assert "By definition" in prompt(us, "occupation", ("employment",))
    assert "By definition" not in prompt(us, "occupation", ("age",))
    both = prompt(us, "household_income", ("personal_income", "living_arrangement"))
    assert "personal_income is 50k_75k and living_arrangement is alone or housemates or group_quarters" in both


def test_amounts_are_in_the_populations_currency(us: Catalogue) -> None:
    assert "2025 US dollars" in prompt(us, "personal_income", ())
    assert "dollars" not in prompt(us, "education", ())


def test_no_variable_of_a_part_is_left_open(us: Catalogue) -> None:
    for member, dimension in product((KEYED, ROWS), us.dimensions):
        for given in dimension.givens:
            request = render_request(us, "e", dimension, given, member)
            text = request.messages[1]["content"]
            assert "$" not in text.replace("$1", "").replace("$2", "").replace("$3", "").replace("$5", "").replace(
                "$7", ""
            ) or any("$" in c.label for d in (dimension, *map(us.dimension, given)) for c in d.categories)


def test_ids_are_stable_distinct_and_depend_on_what_can_change_an_answer(us: Catalogue) -> None:
    requests = list(render_corpus(us, "e", [KEYED, ROWS]))
    assert len({r.custom_id for r in requests}) == len(requests)
    age = us.dimension("age")
    first = render_request(us, "e", age, (), KEYED).custom_id
    assert render_request(us, "another", age, (), KEYED).custom_id == first
    assert render_request(us, "e", age, (), KEYED.model_copy(update={"id": "c"})).custom_id != first
    assert (
        render_request(us, "e", age, (), KEYED.model_copy(update={"settings": {"temperature": 1}})).custom_id != first
    )
    reworded = age.model_copy(update={"definition": "Years since birth."})
    assert render_request(us, "e", reworded, (), KEYED).custom_id != first


def test_the_corpus_asks_each_member_for_every_given_once(us: Catalogue) -> None:
    asked = [(r.model, r.dimension, r.given) for r in render_corpus(us, "e", [KEYED, ROWS])]
    assert asked == [(m, d.id, g) for m in "ab" for d in us.dimensions for g in d.asked]


@pytest.mark.parametrize(
    ("given", "conditions"),
    [((), "one row for everyone"), (("sex",), "each of the 2 categories of Sex"), (("age", "sex"), "each of the 14")],
)
def test_the_rows_wanted_are_counted(us: Catalogue, given: tuple[str, ...], conditions: str) -> None:
    assert conditions in prompt(us, "gender_identity", given)


def test_every_recorded_answer_is_to_a_request_as_it_is_rendered_today() -> None:
    """Recorded answers hang on custom ids, and these on every byte of the prompt."""
    plan = Plan(EDITION, CORPUS / EDITION)
    rendered = {r.custom_id for (p, _, _), requests in plan.requests.items() for r in requests if p in plan.populations}
    answered = {line.content.custom_id for path in edition_files(plan.corpus) for line in read_lines(path)}
    assert answered == rendered


def test_by_row_a_map_is_one_request_per_condition(us: Catalogue) -> None:
    requests = requests_for(us, "e", us.dimension("education"), ("age", "sex"), ONE_ROW)
    ages, sexes = us.dimension("age").category_ids, us.dimension("sex").category_ids
    assert [r.condition for r in requests] == list(product(ages, sexes))
    assert len({r.custom_id for r in requests}) == len(requests)
    text = requests[3].messages[1]["content"]
    assert "Asked about: 25 to 34 (id: 25_34)" in text and "Asked about: Male (id: male)" in text
    assert "P(Education | age = 25_34, sex = male)" in text and "(Age: 25 to 34; Sex: Male)" in text
    assert "65_74" not in text and "female" not in text
    (whole,) = requests_for(us, "e", us.dimension("education"), ("age", "sex"), KEYED)
    assert whole == render_request(us, "e", us.dimension("education"), ("age", "sex"), KEYED)


def test_by_row_the_base_map_is_one_request(us: Catalogue) -> None:
    (request,) = requests_for(us, "e", us.dimension("age"), (), ONE_ROW)
    assert request.condition == ()
    assert "a single row, for everyone." in request.messages[1]["content"]


def test_by_row_only_the_zeros_that_hold_are_told(us: Catalogue) -> None:
    employment = us.dimension("employment")
    held = {c for z in employment.zeros if set(z.given) == {"age"} for c in z.given["age"]}
    told = {
        request.condition[0]
        for request in requests_for(us, "e", employment, ("age",), ONE_ROW)
        if request.condition and "By definition" in request.messages[1]["content"]
    }
    assert told == held and 0 < len(held) < len(us.dimension("age").categories)


def test_a_condition_that_leaves_nothing_possible_is_not_asked_about(us: Catalogue) -> None:
    sex = us.dimension("sex")
    zero = StructuralZero(given={"age": ("18_24",)}, never=sex.category_ids, reason="-")
    requests = requests_for(us, "e", sex.model_copy(update={"zeros": (zero,)}), ("age",), ONE_ROW)
    assert [r.condition for r in requests] == [(c,) for c in us.dimension("age").category_ids if c != "18_24"]


def test_a_condition_and_the_variant_must_fit(us: Catalogue) -> None:
    with pytest.raises(ElicitationError, match="takes a condition: render with requests_for"):
        render_request(us, "e", us.dimension("age"), (), ONE_ROW)
    with pytest.raises(ElicitationError, match="takes no condition"):
        render_request(us, "e", us.dimension("age"), (), KEYED, condition=())


def test_every_variant_says_something_of_its_own(us: Catalogue) -> None:
    prompts = set()
    for variant in all_variants():
        member = KEYED.model_copy(update={"variant": variant.id})
        requests = requests_for(us, "e", us.dimension("smoking"), ("sex",), member)
        assert len(requests) == (2 if variant.by_row else 1)
        prompts.add(tuple(m["content"] for m in requests[0].messages))
    assert len(prompts) == 30
