"""The command `names` with `export`, `import`, `status` and `prune`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import BATCH_OUTPUT, CORPUS, POPULATION, tell_exported
from warehouse.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.names.enrichment import Enrichment, NameOutcome
    from pipeline.names.requests import NameRequest


@click.group("names")
def names_group() -> None:
    """What a language model is asked about names: export the requests, import the answers, see what holds of them.

    The answers lie in the folder `names` of the corpus; they belong to no edition.

    \b
    Examples:
      personagen names status
      personagen names export batch/ --only missing
      personagen names import batch/output.jsonl
    """


@names_group.command("export")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--only",
    type=click.Choice(["all", "missing"]),
    default="all",
    show_default=True,
    help="All requests, or those without an answer and names whose entry was rejected, with the reason quoted.",
)
@click.option("--model", help="Name of the model at the endpoint [default: the recorded member's id].")
@POPULATION
@CORPUS
def export_command(target: Path, only: str, model: str | None, population: str, corpus: Path | None) -> None:
    """Write requests as OpenAI Batch input into the folder TARGET.

    \b
    Example:
      personagen names export batch/ --only missing
    """
    enrichment = _enrichment(population, corpus)
    paths = enrichment.exported(target, only_missing=only == "missing", model=model)
    tell_exported(paths, "every name")


@names_group.command("import")
@BATCH_OUTPUT
@POPULATION
@CORPUS
def import_command(files: tuple[Path, ...], population: str, corpus: Path | None) -> None:
    """Take the answers in OpenAI Batch output FILES into the record.

    \b
    Example:
      personagen names import batch/output.jsonl
    """
    told = _enrichment(population, corpus).imported(files)
    click.echo(
        f"{len(told.completions)} answers imported, {told.repeated} were there already, {len(told.failures)} failures, "
        f"{len(told.missing)} requests still without an answer"
    )
    for reason, count in Counter(failure.reason for failure in told.failures).most_common(10):
        click.echo(f"  {count}: {reason}")


@names_group.command("status")
@POPULATION
@CORPUS
def status_command(population: str, corpus: Path | None) -> None:
    """Count names asked about, accepted and rejected, by kind and reason.

    \b
    Example:
      personagen names status
    """
    from pipeline.names.candidates import KINDS  # noqa: PLC0415

    enrichment = _enrichment(population, corpus)
    asked: list[tuple[str, Sequence[NameRequest], NameOutcome[Any]]] = []
    asked += [(f"{kind} names", enrichment.requests[kind], enrichment.outcome(kind)) for kind in KINDS]
    of_faith, verdict = enrichment.faith_requests, enrichment.faith_outcome
    asked += [(f"faiths of {kind} names", of_faith[kind], verdict(kind)) for kind in KINDS]
    for what, requests, outcome in asked:
        click.echo(
            f"{what}: {len(outcome.estimates)} of {sum(len(r.names) for r in requests)} accepted, "
            f"{len(outcome.unanswered)} of {len(requests)} requests without an answer, "
            f"{len(outcome.rejections)} entries rejected"
        )
        for reason, count in Counter(str(r.reason) for r in outcome.rejections).most_common():
            click.echo(f"  {reason}: {count}")
        for one in outcome.rejections[:20]:
            click.echo(f"    {one.name or '(no name asked for)'}, attempt {one.attempt}: {one.reason}: {one.detail}")


@names_group.command("prune")
@click.option("--dry-run", is_flag=True, help="Only count, change nothing.")
@POPULATION
@CORPUS
def prune_command(dry_run: bool, population: str, corpus: Path | None) -> None:
    """Move answers whose request no longer exists into pruned/ within the folder, which nothing reads.

    \b
    Example:
      personagen names prune --dry-run
    """
    from pipeline.elicitation.prune import orphans, prune  # noqa: PLC0415

    enrichment = _enrichment(population, corpus)
    found = orphans(enrichment.folder, enrichment.member_of) if enrichment.folder.is_dir() else []
    for one in found:
        click.echo(f"{one.path}: {one.kept} lines stay, {one.gone} answer no request of today")
    if not any(one.gone for one in found):
        click.echo("nothing to prune")
    elif not dry_run:
        click.echo(f"moved them into {prune(enrichment.folder, enrichment.member_of)}")


def _enrichment(population: str, corpus: Path | None) -> Enrichment:
    from pipeline.catalogue.loader import load_catalogue  # noqa: PLC0415
    from pipeline.names.enrichment import FOLDER, Enrichment  # noqa: PLC0415
    from pipeline.plan import COUNTED  # noqa: PLC0415
    from pipeline.resources import CORPUS as PACKAGED  # noqa: PLC0415  # Dagster takes seconds to import

    if population not in COUNTED:
        raise CatalogueError(f"names of population '{population}' are not asked about: choose {', '.join(COUNTED)}")
    return Enrichment(load_catalogue(population), (corpus or PACKAGED) / FOLDER)
