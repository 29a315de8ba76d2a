"""Jobs: what is materialised together from the Dagster UI, or on a schedule.

`answers`, `mapping`, `naming`, `release` and `promote` materialise assets of one kind of partition each: choose
partitions, a range of them or a whole backfill. `one_dimension`, `one_model`, `one_tier`, `everything` and `regenerate`
go through the stages as `personagen build` does, across kinds of partitions: what is up to date stays, what was
answered is not asked again. The edition of a run is in its configuration:
`resources: {build: {config: {edition: "2026.12"}}}`.
"""

import dagster as dg

from pipeline.editions import begin
from pipeline.partitions import TIERS, by_dimension, by_model, by_tier
from pipeline.resources import Build

answers = dg.define_asset_job(
    "answers",
    selection=dg.AssetSelection.assets("requests", "completions", "calls", "estimates", "rejections"),
    description="Ask, store and judge: requests to estimates, by dimension and panel member. A backfill of one member, "
    "or of some dimensions, resumes: cells that are kept are not asked again.",
)
judging = dg.define_asset_job(
    "judging",
    selection=dg.AssetSelection.assets("scorecards", "influences"),
    description="Judge the panel: estimates to pooling weights, by population.",
)
mapping = dg.define_asset_job(
    "mapping",
    selection=dg.AssetSelection.assets("maps", "weights", "trials", "trial_maps"),
    description="Pool and combine: maps to weights, by dimension; run dimensions in catalogue order.",
)
release = dg.define_asset_job(
    "release",
    selection=dg.AssetSelection.assets(
        "dimensions",
        "trial_report",
        "name_files",
        "particular_files",
        "snapshot",
        "personas",
        "map_distances",
        "report",
        "drift_report",
    ),
    description="Export and sample, by population: dimensions, files of names and particulars, snapshot, "
    "personas, report, drift.",
)
naming = dg.define_asset_job(
    "naming",
    selection=dg.AssetSelection.groups("names") - dg.AssetSelection.assets("name_files"),
    description="Read and judge the answers about names, by kind. Asks nobody.",
)
promote = dg.define_asset_job(
    "promote",
    selection=dg.AssetSelection.assets("promotion"),
    description="Let an edition serve one population, if it passes the gate; `accept_drift` says what was read.",
)


@dg.op(pool="build", description="The stages of one dimension, from requests to weights.")
def build_dimension(context: dg.OpExecutionContext, build: Build) -> None:
    """Bring the dimension of this partition up to date."""
    _bring_up(context, build, dimensions=frozenset({context.partition_key}))


@dg.op(pool="build", description="The stages of one panel member, from requests to estimates.")
def build_model(context: dg.OpExecutionContext, build: Build) -> None:
    """Ask the member of this partition what is missing, and judge its answers."""
    _bring_up(context, build, models=frozenset({context.partition_key}))


@dg.op(pool="build", description="The stages of one tier, from requests to weights.")
def build_tier(context: dg.OpExecutionContext, build: Build) -> None:
    """Bring the dimensions of this tier up to date."""
    _bring_up(context, build, dimensions=TIERS[context.partition_key])


@dg.op(pool="build", ins={"begun": dg.In(dg.Nothing)}, description="All stages of the edition, then its drift report.")
def build_everything(context: dg.OpExecutionContext, build: Build) -> None:
    """Bring the whole edition up to date."""
    _bring_up(context, build)


@dg.op(description="A new edition's folder, if it is not there yet: who is asked, and where its answers come from.")
def begin_edition(context: dg.OpExecutionContext, build: Build) -> None:
    """Make the edition of this run; the one that serves is refused."""
    members = begin(build)
    context.log.info(f"edition {build.edition}: {len(members)} members")


@dg.job(partitions_def=by_dimension, description="One dimension, all members of the edition: requests to weights.")
def one_dimension() -> None:
    """Build one dimension."""
    build_dimension()


@dg.job(
    partitions_def=by_model, description="One panel member, all dimensions: ask what is missing, judge the answers."
)
def one_model() -> None:
    """Build one panel member's answers."""
    build_model()


@dg.job(
    partitions_def=by_tier, description="One tier of a population, all members of the edition: requests to weights."
)
def one_tier() -> None:
    """Build one tier."""
    build_tier()


@dg.job(description="The whole edition, from requests to its drift report; promotes nothing.")
def everything() -> None:
    """Build an edition."""
    build_everything()


@dg.job(description="A new edition, asked and built as a whole beside the one that serves; promotes nothing.")
def regenerate() -> None:
    """Begin an edition and build it."""
    build_everything(begun=begin_edition())


def _bring_up(
    context: dg.OpExecutionContext,
    build: Build,
    dimensions: frozenset[str] | None = None,
    models: frozenset[str] | None = None,
) -> None:
    from pipeline.build import Scope, bring_up  # noqa: PLC0415  # it runs the definitions that these jobs are part of

    for line in bring_up(build, Scope(dimensions, models)):
        context.log.info(line)


ALL_JOBS = (
    answers,
    judging,
    mapping,
    naming,
    release,
    promote,
    one_dimension,
    one_model,
    one_tier,
    everything,
    regenerate,
)
