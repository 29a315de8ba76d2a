"""The command `prompts` with `trial`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Column, Table

from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.options import POPULATION
from warehouse.errors import ElicitationError

if TYPE_CHECKING:
    from pipeline.prompt_trial import Trial


WIDTH = 140
"""Columns of the table of scores."""


@click.group()
def prompts() -> None:
    """Try the prompt variants on a sample of maps, and choose one for each panel member.

    \b
    Examples:
      personagen prompts trial
      personagen prompts trial --member local/smollm2-135m --ask
      personagen prompts trial --member openai/gpt-oss-120b --variant '*.whole_map.*' --export batch/
    """


@prompts.command()
@POPULATION
@click.option("--member", "names", multiple=True, help="Panel member, may be repeated [default: all with answers].")
@click.option("--maps", type=click.IntRange(1), default=4, show_default=True, help="Maps of the sample.")
@click.option("--variant", "patterns", multiple=True, help="Variants to try, such as '*.one_row.*' [default: all 30].")
@click.option(
    "--answers",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the trial's answers, as Batch output [default: the packaged one].",
)
@click.option(
    "--export",
    "target",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the requests without an answer into this folder, as Batch input, and stop.",
)
@click.option("--ask", is_flag=True, help="First ask the members for what has no answer yet.")
@click.option(
    "--budget", default="", help="What this run may spend on asking, such as 2usd; members that charge need it."
)
@click.option("--write", is_flag=True, help="Write the outcome into docs/prompts.md and the panel's variants.toml.")
def trial(
    *,
    population: str,
    names: tuple[str, ...],
    maps: int,
    patterns: tuple[str, ...],
    answers: Path | None,
    target: Path | None,
    ask: bool,
    budget: str,
    write: bool,
) -> None:
    """Score every variant on the answers stored in a folder, rank them, and say which one to use.

    \b
    Examples:
      personagen prompts trial
      personagen prompts trial --maps 8 --variant '*.one_row.*'
    """
    from pipeline.elicitation.asker import ask_endpoints  # noqa: PLC0415
    from pipeline.elicitation.costs import parse_money  # noqa: PLC0415
    from pipeline.elicitation.local import reachable  # noqa: PLC0415
    from pipeline.pages.prompt_trial import write_page  # noqa: PLC0415
    from pipeline.prompt_trial import (  # noqa: PLC0415  # scipy is slow to import
        ANSWERS,
        Sample,
        asked_now,
        exported,
        trial_members,
        write_choices,
    )
    from pipeline.prompt_trial import trial as tried  # noqa: PLC0415
    from pipeline.prompts.trial import chosen_variants  # noqa: PLC0415

    members, folder = trial_members(names), answers or ANSWERS
    if target and ask:
        raise ElicitationError("--export writes requests and stops, --ask asks them: give one of the two")
    if (target or ask) and not names:
        raise ElicitationError("say with --member whose requests to ask or export")
    sample = Sample.of(load_catalogue(population), maps, patterns)
    if target:
        for path in exported(sample, members, folder, target):
            click.echo(f"wrote {path}")
        return
    if ask:
        with reachable(members) as reached:
            arrived = asked_now(sample, reached, folder, ask_endpoints, parse_money(budget) if budget else None)
        click.echo(f"{arrived.total()} answers arrived")
    from pipeline.elicitation.tokens import count_tokens  # noqa: PLC0415

    told = tried(sample, members, folder, count_tokens)
    console = Console()
    console.width = max(console.width, WIDTH)  # a narrower terminal breaks lines where it must, and hides nothing
    _print(console, told)
    if write:
        write_page(told)
        write_choices(chosen_variants(told.scores))
        click.echo("wrote docs/prompts.md and the chosen variants")


def _print(console: Console, told: Trial) -> None:
    from pipeline.pages.prompt_trial import HEAD, figures, told_answers, told_choice, told_rejections  # noqa: PLC0415

    for member in told.requests:
        scores = [s for s in told.scores if s.member == member]
        console.rule(member)
        head = (Column(name, no_wrap=name in HEAD[:3]) for name in HEAD)  # figures with bounds stay on one line
        table = Table(*head, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
        for score in scores:
            table.add_row(*figures(score), style="bold" if score.chosen else "")
        console.print(table)
        console.print(f"{told_answers(told, member)} {told_choice(scores)}")
        console.print(f"First answers rejected: {told_rejections(scores)}.")
    if told.passed_over:
        console.print(f"{told.passed_over} stored answers are to other prompts, members or maps and were passed over.")
