"""Which source answers for a member, and that a live answer is paid for once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.panel import Endpoint, Member
from pipeline.elicitation.protocol import Completion, to_completion
from pipeline.elicitation.recorded import RecordedSource
from pipeline.elicitation.sources import KeptSource, source_for
from pipeline.prompts.render import Request, render_request
from warehouse.errors import ElicitationError

US = load_catalogue("us")
MEMBER = Member(
    id="maker/model",
    source="live",
    variant="analyst.whole_map.percent_keyed",
    endpoint=Endpoint(base_url="http://127.0.0.1:9"),
)


class Answering:
    """Answers every request, or breaks off after some; remembers what it was asked."""

    def __init__(self, breaks_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.breaks_after = breaks_after

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for number, request in enumerate(requests):
            if number == self.breaks_after:
                raise ElicitationError("cut off")
            self.asked.append(request.custom_id)
            message = {"role": "assistant", "content": f"answer {number}"}
            body = {
                "object": "chat.completion",
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            }
            yield to_completion(request.custom_id, body)


def requests() -> list[Request]:
    return [render_request(US, "e", US.dimension("height"), g, MEMBER) for g in US.dimension("height").givens]


def test_answers_are_kept_as_they_arrive_and_asked_for_once(tmp_path: Path) -> None:
    wanted = requests()
    known = {r.custom_id for r in wanted}
    record = tmp_path / "deep" / "kept.jsonl"
    first = Answering(breaks_after=2)
    with pytest.raises(ElicitationError, match="cut off"):
        list(KeptSource(first, record).complete(wanted))
    second = Answering()
    got = list(KeptSource(second, record).complete(wanted))
    assert {c.custom_id for c in got} == known and len(got) == len(wanted)
    assert not set(first.asked) & set(second.asked)
    third = Answering()
    again = list(KeptSource(third, record).complete(wanted))
    assert third.asked == [] and {c.custom_id: c.text for c in again} == {c.custom_id: c.text for c in got}


def test_a_recorded_member_reads_the_edition(tmp_path: Path) -> None:
    member = MEMBER.model_copy(update={"source": "recorded"})
    source = source_for(member, corpus=tmp_path, live=tmp_path, known=set(), dimension_of=US.dimension)
    assert isinstance(source, RecordedSource)


def test_a_live_member_is_kept_in_a_file_that_its_name_cannot_escape(tmp_path: Path) -> None:
    odd = MEMBER.model_copy(update={"id": "maker/../model"})
    source = source_for(odd, corpus=tmp_path, live=tmp_path / "live", known=set(), dimension_of=US.dimension)
    assert isinstance(source, KeptSource) and source.record.parent == tmp_path / "live"


def test_a_live_member_without_an_endpoint_is_named(tmp_path: Path) -> None:
    lost = MEMBER.model_copy(update={"endpoint": None})
    with pytest.raises(ElicitationError, match="'maker/model' is live but has no endpoint"):
        source_for(lost, corpus=tmp_path, live=tmp_path, known=set(), dimension_of=US.dimension)
