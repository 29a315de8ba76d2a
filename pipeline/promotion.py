"""Promotion: which snapshot serves, whether an edition may take its place, and putting it there.

Belongs here: the gate and the switch. Does not belong here: how a snapshot is built or compared (`drift`), and who asks
for it: promotion is never part of a build, except of the very first one in a folder.

The gate wants, in this order: a snapshot that loads and is the one last exported, with a batch of its people; nothing
that it is made from out of date; every check of the edition green, evaluated now, because Dagster's record of checks
does not tell editions apart; and, where another snapshot serves, a drift report against that one which somebody says to
have read. A snapshot that has served before passed all that then: rolling back asks only that it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import dagster as dg
import polars as pl

from pipeline.resources import Build
from serving.snapshot import Snapshot
from warehouse.database import query, replace_cells, transaction
from warehouse.errors import PromotionError, SnapshotError
from warehouse.personas import serve_personas
from warehouse.snapshot_format import publish_snapshot


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves a population since it was promoted."""

    edition: str
    snapshot_id: str
    at: datetime


def serving(build: Build, population: str) -> Serving | None:
    """What serves, or None if nothing was ever promoted in this folder."""
    if not build.database.is_file():
        return None
    with build.connect() as connection:
        rows = query(
            connection,
            'select edition, snapshot_id, "at" from promotions where population = ? '
            'order by "at" desc, rowid desc limit 1',
            [population],
        )
    return Serving(*rows.row(0)) if rows.height else None


def readable(build: Build, population: str) -> bool:
    """Whether what serves can be read: a release that changed the format cannot compare itself with it."""
    try:
        Snapshot.load(build.serving_folder(population))
    except SnapshotError:
        return False
    return True


def serving_edition(build: Build) -> str | None:
    """The edition promoted last, of whichever population; None if none ever was."""
    if not build.database.is_file():
        return None
    with build.connect() as connection:
        rows = query(connection, 'select edition from promotions order by "at" desc, rowid desc limit 1')
    return str(rows.item()) if rows.height else None


def promote(
    build: Build, population: str, accepted: str, checks: Iterable[dg.AssetChecksDefinition]
) -> tuple[Serving, int]:
    """Let this edition's snapshot serve; returns what serves now and how many personas its table has.

    `accepted` is the id of the snapshot whose drift report was read; `checks` are those of every edition. Raises
    `PromotionError` saying what is missing; then nothing was changed.
    """
    refusal = gate(build, population, accepted, checks)
    if refusal:
        raise PromotionError(refusal)
    snapshot = Snapshot.load(build.snapshot_folder(population))
    before = serving(build, population)
    now = Serving(build.edition, snapshot.id, datetime.now(UTC).replace(tzinfo=None))
    row = {
        "population": population,
        "edition": now.edition,
        "snapshot_id": now.snapshot_id,
        "previous": before.snapshot_id if before else None,
        "at": now.at,
    }
    with build.connect() as connection, transaction(connection):
        people = serve_personas(connection, population, build.edition, snapshot.id)
        replace_cells(
            connection, "promotions", pl.DataFrame(), pl.DataFrame([row], schema_overrides={"previous": pl.String})
        )
        publish_snapshot(build.snapshot_folder(population), build.serving_folder(population), snapshot.id)
    return now, people


def gate(build: Build, population: str, accepted: str, checks: Iterable[dg.AssetChecksDefinition]) -> str:
    """Why this edition may not serve, in one line; empty if it may."""
    try:
        candidate = Snapshot.load(build.snapshot_folder(population)).id
    except SnapshotError as error:
        return f"edition '{build.edition}' has no snapshot of '{population}' to promote ({error}): {_again(build)}"
    if _stored(build, "snapshots", population) != {candidate}:
        return f"snapshot {candidate} of '{build.edition}' is not the one that was exported last: {_again(build)}"
    if candidate in _stored(build, "promotions", population):
        return ""
    return _unfit(build, population, candidate, checks) or _unread(build, population, candidate, accepted)


def _unfit(build: Build, population: str, candidate: str, checks: Iterable[dg.AssetChecksDefinition]) -> str:
    """What is wrong with the edition as it stands; empty if nothing is."""
    if candidate not in _stored(build, "map_distances", population):
        return f"no batch of snapshot {candidate} was drawn and measured: {_again(build)}"
    stale = [(stage, cell) for stage, cell in build.stale() if cell.population == population and stage not in _BESIDE]
    if stale:
        return (
            f"edition '{build.edition}' is out of date in {len(stale)} partitions, first of '{stale[0][0]}': "
            f"{_again(build)}"
        )
    red = _red(build, checks)
    return f"edition '{build.edition}' fails its checks: {red}" if red else ""


def _red(build: Build, checks: Iterable[dg.AssetChecksDefinition]) -> str:
    """The checks that fail now, with their figures; warnings do not count."""
    failed = []
    for check in checks:
        verdict = cast(dg.AssetCheckResult, check(build))
        if not verdict.passed and verdict.severity is dg.AssetCheckSeverity.ERROR:
            facts = verdict.description or "; ".join(f"{k}: {v.value}" for k, v in verdict.metadata.items())
            failed.append(f"{next(iter(check.check_keys)).name} ({facts})")
    return ", ".join(failed)


def _unread(build: Build, population: str, candidate: str, accepted: str) -> str:
    """Why the drift report does not count as read; empty if it does, or if nothing serves."""
    now = serving(build, population)
    if now is None or now.snapshot_id == candidate:
        return ""
    diff = f"personagen edition diff {now.edition} {build.edition} --population {population}"
    if not readable(build, population):
        return ""  # nobody can use it, let alone compare with it
    if not reported(build, population, now.snapshot_id, candidate):
        return f"there is no drift report of snapshot {candidate} against {now.snapshot_id}, which serves: run `{diff}`"
    if accepted != candidate:
        wrong = f"it was read of snapshot {accepted}, not {candidate}" if accepted else "nobody says to have read it"
        return (
            f"the drift report must be read first, {wrong}: run `{diff}`, then promote with --accept-drift {candidate}"
        )
    return ""


def reported(build: Build, population: str, before: str, after: str) -> bool:
    """Whether there is a drift report between these two snapshots."""
    with build.connect() as connection:
        found = query(
            connection,
            "select 1 from drifts where population = ? and snapshot_a = ? and snapshot_b = ? limit 1",
            [population, before, after],
        )
    return bool(found.height)


def _stored(build: Build, table: str, population: str) -> set[str]:
    """Ids of the snapshots of this edition that a table knows."""
    with build.connect() as connection:
        found = query(
            connection,
            f'select distinct snapshot_id from "{table}" where population = ? and edition = ?',
            [population, build.edition],
        )
    return set(found["snapshot_id"])


def _again(build: Build) -> str:
    return f"run `personagen build --edition {build.edition}`"


# Not what a snapshot is made from: pages, and the batch, whose size and seed are no matter of the edition.
_BESIDE = {"trial_report", "personas", "map_distances", "report"}
