"""The monthly schedule: off, a new edition by the month's name, the budget from the environment, never what serves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from pipeline import schedules
from pipeline.resources import Build
from pipeline.schedules import monthly_regeneration


def tick(home: Path, month: tuple[int, int]) -> dg.RunRequest | dg.SkipReason:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            resources={"build": Build(home=str(home))},
            scheduled_execution_time=datetime(*month, 1, 3, tzinfo=UTC),
        )
        found = monthly_regeneration(context)
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def test_it_is_off_until_somebody_switches_it_on() -> None:
    assert monthly_regeneration.default_status is dg.DefaultScheduleStatus.STOPPED
    assert monthly_regeneration.job_name == "regenerate"


def test_a_month_is_a_new_edition_within_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAGEN_BUDGET", "25usd")
    found = tick(tmp_path, (2031, 12))
    assert isinstance(found, dg.RunRequest)
    assert found.run_config == {"resources": {"build": {"config": {"edition": "2031.12", "budget": "25usd"}}}}
    assert found.run_key == "2031.12" and not list(tmp_path.iterdir())


def test_the_configuration_fits_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.definitions import build_defs

    monkeypatch.delenv("PERSONAGEN_BUDGET", raising=False)
    found = tick(tmp_path, (2031, 12))
    assert isinstance(found, dg.RunRequest)
    job = build_defs(Build(home=str(tmp_path))).resolve_job_def("regenerate")
    assert dg.validate_run_config(job, found.run_config)


@pytest.mark.parametrize("edition", ["2026.11", "2031.12"])
def test_what_serves_or_is_recorded_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edition: str
) -> None:
    monkeypatch.setattr(schedules, "serving_edition", lambda build: "2031.12")
    year, month = map(int, edition.split("."))
    found = tick(tmp_path, (year, month))
    assert isinstance(found, dg.SkipReason) and edition in str(found.skip_message)
