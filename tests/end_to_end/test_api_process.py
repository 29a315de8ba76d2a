"""The API as a process: many clients at once, one that does not read, another snapshot while it answers, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.api import PATIENCE, Served, serving
from tests.support.toy_snapshot import build_snapshot

CONNECTIONS = 32
ROUNDS = 40  # requests of each
MANY = 100_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snapshots")
    build_snapshot(folder / "one", seed=1)
    build_snapshot(folder / "two", seed=2)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    with serving("--snapshot", str(folder / "one")) as served:
        yield served


def wait_until(server: Served, metric: str, value: float) -> None:
    """Until a metric has come down to a value."""
    deadline = time.monotonic() + PATIENCE
    while server.metric(metric) > value:
        assert time.monotonic() < deadline, f"{metric} stays above {value}"
        time.sleep(0.05)


def test_many_clients_at_once_get_the_people_of_the_library(server: Served, folder: Path) -> None:
    sampler = Sampler(Snapshot.load(folder / "one"), "numpy")
    asked = [
        (
            f"n={1 + i % 7}&seed={i % 5}&start={i}&evidence.sex=female",
            sampler.sample(1 + i % 7, i % 5, i, {"sex": "female"}),
        )
        for i in range(ROUNDS)
    ]
    expected = {query: "".join(f"{line}\n" for line in batch.to_jsonl()) for query, batch in asked}

    def client(number: int) -> list[str]:
        wrong = []
        with httpx2.Client(base_url=server.url, timeout=PATIENCE) as connection:
            for query in list(expected)[number:] + list(expected)[:number]:
                answer = connection.get(f"/v1/personas?{query}&format=jsonl")
                if answer.status_code != 200 or answer.text != expected[query]:
                    wrong.append(f"{query}: {answer.status_code} {answer.text[:200]}")
        return wrong

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        assert [wrong for found in pool.map(client, range(CONNECTIONS)) for wrong in found] == []
    assert server.metric("personagen_requests_in_flight") == 1


def test_another_snapshot_drops_no_request(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "serving"
    link.symlink_to(folder / "one")
    ids = [Snapshot.load(folder / name).id for name in ("one", "two")]
    with serving("--snapshot", str(link)) as server, httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
        with client.stream("GET", f"/v1/personas?n={MANY}&format=jsonl&fields=sex") as long:
            lines = long.iter_lines()
            first = next(lines)
            (tmp_path / "fresh").symlink_to(folder / "two")
            (tmp_path / "fresh").replace(link)
            os.kill(server.process.pid, signal.SIGHUP)
            server.line(f"snapshot of us is now {ids[1]}")
            assert httpx2.get(f"{server.url}/v1/personas", timeout=PATIENCE).headers["x-snapshot-id"] == ids[1]
            rest = list(lines)
        assert len(rest) == MANY - 1 and ids[0] in first
        assert all(ids[0] in line for line in rest)  # it goes on with the snapshot that it began with


def test_a_client_that_does_not_read_holds_one_part_and_is_cut(folder: Path) -> None:
    with serving("--snapshot", str(folder / "one"), "--timeout", "3") as server:
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.connect(("127.0.0.1", server.port))
            lazy.sendall(f"GET /v1/personas?n={MANY}&format=jsonl HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            server.line("an answer to /v1/personas was cut after 3 s")
            wait_until(server, "personagen_requests_in_flight", 1)
            assert server.metric("personagen_personas_total") < MANY / 4  # it drew no further than somebody read
            assert server.metric("personagen_unfinished_responses_total") == 1
            received = b""
            with pytest.raises(ConnectionResetError):  # it can be told
                while part := lazy.recv(1 << 20):
                    received += part
        assert received.startswith(b"HTTP/1.1 200")


def test_a_client_that_leaves_ends_its_draws(server: Served) -> None:
    before = server.metric("personagen_personas_total")
    with socket.create_connection(("127.0.0.1", server.port)) as leaving:
        leaving.sendall(f"GET /v1/personas?n={MANY}&format=jsonl HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        leaving.recv(1000)
    wait_until(server, "personagen_requests_in_flight", 1)
    assert server.metric("personagen_personas_total") - before < MANY


def test_an_answer_that_is_under_way_is_finished_before_the_end(folder: Path) -> None:
    with serving("--snapshot", str(folder / "one")) as server:
        with httpx2.stream("GET", f"{server.url}/v1/personas?n={MANY}&format=jsonl", timeout=PATIENCE) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.terminate()
            server.line("Shutting down")
            assert sum(1 for _ in lines) == MANY - 1
        assert server.process.wait(PATIENCE) == -signal.SIGTERM
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{server.url}/healthz")


def test_two_snapshots_of_one_population_are_refused(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "serving.cli", "serve", "--snapshot", folder / "one", "--snapshot", folder / "two"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == f"personagen: {folder / 'one'} and {folder / 'two'} are both of population 'us': serve one\n"
