"""Names as tables: nothing is lost between answers, rows and what others read."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.names.enrichment import Answer
from pipeline.names.frames import (
    ESTIMATE_COLUMNS,
    answers_of,
    completions_frame,
    estimates_frame,
    heritage_shares,
    name_facts,
    rejections_frame,
    requests_frame,
)
from pipeline.names.requests import NameRequest
from pipeline.names.validation import NameEstimate, NameReason, NameRejection
from tests.support.names import completion

REQUEST = NameRequest(
    *("us.name.first.0001.m.plain-0", "us", "first", 1, "plain", "m"),
    names=("Ana", "Bo"),
    born=True,
    messages=({"role": "system", "content": "s"}, {"role": "user", "content": "u"}),
    settings={"temperature": 0},
)
ESTIMATE = NameEstimate(
    *("first", "ANA", "Ana", "m", "plain", REQUEST.custom_id, 2),
    heritage={"spanish": 0.25, "mexican": 0.65},
    female=0.99,
    born=(0.1, 0.2, 0.3, 0.4),
    spelling=None,
)


def test_requests_are_rows() -> None:
    (row,) = requests_frame("e", [REQUEST]).iter_rows(named=True)
    assert (row["edition"], row["kind"], row["number"], row["names"], row["born"]) == (
        "e",
        "first",
        1,
        ["Ana", "Bo"],
        True,
    )
    assert (row["system"], row["prompt"], row["settings"]) == ("s", "u", '{"temperature": 0}')


def test_answers_come_back_as_they_were() -> None:
    answers = [
        Answer(REQUEST.custom_id, completion(REQUEST, "{}")),
        Answer(f"{REQUEST.custom_id}.r2-0", completion(REQUEST, None, 2)),
    ]
    assert answers_of(completions_frame("e", answers, [REQUEST])) == answers


def test_an_estimate_is_a_row_a_name_and_a_row_a_heritage() -> None:
    frame = estimates_frame("us", "e", [ESTIMATE])
    assert frame.schema == pl.Schema(ESTIMATE_COLUMNS)
    assert heritage_shares(frame).rows() == [("first", "ANA", "mexican", 0.65), ("first", "ANA", "spanish", 0.25)]
    assert name_facts(frame).rows() == [("first", "ANA", 0.99, 0.1, 0.2, 0.3, 0.4, None)]


def test_rejections_are_rows() -> None:
    rejection = NameRejection(
        *("first", "BO", "Bo", "m", REQUEST.custom_id, 1, NameReason.BAD_SUM), detail="50", text='{"a": 1}'
    )
    (row,) = rejections_frame("us", "e", [rejection]).iter_rows(named=True)
    assert (row["name"], row["reason"], row["detail"], row["text"]) == ("Bo", "bad_sum", "50", '{"a": 1}')


@pytest.mark.parametrize("frame", [requests_frame("e", []), estimates_frame("us", "e", [])])
def test_nothing_is_a_table_without_rows(frame: pl.DataFrame) -> None:
    assert frame.height == 0 and "population" in frame.columns
