"""Whatever a batch was drawn with, its formats hold the same people, and single personas come back the same."""

from __future__ import annotations

import csv
import json
import pickle
import re
import shutil
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import serving.snapshot
from serving.batch import ECHO, Batch
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot
from warehouse.errors import SnapshotError

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "do": {"do": {"education": "doctorate"}},
    "evidence": {"evidence": {"age": "30..50", "employment": ["part_time", "unemployed"]}},
    "likelihood": {"likelihood": {"party": {"democrat": 3, "none": 1}}},
    "target": {"target_marginal": {"sex": {"female": 0.8}}},
    "quota": {"quota": {"sex": {"female": 20, "male": 10}}},
    "quota and evidence": {"quota": {"sex": {"female": 7}}, "evidence": {"age": "40.."}},
    "quota and summary": {"quota": {"party": {"none": 15}}, "fields": ["summary", "party", "age_years"]},
    "quota of few fields": {"quota": {"party": {"none": 15}}, "fields": ["birth_date", "generation", "height_cm"]},
    "nobody": {},
    "nobody of a quota": {"quota": {"sex": {"female": 0}}},
}


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    folder = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(folder)
    return Sampler(Snapshot.load(folder))


@pytest.fixture(params=KINDS)
def batch(sampler: Sampler, request: pytest.FixtureRequest) -> Batch:
    return sampler.sample(0 if "nobody" in request.param else 30, "any kind", 5, **KINDS[request.param])


def as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def test_all_formats_hold_the_same_people(batch: Batch, tmp_path: Path) -> None:
    people = batch.to_dicts()
    assert len(people) == len(batch)
    assert [persona.to_dict() for persona in batch] == people
    assert [batch[place].to_dict() for place in range(len(batch))] == people
    assert batch.to_polars().to_dicts() == people
    assert batch.to_arrow().to_pylist() == people
    texts = [{name: as_text(value) for name, value in persona.items()} for persona in people]
    lines = [json.loads(line) for line in batch.to_jsonl()]
    assert [{name: str(value) for name, value in line.items()} for line in lines] == texts
    assert list(csv.DictReader(batch.to_csv())) == texts
    batch.to_parquet(tmp_path / "people.parquet")
    batch.to_duckdb(tmp_path / "people.duckdb", "panel")
    with duckdb.connect(tmp_path / "people.duckdb") as connection:
        stored = connection.sql("from panel order by index").pl()
    for frame in (pl.read_parquet(tmp_path / "people.parquet"), stored):
        assert frame.columns == [*ECHO, *batch.fields]
        assert frame.cast(pl.String).to_dicts() == texts


@pytest.mark.parametrize(
    "error",
    [
        duckdb.InterruptException("INTERRUPT Error: Interrupted!"),
        duckdb.InvalidInputException("reading the schema of the object registered as 'x' failed: KeyboardInterrupt: "),
        RuntimeError("Query interrupted"),
    ],
)
def test_an_interrupt_stays_one_whatever_duckdb_makes_of_it(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def interrupted(_: Batch) -> str:
        raise error

    monkeypatch.setattr("serving.files._columns", interrupted)
    with pytest.raises(KeyboardInterrupt):
        batch.to_duckdb(tmp_path / "people.duckdb")


@pytest.mark.parametrize("places", [slice(0, 2), slice(-3, None), slice(None, None, -4), slice(9, 3)])
def test_a_slice_is_a_batch_of_those_people(batch: Batch, places: slice) -> None:
    part = batch[places]
    assert isinstance(part, Batch) and part.to_dicts() == batch.to_dicts()[places]
    assert part.to_arrow().to_pylist() == part.to_dicts() and part.support == batch.support


@pytest.mark.parametrize("person", ["second", "third"])
def test_prompts_are_those_of_the_single_personas(batch: Batch, person: Any) -> None:
    prompts = batch.to_prompts(person)
    assert prompts == [persona.to_prompt(person) for persona in batch]
    assert len(prompts) == len(batch)


def test_a_persona_of_any_batch_can_be_kept(batch: Batch) -> None:
    for persona in list(batch)[:2]:
        again = pickle.loads(pickle.dumps(persona))
        assert again == persona and again.to_prompt() == persona.to_prompt()
        assert again.snapshot.id == persona.snapshot_id
        with pytest.raises(TypeError):
            again.values["sex"] = "male"


def test_prose_of_a_quota_tells_what_the_quota_filled(sampler: Sampler) -> None:
    prompts = sampler.sample(12, 1, quota={"sex": {"female": 5, "male": 7}}).to_prompts()
    assert Counter(re.findall(r"(woman|man)\b", prompt)[0] for prompt in prompts) == {"woman": 5, "man": 7}


def test_a_snapshot_that_changed_since_is_not_taken_for_the_one_that_was_kept(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "s")
    kept = pickle.dumps(Sampler(Snapshot.load(tmp_path / "s")).sample(1)[0])
    shutil.rmtree(tmp_path / "s")
    build_snapshot(tmp_path / "s", seed=2)
    with pytest.raises(SnapshotError, match=r"is snapshot .* here, not .*: provide the same one"):
        pickle.loads(kept)


def test_a_packaged_snapshot_travels_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("here", "there"):
        build_snapshot(tmp_path / place / "us")
    monkeypatch.setattr(serving.snapshot, "PACKAGED", tmp_path / "here")
    sent = pickle.dumps(Snapshot.load("us"))
    monkeypatch.setattr(serving.snapshot, "PACKAGED", tmp_path / "there")
    received = pickle.loads(sent)
    assert received.folder == tmp_path / "there" / "us"
    assert pickle.loads(sent) is received  # loaded once in a process
