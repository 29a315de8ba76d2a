"""Parquet files of many batches: groups, dictionaries, and the same values as the batches have."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from serving import files
from serving.files import parquet_writer
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot

GROUP = 250


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "GROUP", GROUP)


@pytest.fixture
def sampler(tmp_path: Path) -> Sampler:
    build_snapshot(tmp_path / "toy")
    return Sampler(Snapshot.load(tmp_path / "toy"))


def as_texts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))


@pytest.mark.parametrize(
    ("sizes", "groups"), [([100] * 6, [200, 200, 200]), ([600], [250, 250, 100]), ([10], [10]), ([0], [])]
)
def test_batches_share_groups(sampler: Sampler, tmp_path: Path, sizes: list[int], groups: list[int]) -> None:
    file = tmp_path / "people.parquet"
    with parquet_writer(file) as write:
        for place, size in enumerate(sizes):
            write(sampler.sample(size, start=sum(sizes[:place])))
    read = pq.ParquetFile(file)
    found = [read.metadata.row_group(group).num_rows for group in range(read.num_row_groups)]
    assert [size for size in found if size] == groups
    whole = sampler.sample(sum(sizes))
    assert read.schema_arrow.remove_metadata() == whole.to_arrow().schema
    assert as_texts(pl.read_parquet(file)).equals(as_texts(whole.to_polars()))


def test_what_has_an_order_keeps_it_and_the_rest_goes_by_frequency(sampler: Sampler, tmp_path: Path) -> None:
    file = tmp_path / "people.parquet"
    batches = [sampler.sample(200), sampler.sample(200, start=200)]
    with parquet_writer(file) as write:
        for batch in batches:
            write(batch)
    for group in range(2):
        table = pq.ParquetFile(file).read_row_group(group)
        for dimension in sampler.snapshot.dimensions:
            dictionary = table[dimension.id].chunk(0).dictionary.to_pylist()
            assert sorted(dictionary) == sorted(dimension.categories)
            if dimension.ordinal:
                assert dictionary == list(dimension.categories)
            else:
                drawn = batches[0].values(dimension.id)
                counts = [drawn.count(category) for category in dictionary]
                assert counts == sorted(counts, reverse=True)


def test_a_place_that_cannot_be_written_to_is_told_before_anybody_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), parquet_writer(tmp_path / "nowhere" / "people.parquet"):
        pytest.fail("the file was opened")
