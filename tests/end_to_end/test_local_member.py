"""A real language model as a panel member, from its server to the pool: asked, refused, booked, shut out."""

from __future__ import annotations

import shutil

import polars as pl
import pytest

from pipeline.build import STAGES, Scope, run_work, stale_work
from pipeline.elicitation.batch import read_lines
from pipeline.elicitation.edition import write_members
from pipeline.elicitation.protocol import Completion
from pipeline.prompts.parsing import Reason
from pipeline.prompts.reask import REASKS, base_id
from pipeline.resources import CORPUS, EDITION, Build
from serving.snapshot import PACKAGED
from tests.support.builds import table

LOCAL = "local/smollm2-135m"
RECORDED = ("recorded-pass-1", "recorded-pass-2", "recorded-pass-3")
SCOPE = Scope(dimensions=frozenset({"us/age"}))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The recorded edition with the local model as a fourth member, built for one dimension up to its map."""
    folder = tmp_path_factory.mktemp("local")
    edition = folder / "corpus" / EDITION
    shutil.copytree(CORPUS / EDITION, edition, ignore=shutil.ignore_patterns("edition.toml"))
    write_members(edition, [*RECORDED, LOCAL])
    one = Build(home=str(folder / "home"), corpus=str(folder / "corpus"))
    for stage in STAGES[: [s.name for s in STAGES].index("maps") + 1]:
        run_work(one, stale_work(one, stage, SCOPE), lambda units: None)
    return one


def test_its_answers_are_kept_verbatim_and_asked_for_again_with_the_reason(build: Build) -> None:
    (request,) = build.plan.requests["us", "age", LOCAL]
    lines = list(read_lines(build.live_folder / "local_smollm2-135m.jsonl"))
    assert len(lines) == 1 + REASKS
    assert {base_id(line.custom_id) for line in lines} == {request.custom_id}
    assert len({line.custom_id for line in lines}) == len(lines)  # another prompt each time
    assert all(isinstance(line.content, Completion) and line.content.text for line in lines)
    rejected = table(build, f"select reason, text from rejections where model = '{LOCAL}' order by attempt")
    assert [text for _, text in rejected] == [line.content.text for line in lines]  # type: ignore[union-attr]
    assert {reason for reason, _ in rejected} <= {str(reason) for reason in Reason}


def test_its_calls_are_in_the_books(build: Build) -> None:
    (row,) = table(
        build, f"select calls, answered, usd, tokens_out > 0, p95_seconds > 0 from spend where model = '{LOCAL}'"
    )
    assert row == (1 + REASKS, 1 + REASKS, 0.0, True, True)


def test_its_record_says_what_it_is_worth_and_the_pool_does_not_hear_it(build: Build) -> None:
    cards = dict(table(build, "select model, weight from scorecards"))
    assert cards == {**dict.fromkeys(RECORDED, 1.0), LOCAL: 0.0}
    pooled = table(build, "select category, probability, models from maps where dimension = 'age'")
    shipped = pl.read_parquet(PACKAGED / "us" / "maps.parquet").filter(pl.col("dimension") == "age")
    expected = dict(shipped.select("category", "probability").iter_rows())
    # Not closer: there the members have weights from all dimensions, here from one.
    assert {c: p for c, p, _ in pooled} == pytest.approx(expected, abs=1e-3)
    assert {models for *_, models in pooled} == {len(RECORDED)}


def test_a_rerun_asks_nobody(build: Build) -> None:
    before = (build.live_folder / "local_smollm2-135m.jsonl").read_bytes()
    stage = next(s for s in STAGES if s.name == "completions")
    run_work(build, stale_work(build, stage, SCOPE), lambda units: None)
    assert (build.live_folder / "local_smollm2-135m.jsonl").read_bytes() == before
