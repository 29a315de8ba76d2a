"""The command `ask`, and how a forecast is told on the terminal. Thin: it parses, calls, and prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.options import BUDGET, CORPUS, DRY_RUN, EDITION, HOME, ONE_POPULATION, build_of
from pipeline.elicitation.costs import amount, money, parse_money, require_budget, total
from pipeline.elicitation.keys import require_keys
from warehouse.errors import CheckError, PersonaGenError

if TYPE_CHECKING:
    import polars as pl

    from pipeline.elicitation.costs import Cost


@click.command()
@HOME
@EDITION
@CORPUS
@ONE_POPULATION
@click.option(
    "--member", "members", multiple=True, metavar="ID", help="Panel member to ask; may be repeated [default: all]."
)
@click.option(
    "--dimension", "dimensions", multiple=True, metavar="ID", help="Dimension; may be repeated [default: all]."
)
@click.option("--tier", type=click.IntRange(1, 3), help="Dimensions of this tier only.")
@BUDGET
@DRY_RUN
def ask(  # noqa: PLR0917 (click passes them by name)
    home: Path | None,
    edition: str | None,
    corpus: Path | None,
    population: str | None,
    members: tuple[str, ...],
    dimensions: tuple[str, ...],
    tier: int | None,
    budget: str,
    dry_run: bool,
) -> None:
    """Ask models for what is missing, and judge what they answer.

    Every answer is kept the moment it arrives: asking again after an interruption, a spent budget or failures goes on
    with the rest.

    \b
    Examples:
      personagen ask --edition 2026.12 --dry-run
      personagen ask --edition 2026.12 --budget 25usd
      personagen ask --edition 2026.12 --member local/smollm2-135m --dimension sex --dimension height
    """
    from pipeline.ask import expected, part_of, told  # noqa: PLC0415  # Dagster takes seconds to import
    from pipeline.build import Scope, alone, run_work, stale_work  # noqa: PLC0415

    limit = parse_money(budget) if budget else None
    if population is not None:
        load_catalogue(population)  # an unknown one is told before anything is opened
    todo = build_of(home, edition, corpus, budget=budget)
    part = part_of(todo.plan, population, members=members, dimensions=dimensions, tier=tier)
    costs = expected(todo.plan, part)
    console = Console()
    print_forecast(console, costs)
    if dry_run or not costs:
        return
    require_budget(costs, limit)
    require_keys(m for m in part.members if m.id in costs)
    if limit is not None and total(costs).usd > limit - (spent := todo.plan.record.spent(todo.plan.member_of)):
        gone = f", of which {money(spent)} are spent," if spent else ""
        click.echo(f"{money(limit)}{gone} will not do for all of it: asking stops where they are spent")
    scope = Scope(part.dimensions, part.models)
    warnings: list[str] = []
    failure: PersonaGenError | None = None
    with kept_when_interrupted(), alone(todo), stage_progress(console) as progress:
        for stage in scope.stages:
            work = stale_work(todo, stage, scope)
            task = progress.add_task(stage.name, total=work.total or 1, units=stage.units)
            try:
                warnings += run_work(todo, work, lambda steps, task=task: progress.advance(task, steps))  # type: ignore[misc]
            except CheckError as error:
                warnings.append(str(error))  # what was answered is of no use: the table below says why
            except PersonaGenError as error:
                failure = failure or error
                if stage.name != "completions":  # what was answered all the same is judged, and told
                    break
            progress.update(task, completed=work.total or 1)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    _print_outcome(console, told(todo, part), todo.edition)
    if failure is not None:
        raise failure


@contextmanager
def kept_when_interrupted() -> Iterator[None]:
    """Tell somebody who presses ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("interrupted: what was answered and what was finished is kept; run again to go on", err=True)
        raise


def print_forecast(console: Console, costs: Mapping[str, Cost]) -> None:
    """Print what asking will take, by member and in total."""
    if not costs:
        console.print("nothing is missing: every request has an accepted answer")
        return
    names = ("panel member", "calls", "k in", "k out", "usd", "range")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None, pad_edge=False)
    for name, cost in [*costs.items(), *([("in total", total(costs))] if len(costs) > 1 else [])]:
        tokens = (f"{n / 1000:,.0f}" if n > 10_000 else f"{n / 1000:.1f}" for n in (cost.tokens_in, cost.tokens_out))
        span = f"{amount(cost.low)}-{amount(cost.high)}"
        table.add_row(name, f"{cost.requests:,}", *tokens, amount(cost.usd), span)
    console.print(table)
    console.print(
        "k: thousands of tokens. The range is how far tokenizers, layout and reasoning are uncertain; answers that are "
        "rejected and asked again come on top.",
        highlight=False,
        soft_wrap=True,
    )


def stage_progress(console: Console) -> Progress:
    """A bar per stage, with what it counts in the field `units`."""
    return Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[units]}"),
        TimeElapsedColumn(),
        console=console,
    )


def _print_outcome(console: Console, rows: pl.DataFrame, edition: str) -> None:
    console.rule(f"edition {edition} so far")
    names = ("panel member", "calls", "answered", "maps", "rejected", "tokens", "usd")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None, pad_edge=False)
    for row in rows.iter_rows(named=True):
        tokens = f"{row['tokens_in'] + row['tokens_out']:,}"
        cost = "" if row["usd"] is None else amount(Decimal(str(row["usd"])))
        table.add_row(
            row["model"], *(f"{row[c]:,}" for c in ("calls", "answered", "accepted", "rejected")), tokens, cost
        )
    console.print(table)
    for row in rows.iter_rows(named=True):
        if row["reasons"]:
            console.print(f"  {row['model']} rejected: {row['reasons']}", highlight=False, soft_wrap=True)
