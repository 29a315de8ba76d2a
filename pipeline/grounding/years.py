"""What the same language model says of a survey's own year and sample: base rates of the population when respondents
were asked, and of those who answer a panel that people join by themselves.

Personas are of one year, respondents of earlier ones, and some samples are of people who offer themselves. Base rates
of these, asked with the same prompts of the same panel members, tell how much of a distance is the years between and
the sample. They serve the comparison alone: no edition has them, and no snapshot is made of them.

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

Asked = tuple[int | str, str]
"""A year, or the data set whose panel is meant, and a dimension."""

BaseRates = Mapping[Asked, Floats]
"""Pooled base rates by what was asked, (categories,) each."""


def in_year(catalogue: Catalogue, year: int) -> Catalogue:
    """The catalogue of the same population in another year; amounts stay in the prices of the catalogue's own."""
    people = catalogue.population
    currency = f"{people.currency}, converted to prices of {people.year} by the consumer price index"
    return catalogue.model_copy(update={"population": people.model_copy(update={"year": year, "currency": currency})})


def in_panel(catalogue: Catalogue, year: int, panel: str) -> Catalogue:
    """The catalogue of those who answer such a panel in a year."""
    then = in_year(catalogue, year)
    return then.model_copy(update={"population": then.population.model_copy(update={"label": panel})})


def year_requests(catalogue: Catalogue, walks: Iterable[Crosswalk], member: Member) -> dict[Asked, Request]:
    """The base rates that one panel member is asked for: of each survey's year, and of each panel, every dimension of
    the survey once.
    """
    found: dict[Asked, Request] = {}
    for walk in walks:
        if walk.year is not None:
            settings: dict[int | str, Catalogue] = {walk.year: in_year(catalogue, walk.year)}
            if walk.panel is not None:
                settings[walk.id] = in_panel(catalogue, walk.year, walk.panel)
            for setting, people in settings.items():
                for column in walk.columns:
                    if (setting, column.id) not in found:
                        found[setting, column.id] = render_request(people, EDITION, column.dimension, (), member)
    return found


def judged(catalogue: Catalogue, walks: Sequence[Crosswalk], panel: Sequence[Member], folder: Path) -> list[Outcome]:
    """The verdict on the recorded answers, by member; raises `CorpusError` for a damaged record."""
    return _judged(catalogue, [year_requests(catalogue, walks, member) for member in panel], folder)


def base_rates(catalogue: Catalogue, walks: Sequence[Crosswalk], panel: Sequence[Member], folder: Path) -> BaseRates:
    """What members say, pooled with equal weights. Raises `GroundingError` if an answer is missing."""
    requests = [year_requests(catalogue, walks, member) for member in panel]
    told: dict[Asked, list[Floats]] = {}
    for asked, outcome in zip(requests, _judged(catalogue, requests, folder), strict=True):
        by_id = {estimate.custom_id: estimate.p for estimate in outcome.estimates}
        for key, request in asked.items():
            if request.custom_id not in by_id:
                setting, name = key
                missing = f"no accepted answer of {request.model} about '{name}' in {setting}"
                raise GroundingError(f"{folder}: {missing}: ask for it, as docs/grounding.md says")
            told.setdefault(key, []).append(by_id[request.custom_id])
    return {key: pooled_probabilities((), estimates) for key, estimates in told.items()}


def _judged(catalogue: Catalogue, requests: Sequence[Mapping[Asked, Request]], folder: Path) -> list[Outcome]:
    known = {one.custom_id for asked in requests for one in asked.values()}
    answers = completions_of(Record(folder, known=known).attempts(known))
    return [validate_all(asked.values(), answers, catalogue.dimension) for asked in requests]
