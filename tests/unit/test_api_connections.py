"""Clients that do not read: their connections are dropped, with what they left unread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from serving.api.app import create_app
from serving.api.connections import DROP, impatient
from serving.api.settings import Settings
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot

TIMEOUT, PATIENCE = 0.5, 10.0


@contextmanager
def running(app: Any, **options: Any) -> Iterator[uvicorn.Server]:
    """A server on a free port, in a thread."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=impatient(TIMEOUT), log_config=None, timeout_keep_alive=60, **options)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[uvicorn.Server]:
    build_snapshot(tmp_path / "toy")
    app = create_app({"us": Snapshot.load(tmp_path / "toy")}, Settings(timeout=TIMEOUT))
    with running(app) as server:
        # So little that most of an answer waits in the server, not in the system.
        server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        yield server


def connected(server: uvicorn.Server) -> socket.socket:
    """A client with little room for what it does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE)
    client.connect(server.servers[0].sockets[0].getsockname())
    return client


def wait_until_dropped(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while server.server_state.connections:
        assert time.monotonic() < deadline, "the connections stay open"
        time.sleep(0.02)


@pytest.mark.parametrize("query", ["n=100000&format=jsonl", "n=1000&format=jsonl", "n=1000&seed=2"])
def test_who_does_not_read_is_dropped(server: uvicorn.Server, query: str) -> None:
    """Whether the answer is cut, or complete and lies in the server, which a thousand do."""
    request = f"GET /v1/personas?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(4)]
        for client in clients:
            client.sendall(request)
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
        wait_until_dropped(server)
        for client in clients:
            with pytest.raises(ConnectionResetError):
                while client.recv(1 << 16):
                    pass


def test_who_reads_keeps_the_connection(server: uvicorn.Server) -> None:
    with connected(server) as client:
        for _ in range(2):
            client.sendall(b"GET /v1/personas?n=300&format=jsonl HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                received += client.recv(1 << 16)
            assert received.count(b'"seed"') == 300
            time.sleep(1.5 * TIMEOUT)  # it is idle, and owes nothing


@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_what_is_dropped_already_can_be_dropped(loop: str) -> None:
    """As when time is up for the request and for what it has left unread at once."""
    dropped = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal dropped
        for _ in range(3):
            scope["extensions"][DROP]()
            dropped += 1

    with running(app, loop=loop, lifespan="off") as server, connected(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert dropped == 3
