"""Personas per second of the numpy batches and of the plain Python definition, as a ratio within one run.

    python benchmarks/bench_sampler.py [snapshot]

Without an argument the packaged snapshot is used if there is one, else a synthetic one of the same size: 77
dimensions, on average 8 categories and 6 parents. One core; the best of several rounds, the engines taking turns.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from serving.reference import ReferenceSampler
from serving.sampler import Sampler
from serving.snapshot import Snapshot, packaged_populations
from tests.support.toy_snapshot import build_snapshot, large_dimensions

ROUNDS, NUMPY_PERSONAS, PYTHON_PERSONAS = 5, 200_000, 300


def load_subject(arguments: list[str], scratch: Path) -> tuple[Snapshot, str]:
    if arguments:
        return Snapshot.load(arguments[0]), f"snapshot {arguments[0]}"
    if "us" in packaged_populations():
        return Snapshot.load("us"), "the packaged snapshot us"
    build_snapshot(scratch / "large", large_dimensions())
    return Snapshot.load(scratch / "large"), "a synthetic snapshot"


def rate(personas: int, draw: Callable[[], object]) -> float:
    start = time.perf_counter()
    draw()
    return personas / (time.perf_counter() - start)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        snapshot, subject = load_subject(sys.argv[1:], Path(scratch))
    start = time.perf_counter()
    sampler = Sampler(snapshot)
    compile_ms = (time.perf_counter() - start) * 1000
    reference = ReferenceSampler(snapshot)
    sampler.sample(1000)

    numpy_rates, python_rates, arrow_rates = [], [], []
    for _ in range(ROUNDS):
        numpy_rates.append(rate(NUMPY_PERSONAS, lambda: sampler.sample(NUMPY_PERSONAS, seed=1)))
        python_rates.append(
            rate(PYTHON_PERSONAS, lambda: [reference.draw(index, 1) for index in range(PYTHON_PERSONAS)])
        )
        arrow_rates.append(rate(NUMPY_PERSONAS, lambda: sampler.sample(NUMPY_PERSONAS, seed=1).to_arrow()))

    widths = [len(dimension.categories) for dimension in snapshot.dimensions]
    factors = [len(dimension.factors) - 1 for dimension in snapshot.dimensions]
    multiplications = sum(width * count for width, count in zip(widths, factors, strict=True))
    print(f"{subject}: {len(widths)} dimensions, {np.mean(widths):.1f} categories and {np.mean(factors):.1f} factors")
    print(f"on average, {multiplications} multiplications a persona; {platform.machine()}, {os.cpu_count()} cores,")
    print(f"Python {platform.python_version()}, numpy {np.__version__}; tables compiled in {compile_ms:.0f} ms")
    best_numpy, best_python = max(numpy_rates), max(python_rates)
    print(f"  numpy batch            {best_numpy:>10,.0f} personas/s (median {np.median(numpy_rates):,.0f})")
    print(f"  numpy batch to Arrow   {max(arrow_rates):>10,.0f} personas/s, derived fields and names included")
    print(f"  plain Python           {best_python:>10,.0f} personas/s")
    print(f"  numpy / plain Python   {best_numpy / best_python:>10,.0f} x")


if __name__ == "__main__":
    main()
