"""The API fuzzed from its own description: nothing makes it fail, and it answers as the description says."""

from __future__ import annotations

from pathlib import Path

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from serving.api.app import create_app
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot

CONFIG = {
    "generation": {"deterministic": True, "max-examples": 25},  # besides those for each rule of the parameters
    # Evidence that cannot be and conditions that contradict each other are no matter of a schema.
    "checks": {"positive_data_acceptance": {"expected-statuses": [200, 304, 422]}},
    "phases": {"stateful": {"enabled": False}},  # nothing has a state
}


def test_answers_are_as_described(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "toy")
    app = create_app({"us": Snapshot.load(tmp_path / "toy")})
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app, config=SchemathesisConfig.from_dict(CONFIG))
    asked, wrong = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            asked += len(event.recorder.cases)
            for case, checks in event.recorder.checks.items():
                request = event.recorder.interactions[case].request
                wrong += [
                    f"{request.method} {request.uri} {request.body!r}: {check.failure_info.failure}"
                    for check in checks
                    if check.failure_info
                ]
        elif isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(repr(event))
    assert not wrong, "\n\n".join(wrong[:20])
    assert asked > 500
