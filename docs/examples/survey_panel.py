"""A survey panel as a polars frame: quotas, weights, and a crosstab whose errors are honest.

The panel has 300 people of each kind of place, so that the small kinds can be read too, and weights that give each kind
the share that it has in the population. A figure has two errors. One is of drawing a panel and shrinks with its size;
the other is how far the language models disagree about the figure, which no number of personas makes smaller. What all
of them get wrong alike is in neither.

    python docs/examples/survey_panel.py
"""

from __future__ import annotations

import math

import polars as pl

from serving import Sampler, Snapshot

STRATUM, ROW, COLUMN = "urbanicity", "age", "news_source"
PER_STRATUM = 300
POPULATION = 100_000  # drawn without conditions, to know what share each stratum has


def panel_of(sampler: Sampler, seed: int | str) -> pl.DataFrame:
    """A panel with as many people of every stratum, and the column `weight`, which has mean 1."""
    strata = sampler.snapshot.dimension(STRATUM).categories
    fields = ["age_years", STRATUM, ROW, COLUMN]
    quota = {STRATUM: dict.fromkeys(strata, PER_STRATUM)}
    panel = sampler.sample(PER_STRATUM * len(strata), seed, quota=quota, fields=fields).to_polars()
    everybody = sampler.sample(POPULATION, f"{seed}: population", fields=[STRATUM]).to_polars()
    share = everybody.group_by(STRATUM).agg(weight=pl.len() / POPULATION * len(strata))
    return panel.join(share, on=STRATUM)


def crosstab(snapshot: Snapshot, panel: pl.DataFrame) -> pl.DataFrame:
    """Weighted share of each column category within each row category, with both errors and their sum in squares.

    `drawn` is the linearised error of a weighted share, sqrt(sum w**2 (y - p)**2) / sum w; `believed` is the spread of
    the models' log probabilities about the map COLUMN | ROW, over the square root of their number, times the share.
    `effective` is the number of people that equal weights would need for the same error (Kish 1965).
    """
    pairs = panel.select(pl.col(ROW).unique()).join(panel.select(pl.col(COLUMN).unique()), how="cross")
    counted = (
        panel.select(ROW, "weight", answer=COLUMN)
        .join(pairs, on=ROW)
        .with_columns(y=(pl.col("answer") == pl.col(COLUMN)).cast(pl.Float64))
        .with_columns(
            p=(pl.col("weight") * pl.col("y")).sum().over(ROW, COLUMN) / pl.col("weight").sum().over(ROW, COLUMN)
        )
    )
    w, residual = pl.col("weight"), pl.col("y") - pl.col("p")
    shares = counted.group_by(ROW, COLUMN).agg(
        share=pl.col("p").first(),
        drawn=(w * residual).pow(2).sum().sqrt() / w.sum(),
        effective=w.sum().pow(2) / w.pow(2).sum(),
    )
    beliefs = [
        (cell["condition"][0], cell["category"], (cell["spread"] or 0.0) / math.sqrt(cell["models"]))
        for cell in snapshot.cells(COLUMN)
        if cell["given"] == [ROW]
    ]
    spread = pl.DataFrame(beliefs, schema=[ROW, COLUMN, "spread"], orient="row").cast(
        {ROW: panel.schema[ROW], COLUMN: panel.schema[COLUMN]}
    )
    return (
        shares.join(spread, on=[ROW, COLUMN])
        .with_columns(believed=pl.col("share") * pl.col("spread"))
        .with_columns(error=(pl.col("drawn").pow(2) + pl.col("believed").pow(2)).sqrt())
        .select(ROW, COLUMN, "share", "drawn", "believed", "error", "effective")
        .sort(ROW, COLUMN)
    )


def main() -> None:
    """Print who is on the panel, and where each age group gets its news."""
    snapshot = Snapshot.load("us")
    panel = panel_of(Sampler(snapshot), "panel")
    print(panel.group_by(STRATUM).agg(people=pl.len(), weight=pl.col("weight").first()).sort(STRATUM))
    with pl.Config(tbl_rows=-1, float_precision=3):
        print(crosstab(snapshot, panel).filter(pl.col("share") >= 0.1))


if __name__ == "__main__":
    main()
