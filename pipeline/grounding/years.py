"""What the same language model says of a survey's own year: base rates of the population when respondents were asked.

Personas are of one year, respondents of earlier ones. Base rates of the survey's year, asked with the same prompts of
the same panel members, tell how much of a distance is the years between. They serve the comparison alone: no edition
has them, and no snapshot is made of them.

Does not belong here: the comparison (`findings`), weights of personas (`settings`), judging an answer
(`prompts.validation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.catalogue.models import Catalogue
from pipeline.combination.pooling import pooled_probabilities
from pipeline.combination.problem import Floats
from pipeline.elicitation.panel import Member
from pipeline.elicitation.record import Record, completions_of
from pipeline.grounding.crosswalk import Crosswalk
from pipeline.prompts.render import Request, render_request
from pipeline.prompts.validation import Outcome, validate_all
from warehouse.errors import GroundingError

EDITION = "years"
"""What stands for an edition in these requests, and the folder of their answers within the corpus, by population."""

BaseRates = Mapping[tuple[int, str], Floats]
"""Pooled base rates by year and dimension, (categories,) each."""


def in_year(catalogue: Catalogue, year: int) -> Catalogue:
    """The catalogue of the same population in another year; amounts stay in the prices of the catalogue's own."""
    people = catalogue.population
    currency = f"{people.currency}, converted to prices of {people.year} by the consumer price index"
    return catalogue.model_copy(update={"population": people.model_copy(update={"year": year, "currency": currency})})


def year_requests(catalogue: Catalogue, walks: Iterable[Crosswalk], member: Member) -> dict[tuple[int, str], Request]:
    """The base rates that one panel member is asked for: of each survey's year and each of its dimensions, once."""
    wanted = {
        (walk.year, column.id): column.dimension for walk in walks if walk.year is not None for column in walk.columns
    }
    return {
        (year, name): render_request(in_year(catalogue, year), EDITION, dimension, (), member)
        for (year, name), dimension in wanted.items()
    }


def judged(catalogue: Catalogue, walks: Sequence[Crosswalk], panel: Sequence[Member], folder: Path) -> list[Outcome]:
    """The verdict on the recorded answers, by member; raises `CorpusError` for a damaged record."""
    return _judged(catalogue, [year_requests(catalogue, walks, member) for member in panel], folder)


def base_rates(catalogue: Catalogue, walks: Sequence[Crosswalk], panel: Sequence[Member], folder: Path) -> BaseRates:
    """What members say, pooled with equal weights. Raises `GroundingError` if an answer is missing."""
    requests = [year_requests(catalogue, walks, member) for member in panel]
    told: dict[tuple[int, str], list[Floats]] = {}
    for asked, outcome in zip(requests, _judged(catalogue, requests, folder), strict=True):
        by_id = {estimate.custom_id: estimate.p for estimate in outcome.estimates}
        for key, request in asked.items():
            if request.custom_id not in by_id:
                year, name = key
                missing = f"no accepted answer of {request.model} about '{name}' in {year}"
                raise GroundingError(f"{folder}: {missing}: ask for it, as docs/grounding.md says")
            told.setdefault(key, []).append(by_id[request.custom_id])
    return {key: pooled_probabilities((), estimates) for key, estimates in told.items()}


def _judged(catalogue: Catalogue, requests: Sequence[Mapping[tuple[int, str], Request]], folder: Path) -> list[Outcome]:
    known = {one.custom_id for asked in requests for one in asked.values()}
    answers = completions_of(Record(folder, known=known).attempts(known))
    return [validate_all(asked.values(), answers, catalogue.dimension) for asked in requests]
