"""Tasks: one variable of a survey to be predicted from others. Reading `surveys.toml` and recoding belong here.

Does not belong here: maps made from the data, strategies, scores.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.catalogue.models import Catalogue, Category, Dimension, Given, Population
from pipeline.combination.problem import Codes
from pipeline.elicitation.panel import Member
from pipeline.grounding.microdata import microdata, recoded
from pipeline.prompts.render import Request, render_request

SURVEYS = Path(__file__).parent / "surveys.toml"
EDITION = "benchmark"


@dataclass(frozen=True, slots=True)
class Task:
    """One target variable of one survey with its parents, as a catalogue of its own.

    Attributes:
        id: `survey.variable`.
        role: `tune` (used to choose constants) or `report` (scored).
        catalogue: The parents, then the target, all of one population.
        source: The survey's table in `surveys.toml`.
    """

    id: str
    role: str
    catalogue: Catalogue
    source: Mapping[str, Any]

    @property
    def target(self) -> Dimension:
        """The variable to be predicted."""
        return self.catalogue.dimensions[-1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of categories of each parent."""
        return tuple(len(self.catalogue.dimension(p).categories) for p in self.target.parents)


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Respondents of one task: parent codes, uint8 (n, P), and target codes, uint8 (n,)."""

    parents: Codes
    target: Codes


@cache
def load_tasks() -> tuple[Task, ...]:
    """All tasks in the order of the file."""
    surveys = tomllib.loads(SURVEYS.read_text(encoding="utf-8"))
    return tuple(
        _task(survey, source, name, task)
        for survey, source in surveys.items()
        for name, task in source["tasks"].items()
    )


def task_requests(task: Task, panel: Sequence[Member], givens: Sequence[Given] | None = None) -> list[Request]:
    """The requests for the maps of a task, rendered as those of a corpus are."""
    wanted = task.target.givens if givens is None else givens
    return [render_request(task.catalogue, EDITION, task.target, given, m) for m in panel for given in wanted]


def load_people(task: Task) -> People:
    """Recode the survey's rows. People with anything missing are left out.

    Raises `SystemExit` naming the extra to install if the microdata package is not there.
    """
    frame = microdata(task.source["package"], task.source["item"])
    for column, (low, high) in task.source["rows"].items():
        frame = frame[frame[column].between(low, high)]
    names = [*task.target.parents, task.target.id]
    columns = [(task.source["variables"][name], task.catalogue.dimension(name).category_ids) for name in names]
    codes = np.stack([recoded(frame[v["column"]], v, categories) for v, categories in columns], axis=1)
    codes = codes[(codes >= 0).all(axis=1)].astype(np.uint8)
    return People(np.ascontiguousarray(codes[:, :-1]), np.ascontiguousarray(codes[:, -1]))


def _task(survey: str, source: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> Task:
    population = Population(id=survey, label=source["population"], year=source["year"], currency="USD")
    pairs = tuple((a, b) for a, b in task["pairs"])
    roots = [_dimension(source, p, (), ()) for p in task["parents"]]
    target = _dimension(source, name, tuple(task["parents"]), pairs)
    return Task(f"{survey}.{name}", task["role"], Catalogue(population=population, dimensions=(*roots, target)), source)


def _dimension(
    source: Mapping[str, Any], name: str, parents: tuple[str, ...], pairs: tuple[tuple[str, str], ...]
) -> Dimension:
    variable = source["variables"][name]
    return Dimension(
        id=name,
        label=variable["label"],
        tier=1,
        definition=variable["definition"],
        ordinal=variable.get("ordinal", False),
        categories=tuple(Category(id=k, label=v) for k, v in variable["categories"].items()),
        parents=parents,
        pairs=pairs,
    )
