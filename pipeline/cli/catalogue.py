"""The command `catalogue` with `graph` and `pairs`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Column, Table

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.models import Catalogue
from pipeline.cli.options import POPULATION


def _population(context: click.Context, _: click.Parameter, value: str | None) -> Catalogue:
    """The catalogue that an option asks for, here or before the command's name."""
    found: Catalogue = load_catalogue(value) if value else context.obj
    return found


_OF = click.option(
    *("--population", "catalogue"),
    callback=_population,
    help="Population of the catalogue, unless it stands before the command's name.",
)


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
@_OF
def graph(catalogue: Catalogue, output: Path) -> None:
    """Draw which dimension depends on which, by tier.

    \b
    Example:
      personagen catalogue graph --population gb -o catalogue.svg
    """
    from pipeline.catalogue.graph import draw  # noqa: PLC0415  # matplotlib is slow to import

    draw(catalogue, output)
    click.echo(f"wrote {output}")


@catalogue.command()
@click.argument("dimension")
@click.option("--snapshot", help="Snapshot folder that has the one-way maps [default: the packaged one].")
@_OF
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
