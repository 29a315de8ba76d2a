"""Asset checks: what must hold of each stage's table, with the figures beside the verdict.

Belongs here: turning measures into verdicts. Does not belong here: the expectations over estimates
(`pipeline.elicitation.expectations`), the distances (`pipeline.combination.scores`), the rules of the catalogue.
"""

import math

import dagster as dg
import polars as pl

from pipeline.combination.choice import MARGINAL_LIMIT, MARGINAL_ROOM, ONE_WAY_LIMIT
from pipeline.combination.information import mutual_information
from pipeline.elicitation.expectations import expected_cells, validate_estimates
from pipeline.frames import map_arrays, shape_of
from pipeline.names.candidates import KINDS, asked
from pipeline.names.census import group_shares
from pipeline.names.frames import heritage_shares
from pipeline.resources import PERSONAS, Build
from serving.snapshot import Snapshot
from warehouse.database import query
from warehouse.errors import SnapshotError
from warehouse.personas import table_name

WEIGHT_FALL = 0.25  # of a member's pooling weight since the edition before
ACCEPTANCE_FALL = 0.1  # of the share of its answered requests that were accepted
NAMES_COVERED = 0.95  # of the names asked about
NAMES_DIFFERENCE = 0.05  # of the bearers, between what answers give to a Census group and what was counted
LEAST_INFORMATION = 0.0005  # nats; a parent that tells less might as well be left out


@dg.asset_check(asset="estimates", blocking=True, description="Great Expectations over the whole table of estimates.")
def estimates_hold(build: Build) -> dg.AssetCheckResult:
    """Run the suite once over all cells; a failure stops what is downstream in the same run."""
    # Partitions that this build has not come to yet are judged when it has; what is fresh must be whole.
    fresh = [cell for stage, cell in build.fresh() if stage == "estimates"]
    with build.connect() as connection:
        frame = query(connection, "select * from estimates where edition = ?", [build.edition])
    cells = pl.DataFrame([(c.population, c.dimension, c.model) for c in fresh], schema=_CELL, orient="row")
    frame = frame.join(cells, on=list(_CELL), how="semi")
    requests = [r for c in fresh for r in build.plan.requests[c.population, c.dimension, c.model]]
    expected = pl.concat(
        expected_cells((r for r in requests if r.population == population), catalogue.dimension)
        for population, catalogue in build.plan.catalogues.items()
    )
    # A member may fail at a map, which pooling tolerates; a map that nobody answered stops the build.
    report = validate_estimates(frame, expected, every_model=False)
    return dg.AssetCheckResult(
        passed=report.success,
        metadata={
            "cells": frame.height,
            "expectations": len(report.expectations),
            "failed": [f"{e.name}: {e.unexpected} unexpected, e.g. {e.examples}" for e in report.failed],
            **({} if report.success else {"remedy": _ASK_OTHERS}),
        },
    )


@dg.asset_check(
    asset="maps", description="Every parent tells something: one that does not is a defect of the catalogue."
)
def parents_matter(build: Build) -> dg.AssetCheckResult:
    """Mutual information of every one-way map, weakest first; below the least that counts is a warning."""
    weak, count = [], 0
    for population, catalogue in build.plan.catalogues.items():
        with build.connect() as connection:
            frame = query(
                connection,
                "select * from maps where population = ? and edition = ?",
                [population, build.edition],
            )
        by_dimension = frame.partition_by("dimension", as_dict=True)
        fresh = {cell.dimension for stage, cell in build.fresh() if stage == "maps" and cell.population == population}
        pooled = {d.id: map_arrays(by_dimension[(d.id,)], catalogue, d) for d in catalogue.dimensions if d.id in fresh}
        for dimension, maps in pooled.items():
            for parent in catalogue.dimension(dimension).parents:
                if parent in pooled:
                    count += 1
                    nats = mutual_information(pooled[parent][()].p, maps[(parent,)].p)
                    weak.append((nats, f"{dimension} | {parent}"))
    weak.sort()
    below = [name for nats, name in weak if nats < LEAST_INFORMATION]
    return dg.AssetCheckResult(
        passed=not below,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "one_way_maps": count,
            "below": below,
            "weakest": dg.MetadataValue.md(
                "\n".join(["| map | nats |", "| --- | --- |"] + [f"| {n} | {x:.5f} |" for x, n in weak[:15]])
            ),
        },
    )


@dg.asset_check(
    asset="scorecards",
    description="No panel member breaks its record: none is shut out, none falls far behind its previous edition.",
)
def members_keep_their_record(build: Build) -> dg.AssetCheckResult:
    """Compare this edition's scorecards with those of the edition before it, where there is one."""
    with build.connect() as connection:
        cards = query(connection, "select * from scorecards where edition = ?", [build.edition])
        earlier = query(
            connection,
            "select * from scorecards where edition = (select max(edition) from scorecards where edition < ?)",
            [build.edition],
        )
    broken = broken_records(cards, earlier)
    return dg.AssetCheckResult(
        passed=not broken,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "members": cards.height,
            "broken": broken,
            "limits": f"a weight falls by at most {WEIGHT_FALL}, the share accepted by at most {ACCEPTANCE_FALL}",
        },
    )


def broken_records(cards: pl.DataFrame, earlier: pl.DataFrame) -> list[str]:
    """A line for every member that is shut out or has fallen by more than is let pass.

    Args:
        cards: Scorecards of one edition.
        earlier: Those of the edition before, which may be empty; members are matched by population and id.
    """
    before = {(row["population"], row["model"]): row for row in earlier.iter_rows(named=True)}
    found = []
    for row in cards.sort("population", "model").iter_rows(named=True):
        name = f"{row['population']}: '{row['model']}'"
        if row["weight"] == 0:
            found.append(f"{name} has weight 0, {row['accepted']} of {row['answered']} requests accepted")
        elif (old := before.get((row["population"], row["model"]))) is not None:
            if old["weight"] - row["weight"] > WEIGHT_FALL:
                found.append(f"{name} fell from weight {old['weight']} in {old['edition']} to {row['weight']}")
            share, was = (r["accepted"] / r["answered"] if r["answered"] else 0.0 for r in (row, old))
            if was - share > ACCEPTANCE_FALL:
                found.append(f"{name} fell from {was:.0%} accepted in {old['edition']} to {share:.0%}")
    return found


def _exported(build: Build) -> list[str]:
    """The populations of which this edition has a snapshot."""
    with build.connect() as connection:
        stored = query(connection, "select distinct population from snapshots where edition = ?", [build.edition])
    return sorted(stored["population"].to_list())


@dg.asset_check(asset="snapshot", description="The exported snapshot loads and its hashes match.")
def snapshot_loads(build: Build) -> dg.AssetCheckResult:
    """Load the snapshot of every population that has one."""
    loaded = {}
    for population in _exported(build):
        try:
            loaded[population] = Snapshot.load(build.snapshot_folder(population)).id
        except SnapshotError as error:
            return dg.AssetCheckResult(passed=False, metadata={population: str(error)})
    return dg.AssetCheckResult(passed=True, metadata=loaded)


@dg.asset_check(asset="personas", blocking=True, description="No persona breaks a structural zero.")
def structure_holds(build: Build) -> dg.AssetCheckResult:
    """Count the personas of the batch that any structural zero forbids."""
    broken: dict[str, int] = {}
    checked = 0
    with build.connect() as connection:
        tables = query(connection, "select table_name from duckdb_tables()")["table_name"].to_list()
    for population, catalogue in build.plan.catalogues.items():
        if (table := table_name(population, build.edition)) not in tables:
            continue
        with build.connect() as connection:
            frame = query(
                connection,
                f'select columns(lambda c: c in ?) from "{table}"',
                [list(catalogue.by_id)],
            )
        checked += frame.height
        for dimension in catalogue.dimensions:
            for zero in dimension.zeros:
                forbidden = pl.col(dimension.id).cast(pl.String).is_in(list(zero.never))
                for parent, values in zero.given.items():
                    forbidden &= pl.col(parent).cast(pl.String).is_in(list(values))
                count = frame.filter(forbidden).height
                if count:
                    broken[f"{dimension.id}: {zero.reason}"] = count
    return dg.AssetCheckResult(passed=not broken, metadata={"personas": checked, "broken": broken})


@dg.asset_check(
    asset="map_distances",
    description="The batch reproduces base and one-way maps within the promised distance.",
)
def batch_fits_maps(build: Build) -> dg.AssetCheckResult:
    """Total variation of every marginal, and of the one-way maps on average; the worst by name.

    The limits are for a batch of the usual size; a smaller one differs by chance too, which is allowed for.
    """
    with build.connect() as connection:
        frame = query(connection, "select * from map_distances where edition = ?", [build.edition])
    base = frame.filter(pl.col("given").list.len() == 0).sort("tv", descending=True)
    one_way = frame.filter(pl.col("given").list.len() == 1)
    mean = float(one_way["tv"].mean() or 0.0)  # type: ignore[arg-type]
    limits, one_way_limit = pl.Series([MARGINAL_LIMIT] * base.height, dtype=pl.Float64), ONE_WAY_LIMIT
    if base.height and base["personas"].min() < PERSONAS:  # type: ignore[operator]
        limits = pl.Series([max(MARGINAL_LIMIT, MARGINAL_ROOM + chance) for chance in _chances(build, base)])
        drawn = _chances(build, one_way)
        one_way_limit = max(ONE_WAY_LIMIT, ONE_WAY_LIMIT / 2 + (sum(drawn) / len(drawn) if drawn else 0.0))
    over = base.filter(pl.col("tv") > limits)["dimension"].to_list()
    return dg.AssetCheckResult(
        passed=base.height > 0 and not over and mean <= one_way_limit,
        metadata={
            "worst_marginal": f"{base['dimension'][0]} {base['tv'][0]:.4f}" if base.height else "",
            "marginals_over_limit": over,
            "mean_one_way_tv": mean,
            "limits": f"{MARGINAL_LIMIT} for each marginal and {one_way_limit:.4f} for the mean of one-way maps; "
            f"in a batch of fewer than {PERSONAS} {MARGINAL_ROOM} for a marginal beside chance, if that is more",
        },
    )


@dg.asset_check(
    asset="completions", description="Asking was not ended by the budget while requests are still unanswered."
)
def budget_holds(build: Build) -> dg.AssetCheckResult:
    """The edition's last budget stop counts as long as a request has no answer."""
    with build.connect() as connection:
        stops = query(
            connection,
            'select spent, budget, "left" from budget_stops where edition = ? order by "at" desc, rowid desc limit 1',
            [build.edition],
        )
        (open_requests,) = connection.execute(_UNANSWERED, [build.edition] * 2).fetchall()[0]
    if not stops.height or not open_requests:
        return dg.AssetCheckResult(passed=True, metadata={"unanswered": open_requests})
    spent, budget, left = stops.row(0)
    return dg.AssetCheckResult(
        passed=False,
        description=f"asking edition '{build.edition}' stopped at {spent:.2f} of {budget:.2f} USD with {left} requests "
        "not put: raise the budget and run again; what was answered is not asked again",
        metadata={"spent_usd": spent, "budget_usd": budget, "left": left, "unanswered": open_requests},
    )


def _chances(build: Build, distances: pl.DataFrame) -> list[float]:
    """Most of the total variation that drawing so many people explains: mean of half the absolute normal errors."""
    chances = []
    for population, name, given, people in distances.select("population", "dimension", "given", "personas").iter_rows():
        catalogue = build.catalogue(population)
        *conditions, width = shape_of(catalogue, catalogue.dimension(name), given)
        chances.append(0.5 * math.sqrt(2 / math.pi) * math.sqrt((width - 1) * math.prod(conditions) / people))
    return chances


@dg.asset_check(asset="name_estimates", description="Nearly every name that is asked about has an accepted answer.")
def names_are_covered(build: Build) -> dg.AssetCheckResult:
    """Count the names with an estimate, by kind."""
    with build.connect() as connection:
        counts = dict(
            query(
                connection,
                "select kind, count(distinct key) from name_estimates where edition = ? group by kind",
                [build.edition],
            ).iter_rows()
        )
    shares = {kind: counts.get(kind, 0) / asked(kind).height for kind in KINDS}
    return dg.AssetCheckResult(
        passed=min(shares.values()) >= NAMES_COVERED,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            **{f"{kind} names": f"{counts.get(kind, 0)} of {asked(kind).height}" for kind in KINDS},
            "limit": f"{NAMES_COVERED:.0%} of each kind",
        },
    )


@dg.asset_check(
    asset="name_estimates",
    description="Over all names together, bearers fall on the heritages of a Census group as the Census counted them.",
)
def names_agree_with_census(build: Build) -> dg.AssetCheckResult:
    """Compare, by kind and group, the share of bearers that the answers give to the group's heritages with the Census.

    Only groups whose heritages no other group has can be compared so.
    """
    with build.connect() as connection:
        estimates = query(
            connection, "select kind, key, heritage from name_estimates where edition = ?", [build.edition]
        )
    shares = heritage_shares(estimates)
    compared = [
        (kind, group, told, counted)
        for kind in KINDS
        for group, told, counted in group_shares(kind, shares.filter(kind=kind))
    ]
    return dg.AssetCheckResult(
        passed=all(abs(told - counted) <= NAMES_DIFFERENCE for _, _, told, counted in compared),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            **{
                f"{k} names, {group}": f"{told:.1%} told, {counted:.1%} counted" for k, group, told, counted in compared
            },
            "limit": NAMES_DIFFERENCE,
        },
    )


_ASK_OTHERS = "`personagen corpus status` counts what is rejected and why; have the maps answered by another member"
_UNANSWERED = """
select count(*) from (select distinct model, custom_id from requests where edition = ?) r
where not exists (
    select 1 from completions c where c.edition = ? and c.custom_id = r.custom_id and c.model = r.model
)
"""
_CELL = {"population": pl.String, "dimension": pl.String, "model": pl.String}

ALL_CHECKS = (
    names_are_covered,
    names_agree_with_census,
    budget_holds,
    estimates_hold,
    members_keep_their_record,
    parents_matter,
    snapshot_loads,
    structure_holds,
    batch_fits_maps,
)
