from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.combination.agreement import PanelMap
from pipeline.combination.influence import influences
from pipeline.combination.pooling import pool

ANSWERS = {
    "a": np.array([[0.7, 0.3], [0.4, 0.6]]),
    "b": np.array([[0.6, 0.4], [0.4, 0.6]]),
    "c": np.array([[0.2, 0.8], [0.5, 0.5]]),
}
MAP = PanelMap("d", ("sex",), ANSWERS, np.array([0.9, 0.1]), np.ones((2, 2), dtype=np.bool_))


def test_the_effect_is_the_distance_between_the_pools() -> None:
    found = influences(MAP, {"a": 1.0, "b": 1.0, "c": 0.5})
    whole = pool(("sex",), list(ANSWERS.values()), [1.0, 1.0, 0.5]).p
    without = pool(("sex",), [ANSWERS["a"], ANSWERS["b"]], [1.0, 1.0]).p
    rows = np.abs(whole - without).sum(axis=1) / 2
    assert [f.model for f in found] == ["a", "b", "c"]
    assert found[2].tv == pytest.approx(0.9 * rows[0] + 0.1 * rows[1])
    assert (found[2].worst_tv, found[2].worst_condition) == (pytest.approx(rows[0]), (0,))


def test_who_is_shut_out_moves_nothing_and_who_is_alone_is_not_measured() -> None:
    a, b, c = influences(MAP, {"a": 0.0, "b": 1.0, "c": 0.0})
    assert a.tv == a.worst_tv == c.tv == 0
    assert math.isnan(b.tv)
    assert all(f.tv == 0 for f in influences(MAP, {"a": 0.0, "b": 0.0, "c": 0.0}))


def test_a_base_map_has_no_condition() -> None:
    base = PanelMap("d", (), {m: p[0] for m, p in ANSWERS.items()}, np.ones(1), np.ones(2, dtype=np.bool_))
    found = influences(base, dict.fromkeys(ANSWERS, 1.0))
    assert all(f.worst_condition == () and f.worst_tv == f.tv > 0 for f in found)
