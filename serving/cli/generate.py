"""`personagen generate`: personas in every form there is."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.cli import options, writing
from warehouse.errors import SamplingError

if TYPE_CHECKING:
    from serving.batch import Batch

LARGEST_QUOTA_BATCH = 1_000_000  # as it is held in memory as a whole


@click.command()
@click.option("-n", "--number", type=int, default=5, show_default=True, help="How many personas.")
@options.seed_option()
@click.option("--start", type=int, default=0, show_default=True, help="Index of the first persona.")
@options.POPULATION
@options.SNAPSHOT
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(writing.FORMATS),
    help="Default: by the name of FILE, else prose; prompt: prose for system prompts.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="File to write; default, and as `-`: standard output.",
)
@options.condition("do", "Set a value; its consequences follow; repeatable.")
@options.condition(
    "evidence", "Only people of whom this holds, any of several; a range as 25..34 or bachelor..; repeatable."
)
@options.condition("likelihood", "Soft evidence: how likely what was observed is in each category; repeatable.")
@options.condition("target", "Lean the population so that categories have these shares; repeatable.")
@options.condition("quota", "Exactly so many of the -n personas; repeatable.")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=options.day,
    metavar="YYYY-MM-DD",
    help="Date at which ages hold; default: the snapshot's, never today.",
)
@click.option(
    "--fields", multiple=True, callback=options.names, metavar="NAME,...", help="Only these fields, in this order."
)
@click.option(
    "--exclude",
    multiple=True,
    callback=options.names,
    metavar="NAME,...",
    help="Leave out; `sensitive` for all of those.",
)
@click.option("--table", default="personas", show_default=True, help="Table of a DuckDB file; added to if it is there.")
@click.option(
    "--person",
    type=click.Choice(["second", "third"]),
    help="Write `You are ...` or `She is ...`. Default: third, for prompts second.",
)
@click.option("--accents", is_flag=True, help="Write names as José and Nguyễn rather than Jose and Nguyen.")
def generate(  # noqa: PLR0917  # click passes options by name
    number: int,
    seed: int | str,
    start: int,
    population: str | None,
    path: str | None,
    form: str | None,
    output: str | None,
    do: dict[str, str],
    evidence: dict[str, list[str] | str],
    likelihood: dict[str, dict[str, float]],
    target: dict[str, dict[str, float]],
    quota: dict[str, dict[str, int]],
    as_of: date | None,
    fields: list[str] | None,
    exclude: list[str] | None,
    table: str,
    person: Any,
    accents: bool,
) -> None:
    """Draw personas. The same seed and index always give the same person.

    \b
    Examples:
      personagen generate -n 3 --seed 42
      personagen generate -n 1 --format prompt --exclude sensitive
      personagen generate -n 100 --format jsonl | head
      personagen generate --do education=doctorate --do region=texas
      personagen generate --evidence age=25..34 --evidence occupation=healthcare_practitioner,healthcare_support
      personagen generate -n 200 --target sex=female:0.6 --target urbanicity=rural:0.3 -o panel.csv
      personagen generate -n 100 --quota sex=female:50,male:50 --evidence education=bachelor..
      personagen generate -n 1000 --fields first_name,age_years,occupation -o people.csv
      personagen generate -n 1000 --start 1000 -o second_thousand.parquet
      personagen generate -n 30000 -o people.duckdb --table panel
    """
    from serving.sampler import Sampler, SupportWarning, check_range  # noqa: PLC0415  # numpy is not needed for help
    from serving.snapshot import Snapshot  # noqa: PLC0415

    output = None if output == "-" else output
    chosen = form or writing.format_of(output)
    if chosen in ("prose", "prompt") and fields is not None and set(fields) == {"summary"}:
        fields = None  # prose of a summary is the summary
    check_range(number, start)  # before the first of many batches is drawn
    if quota and number > LARGEST_QUOTA_BATCH:
        raise SamplingError(
            f"a batch with quotas has at most {LARGEST_QUOTA_BATCH:,} personas, not {number:,}: ask for fewer"
        )
    sampler = Sampler(Snapshot.load(options.source(population, path)))

    def batches() -> Iterator[Batch]:
        # The first call checks the request, so even an empty one.
        chunk = max(number, 1) if quota else writing.CHUNK  # quotas hold for a batch as a whole
        told = False
        for low in range(0, max(number, 1), chunk):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SupportWarning)
                batch = sampler.sample(
                    min(chunk, number - low),
                    seed,
                    start + low,
                    evidence,
                    do,
                    likelihood=likelihood,
                    target_marginal=target,
                    quota=quota,
                    fields=fields,
                    exclude=exclude,
                    as_of=as_of,
                    accents=accents,
                )
            if batch.support.warning and not told:
                told = True
                click.echo(f"warning: {batch.support.warning}", err=True)
            yield batch

    if chosen in ("parquet", "duckdb") and output is None:
        raise SamplingError(f"{chosen} is binary: name a file with --output")
    drawn = writing.with_progress(batches(), number, to_terminal=output is None and sys.stdout.isatty())
    if chosen == "duckdb":
        with writing.ended_orderly():
            writing.write_duckdb(drawn, Path(str(output)), table)
    elif chosen == "parquet":
        with writing.ended_orderly(), writing.whole_file(Path(str(output))) as part:
            writing.write_parquet(drawn, part)
    elif output is None:
        writing.write_lines(writing.lines(drawn, chosen, person), sys.stdout)
    else:
        with (
            writing.ended_orderly(),
            writing.whole_file(Path(output)) as part,
            part.open("w", encoding="utf-8", newline="") as file,
        ):
            writing.write_lines(writing.lines(drawn, chosen, person), file)
