"""What a build has to tell: scorecards, strategies, worst maps, places. Reads the warehouse; prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.resources import Build
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from warehouse.database import query
from warehouse.personas import table_name
from warehouse.snapshot_format import REPORT


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the command line shows after a build of one population."""

    prose: tuple[str, ...]
    scorecards: pl.DataFrame
    reasons: pl.DataFrame
    strategies: pl.DataFrame
    trials: pl.DataFrame
    distances: pl.DataFrame
    marginal_worst: tuple[str, float]
    one_way_mean: float
    personas: int
    table: str
    snapshot_id: str
    places: dict[str, Path]


def report(build: Build, population: str) -> Report:
    """Collect the report of one population from its warehouse and snapshot."""
    folder = build.snapshot_folder(population)
    loaded = Snapshot.load(folder)
    key = [population, build.edition]
    with build.connect() as connection:
        scorecards = query(
            connection,
            "select * from scorecards where population = ? and edition = ? order by weight desc, model",
            key,
        )
        reasons = query(
            connection,
            "select model, reason, count(*) as answers from rejections "
            "where population = ? and edition = ? group by all order by all",
            key,
        )
        strategies = query(
            connection,
            "select strategy, count(marginal_tv) as dimensions, avg(marginal_tv) as marginal_tv, "
            "avg(one_way_tv) as one_way_tv, avg(two_way_tv) as two_way_tv, "
            "avg(held_out_tv) as held_out_tv, avg(held_out_js) as held_out_js, "
            "count(*) filter (chosen) as chosen, count(override) as overridden from trials "
            "where population = ? and edition = ? group by strategy order by avg(held_out_js)",
            key,
        )
        trials = query(
            connection, "select * from trials where population = ? and edition = ? order by dimension, strategy", key
        )
        distances = query(
            connection,
            "select * from map_distances where population = ? and edition = ? order by tv desc, dimension, given",
            key,
        )
        (personas,) = connection.execute(
            f'select count(*) from "{table_name(population, build.edition)}" where seed = ?', [build.seed]
        ).fetchall()[0]
    size = pl.col("given").list.len()
    seen = distances.filter(~pl.col("held_out"))
    base = seen.filter(size == 0)
    return Report(
        prose=tuple(Sampler(loaded).sample(3, build.seed).to_prompts()),
        scorecards=scorecards,
        reasons=reasons,
        strategies=strategies,
        trials=trials,
        distances=distances,
        marginal_worst=(base["dimension"][0], base["tv"][0]),
        one_way_mean=float(seen.filter(size == 1)["tv"].mean() or 0.0),  # type: ignore[arg-type]
        personas=int(personas),
        table=table_name(population, build.edition),
        snapshot_id=loaded.id,
        places={
            "warehouse": build.database,
            "snapshot of this edition": folder,
            "snapshot that serves": build.serving_folder(population),
            "report": folder / REPORT,
            "trial report": build.trial_page(population),
            "recorded edition": build.edition_folder,
            "Dagster home": build.dagster_folder,
        },
    )
