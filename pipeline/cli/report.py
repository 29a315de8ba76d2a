"""The command `report`, and how a build is told on the terminal. Thin: it parses, calls, and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Column, Table

from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.options import EDITION, HOME, POPULATION, build_of
from pipeline.grounding.goals import require_installed
from serving.snapshot import find_snapshot
from warehouse.errors import WarehouseError
from warehouse.snapshot_format import REPORT

if TYPE_CHECKING:
    import polars as pl

    from pipeline.report import Report
    from pipeline.resources import Build


@click.command()
@POPULATION
@EDITION
@HOME
@click.option("--measure", is_flag=True, help="First hold the snapshot against public microdata, which takes minutes.")
@click.option("--no-open", is_flag=True, help="Only say where the page lies.")
def report(population: str, edition: str | None, home: Path | None, measure: bool, no_open: bool) -> None:
    """Tell about the last build, and open the page about its snapshot.

    Where nothing was built, the page of the packaged snapshot is opened. Off a terminal only the path is printed.

    \b
    Examples:
      personagen report
      personagen report --no-open
      personagen report --measure
    """
    built = build_of(home, edition, None)
    if measure or edition or home or built.snapshot_folder(population).is_dir():
        page = _of_build(built, population, measure)
    else:
        page = find_snapshot(population) / REPORT
    if not page.is_file():
        raise WarehouseError(f"{page} is not there: run `personagen build --population {population}` first")
    click.echo(f"report: {page}")
    if not no_open and sys.stdout.isatty():
        click.launch(page.as_uri())


def _of_build(built: Build, population: str, measure: bool) -> Path:
    """Print what a build has to tell; returns its page."""
    from pipeline.build import alone  # noqa: PLC0415  # Dagster takes seconds to import
    from pipeline.build import measure as measured  # noqa: PLC0415
    from pipeline.report import report as collect  # noqa: PLC0415

    load_catalogue(population)  # an unknown population is told before anything is opened
    built.require_built(population)
    if not built.database.is_file():
        raise WarehouseError(f"nothing is built in {built.folder}: run `personagen build` first")
    if measure:
        require_installed()
        with alone(built):
            measured(built, population)
    told = collect(built, population)
    print_report(Console(), told)
    return told.places["report"]


def print_report(console: Console, told: Report) -> None:
    """Print what a build has to tell."""
    console.rule("three personas")
    for prose in told.prose:
        console.print(prose, highlight=False, end="\n\n")
    console.rule("panel: how each member answered, and the weight it earned")
    console.print(
        "hedging: entropy over the consensus's, nats; apart: distance from the others, nats, and TV; told: information "
        "over the consensus's; alike: correlation with the nearest member; s: median seconds"
    )
    console.print(_panel_table(told.scorecards))
    for row in told.reasons.iter_rows(named=True):
        console.print(f"  {row['model']}: {row['answers']} rejected as {row['reason']}")
    console.rule("strategies, tried on every dimension: mean distance from maps")
    columns = ("held_out_js", "held_out_tv", "marginal_tv", "one_way_tv", "two_way_tv")
    console.print("JS: Jensen-Shannon divergence of held-out maps in nats; TV: total variation, theirs first")
    head = (Column("strategy", no_wrap=True), "chosen", "tried", "JS", "TV", "base", "1-way", "2-way")
    table = Table(*head, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for row in told.strategies.iter_rows(named=True):
        figures = ("" if row[c] is None else f"{row[c]:.4f}" for c in columns)
        chosen = f"{row['chosen']} ({row['overridden']} by override)" if row["overridden"] else str(row["chosen"])
        table.add_row(row["strategy"], chosen, str(row["dimensions"]), *figures)
    console.print(table)
    console.rule("worst ten maps: total variation between batch and map")
    table = Table("map", "TV", "worst condition", "its TV", "its share")
    for row in told.distances.filter(~told.distances["held_out"]).head(10).iter_rows(named=True):
        name = f"P({row['dimension']} | {', '.join(row['given'])})" if row["given"] else f"P({row['dimension']})"
        worst = ", ".join(row["worst_condition"])
        table.add_row(name, f"{row['tv']:.4f}", worst, f"{row['worst_tv']:.3f}", f"{100 * row['worst_mass']:.2f} %")
    console.print(table)
    name, tv = told.marginal_worst
    console.print(f"worst marginal: {name} {tv:.4f}; one-way maps on average: {told.one_way_mean:.4f}")
    console.rule("where everything lies")
    console.print(f"{told.personas} personas of snapshot {told.snapshot_id} in table '{told.table}'")
    for what, place in told.places.items():
        console.print(f"{what}: {place}", soft_wrap=True, highlight=False)


def _panel_table(cards: pl.DataFrame) -> Table:
    measures = ("hedging", "distance", "tv", "information", "similarity")
    table = Table(Column("member", overflow="fold"), box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for name in ("first", "accepted", "hedging", "apart", "TV", "told", "alike", "$/cell", "s", "weight"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in cards.iter_rows(named=True):
        figures = ("" if row[c] is None else f"{round(row[c], 2) + 0.0:.2f}" for c in measures)
        paid = "" if row["usd_per_cell"] is None else f"{row['usd_per_cell']:.1g}"
        seconds = "" if row["median_seconds"] is None else f"{row['median_seconds']:.1f}"
        accepted = f"{row['accepted']}/{row['requests']}"
        table.add_row(row["model"], str(row["first"]), accepted, *figures, paid, seconds, f"{row['weight']:.2f}")
    return table
