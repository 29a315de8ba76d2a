"""The command `edition` with `new`, `list`, `diff` and `promote`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.options import HOME, POPULATION, build_of
from warehouse.errors import ElicitationError, WarehouseError


@click.group("edition")
def edition_group() -> None:
    """Begin an edition, list those there are, compare two, and decide which one serves.

    \b
    Examples:
      personagen edition new 2026.12
      personagen ask --edition 2026.12 --dry-run
      personagen build --edition 2026.12 --budget 200usd
      personagen edition diff 2026.11 2026.12
      personagen edition promote 2026.12 --accept-drift 0123456789abcdef
      personagen edition new 2027.01 --like 2026.12
    """


@edition_group.command()
@click.argument("name")
@click.option("--member", "members", multiple=True, help="Panel member to ask; may be given several times.")
@click.option("--like", help="Ask whom this edition asked.")
@click.option(
    "--population",
    "populations",
    multiple=True,
    help="Population to ask about; may be given several times [default: all of the catalogue, or those of --like].",
)
@HOME
def new(name: str, members: tuple[str, ...], like: str | None, populations: tuple[str, ...], home: Path | None) -> None:
    """Begin the edition NAME: write who is asked and what it is. Without options all live members are asked.

    \b
    Examples:
      personagen edition new 2026.12
      personagen edition new 2027.01 --like 2026.12
      personagen edition new 2027.02 --population us
    """
    from pipeline.editions import askable, new_edition, panel_members  # noqa: PLC0415  # Dagster takes seconds to import
    from pipeline.elicitation.edition import members_of, populations_of  # noqa: PLC0415
    from pipeline.elicitation.panel import load_panel  # noqa: PLC0415

    if members and like is not None:
        raise ElicitationError("--member and --like exclude each other: give one of them")
    for population in populations:
        load_catalogue(population)  # an unknown one is told before anything is written
    build, folder = build_of(home, name, None), None
    if like is not None:
        other = build.of_edition(like)
        other.require_edition()
        folder = other.edition_folder
        chosen = askable(members_of(folder))
        populations = populations or populations_of(folder)
        if not chosen:
            raise ElicitationError(
                f"edition '{like}' has recorded members only, whom nobody can ask: leave --like out to ask all live "
                "members, or name some with --member"
            )
    else:
        chosen = panel_members(members) if members else tuple(m for m in load_panel() if m.source == "live")
    new_edition(build, chosen, populations, folder)
    click.echo(f"edition {name} asks {', '.join(m.id for m in chosen)}: {build.live_folder}")
    command = f"personagen build --edition {name}"
    if any(m.price_in or m.price_out for m in chosen):
        click.echo(f"`personagen ask --edition {name} --dry-run` tells what it costs")
        click.echo(f"`{command} --budget AMOUNT` asks, for no more than that, and builds")
    else:
        click.echo(f"`{command}` asks and builds")


@edition_group.command("list")
@HOME
def list_command(home: Path | None) -> None:
    """List the editions: members, requests answered, maps accepted, snapshots built, and which one serves.

    An answer is not yet a map: it may have been rejected, as `personagen corpus status` tells.

    \b
    Example:
      personagen edition list
    """
    from pipeline.editions import editions  # noqa: PLC0415

    table = Table("edition", "members", "answered", "accepted", "snapshot", "serves", box=box.SIMPLE, pad_edge=False)
    console, found = Console(), editions(build_of(home, None, None))
    for one in found:
        members = "broken" if one.error else str(len(one.members))
        answered = f"{one.answered} of {one.requests}" if one.requests else "not built"
        accepted = f"{one.accepted} of {one.maps}" if one.requests else ""
        name = f"{one.edition} (recorded)" if one.recorded else one.edition
        table.add_row(name, members, answered, accepted, "\n".join(one.snapshots), ", ".join(one.serves))
    console.print(table)
    for one in found:
        if one.error:
            console.print(f"{one.edition}: {one.error}", markup=False, highlight=False, soft_wrap=True)


@edition_group.command()
@click.argument("before")
@click.argument("after")
@POPULATION
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows shown of each table.")
@HOME
def diff(before: str, after: str, population: str, top: int, home: Path | None) -> None:
    """Tell what changes from edition BEFORE to edition AFTER: maps, strategies, personas; the greatest moves first.

    Total variation with its 95 % interval. Of an edition that serves, the snapshot that serves is compared.

    \b
    Example:
      personagen edition diff 2026.11 2026.12
    """
    from pipeline.build import compare  # noqa: PLC0415  # Dagster takes seconds to import

    load_catalogue(population)  # an unknown population is told before anything is opened
    build = build_of(home, after, None)
    build_of(home, before, None).require_built(population)
    build.require_built(population)
    compare(build, population, before, top=top)
    click.echo(build.drift_page(population).read_text(encoding="utf-8"), nl=False)


@edition_group.command()
@click.argument("name")
@POPULATION
@click.option("--accept-drift", default="", metavar="SNAPSHOT", help="Id of the snapshot whose drift report you read.")
@HOME
def promote(name: str, population: str, accept_drift: str, home: Path | None) -> None:
    """Let the edition NAME serve a population, if it passes the gate. Promoting an older edition rolls back.

    \b
    Examples:
      personagen edition promote 2026.12
      personagen edition promote 2026.12 --accept-drift 0123456789abcdef
    """
    from pipeline.build import alone  # noqa: PLC0415
    from pipeline.build import promote as let_serve  # noqa: PLC0415
    from pipeline.promotion import serving  # noqa: PLC0415

    load_catalogue(population)
    build = build_of(home, name, None)
    build.require_built(population)
    if not build.database.is_file():
        raise WarehouseError(f"nothing is built in {build.folder}: run `personagen build --edition {name}` first")
    before = serving(build, population)
    with alone(build):
        let_serve(build, population, accept_drift)
    now = serving(build, population)
    assert now is not None
    was = f"; before it, edition {before.edition}, snapshot {before.snapshot_id}" if before else ""
    click.echo(f"edition {now.edition}, snapshot {now.snapshot_id}, serves '{population}' from now on{was}")
    click.echo(f"snapshot: {build.serving_folder(population)}")
