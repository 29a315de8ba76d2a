"""The pipeline's commands: `build`, `catalogue`, `corpus`. Thin: they parse, call, and print.

They are added to `personagen` through entry points, so that the serving command line never imports the pipeline.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from pipeline.catalogue.loader import load_catalogue, populations
from pipeline.catalogue.models import Catalogue
from warehouse.errors import CorpusError, WarehouseError

if TYPE_CHECKING:
    from pipeline.plan import Plan
    from pipeline.report import Report

POPULATION = click.option("--population", default="us", show_default=True, help="Population of the catalogue.")


@click.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Folder for all that is made [default: $PERSONAGEN_HOME or warehouse/build].",
)
@click.option("--edition", help="Edition of the corpus [default: the current one].")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    help="Folder that holds the editions [default: the packaged ones].",
)
@click.option(
    "-n",
    "--personas",
    type=click.IntRange(1),
    help="Personas to write into the batch table [default: 100000].",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the batch table.")
def build(home: Path | None, edition: str | None, corpus: Path | None, personas: int | None, seed: int) -> None:
    """Build everything that is out of date: maps, weights, snapshot, batch table.

    An interrupted build resumes where it stopped; a repeated one does only what changed.

    \b
    Examples:
      personagen build
      personagen build --personas 1000000 --home /data/personagen
    """
    from pipeline.build import STAGES, alone, prune, run_work, stale_work  # noqa: PLC0415  # Dagster takes seconds to import
    from pipeline.report import report  # noqa: PLC0415
    from pipeline.resources import EDITION, PERSONAS, Build  # noqa: PLC0415

    todo = Build(
        home=str(home.absolute()) if home else "",
        edition=edition or EDITION,
        corpus=str(corpus.absolute()) if corpus else "",
        personas=personas or PERSONAS,
        seed=seed,
    )
    console = Console()
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[units]}"),
        TimeElapsedColumn(),
    )
    todo.plan.provenance  # noqa: B018  # an edition that is not there is told before anything is written
    warnings: list[str] = []
    with alone(todo), Progress(*columns, console=console) as progress:
        prune(todo)
        for stage in STAGES:
            work = stale_work(todo, stage)
            task = progress.add_task(stage.name, total=work.total or 1, units=stage.units)
            if not work.runs:
                progress.update(task, completed=1, units="up to date")
                continue
            warnings += run_work(todo, work, lambda steps, task=task: progress.advance(task, steps))  # type: ignore[misc]
            progress.update(task, completed=work.total)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for population in populations():
        _print_report(console, report(todo, population))


@click.command()
@POPULATION
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the build [default: as for build].")
@click.option("--open", "show", is_flag=True, help="Open the page about the trials in a browser.")
def report(population: str, home: Path | None, show: bool) -> None:
    """Tell about the last build: answers, strategies, worst maps, and where its pages lie.

    \b
    Examples:
      personagen report
      personagen report --open
    """
    from pipeline.report import report as collect  # noqa: PLC0415  # Dagster takes seconds to import
    from pipeline.resources import Build  # noqa: PLC0415

    load_catalogue(population)  # an unknown population is told before anything is opened
    built = Build(home=str(home.absolute()) if home else "")
    if not built.database.is_file():
        raise WarehouseError(f"nothing is built in {built.folder}: run `personagen build` first")
    told = collect(built, population)
    _print_report(Console(), told)
    if show:
        click.launch(told.places["trial report"].as_uri())


def _print_report(console: Console, told: Report) -> None:
    console.rule("three personas")
    for prose in told.prose:
        console.print(prose, highlight=False, end="\n\n")
    console.rule("answers")
    table = Table("panel member", "requests", "accepted", "rejected answers")
    for count in told.counts.iter_rows():
        table.add_row(*map(str, count))
    console.print(table)
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
    for row in told.worst_maps.iter_rows(named=True):
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


@click.group(invoke_without_command=True)
@POPULATION
@click.pass_context
def catalogue(context: click.Context, population: str) -> None:
    """List the dimensions with their categories and parents; `graph` draws them, `pairs` tells what to ask next.

    \b
    Examples:
      personagen catalogue
      personagen catalogue graph -o catalogue.svg
      personagen catalogue pairs party
    """
    context.obj = load_catalogue(population)
    if context.invoked_subcommand is None:
        click.echo(_listing(context.obj), nl=False)


@catalogue.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("catalogue.svg"),
    show_default=True,
    help="File to write, .svg or .png.",
)
@click.pass_obj
def graph(catalogue: Catalogue, output: Path) -> None:
    """Draw which dimension depends on which, by tier."""
    from pipeline.catalogue.graph import draw  # noqa: PLC0415  # matplotlib is slow to import

    draw(catalogue, output)
    click.echo(f"wrote {output}")


@catalogue.command()
@click.argument("dimension")
@click.option("--snapshot", help="Snapshot folder that has the one-way maps [default: the packaged one].")
@click.pass_obj
def pairs(catalogue: Catalogue, dimension: str, snapshot: str | None) -> None:
    """Rank the pairs of parents of DIMENSION by what their two-way map can be expected to tell, most first.

    The forecast needs the one-way maps only: it is how far two models that fit these equally well disagree about the
    two-way map (Jensen-Shannon divergence in nats). Figures are what an answer must give. docs/combination.md tells how
    far the forecast can be trusted.

    \b
    Examples:
      personagen catalogue pairs party
      personagen catalogue pairs party --snapshot warehouse/build/snapshots/us
    """
    from pipeline.pairs import snapshot_pairs  # noqa: PLC0415  # scipy is slow to import
    from serving.snapshot import Snapshot  # noqa: PLC0415

    found = snapshot_pairs(catalogue, Snapshot.load(snapshot or catalogue.population.id), dimension)
    target = catalogue.dimension(dimension)
    state = dict.fromkeys(map(frozenset, target.pairs), "in the fit")
    state |= dict.fromkeys(map(frozenset, target.held_out), "held out")
    table = Table(Column("pair", no_wrap=True), "nats", "figures", "asked", box=box.SIMPLE, pad_edge=False)
    for one in found:
        status = state.get(frozenset(one.pair), "")
        table.add_row(" x ".join(one.pair), f"{one.disagreement:.6f}", str(one.cells), status)
    if found:
        Console().print(table)
    else:
        click.echo(f"{dimension} has fewer than two parents: there is no pair to ask for")


def _listing(catalogue: Catalogue) -> str:
    lines = [f"{catalogue.population.label}, {catalogue.population.year}: {len(catalogue.dimensions)} dimensions"]
    tiers = {1: "born with", 2: "circumstances", 3: "choices"}
    counts = Counter(d.tier for d in catalogue.dimensions)
    shown = 0
    for d in catalogue.dimensions:
        if d.tier != shown:
            shown = d.tier
            lines += ["", f"tier {d.tier}, {tiers[d.tier]} ({counts[d.tier]})"]
        marks = "".join(f", {m}" for m, on in (("ordinal", d.ordinal), ("sensitive", d.sensitive)) if on)
        lines += [
            f"  {d.id}: {d.label}{marks}",
            f"    {d.definition}",
            f"    categories: {' '.join(d.category_ids)}",
        ]
        if d.parents:
            lines.append(
                f"    given: {' '.join(d.parents)}; pairs: {', '.join(' x '.join(p) for p in d.pairs) or 'none'}"
            )
    return "\n".join(lines) + "\n"


@click.group()
def corpus() -> None:
    """Export requests as OpenAI Batch files, import the answers, and see what is missing.

    \b
    Examples:
      personagen corpus status
      personagen corpus export batch/ --only missing
      personagen corpus import batch/output.jsonl
    """


def _plan(edition: str | None, folder: Path | None) -> Plan:
    from pipeline.resources import EDITION, Build  # noqa: PLC0415

    return Build(edition=edition or EDITION, corpus=str(folder.absolute()) if folder else "").plan


EDITION_OPTION = click.option("--edition", help="Edition of the corpus [default: the current one].")
CORPUS_OPTION = click.option(
    "--corpus",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder that holds the editions [default: the packaged ones].",
)


@corpus.command("export")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--only",
    type=click.Choice(["all", "missing"]),
    default="all",
    show_default=True,
    help="All requests, or those without an accepted answer.",
)
@click.option("--model", help="One panel member only.")
@EDITION_OPTION
@CORPUS_OPTION
def export_command(target: Path, only: str, model: str | None, edition: str | None, folder: Path | None) -> None:
    """Write requests as OpenAI Batch input into the folder TARGET, a file per panel member."""
    from pipeline.corpus import exported  # noqa: PLC0415

    paths = exported(_plan(edition, folder), target, only_missing=only == "missing", model=model)
    for path in paths:
        click.echo(f"wrote {path}")
    if not paths:
        click.echo("nothing is missing: every request has an accepted answer")


@corpus.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@EDITION_OPTION
@CORPUS_OPTION
def import_command(files: tuple[Path, ...], edition: str | None, folder: Path | None) -> None:
    """Take the answers in OpenAI Batch output FILES into the edition."""
    from pipeline.corpus import imported  # noqa: PLC0415

    told = imported(_plan(edition, folder), files)
    click.echo(
        f"{len(told.completions)} answers imported, {told.repeated} were there already, "
        f"{len(told.failures)} failures not stored, {len(told.missing)} requests still without an answer"
    )
    for failure in told.failures[:10]:
        click.echo(f"  {failure.where}: {failure.reason}")


@corpus.command()
@EDITION_OPTION
@CORPUS_OPTION
def status(edition: str | None, folder: Path | None) -> None:
    """Count requests, answers and rejections of an edition, by panel member and reason."""
    from pipeline.corpus import judged  # noqa: PLC0415

    plan = _plan(edition, folder)
    if not plan.corpus.is_dir():
        raise CorpusError(
            f"edition '{plan.edition}' is not in {plan.corpus.parent}: name one that is, or import answers"
        )
    for model, outcome in judged(plan).items():
        click.echo(
            f"{model}: {len(outcome.estimates)} requests accepted, {len(outcome.unanswered)} without an accepted "
            f"answer, {len(outcome.rejections)} answers rejected"
        )
        for reason, count in Counter(str(r.reason) for r in outcome.rejections).most_common():
            click.echo(f"  {reason}: {count}")
        for rejection in outcome.rejections[:20]:
            click.echo(f"    {rejection.custom_id} attempt {rejection.attempt}: {rejection.reason}: {rejection.detail}")
