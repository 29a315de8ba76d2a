"""`personagen explain`: why a persona has its values."""

from __future__ import annotations

import click

from serving.cli import options


@click.command()
@click.argument("dimensions", nargs=-1, required=True)
@options.seed_option()
@click.option("-i", "--index", type=click.IntRange(0), default=0, show_default=True, help="Index of the persona.")
@options.POPULATION
@options.SNAPSHOT
@options.condition("do", "As it was drawn with.")
@options.condition("evidence", "As it was drawn with.")
@options.condition("likelihood", "As it was drawn with.")
@options.condition("target", "As it was drawn with.")
def explain(  # noqa: PLR0917  # click passes options by name
    dimensions: tuple[str, ...],
    seed: int | str,
    index: int,
    population: str | None,
    path: str | None,
    do: dict[str, str],
    evidence: dict[str, list[str] | str],
    likelihood: dict[str, dict[str, float]],
    target: dict[str, dict[str, float]],
) -> None:
    """Tell why a persona has its values: what each cause did to the odds, and which map says so.

    \b
    Examples:
      personagen explain occupation --seed 42 --index 3
      personagen explain party religion --seed 42 --evidence region=texas
    """
    from serving.explaining import explain as explained  # noqa: PLC0415
    from serving.sampler import Sampler  # noqa: PLC0415
    from serving.snapshot import Snapshot  # noqa: PLC0415

    sampler = Sampler(Snapshot.load(options.source(population, path)))
    ids = [dimension.id for dimension in sampler.snapshot.dimensions]
    batch = sampler.sample(1, seed, index, evidence, do, likelihood=likelihood, target_marginal=target, fields=ids)
    click.echo("\n\n".join(explained(batch[0], name).to_text() for name in dimensions))
