"""Schedules: what is started by the calendar. Only when, and with which configuration, belongs here."""

import os

import dagster as dg

from pipeline.jobs import regenerate
from pipeline.partitions import EDITION_TAG
from pipeline.promotion import serving_edition
from pipeline.resources import CORPUS, Build

BUDGET_VARIABLE = "PERSONAGEN_BUDGET"


@dg.schedule(
    job=regenerate,
    cron_schedule="0 3 1 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="On the first of each month a new edition, named by the month (2026.12), asked within the budget of "
    f"${BUDGET_VARIABLE}. Never touches the edition that serves; promotion stays with people. Off until switched on.",
)
def monthly_regeneration(context: dg.ScheduleEvaluationContext, build: Build) -> dg.RunRequest | dg.SkipReason:
    """Ask for the edition of the scheduled month, once; a failed run is re-executed and resumes."""
    edition = f"{context.scheduled_execution_time:%Y.%m}"
    if edition == serving_edition(build) or (CORPUS / edition).is_dir():
        return dg.SkipReason(f"edition {edition} serves or is recorded: a schedule never touches it")
    settings = {"edition": edition, "budget": os.environ.get(BUDGET_VARIABLE, build.budget)}
    return dg.RunRequest(
        run_key=edition,
        run_config={"resources": {"build": {"config": settings}}},
        tags={EDITION_TAG: edition},
    )


ALL_SCHEDULES = (monthly_regeneration,)
