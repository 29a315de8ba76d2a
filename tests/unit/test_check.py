"""The check of the panel against real HTTP on loopback: what works, what is told, and that no key is."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pipeline.elicitation.check import Checked, check_panel
from pipeline.elicitation.panel import Endpoint, Member
from tests.support.endpoint import Reply, Served, chat, serving

KEY = "sk-test-0123456789abcdef-very-secret"
LISTED = {"id": "maker/model", "pricing": {"prompt": "0.000001", "completion": "0.000002"}}


def member(served: Served | str, **fields: Any) -> Member:
    where = served if isinstance(served, str) else served.base_url
    given: dict[str, Any] = {
        "id": "maker/model",
        "source": "live",
        "variant": "v",
        "endpoint": Endpoint(base_url=where, key_variable="TEST_KEY"),
        "price_in": 1.0,
        "price_out": 2.0,
        "structured_output": "json_schema",
    }
    return Member(**{**given, **fields})


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def good(_: dict[str, Any]) -> Reply:
    return chat('{"seven": 7}', prompt_tokens=100, completion_tokens=10)


def checked(reply: Reply, models: list[dict[str, Any]] | None = None, **fields: Any) -> Checked:
    with serving(lambda _: reply, [LISTED] if models is None else models) as served:
        (found,) = check_panel([member(served, **fields)], timeout=5)
    return found


def test_a_member_that_works_is_told_so() -> None:
    with serving(good, [LISTED]) as served:
        (found,) = check_panel([member(served, settings={"temperature": 0.5}, reasoning={"effort": "low"})], timeout=5)
    assert (found.key, found.listed, found.answered, found.structured, found.trouble) == (True, True, True, True, "")
    assert found.usd is not None and float(found.usd) == pytest.approx((100 * 1.0 + 10 * 2.0) / 1e6)
    assert found.listed_prices is None and found.seconds is not None
    ((headers, body),) = served.calls
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["model"] == "maker/model" and body["temperature"] == 0.5 and body["reasoning"] == {"effort": "low"}
    assert body["response_format"]["type"] == "json_schema" and body["max_tokens"] <= 1500


def test_a_cost_that_the_endpoint_names_counts() -> None:
    assert float(checked(chat("{}", cost=0.004), structured_output="none").usd or 0) == 0.004


@pytest.mark.parametrize(
    ("reply", "fields", "said"),
    [
        ((401, {"error": {"message": f"bad key {KEY}", "code": 401}}), {}, "HTTP 401: bad key [key]"),
        ((404, {"error": {"message": "no such model"}}), {}, "HTTP 404: no such model"),
        ((200, {"error": {"message": f"echo {KEY}"}}), {}, "the body carries an error: echo [key]"),
        ((200, {"hello": 1}), {}, "not a chat completion"),
        (chat(""), {}, "the answer is empty (finish_reason stop)"),
        (chat("seven"), {}, "the answer is not the JSON that was asked for"),
        (chat('{"eight": 8}'), {}, "the answer is not the JSON that was asked for"),
    ],
)
def test_what_fails_is_told_in_one_line_without_the_key(reply: Reply, fields: dict[str, Any], said: str) -> None:
    found = checked(reply, **fields)
    assert said in found.trouble and KEY not in repr(found) and "\n" not in found.trouble


def test_a_model_may_answer_without_being_listed_or_any_list() -> None:
    assert checked(good({}), [{"id": "other"}]).listed is False
    with serving(good) as served:
        (found,) = check_panel([member(served)], timeout=5)
    assert found.listed is None and found.trouble == ""


@pytest.mark.parametrize(
    ("pricing", "other"),
    [
        ({"prompt": "0.000001", "completion": "0.000002"}, None),
        ({"prompt": "0.0000015", "completion": "0.000002"}, (1.5, 2.0)),
        ({"prompt": "-1", "completion": "-1"}, None),
        ({"prompt": "free"}, None),
        (None, None),
    ],
)
def test_prices_that_differ_from_the_panels_are_shown(pricing: object, other: tuple[float, float] | None) -> None:
    found = checked(good({}), [{"id": "maker/model", "pricing": pricing}])
    assert found.listed_prices == (None if other is None else pytest.approx(other))


def test_without_a_key_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    with serving(good, [LISTED]) as served:
        (found,) = check_panel([member(served)], timeout=5)
    assert found.trouble == "environment variable TEST_KEY is not set" and found.key is False
    assert served.calls == []


def test_members_fail_apart_and_stay_in_order() -> None:
    keyless = Endpoint(base_url="http://127.0.0.1:9/v1")
    with serving(good, [LISTED]) as served:
        dead = member(served, id="dead", endpoint=keyless)
        found = check_panel([dead, member(served), dead.model_copy(update={"endpoint": None})], timeout=5)
    assert [c.member for c in found] == ["dead", "maker/model", "dead"]
    assert found[1].trouble == "" and found[0].key is None and found[0].trouble


def test_the_key_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    checked((500, {"error": {"message": f"trace {KEY}"}}))
    checked(chat(f"it is {KEY}"))
    assert caplog.records and KEY not in caplog.text
