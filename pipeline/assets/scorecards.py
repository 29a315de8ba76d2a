"""Stage `scorecards`: the panel judged by its answers. The judgement is `pipeline.combination.scorecards`."""

import dagster as dg
import polars as pl

from pipeline.combination.agreement import Agreement
from pipeline.combination.influence import influences
from pipeline.combination.scorecards import standings
from pipeline.partitions import by_population
from pipeline.progress import advance
from pipeline.resources import Build
from pipeline.scorecard_frames import (
    INFLUENCE_COLUMNS,
    SCORECARD_COLUMNS,
    influence_frame,
    panel_maps,
    scorecard_frame,
    shares_accepted,
)
from warehouse.database import query

# Requests are counted as maps, so that who is asked row by row is judged by the same measure. What was paid is spread
# over the cells that came of it; where nothing was charged or reported there is no figure.
_COUNTS = """
with asked as (
    select model, count(distinct (dimension, given)) as requests from requests
    where population = $1 and edition = $2 group by 1
), heard as (
    select c.model, count(distinct (r.dimension, r.given)) as answered
    from completions c join requests r using (population, edition, model, custom_id)
    where population = $1 and edition = $2 group by 1
), refused as (
    select model, count(distinct (dimension, given)) as refused from rejections
    where population = $1 and edition = $2 and attempt = 1 group by 1
), kept as (
    select model, count(distinct (dimension, given)) as accepted, count(*) as cells from estimates
    where population = $1 and edition = $2 group by 1
), booked as (
    select model, sum(usd) as usd, sum(coalesce(tokens_in, 0) + coalesce(tokens_out, 0)) as tokens,
        median(seconds) filter (outcome = 'answered') as median_seconds,
        quantile_cont(seconds, 0.95) filter (outcome = 'answered') as p95_seconds
    from calls where population = $1 and edition = $2 group by 1
)
select model, requests, coalesce(answered, 0) as answered, coalesce(answered - coalesce(refused, 0), 0) as first,
    coalesce(accepted, 0) as accepted, nullif(usd, 0) / cells as usd_per_cell,
    nullif(tokens, 0) / cells as tokens_per_cell, median_seconds, p95_seconds
from asked left join heard using (model) left join refused using (model) left join kept using (model)
    left join booked using (model)
"""
_REASONS = """
select model, reason, count(*) as answers from rejections
where population = $1 and edition = $2 group by all order by all
"""


@dg.multi_asset(
    name="judge",
    group_name="scorecards",
    partitions_def=by_population,
    deps=[
        dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping())
        for name in ("requests", "completions", "calls", "estimates", "rejections")
    ],
    outs={
        "scorecards": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="What each panel member has shown: acceptance, hedging, distance from the others, information, "
            "likeness, cost, latency; and the pooling weight that follows.\n\n"
            "**Owner's note**: the formula stands in `pipeline.combination.scorecards` and docs/pooling.md. Weights "
            "are kept with two digits, and maps are redone only when one of these changes.",
        ),
        "influences": dg.AssetOut(
            io_manager_key="warehouse",
            kinds={"duckdb"},
            description="How far the pool of every map moves without each single member, in total variation.",
        ),
    },
)
def judge(context: dg.AssetExecutionContext, build: Build) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge the panel of these populations."""
    cards, effects = [pl.DataFrame(schema=SCORECARD_COLUMNS)], [pl.DataFrame(schema=INFLUENCE_COLUMNS)]
    for population in context.partition_keys:
        catalogue, members = build.catalogue(population), [m.id for m in build.plan.panels[population]]
        key = [population, build.edition]
        with build.connect() as connection:
            counts, reasons = query(connection, _COUNTS, key), query(connection, _REASONS, key)
            estimates = query(
                connection, "select * from estimates where population = $1 and edition = $2 order by rowid", key
            )
        read = panel_maps(catalogue, estimates.filter(pl.col("model").is_in(members)))
        judged = standings(Agreement.of(read, members), shares_accepted(counts, members))
        weights = {s.model: s.weight for s in judged}
        cards.append(scorecard_frame(population, build.edition, counts, reasons, judged))
        effects.append(influence_frame(build.edition, catalogue, [(one, influences(one, weights)) for one in read]))
        context.add_asset_metadata(
            {
                "cards": dg.MetadataValue.md(_cards_table(cards[-1])),
                "shut_out": [m for m, w in weights.items() if w == 0],
            },
            asset_key="scorecards",
            partition_key=population,
        )
        context.add_asset_metadata(
            {"most_influential": dg.MetadataValue.md(_influence_table(effects[-1]))},
            asset_key="influences",
            partition_key=population,
        )
        advance()
    return pl.concat(cards), pl.concat(effects)


def _cards_table(cards: pl.DataFrame) -> str:
    lines = ["| member | accepted | hedging | distance | TV | information | weight |", "|" + " --- |" * 7]
    for row in cards.iter_rows(named=True):
        figures = (row[c] for c in ("hedging", "distance", "tv", "information", "weight"))
        cells = (f"{x:.3f}" if x is not None else "" for x in figures)
        lines.append("| " + " | ".join([row["model"], f"{row['accepted']} of {row['answered']}", *cells]) + " |")
    return "\n".join(lines)


def _influence_table(effects: pl.DataFrame) -> str:
    lines = ["| map | member | TV | worst row | its TV |", "|" + " --- |" * 5]
    for row in effects.drop_nulls("tv").sort("tv", descending=True).head(20).iter_rows(named=True):
        name = f"P({row['dimension']} \\| {', '.join(row['given'])})" if row["given"] else f"P({row['dimension']})"
        worst = ", ".join(row["worst_condition"])
        lines.append(f"| {name} | {row['model']} | {row['tv']:.4f} | {worst} | {row['worst_tv']:.3f} |")
    return "\n".join(lines)
