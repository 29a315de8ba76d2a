"""The files of particulars of a snapshot, made of accepted answers and the people who are drawn.

Belongs here: which files there are, and of which answers each is made. Does not belong here: how answers become factors
(`factors`, `ages`), reading the record (`enrichment`).
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.catalogue.models import Catalogue
from pipeline.particulars.ages import AGED_BY, age_tables
from pipeline.particulars.answers import Studies
from pipeline.particulars.enrichment import Enrichment, Outcome
from pipeline.particulars.factors import (
    GIVENS,
    NEEDS,
    People,
    Table,
    detail_table,
    fitted,
    place_table,
    subject_table,
    title_table,
    written,
    written_incomes,
)
from pipeline.particulars.requests import WITHIN, Kind, details, load_settings
from serving.ages import AGE
from warehouse.particulars import AGES, DETAIL_FILES, DETAILS, INCOMES, JOB_TITLE, PLACES, TITLES, TWINS

SUBJECT = "subject"

PEOPLE = tuple(dict.fromkeys([*NEEDS, AGE, *AGED_BY]))
"""All dimensions of the people whom the files are made for."""


def files_told(enrichment: Enrichment) -> set[str]:
    """The files that `files_of` makes of what a population's record has."""
    kinds: tuple[tuple[Kind, str], ...] = (("place", PLACES), ("title", TITLES), ("income", INCOMES))
    fields = {key.partition(".")[0] for key in enrichment.outcome("detail").rows}
    of_details = {file for field, file in DETAIL_FILES.items() if TWINS.get(field, field) in fields}
    return {AGES, *of_details, *(file for kind, file in kinds if enrichment.outcome(kind).rows)}


def files_of(catalogue: Catalogue, outcomes: Mapping[Kind, Outcome], people: People) -> dict[str, bytes]:
    """Content by file name of what there are answers about; `people` have the dimensions PEOPLE, codes (n,) each."""
    settings = load_settings(catalogue)
    parts, homes, holders, terms = (outcomes[kind].rows for kind in ("part", "home", "holder", "arrangement"))
    places = {
        one: place_table(rows, parts.get(one, ()), homes.get(one, ()), catalogue)
        for one, rows in outcomes["place"].rows.items()
    }
    titles = {
        one: title_table(rows, holders.get(one, ()), terms.get(one, ()), catalogue, settings)
        for one, rows in outcomes["title"].rows.items()
    }
    made = {}
    named: tuple[tuple[str, Kind, dict[str, Table]], ...] = ((PLACES, "place", places), (TITLES, "title", titles))
    for file, kind, tables in named:
        if tables:
            scaled = {one: fitted(table, kind, one, catalogue, people) for one, table in tables.items()}
            made[file] = written(WITHIN[kind], GIVENS[kind], scaled, catalogue)
    if incomes := outcomes["income"].rows:
        made[INCOMES] = written_incomes(incomes, catalogue)
    made[AGES] = written(AGE, [(name,) for name in AGED_BY], age_tables(catalogue, people), catalogue)
    return made | _details(catalogue, outcomes, titles)


def _details(catalogue: Catalogue, outcomes: Mapping[Kind, Outcome], titles: Mapping[str, Table]) -> dict[str, bytes]:
    """Files of the details and of their twins, which have the same tables: whoever has one category in both dimensions
    has one name in both. Subjects go by title as well, where there are titles.
    """
    asked, rows = details(catalogue), outcomes["detail"].rows
    named, studied = _titles(catalogue, titles, outcomes["study"])
    made = {}
    for field, file in DETAIL_FILES.items():
        told = [(asked[key], rows[key]) for key in rows if asked[key].field == TWINS.get(field, field)]
        if told:
            givens = [(dimension.id,) for dimension in told[0][0].by]
            if field == SUBJECT and titles:
                givens.append((JOB_TITLE,))
                tables = {one.category.id: subject_table(names, one, studied) for one, names in told}
            else:
                tables = {one.category.id: detail_table(names, one) for one, names in told}
            made[file] = written(DETAILS[field], givens, tables, catalogue, named)
    return made


def _titles(
    catalogue: Catalogue, titles: Mapping[str, Table], studies: Outcome
) -> tuple[list[str], list[Studies | None]]:
    """All titles in the order of their file, and what their holders studied, None where nobody told."""
    known = {(one, row.name): row for one, rows in studies.rows.items() for row in rows}
    ordered = [
        (one, name)
        for one in catalogue.dimension(WITHIN["title"]).category_ids
        if one in titles
        for name in titles[one].names
    ]
    return [name for _, name in ordered], [known.get(title) for title in ordered]
