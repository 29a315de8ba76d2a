"""Few personas by plain Python: the definition's codes, the definition's errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.counter import stream_start, uniform
from serving.engine import Engine, KernelName
from serving.reference import ReferenceSampler
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import ToyDimension, build_snapshot, large_dimensions
from warehouse.errors import SamplingError

SEEDS = st.one_of(st.integers(-(2**65), 2**65), st.text(max_size=10))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path = tmp_path_factory.mktemp("snapshots") / "large"
    build_snapshot(path, large_dimensions())
    return Snapshot.load(path)


@pytest.fixture(scope="module", params=["numpy", "numba"])
def engine(large: Snapshot, request: pytest.FixtureRequest) -> Engine:
    return Engine(large, request.param)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, index=st.integers(0, 2**63 - 1), data=st.data())
def test_one_person_is_that_of_the_definition(
    large: Snapshot, engine: Engine, seed: int | str, index: int, data: st.DataObject
) -> None:
    pinned = data.draw(st.sampled_from(large.dimensions))
    code = data.draw(st.integers(0, len(pinned.categories) - 1))
    order = engine.order(range(len(large.dimensions)), {pinned.position: code}, ["other"])
    drawn = engine.one(order, seed, index)
    assert drawn is not None
    codes, uniforms = drawn
    expected = ReferenceSampler(large).draw(index, seed, {pinned.id: pinned.categories[code]})
    assert codes == list(expected.values())
    assert uniforms == [uniform(stream_start(seed, "other"), index)]


def test_a_few_people_are_those_of_the_definition(large: Snapshot) -> None:
    batch = Sampler(large, "numpy").sample(5, seed="few", start=7)
    reference = ReferenceSampler(large)
    for place in range(5):
        expected = reference.draw(7 + place, "few")
        assert {name: int(batch.codes(name)[place]) for name in expected} == expected


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
def test_an_impossible_combination_is_an_error(tmp_path: Path, kernel: KernelName) -> None:
    build_snapshot(
        tmp_path / "s",
        (
            ToyDimension("a", ("a0", "a1")),
            ToyDimension("b", ("b0", "b1"), (("a",),), zeros=((("a",), (1,), 0), (("a",), (1,), 1))),
        ),
    )
    engine = Engine(Snapshot.load(tmp_path / "s"), kernel)
    assert engine.one(engine.order([0, 1], {0: 1}, []), 0, 0) is None
    with pytest.raises(SamplingError, match="no category of 'b'"):
        engine.draw(np.arange(3, dtype=np.uint64), 0, [0, 1], {0: 1})
