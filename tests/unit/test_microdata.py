"""Raw columns turned into category codes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.grounding.microdata import recoded


def test_values_are_found_as_text_or_as_whole_numbers_and_all_else_is_missing() -> None:
    numbers = pd.Series([1.0, 2.0, np.nan, 3.0])
    assert recoded(numbers, {"values": {"1": "b", "2": "a"}}, ("a", "b")).tolist() == [1, 0, -1, -1]
    texts = pd.Series(["x", "y", None, "z"])
    assert recoded(texts, {"values": {"x": "a", "z": "a"}}, ("a", "b")).tolist() == [0, -1, -1, 0]


def test_cuts_are_the_lowest_numbers_of_a_category_in_whatever_order_they_stand() -> None:
    ages = pd.Series([17.0, 18.0, 24.9, 25.0, 90.0, np.nan])
    assert recoded(ages, {"cuts": {"old": 25, "young": 18}}, ("young", "old")).tolist() == [-1, 0, 0, 1, 1, -1]
