"""`personagen snapshot`: snapshots listed, verified and compared."""

from __future__ import annotations

import json

import click

from serving.cli import options


@click.group()
def snapshot() -> None:
    """List, verify and compare snapshots.

    \b
    Examples:
      personagen snapshot list
      personagen snapshot verify us
      personagen snapshot diff us path/to/snapshot
    """


@snapshot.command("list")
def list_snapshots() -> None:
    """List the packaged snapshots.

    \b
    Example:
      personagen snapshot list
    """
    from serving.snapshot import PACKAGED, packaged_populations, read_manifest  # noqa: PLC0415

    for population in packaged_populations():
        manifest = read_manifest(PACKAGED / population)
        click.echo(f"{population}  {manifest.snapshot_id}  {manifest.edition}  {manifest.population.label}")


@snapshot.command()
@click.argument("path", default="us")
def verify(path: str) -> None:
    """Check a snapshot, a folder or the population of a packaged one, against its hashes.

    \b
    Examples:
      personagen snapshot verify us
      personagen snapshot verify warehouse/build/snapshots/us
    """
    from serving.snapshot import Snapshot  # noqa: PLC0415

    loaded = Snapshot.load(path)
    click.echo(
        f"{loaded.folder}: good; snapshot {loaded.id}, population {loaded.manifest.population.id}, "
        f"edition {loaded.manifest.edition}, {len(loaded.dimensions)} dimensions, "
        f"{len(loaded.manifest.files)} files match their SHA-256"
    )


@snapshot.command()
@click.argument("before")
@click.argument("after")
@click.option(
    "--people", type=click.IntRange(1, 1_000_000), default=20_000, show_default=True, help="How many to draw."
)
@options.seed_option("Whom to draw: integer or text.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows shown of each table.")
@click.option(
    "--json", "as_json", is_flag=True, help="Everything as JSON, with the index of each persona that changes."
)
def diff(  # noqa: PLR0917  # click passes options by name
    before: str, after: str, people: int, seed: int | str, top: int, as_json: bool
) -> None:
    """Tell what differs from snapshot BEFORE to snapshot AFTER, each a folder or the population of a packaged one.

    Distances of maps and of dimensions among the people are total variations. Those of dimensions that depend on little
    are exact; for the others the same people are drawn from both, and the standard error is told. How much of a change
    the disagreement of models explains, `personagen edition diff` tells.

    \b
    Examples:
      personagen snapshot diff us path/to/snapshot
      personagen snapshot diff us path/to/snapshot --people 5000 --seed pilot --top 5
      personagen snapshot diff us path/to/snapshot --json > difference.json
    """
    from serving.comparing import compare  # noqa: PLC0415
    from serving.snapshot import Snapshot  # noqa: PLC0415

    found = compare(Snapshot.load(before), Snapshot.load(after), people=people, seed=seed)
    click.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False) if as_json else found.to_text(top))
