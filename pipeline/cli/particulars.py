"""The command `particulars` with `export`, `import` and `status`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import BATCH_OUTPUT, CORPUS, POPULATION, tell_exported
from warehouse.errors import CatalogueError

if TYPE_CHECKING:
    from pipeline.particulars.enrichment import Enrichment


@click.group("particulars")
def particulars_group() -> None:
    """What a language model is asked about places, titles, low incomes, details and first names: export and import.

    The answers lie in the folder `particulars` of the corpus; they belong to no edition.

    \b
    Examples:
      personagen particulars status
      personagen particulars export batch/ --only missing
      personagen particulars import batch/output.jsonl
    """


@particulars_group.command("export")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--only",
    type=click.Choice(["all", "missing"]),
    default="all",
    show_default=True,
    help="All requests, or those without an accepted answer, with the reason quoted where one was rejected.",
)
@POPULATION
@CORPUS
def export_command(target: Path, only: str, population: str, corpus: Path | None) -> None:
    """Write requests as OpenAI Batch input into the folder TARGET.

    \b
    Example:
      personagen particulars export batch/ --population gb
    """
    paths = _enrichment(population, corpus).exported(target, only_missing=only == "missing")
    tell_exported(paths, "everything")


@particulars_group.command("import")
@BATCH_OUTPUT
@POPULATION
@CORPUS
def import_command(files: tuple[Path, ...], population: str, corpus: Path | None) -> None:
    """Take the answers in OpenAI Batch output FILES into the record.

    \b
    Example:
      personagen particulars import batch/output.jsonl
    """
    told = _enrichment(population, corpus).imported(files)
    click.echo(
        f"{len(told.completions)} answers imported, {told.repeated} were there already, {len(told.failures)} failures, "
        f"{len(told.missing)} requests still without an answer"
    )


@particulars_group.command("status")
@click.option("--gazetteer", is_flag=True, help="List the places that GeoNames does not list in their region, too.")
@POPULATION
@CORPUS
def status_command(gazetteer: bool, population: str, corpus: Path | None) -> None:
    """Count requests with an accepted answer, by kind, and tell why others were rejected.

    \b
    Example:
      personagen particulars status --gazetteer
    """
    from pipeline.particulars.enrichment import KINDS  # noqa: PLC0415
    from pipeline.particulars.requests import plural  # noqa: PLC0415

    enrichment = _enrichment(population, corpus)
    for kind in KINDS:
        outcome = enrichment.outcome(kind)
        click.echo(
            f"{plural(kind)}: {sum(map(len, outcome.rows.values()))}, of {len(outcome.rows)} of {len(outcome.answers)} "
            f"requests; {len(outcome.rejected)} answers rejected"
        )
        for one in outcome.rejected:
            click.echo(f"  {one.category}, attempt {one.attempt}: {one.why}")
    if gazetteer:
        _tell_unlisted(enrichment)


def _tell_unlisted(enrichment: Enrichment) -> None:
    from pipeline.particulars.gazetteer import listed, unlisted  # noqa: PLC0415
    from pipeline.particulars.requests import load_settings  # noqa: PLC0415

    known = listed(load_settings(enrichment.catalogue).country)
    for region, places in enrichment.places().items():
        if missing := unlisted(places, known):
            click.echo(f"not listed by GeoNames in {region}: {', '.join(missing)}")


def _enrichment(population: str, corpus: Path | None) -> Enrichment:
    from pipeline.catalogue.loader import load_catalogue  # noqa: PLC0415
    from pipeline.particulars.enrichment import FOLDER, Enrichment  # noqa: PLC0415
    from pipeline.particulars.requests import has_settings  # noqa: PLC0415
    from pipeline.resources import CORPUS as PACKAGED  # noqa: PLC0415  # Dagster takes seconds to import

    if not has_settings(population):
        raise CatalogueError(f"no particulars are asked of '{population}': add its file to pipeline/particulars")
    return Enrichment(load_catalogue(population), (corpus or PACKAGED) / FOLDER)
