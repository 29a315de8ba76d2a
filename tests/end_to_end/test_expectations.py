"""The suite over the whole table of estimates: it passes a good table, and names what is wrong in a bad one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.catalogue.models import Category, Dimension, StructuralZero
from pipeline.elicitation.expectations import ALL_MAPS, ExpectationReport, expected_cells, validate_estimates
from pipeline.prompts.render import Request
from pipeline.prompts.validation import Estimate, estimates_frame
from warehouse.errors import WarehouseError

MODELS = ("panel/one", "panel/two")


def dimension(name: str, categories: str, *parents: str, zeros: tuple[StructuralZero, ...] = ()) -> Dimension:
    return Dimension(
        id=name,
        label=name,
        tier=1,
        definition="-",
        categories=tuple(Category(id=c, label=c) for c in categories.split()),
        parents=parents,
        pairs=(),
        zeros=zeros,
    )


ZERO = StructuralZero(given={"age": ("18_24",)}, never=("retired",), reason="too young")
DIMENSIONS = {
    d.id: d
    for d in (
        dimension("age", "18_24 25_64 65_plus"),
        dimension("sex", "female male"),
        dimension("employment", "working student retired", "age", "sex", zeros=(ZERO,)),
    )
}
GIVENS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("age", ()),
    ("sex", ()),
    ("employment", ()),
    ("employment", ("age",)),
    ("employment", ("age", "sex")),
)


def request(name: str, given: tuple[str, ...], model: str) -> Request:
    return Request("-", "us", "2026.11", name, given, "v", model, (), {}, "percent_keyed")


REQUESTS = [request(name, given, model) for model in MODELS for name, given in GIVENS]
EXPECTED = expected_cells(REQUESTS, DIMENSIONS.__getitem__)


def estimate(asked: Request) -> Estimate:
    parents = [DIMENSIONS[parent] for parent in asked.given]
    shape = (*(len(p.categories) for p in parents), len(DIMENSIONS[asked.dimension].categories))
    p = np.random.default_rng(len(parents)).dirichlet(np.ones(shape[-1]), shape[:-1])
    if "age" in asked.given:
        p[0, ..., 2] = 0
        p /= p.sum(axis=-1, keepdims=True)
    return Estimate("-", "us", "2026.11", asked.dimension, asked.given, asked.model, asked.variant, p)


GOOD = estimates_frame([estimate(asked) for asked in REQUESTS], DIMENSIONS.__getitem__)
CELL = (
    (pl.col("model") == MODELS[1])
    & (pl.col("dimension") == "employment")
    & (pl.col("condition") == pl.lit(["18_24", "male"]))
    & (pl.col("category") == "retired")
)
CELL_NAME = "us 2026.11 employment = retired | age, sex = 18_24, male (panel/two)"


def with_cell(column: str, value: object) -> pl.DataFrame:
    return GOOD.with_columns(
        pl.when(CELL).then(pl.lit(value, dtype=GOOD.schema[column])).otherwise(pl.col(column)).alias(column)
    )


def outcome(report: ExpectationReport) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {e.name: (e.unexpected, e.examples) for e in report.failed}


def test_a_good_table_passes() -> None:
    report = validate_estimates(GOOD, EXPECTED)
    assert report.success, report.failed
    assert report.cells == GOOD.height
    assert len(report.expectations) == 18
    assert validate_estimates(GOOD).success


BAD: dict[str, tuple[pl.DataFrame, dict[str, tuple[int, tuple[str, ...]]]]] = {
    "a null": (
        with_cell("probability", None),
        {"probability is not null": (1, (CELL_NAME,))},
    ),
    "not a number": (
        with_cell("probability", float("nan")),
        {"probability is not null": (1, (CELL_NAME,))},
    ),
    "mass on the impossible, within the row's sum": (
        GOOD.with_columns(
            pl.when(CELL)
            .then(1.0)
            .when(CELL.shift(-1, fill_value=False) | CELL.shift(-2, fill_value=False))
            .then(0.0)
            .otherwise(pl.col("probability"))
            .alias("probability")
        ),
        {"nothing on structural zeros": (1, (CELL_NAME,))},
    ),
    "an unknown category": (
        with_cell("category", "gone"),
        {"only cells of the catalogue": (1, (CELL_NAME.replace("retired", "gone"),))},
    ),
    "a cell twice": (
        pl.concat([GOOD, GOOD.filter(CELL)]),
        {
            "a model has each cell once": (2, (CELL_NAME, CELL_NAME)),
            "maps are whole": (19, ()),
        },
    ),
    "a map missing": (
        GOOD.filter((pl.col("given").list.len() < 2) | (pl.col("model") == MODELS[0])),
        {ALL_MAPS: (1, ("us 2026.11 employment | age, sex (panel/two)",))},
    ),
    "a condition that does not fit": (
        with_cell("condition", ["18_24"]),
        {
            "a condition has a category per dimension given": (
                1,
                ("us 2026.11 employment = retired | age, sex = 18_24 (panel/two)",),
            ),
            "rows sum to 1": (1, ("us 2026.11 employment = retired | age, sex = 18_24 (panel/two)",)),
            "only cells of the catalogue": (
                1,
                ("us 2026.11 employment = retired | age, sex = 18_24 (panel/two)",),
            ),
        },
    ),
    "nothing at all": (
        GOOD.clear(),
        {"the table has rows": (1, ()), ALL_MAPS: (10, tuple(sorted(
            f"us 2026.11 {name} | {', '.join(given)} ({model})" for model in MODELS for name, given in GIVENS
        )[:5]))},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("frame", "wanted"), BAD.values(), ids=BAD.keys())
def test_names_what_is_wrong(frame: pl.DataFrame, wanted: dict[str, tuple[int, tuple[str, ...]]]) -> None:
    found = outcome(validate_estimates(frame, EXPECTED))
    assert found.keys() == wanted.keys()
    for name, (count, examples) in wanted.items():
        assert found[name][0] == count, name
        assert found[name][1][: len(examples)] == examples, name


def test_sums_and_range() -> None:
    found = outcome(validate_estimates(with_cell("probability", 1.5), EXPECTED))
    assert found["probability lies in [0, 1]"] == (1, (CELL_NAME,))
    assert found["rows sum to 1"][0] == 3
    assert found["nothing on structural zeros"] == (1, (CELL_NAME,))


def test_a_map_that_one_model_has_is_enough_where_every_model_is_not_asked_for() -> None:
    frame = GOOD.filter(pl.col("model") == MODELS[0])
    assert validate_estimates(frame, EXPECTED, every_model=False).success
    assert outcome(validate_estimates(frame, EXPECTED)).keys() == {ALL_MAPS}


def test_a_missing_column_is_named() -> None:
    with pytest.raises(WarehouseError, match="no column probability"):
        validate_estimates(GOOD.drop("probability"))


def test_leaves_nothing_behind(tmp_path: Path) -> None:
    """In a process of its own: no file in the working or home directory, not a word printed."""
    GOOD.write_parquet(tmp_path / "estimates.parquet")
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    code = (
        "import sys, polars as pl\n"
        "from pipeline.elicitation.expectations import validate_estimates\n"
        "assert 'great_expectations' not in sys.modules\n"
        "assert validate_estimates(pl.read_parquet(sys.argv[1])).success\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "estimates.parquet")],
        cwd=work,
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(home.rglob("*"))
    assert not list(work.rglob("*"))
