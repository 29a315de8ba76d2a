"""A batch over many workers: each draws a range of indices and writes a Parquet file. See docs/distributed.md.

python docs/examples/distributed.py processes 100000 people/
python docs/examples/distributed.py ray 100000 people/
python docs/examples/distributed.py spark 100000 people/
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from serving import Sampler, Snapshot

POPULATION, SEED = "us", "census"
SIZE = 25_000  # personas in a file
CONDITIONS = {"evidence": {"region": ["california", "texas"]}}  # as for any draw; quotas alone cannot be split

Work = tuple[Snapshot, str, int, int]


def work(n: int, folder: str) -> list[Work]:
    """What there is to do: the snapshot, the folder, and the first and the number of the indices of each file.

    A snapshot travels as its name and id; a worker loads it once, from the package that is installed there.
    """
    snapshot = Snapshot.load(POPULATION)
    return [(snapshot, folder, start, min(SIZE, n - start)) for start in range(0, n, SIZE)]


def write_range(work: Work) -> int:
    """Draw one range and write it. Who does so, when, and how often does not matter: the file is the same."""
    snapshot, folder, start, n = work
    batch = Sampler(snapshot).sample(n, SEED, start, **CONDITIONS)
    batch.to_parquet(Path(folder) / f"people-{start:012d}.parquet")
    return n


def with_processes(parts: list[Work]) -> int:
    """On the cores of one machine."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return sum(pool.map(write_range, parts))


def with_ray(parts: list[Work]) -> int:
    """On a Ray cluster, or on this machine if `RAY_ADDRESS` names none."""
    import ray

    ray.init()
    try:
        return sum(ray.get([ray.remote(write_range).remote(part) for part in parts]))
    finally:
        ray.shutdown()


def with_spark(parts: list[Work]) -> int:
    """On the Spark cluster that the configuration names, this machine by default."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.appName("personas").getOrCreate()
    try:
        return session.sparkContext.parallelize(parts, len(parts)).map(write_range).sum()
    finally:
        session.stop()


ENGINES = {"processes": with_processes, "ray": with_ray, "spark": with_spark}


def main(engine: str = "processes", n: str = "100000", folder: str = "people") -> None:
    """Write n personas into a folder that all workers see."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    print(ENGINES[engine](work(int(n), str(Path(folder).resolve()))), "personas in", folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
