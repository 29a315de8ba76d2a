"""The Great Expectations suite over the whole table of estimates, run in one validation.

Belongs here: what must hold of the table once every answer in it was accepted by itself: keys, sums, completeness,
structure. Does not belong here: judging one answer (`prompts.validation`), Dagster checks.

Great Expectations takes 6 to 12 seconds to import and reads pandas only, so it is imported within the function, and
polars prepares what an expectation over several rows needs as plain columns beside the table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.prompts.validation import ESTIMATE_COLUMNS, allowed_mask, conditions_of
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    from pipeline.catalogue.models import Dimension
    from pipeline.prompts.render import Request

ROW_SUM_TOLERANCE = 1e-9
EXAMPLES = 5
ALL_MAPS = "every map asked for is there"

_MAP = ["population", "edition", "dimension", "given"]
_CELL = [*_MAP, "condition", "category"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation's outcome: how many cells (or maps) broke it, and the first few of them by name."""

    name: str
    success: bool
    unexpected: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExpectationReport:
    """The outcome of the suite over `cells` rows."""

    cells: int
    expectations: tuple[Expectation, ...]

    @property
    def success(self) -> bool:
        """Whether every expectation was met."""
        return all(expectation.success for expectation in self.expectations)

    @property
    def failed(self) -> tuple[Expectation, ...]:
        """The expectations that were not met."""
        return tuple(expectation for expectation in self.expectations if not expectation.success)


def expected_cells(requests: Iterable[Request], dimension_of: Callable[[str], Dimension]) -> pl.DataFrame:
    """Lay out every cell that these requests ask for, which is what a complete table of estimates holds.

    Columns: population, edition, dimension, given (list), model, condition (list), category, allowed (False on
    structural zeros). `dimension_of` is one population's catalogue; concatenate the frames of several.
    """
    asked: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for request in requests:
        key = (request.population, request.edition, request.dimension, request.given)
        asked.setdefault(key, []).append(request.model)
    columns = {name: kind for name, kind in ESTIMATE_COLUMNS.items() if name not in ("variant", "probability")}
    frames = [pl.DataFrame(schema={**columns, "allowed": pl.Boolean})]
    for (population, edition, name, given), models in asked.items():
        dimension = dimension_of(name)
        parents = [dimension_of(parent) for parent in given]
        conditions = conditions_of(parents)
        count = len(conditions) * len(dimension.categories)
        cells = pl.DataFrame(
            {
                "population": [population] * count,
                "edition": [edition] * count,
                "dimension": [name] * count,
                "given": [list(given)] * count,
                "condition": [list(condition) for condition in conditions for _ in dimension.categories],
                "category": [*dimension.category_ids] * len(conditions),
                "allowed": allowed_mask(dimension, parents).ravel(),
            },
            schema_overrides={"given": pl.List(pl.String), "condition": pl.List(pl.String)},
        )
        panel = pl.DataFrame({"model": list(dict.fromkeys(models))})
        frames.append(cells.join(panel, how="cross").select(frames[0].columns))
    return pl.concat(frames)


def validate_estimates(
    frame: pl.DataFrame, expected: pl.DataFrame | None = None, *, every_model: bool = True
) -> ExpectationReport:
    """Run the suite over the table of estimates, as `prompts.validation.estimates_frame` lays it out.

    Always: there are rows, nothing is null, probabilities lie in [0, 1], rows sum to 1 within `ROW_SUM_TOLERANCE`,
    conditions fit their given, and no model has a cell twice. With `expected` (from `expected_cells`) also: only
    cells that the catalogue has, nothing on structural zeros, whole maps only, and every map that was asked for is
    there, from every model asked or, without `every_model`, from at least one.

    Raises `WarehouseError` if a column is missing. Writes no file, sends nothing, prints nothing.
    """
    lacking = [name for name in ESTIMATE_COLUMNS if name not in frame.columns]
    if lacking:
        raise WarehouseError(f"table estimates has no column {lacking[0]}: materialise estimates again")
    prepared = _prepare(frame, expected).with_columns(_map_name(every_model).alias("map"))
    asked = None if expected is None else expected.select(_map_name(every_model).alias("map"))["map"].unique()
    return ExpectationReport(frame.height, _run(prepared, asked))


def _prepare(frame: pl.DataFrame, expected: pl.DataFrame | None) -> pl.DataFrame:
    """Put beside every cell what the expectations need, in columns of plain types."""
    row = [*_MAP, "model", "condition"]
    prepared = frame.with_columns(
        pl.col("probability").fill_nan(None).alias("probability"),
    ).with_columns(
        _cell_name().alias("cell"),
        pl.col("given").list.len().cast(pl.Int64).alias("given_length"),
        pl.col("condition").list.len().cast(pl.Int64).alias("condition_length"),
        pl.col("probability").sum().over(row).alias("row_sum"),
        pl.len().over([*_MAP, "model"]).cast(pl.Int64).alias("map_cells"),
    )
    if expected is not None:
        cells = expected.select(*_CELL, "allowed").unique()
        sizes = cells.group_by(_MAP).agg(pl.len().cast(pl.Int64).alias("expected_map_cells"))
        prepared = (
            prepared.join(cells, on=_CELL, how="left", maintain_order="left")
            .join(sizes, on=_MAP, how="left", maintain_order="left")
            .with_columns(
                pl.col("allowed").is_not_null().cast(pl.Int64).alias("known"),
                pl.when(pl.col("allowed").eq(False)).then(pl.col("probability")).otherwise(0.0).alias("impossible"),
                pl.col("expected_map_cells").fill_null(0),
            )
            .drop("allowed")
        )
    return prepared


def _cell_name() -> pl.Expr:
    """Name a cell within its model, as messages show it: `us 2026.11 employment=retired | age=18_24 (model)`."""
    given, condition = (pl.col(name).list.join(", ").fill_null("?") for name in ("given", "condition"))
    dimension, category = (pl.col(name).fill_null("?") for name in ("dimension", "category"))
    where = (
        pl.when(pl.col("given").list.len() > 0).then(pl.format(" | {} = {}", given, condition)).otherwise(pl.lit(""))
    )
    return pl.format(
        "{} {} {} = {}{} ({})",
        pl.col("population").fill_null("?"),
        pl.col("edition").fill_null("?"),
        dimension,
        category,
        where,
        pl.col("model").fill_null("?"),
    )


def _map_name(with_model: bool) -> pl.Expr:
    """Name a map: `us 2026.11 employment | age (model)`."""
    given = pl.col("given").list.join(", ").fill_null("?")
    name = pl.format("{} {} {} | {}", *(pl.col(c).fill_null("?") for c in _MAP[:3]), given)
    return pl.format("{} ({})", name, pl.col("model").fill_null("?")) if with_model else name


def _run(prepared: pl.DataFrame, asked: pl.Series | None) -> tuple[Expectation, ...]:
    import great_expectations as gx  # noqa: PLC0415
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

    gxe: Any = gx.expectations
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.enable_analytics(False)

    tolerance = ROW_SUM_TOLERANCE
    suite: dict[str, Any] = {
        "the table has rows": gxe.ExpectTableRowCountToBeBetween(min_value=1),
        **{f"{name} is not null": gxe.ExpectColumnValuesToNotBeNull(column=name) for name in ESTIMATE_COLUMNS},
        "probability lies in [0, 1]": gxe.ExpectColumnValuesToBeBetween(column="probability", min_value=0, max_value=1),
        "rows sum to 1": gxe.ExpectColumnValuesToBeBetween(
            column="row_sum", min_value=1 - tolerance, max_value=1 + tolerance
        ),
        "a condition has a category per dimension given": gxe.ExpectColumnPairValuesToBeEqual(
            column_A="given_length", column_B="condition_length"
        ),
        "a model has each cell once": gxe.ExpectColumnValuesToBeUnique(column="cell"),
    }
    if asked is not None:
        suite |= {
            "only cells of the catalogue": gxe.ExpectColumnValuesToBeInSet(column="known", value_set=[1]),
            "nothing on structural zeros": gxe.ExpectColumnValuesToBeBetween(
                column="impossible", min_value=0, max_value=0
            ),
            "maps are whole": gxe.ExpectColumnPairValuesToBeEqual(column_A="map_cells", column_B="expected_map_cells"),
            ALL_MAPS: gxe.ExpectColumnDistinctValuesToContainSet(column="map", value_set=asked.to_list()),
        }
    for name, expectation in suite.items():
        expectation.meta = {"name": name}
    batch = (
        context.data_sources.add_pandas("warehouse")
        .add_dataframe_asset("estimates")
        .add_batch_definition_whole_dataframe("all")
    )
    definition = gx.ValidationDefinition(
        name="estimates",
        data=batch,
        suite=context.suites.add(gx.ExpectationSuite(name="estimates", expectations=list(suite.values()))),
    )
    outcome = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": prepared.with_columns(pl.col("given", "condition").list.join(", ")).to_pandas()},
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES},
    )
    return tuple(_expectation(result, prepared, asked) for result in outcome.results)


def _expectation(result: Any, prepared: pl.DataFrame, asked: pl.Series | None) -> Expectation:
    name = result.expectation_config.meta["name"]
    if result.success:
        return Expectation(name, True, 0, ())
    if name == ALL_MAPS and asked is not None:
        missing = sorted(set(asked) - set(prepared["map"]))
        return Expectation(name, False, len(missing), tuple(missing[:EXAMPLES]))
    details = result.result
    rows = details.get("partial_unexpected_index_list") or []
    examples = tuple(prepared["cell"][int(row)] for row in rows[:EXAMPLES])
    return Expectation(name, False, int(details.get("unexpected_count") or 1), examples)
