"""The command `corpus` with `export`, `import` and `status`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from pipeline.cli.options import CORPUS, EDITION, build_of
from warehouse.errors import CorpusError


@click.group("corpus")
def corpus_group() -> None:
    """Export requests as OpenAI Batch files, import the answers, and see what is missing.

    \b
    Examples:
      personagen corpus status
      personagen corpus export batch/ --only missing
      personagen corpus import batch/output.jsonl
    """


@corpus_group.command("export")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--only",
    type=click.Choice(["all", "missing"]),
    default="all",
    show_default=True,
    help="All requests, or those without an accepted answer.",
)
@click.option("--model", help="One panel member only.")
@EDITION
@CORPUS
def export_command(target: Path, only: str, model: str | None, edition: str | None, corpus: Path | None) -> None:
    """Write requests as OpenAI Batch input into the folder TARGET, a file per panel member."""
    from pipeline.corpus import exported  # noqa: PLC0415

    paths = exported(build_of(None, edition, corpus).plan, target, only_missing=only == "missing", model=model)
    for path in paths:
        click.echo(f"wrote {path}")
    if not paths:
        click.echo("nothing is missing: every request has an accepted answer")


@corpus_group.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@EDITION
@CORPUS
def import_command(files: tuple[Path, ...], edition: str | None, corpus: Path | None) -> None:
    """Take the answers in OpenAI Batch output FILES into the edition."""
    from pipeline.corpus import imported  # noqa: PLC0415

    told = imported(build_of(None, edition, corpus).plan, files)
    click.echo(
        f"{len(told.completions)} answers imported, {told.repeated} were there already, "
        f"{len(told.failures)} failures not stored, {len(told.missing)} requests still without an answer"
    )
    for failure in told.failures[:10]:
        click.echo(f"  {failure.where}: {failure.reason}")


@corpus_group.command()
@EDITION
@CORPUS
def status(edition: str | None, corpus: Path | None) -> None:
    """Count requests, answers and rejections of an edition, by panel member and reason."""
    from pipeline.corpus import judged  # noqa: PLC0415

    plan = build_of(None, edition, corpus).plan
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
