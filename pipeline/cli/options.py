"""Options that several commands share, and what they make. Nothing that only one command needs belongs here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.resources import Build

POPULATION = click.option("--population", default="us", show_default=True, help="Population of the catalogue.")
ONE_POPULATION = click.option("--population", help="One population only [default: all of the edition].")
EDITION = click.option("--edition", help="Edition of the corpus [default: the current one].")
CORPUS = click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    help="Folder that holds the editions [default: the packaged ones].",
)
HOME = click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Folder for all that is made [default: $PERSONAGEN_HOME or warehouse/build].",
)

BUDGET = click.option(
    "--budget",
    default="",
    metavar="AMOUNT",
    help="What the edition may cost at most, in all its runs, such as 25usd; needed where members charge.",
)
BATCH_OUTPUT = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only tell what asking would take, and ask nothing.")


def tell_exported(paths: Sequence[Path], all_of_them: str) -> None:
    """Say which files were written, or that nothing was, as `all_of_them`, such as "every name", has an answer."""
    for path in paths:
        click.echo(f"wrote {path}")
    if not paths:
        click.echo(f"nothing is to be asked: {all_of_them} has an accepted answer or was asked as often as it may be")


def build_of(home: Path | None, edition: str | None, corpus: Path | None, **settings: int | str | bool) -> Build:
    """The build that these options name; what is not given is the resource's own default."""
    from pipeline.resources import Build  # noqa: PLC0415  # Dagster takes seconds to import

    named = {"home": home and str(home.absolute()), "edition": edition, "corpus": corpus and str(corpus.absolute())}
    given: dict[str, Any] = {name: value for name, value in {**named, **settings}.items() if value is not None}
    return Build(**given)
