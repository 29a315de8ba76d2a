"""The command `build`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.ask import kept_when_interrupted, print_forecast, stage_progress
from pipeline.cli.options import BUDGET, CORPUS, DRY_RUN, EDITION, HOME, build_of
from pipeline.cli.report import print_report
from pipeline.elicitation.costs import parse_money, require_budget
from pipeline.elicitation.keys import require_keys


@click.command()
@HOME
@EDITION
@CORPUS
@click.option(
    "-n",
    "--personas",
    type=click.IntRange(1),
    help="Personas to write into the batch table [default: 100000].",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the batch table.")
@click.option("--population", help="One population only [default: all that have answers or can be asked about].")
@BUDGET
@click.option("--no-ask", is_flag=True, help="Ask nobody for what is missing: build from the answers there are.")
@DRY_RUN
def build(  # noqa: PLR0917 (click passes them by name)
    home: Path | None,
    edition: str | None,
    corpus: Path | None,
    personas: int | None,
    seed: int,
    population: str | None,
    budget: str,
    no_ask: bool,
    dry_run: bool,
) -> None:
    """Build everything that is out of date: maps, weights, snapshot, batch table.

    An interrupted build resumes where it stopped; a repeated one does only what changed. The first edition ever built
    in a folder serves from then on; later ones serve when they are promoted (`personagen edition promote`).

    \b
    Examples:
      personagen build
      personagen build --personas 1000000 --home /data/personagen
      personagen build --population us
      personagen build --edition 2026.12 --budget 25usd
    """
    from pipeline.ask import expected_of_all  # noqa: PLC0415
    from pipeline.build import STAGES, Scope, alone, first_promoted, prune, run_work, stale_work  # noqa: PLC0415  # Dagster takes seconds to import
    from pipeline.report import report  # noqa: PLC0415

    limit = parse_money(budget) if budget else None
    if population is not None:
        load_catalogue(population)  # an unknown one is told before anything is opened
    size = {"personas": personas} if personas else {}
    todo = build_of(home, edition, corpus, seed=seed, budget=budget, asking=not no_ask, **size)
    console = Console()
    populations = todo.plan.populations_of(population)
    costs = expected_of_all(todo.plan, population)
    if dry_run:
        print_forecast(console, costs)
        return
    if not no_ask:
        require_budget(costs, limit)
        require_keys(m for m in todo.plan.panel if m.id in costs)
    todo.plan.provenance  # noqa: B018  # one that says nothing of itself is told before anything is written
    warnings: list[str] = []
    with kept_when_interrupted(), alone(todo), stage_progress(console) as progress:
        prune(todo)
        # One after the other, so that what is wrong with a later one keeps no earlier one back.
        for people in populations:
            scope = Scope(populations=frozenset({people}))
            for stage in STAGES:
                work = stale_work(todo, stage, scope)
                label = stage.name if len(populations) == 1 else f"{people} {stage.name}"
                task = progress.add_task(label, total=work.total or 1, units=stage.units)
                if not work.runs:
                    progress.update(task, completed=1, units="up to date")
                    continue
                warnings += run_work(todo, work, lambda steps, task=task: progress.advance(task, steps))  # type: ignore[misc]
                progress.update(task, completed=work.total)
        told = [first_promoted(todo, people) for people in populations]
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for people in populations:
        print_report(console, report(todo, people))
    for line in told:
        click.echo(line)
