"""The arms: which maps a strategy is given. Exact ones, exact ones with noise, and ones that a language model believed.

Does not belong here: recoding microdata (`tasks`), fitting or scoring.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.combination.tasks import People, Task, task_requests
from pipeline.catalogue.models import Given
from pipeline.combination.pooling import pool
from pipeline.combination.problem import ElicitedMap, Floats, Problem
from pipeline.elicitation.batch import read_lines
from pipeline.elicitation.edition import members_of
from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.record import edition_files
from pipeline.grounding.counted import Counted, counted_map
from pipeline.prompts.validation import Estimate, validate_completion

ANSWERS = Path(__file__).parent / "answers"
MEMBERS = 2
"""Simulated panel members behind a noisy map: the spread that the fit may use is estimated from them, not given."""


def problem_of(task: Task, people: People, base: ElicitedMap, maps: Iterable[ElicitedMap]) -> Problem:
    """The combination problem of a task: these maps over these people's parents."""
    target = task.target
    return Problem(
        dimension=task.id,
        ordinal=target.ordinal,
        categories=target.category_ids,
        parents=target.parents,
        sizes=task.sizes,
        base=base,
        maps=tuple(maps),
        reference=people.parents,
    )


def exact_map(task: Task, people: People, given: Given) -> ElicitedMap:
    """P(target | given) among these people, without spread."""
    target = task.target
    counted = Counted(target.parents, task.sizes, len(target.categories), people.parents, people.target)
    return counted_map(counted, given)


def noisy_map(task: Task, exact: ElicitedMap, sigma: float, seed: tuple[int, ...]) -> ElicitedMap:
    """The pool of simulated members whose log probabilities err independently, by `sigma` nats once pooled.

    Each map of each task has a stream of its own.
    """
    rng = np.random.default_rng([*seed, *(zlib.crc32(name.encode()) for name in (task.id, *exact.given))])
    answers: list[Floats] = []
    for _ in range(MEMBERS):
        p = exact.p * np.exp(sigma * np.sqrt(MEMBERS) * rng.standard_normal(exact.p.shape))
        answers.append(p / p.sum(-1, keepdims=True))
    return pool(exact.given, answers)


def recorded_maps(task: Task, folder: Path = ANSWERS) -> dict[Given, ElicitedMap]:
    """Maps pooled from the recorded answers of a language model, imported and validated as those of a corpus.

    Raises `SystemExit` naming the first map that no accepted answer covers.
    """
    answered = {line.content.custom_id: line.content for path in edition_files(folder) for line in read_lines(path)}
    panel = members_of(folder)
    found: dict[Given, ElicitedMap] = {}
    for given in task.target.givens:
        answers = []
        for request in task_requests(task, panel, [given]):
            answer = answered.get(request.custom_id)  # of several attempts the last one counts
            if not isinstance(answer, Completion):
                continue
            parents = [task.catalogue.dimension(g) for g in given]
            outcome = validate_completion(answer, request, task.target, parents)
            if isinstance(outcome, Estimate):
                answers.append(outcome.p)
        if not answers:
            raise SystemExit(
                f"{task.id}: nobody's answer to P(target | {', '.join(given)}) stands: ask again and import"
            )
        found[given] = pool(given, answers)
    return found
