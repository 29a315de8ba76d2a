"""The recorded answers of the combination benchmark; the surveys themselves are an extra and not needed here."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.combination.arms import ANSWERS, recorded_maps
from benchmarks.combination.tasks import Task, load_tasks, task_requests
from pipeline.elicitation.batch import read_lines
from pipeline.elicitation.edition import members_of
from pipeline.elicitation.record import edition_files

TASKS = load_tasks()


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.id)
def test_every_map_of_a_task_was_answered_by_both_passes_and_accepted(task: Task) -> None:
    maps = recorded_maps(task)
    assert set(maps) == set(task.target.givens)
    for one in maps.values():
        assert one.support == pytest.approx(2)
        assert (one.spread > 0).any()
        assert np.allclose(one.p.sum(axis=-1), 1)


def test_the_files_hold_answers_to_the_benchmarks_requests_and_nothing_else() -> None:
    panel = members_of(ANSWERS)
    asked = {r.custom_id for task in TASKS for r in task_requests(task, panel)}
    answered = [line.content.custom_id for path in edition_files(ANSWERS) for line in read_lines(path)]
    assert set(answered) == asked
    assert len(answered) == len(asked)


def test_constants_are_chosen_and_reported_on_different_tasks_of_five_surveys() -> None:
    assert {t.source["item"] for t in TASKS} == {"gss_wages", "gss_abortion", "TV16", "HealthInsurance", "acs12"}
    assert sum(t.role == "report" for t in TASKS) >= 8
    assert {t.role for t in TASKS} == {"tune", "report"}
