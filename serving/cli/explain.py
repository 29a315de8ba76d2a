"""`personagen explain`: why a persona has its values."""

from __future__ import annotations

import click

from serving.cli import options


@click.command()
@click.argument("dimensions", nargs=-1, required=True)
@click.option("-s", "--seed", default="0", callback=options.seed, show_default=True, help="Integer or text.")
@click.option("-i", "--index", type=click.IntRange(0), default=0, show_default=True, help="Index of the persona.")
@click.option("--population", help="Population of a packaged snapshot [default: us].")
@click.option("--snapshot", "path", type=click.Path(), help="Folder of another snapshot.")
@click.option(
    "--do", multiple=True, callback=options.assignments, metavar="DIMENSION=CATEGORY", help="As it was drawn with."
)
@click.option(
    "--evidence",
    multiple=True,
    callback=options.evidence,
    metavar="DIMENSION=CATEGORY,...",
    help="As it was drawn with.",
)
@click.option(
    "--likelihood",
    multiple=True,
    callback=options.numbers,
    metavar="DIMENSION=CATEGORY:NUMBER,...",
    help="As it was drawn with.",
)
@click.option(
    "--target",
    multiple=True,
    callback=options.numbers,
    metavar="DIMENSION=CATEGORY:SHARE,...",
    help="As it was drawn with.",
)
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
