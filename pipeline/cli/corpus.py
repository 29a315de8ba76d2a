"""The command `corpus` with `export`, `import`, `status` and `prune`. Thin: it parses, calls, and prints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from pipeline.catalogue.loader import load_catalogue
from pipeline.cli.options import BATCH_OUTPUT, CORPUS, EDITION, HOME, ONE_POPULATION, build_of, tell_exported


@click.group("corpus")
def corpus_group() -> None:
    """Export requests as OpenAI Batch files, import the answers, see what is missing and what it cost.

    An edition's record is its folder in the corpus and, for answers that were asked for live, `editions/` in the home.

    \b
    Examples:
      personagen corpus status
      personagen corpus export batch/ --only missing
      personagen corpus import batch/output.jsonl batch/errors.jsonl
      personagen corpus prune --dry-run
    """


@corpus_group.command("export")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--only",
    type=click.Choice(["all", "missing"]),
    default="all",
    show_default=True,
    help="All requests, or those without an answer, and again those whose answer was rejected, with the reason quoted.",
)
@click.option("--model", help="One panel member only.")
@ONE_POPULATION
@HOME
@EDITION
@CORPUS
def export_command(  # noqa: PLR0917 (click passes them by name)
    target: Path,
    only: str,
    model: str | None,
    population: str | None,
    home: Path | None,
    edition: str | None,
    corpus: Path | None,
) -> None:
    """Write requests as OpenAI Batch input into the folder TARGET, a file per panel member.

    \b
    Examples:
      personagen corpus export batch/
      personagen corpus export batch/ --only missing
      personagen corpus export batch/ --population us
    """
    from pipeline.corpus import exported  # noqa: PLC0415

    if population is not None:
        load_catalogue(population)  # an unknown one is told before anything is opened
    plan = build_of(home, edition, corpus).plan
    paths = exported(plan, target, only_missing=only == "missing", model=model, population=population)
    tell_exported(paths, "every request")


@corpus_group.command("import")
@BATCH_OUTPUT
@HOME
@EDITION
@CORPUS
def import_command(files: tuple[Path, ...], home: Path | None, edition: str | None, corpus: Path | None) -> None:
    """Take the answers in OpenAI Batch output and error FILES into the edition.

    Files may be partial, in any order, and of several members. Failures are counted by reason and not stored, except
    where they tell what they took, for the books. An answer of another model than was asked, and a line that repeats an
    API key, are failures that are not stored.

    \b
    Example:
      personagen corpus import batch/output.jsonl
    """
    from pipeline.corpus import imported  # noqa: PLC0415

    told = imported(build_of(home, edition, corpus).plan, files)
    click.echo(
        f"{len(told.completions)} answers imported, {told.repeated} were there already, "
        f"{len(told.failures)} failures, {told.booked} of them booked, "
        f"{len(told.missing)} requests still without an answer"
    )
    for path in told.empty:
        click.echo(f"  {path} holds no line")
    for reason, count in Counter(failure.reason for failure in told.failures).most_common(10):
        where = next(failure.where for failure in told.failures if failure.reason == reason)
        click.echo(f"  {count}: {reason} (first: {where})")


@corpus_group.command("status")
@ONE_POPULATION
@HOME
@EDITION
@CORPUS
def status_command(population: str | None, home: Path | None, edition: str | None, corpus: Path | None) -> None:
    """Count requests, answers, rejections and calls of an edition, by panel member and reason.

    \b
    Examples:
      personagen corpus status
      personagen corpus status --edition 2026.12
      personagen corpus status --population us
    """
    from pipeline.corpus import status  # noqa: PLC0415

    if population is not None:
        load_catalogue(population)
    told = status(build_of(home, edition, corpus).plan, population)
    for path in told.empty:
        click.echo(f"{path} holds no line")
    for model, outcome in told.outcomes.items():
        click.echo(
            f"{model}: {len(outcome.estimates)} maps accepted, {len(outcome.unanswered)} requests without an accepted "
            f"answer, {len(outcome.rejections)} answers rejected"
        )
        calls = told.calls.filter(model=model)
        if calls.height:
            answered = calls.filter(outcome="answered").height
            tokens = f"{calls['tokens_in'].sum()} tokens in, {calls['tokens_out'].sum()} out"
            click.echo(f"  {calls.height} calls, {answered} answered, {tokens}, {calls['usd'].sum():.4f} usd")
        for reason, count in Counter(str(r.reason) for r in outcome.rejections).most_common():
            click.echo(f"  {reason}: {count}")
        for rejection in outcome.rejections[:20]:
            click.echo(f"    {rejection.custom_id} attempt {rejection.attempt}: {rejection.reason}: {rejection.detail}")


@corpus_group.command("prune")
@click.option("--dry-run", is_flag=True, help="Only count, change nothing.")
@HOME
@EDITION
@CORPUS
def prune_command(dry_run: bool, home: Path | None, edition: str | None, corpus: Path | None) -> None:
    """Move lines whose request no longer exists out of the edition's files.

    They go into pruned/pruned-<n>.jsonl.gz within the same folder, which no build reads.

    \b
    Examples:
      personagen corpus prune --dry-run
      personagen corpus prune
    """
    from pipeline.corpus import prunable, pruned  # noqa: PLC0415

    plan = build_of(home, edition, corpus).plan
    found = prunable(plan)
    for one in found:
        click.echo(f"{one.path}: {one.kept} lines stay, {one.gone} answer no request of today")
    if not any(one.gone for one in found):
        click.echo("nothing to prune")
    elif not dry_run:
        for path in pruned(plan):
            click.echo(f"moved them into {path}")
