"""The command `panel` with `check`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

import click
from rich import box
from rich.console import Console
from rich.table import Column, Table

from pipeline.elicitation.check import Checked, check_panel, has_key
from pipeline.elicitation.costs import money
from pipeline.elicitation.panel import Member, load_panel
from warehouse.errors import ElicitationError

WIDTH = 140
"""Columns of the table of what works."""


@click.group(invoke_without_command=True)
@click.pass_context
def panel(context: click.Context) -> None:
    """List the panel's models with prices, endpoints and variants; `check` asks each whether it works.

    \b
    Examples:
      personagen panel
      personagen panel check
      personagen panel check --member local/smollm2-135m
    """
    if context.invoked_subcommand is None:
        click.echo(_listing(load_panel()), nl=False)


@panel.command()
@click.option(
    "--member",
    "names",
    multiple=True,
    metavar="ID",
    help="Member to check; may be repeated [default: all but recorded].",
)
@click.pass_context
def check(context: click.Context, names: tuple[str, ...]) -> None:
    """Ask each endpoint for its models and each live or local member one tiny request; exit code 1 if any fails.

    The request costs a fraction of a cent. Where the list tells other prices than panel.toml, that is shown.

    \b
    Examples:
      personagen panel check
      personagen panel check --member local/smollm2-135m
    """
    listed = load_panel()
    members = {m.id: m for m in listed if m.source != "recorded"}
    for name in names:
        if name in members:
            continue
        if any(m.id == name for m in listed):
            raise ElicitationError(
                f"'{name}' answers from its record and cannot be asked: name a live or local member, or none for all"
            )
        raise ElicitationError(f"'{name}' is no panel member: `personagen panel` lists them")
    asked = [m for i, m in members.items() if not names or i in names]
    found = check_panel(asked)
    console = Console()
    console.width = max(console.width, WIDTH)  # a narrower terminal breaks lines where it must, and hides nothing
    _print_checked(console, found, members)
    failed = sum(bool(c.trouble) for c in found)
    if failed:
        click.echo(f"{failed} of {len(found)} members cannot be asked", err=True)
        context.exit(1)


def _listing(members: tuple[Member, ...]) -> str:
    keys = {None: "", True: ", key set", False: ", key missing"}
    lines = [f"{len(members)} members; prices are US dollars per million tokens in and out"]
    for m in members:
        where = urlsplit(m.endpoint.base_url).hostname or "" if m.endpoint else m.source
        charged = "" if m.price_in is None else f"; {m.price_in:g} and {m.price_out:g}"
        lines += [f"  {m.id}: {m.maker or 'maker not stated'}{charged}; {where}{keys[has_key(m)]}", f"    {m.variant}"]
    return "\n".join(lines) + "\n"


def _print_checked(console: Console, found: list[Checked], members: dict[str, Member]) -> None:
    head = ("member", "key", "listed", "answers", "JSON", "seconds", "cost")
    columns = (Column(name, no_wrap=True) for name in head)
    table = Table(*columns, box=box.SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))  # 80 wide
    told = {None: "", True: "yes", False: "no"}
    for c in found:
        seconds = "" if c.seconds is None else f"{c.seconds:.1f}"
        cost = "" if c.usd is None else f"{c.usd:.6f}"
        table.add_row(c.member, *(told[x] for x in (c.key, c.listed, c.answered, c.structured)), seconds, cost)
    console.print(table)
    for c in found:
        if c.trouble:
            console.print(f"{c.member}: {c.trouble}", highlight=False, soft_wrap=True, markup=False)
        if c.listed_prices:
            m, (price_in, price_out) = members[c.member], c.listed_prices
            listed, ours = f"{price_in:g} in and {price_out:g} out", f"{m.price_in} and {m.price_out}"
            console.print(
                f"{c.member}: listed at {listed}, panel.toml has {ours}",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )
    spent = sum((c.usd for c in found if c.usd), start=Decimal(0))
    if spent:
        console.print(f"spent {money(spent)}", highlight=False)
