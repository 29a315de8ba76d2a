"""A real language model is asked our own prompts over HTTP: its answers arrive, and bad ones are refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.batch import json_schema_format, request_body
from pipeline.elicitation.local import local_server
from pipeline.elicitation.panel import Endpoint, Member, load_panel
from pipeline.elicitation.protocol import Completion, to_completion
from pipeline.elicitation.tokens import count_tokens
from pipeline.prompts.parsing import Reason
from pipeline.prompts.render import Request, render_request
from pipeline.prompts.validation import Rejection, validate_completion

US = load_catalogue("us")
ASKED = (("sex", ()), ("height", ()), ("sex", ("age",)))
SHIPPED = next(m for m in load_panel() if m.source == "local")
LOCAL = SHIPPED.model_copy(update={"settings": {**SHIPPED.settings, "max_tokens": 200}})
FREE = SHIPPED.model_copy(  # without the grammar, which alone makes it write JSON
    update={"settings": {**SHIPPED.settings, "max_tokens": 60}, "structured_output": "none"}
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with local_server(LOCAL) as endpoint:
        yield endpoint


def requests(member: Member) -> list[Request]:
    return [render_request(US, "e", US.dimension(d), given, member) for d, given in ASKED]


def asked(endpoint: Endpoint, member: Member) -> dict[str, Completion]:
    """Ask as many at once as the member takes, without the engine: this is about the model and the judge."""
    schema = json_schema_format(US.dimension) if member.structured_output == "json_schema" else None

    def ask(request: Request) -> Completion:
        body = request_body(request, schema)
        answer = httpx2.post(f"{endpoint.base_url}/chat/completions", json=body, timeout=120)
        return to_completion(request.custom_id, answer.json())

    with ThreadPoolExecutor(member.concurrency) as threads:
        return {c.custom_id: c for c in threads.map(ask, requests(member))}


def refusals(member: Member, answers: dict[str, Completion]) -> list[Rejection]:
    judged = [
        validate_completion(answers[r.custom_id], r, US.dimension(r.dimension), [US.dimension(g) for g in r.given])
        for r in requests(member)
    ]
    return [verdict for verdict in judged if isinstance(verdict, Rejection)]


@pytest.mark.parametrize("member", [LOCAL, FREE], ids=["grammar", "free"])
def test_every_request_is_answered_and_bad_answers_are_refused_by_name(endpoint: Endpoint, member: Member) -> None:
    answers = asked(endpoint, member)
    assert set(answers) == {r.custom_id for r in requests(member)}
    for answer in answers.values():
        assert answer.model == LOCAL.model and answer.text
        usage = answer.received["usage"]
        counted = sum(
            count_tokens(m["content"]) for r in requests(member) if r.custom_id == answer.custom_id for m in r.messages
        )
        assert 0.9 < usage["prompt_tokens"] / counted < 1.4 and usage["completion_tokens"] > 0

    refused = refusals(member, answers)
    assert len(refused) >= 2, "a model of this size knows no distributions"
    assert all(r.reason in Reason and r.detail and r.text for r in refused)
    if member is LOCAL:  # the grammar makes it JSON with every category: what is wrong is the figures
        assert not Counter(r.reason for r in refused).keys() & {Reason.NOT_JSON, Reason.MISSING_CATEGORY}
