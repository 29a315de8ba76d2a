"""The files of particulars in a snapshot: what their writer and their reader must agree on.

A file of names has a row for each place of a region (`places.parquet`), title of an occupation (`titles.parquet`),
year of a band of ages (`ages.parquet`) or detail that a category of another dimension leaves open (DETAILS, such as
`denomination.parquet`), in the order of the categories: within, the category; name; share; and for each given a list of
factors, one for each combination of categories in catalogue order, the column being named after the given's dimensions,
joined with `+`.

    P(name | within, givens) ~ share * product of the factors that the givens select

A given may be `job_title`, whose codes are the places of the names in `titles.parquet`, and one more after them for who
has none; its categories are these names and "".

Metadata under `personagen`, JSON, has `within`, the dimension, `givens`, lists of dimensions in the order of their
columns, and `categories` of all these dimensions, whose places are the codes. Who is of a category without rows has no
name.

`incomes.parquet` has a row for each category of `employment`, in catalogue order: employment; and shares, how the
people of the lowest band of `personal_income` are spread over nothing and INCOME_PARTS equal parts of the band, counts
out of INCOME_UNIT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PLACES, TITLES = "places.parquet", "titles.parquet"
AGES, INCOMES = "ages.parquet", "incomes.parquet"
DETAILS: Mapping[str, str] = {
    **{"denomination": "religion", "childhood_denomination": "childhood_religion"},
    **{"mother_tongue": "first_language", "home_tongue": "home_language"},
    **{"diagnosis": "chronic_condition", "psychiatric_diagnosis": "mental_health"},
    **{"neurodivergence": "neurotype", "impairments": "disability"},
    **{"diet_plan": "diet", "pet": "pets", "subject": "field_of_study"},
}
"""The fields that tell what a category leaves open, and the dimension of each."""

TWINS: Mapping[str, str] = {"childhood_denomination": "denomination", "home_tongue": "mother_tongue"}
"""Fields with the names of another one. Both are drawn from the other's stream, so that who has the same category in
both dimensions has the same name.
"""

DETAIL_FILES: Mapping[str, str] = {field: f"{field}.parquet" for field in DETAILS}
OF_NAMES = (PLACES, TITLES, AGES, *DETAIL_FILES.values())
FILES = (*OF_NAMES, INCOMES)
WITHIN: Mapping[str, str] = {
    **{PLACES: "region", TITLES: "occupation", AGES: "age"},
    **{file: DETAILS[field] for field, file in DETAIL_FILES.items()},
}
"""The dimension of each file of names."""

INCOME_PARTS, INCOME_UNIT = 4, 1_000
METADATA = b"personagen"
JOB_TITLE = "job_title"


def title_categories(titles: Iterable[str]) -> list[str]:
    """The categories of `job_title` as a given."""
    return [*titles, ""]


def column_of(given: tuple[str, ...] | list[str]) -> str:
    """The column that holds the factors of a given."""
    return "+".join(given)
