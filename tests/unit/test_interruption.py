"""Long draws can be broken off, and only within the block that asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.interruption import checkpoint, interruptible
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot


class Enough(Exception):  # noqa: N818
    pass


class Countdown:
    """Raises at its last call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Enough


def test_nothing_happens_without_a_check() -> None:
    checkpoint()


def test_the_check_holds_within_its_block_only() -> None:
    with pytest.raises(Enough), interruptible(Countdown(2)):
        checkpoint()
        checkpoint()
    checkpoint()


@pytest.mark.parametrize(
    "asked",
    [
        {"evidence": {"education": "doctorate", "party": "none"}},
        {"quota": {"sex": {"female": 150}}},
        {"target_marginal": {"sex": {"female": 0.9}}},
    ],
)
def test_draws_under_conditions_come_by_more_than_once(tmp_path: Path, asked: dict[str, object]) -> None:
    build_snapshot(tmp_path / "toy")
    sampler = Sampler(Snapshot.load(tmp_path / "toy"), "numpy")
    with pytest.raises(Enough), interruptible(Countdown(3)):
        sampler.sample(200, **asked)  # type: ignore[arg-type]
    assert len(sampler.sample(200, **asked)) == 200  # type: ignore[arg-type]  # nothing half made is kept
