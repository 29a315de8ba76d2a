"""Arrow arrays by their buffers: the same as `pyarrow.array` makes, without pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from serving.arrow import coded, numbers, repeated, texts


@pytest.mark.parametrize("values", [[], [3, 1, 2]])
@pytest.mark.parametrize("kind", ["uint8", "int16", "int64", "float64"])
def test_numbers(values: list[int], kind: str) -> None:
    made = numbers(np.array(values, dtype=kind))
    made.validate(full=True)
    assert made.equals(pa.array(values, type=pa.type_for_alias(kind.replace("float64", "double"))))


def test_numbers_are_taken_as_another_type_and_from_between_others() -> None:
    days = np.arange(10, dtype=np.int32)[::2]
    assert numbers(days, pa.date32()).equals(pa.array(days.tolist(), type=pa.date32()))


@pytest.mark.parametrize("values", [[], [""], ["José", "", "Nguyễn"]])
def test_texts(values: list[str]) -> None:
    made = texts(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, type=pa.string()))


@pytest.mark.parametrize("n", [0, 3])
def test_one_text_again_and_again(n: int) -> None:
    made = repeated("é1", n)
    made.validate(full=True)
    assert made.to_pylist() == ["é1"] * n


def test_codes_stand_for_categories() -> None:
    made = coded(np.array([1, 0, 1], dtype=np.uint8), ("no", "yes"))
    made.validate(full=True)
    assert made.to_pylist() == ["yes", "no", "yes"]


def test_personas_become_a_table_without_pandas() -> None:
    code = (
        "import sys; from serving import Sampler, Snapshot; Sampler(Snapshot.load('us')).sample(3).to_arrow(); "
        "sys.exit('pandas' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
