"""Calls per second against a perfect server on loopback with 50 ms latency and 64 calls in flight, and where time goes.

    python benchmarks/bench_asking.py

Measures the engine beside barer ways to make the same calls, which take turns within one run; the best of several
rounds counts, by CPU time for the cost of a call and by the clock for its rate. Then profiles the engine, and writes
both into the marked place of docs/asking.md.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import platform
import pstats
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import openai

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.elicitation.asking import ask_in_turn
from pipeline.elicitation.endpoint import CALLS_PER_POOL
from pipeline.elicitation.protocol import Completion
from tests.support.asked import job
from tests.support.faulty_server import FaultyServer

PAGE = Path(__file__).parents[1] / "docs" / "asking.md"
LATENCY, CONCURRENCY, CALLS, ROUNDS = 0.05, 64, 1500, 3
IDEAL = CONCURRENCY / LATENCY
DEMANDED = 500
PROMPT = "How many of 1,000 adults are taller than 180 cm? " * 40

Call = Callable[[], Awaitable[None]]


async def _side_by_side(call: Call) -> None:
    numbers = iter(range(CALLS))

    async def worker() -> None:
        for _ in numbers:
            await call()

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))


def _body() -> dict[str, Any]:
    return {"model": "maker/model", "messages": [{"role": "user", "content": PROMPT}]}


def _check(content: bytes) -> None:
    assert json.loads(content)["choices"]


def _http(pooled: int) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(limits=httpx2.Limits(max_connections=pooled, max_keepalive_connections=pooled))


def engine(url: str) -> None:
    """The engine: limits, breaker, budget, checks and books included."""
    prompts = (f"{i} {PROMPT}" for i in range(CALLS))
    asked = ask_in_turn([job(url, prompts, concurrency=CONCURRENCY)])
    assert sum(isinstance(a.result, Completion) for a in asked) == CALLS


def openai_generic(url: str) -> None:
    """The openai client's generic call, eight connections to a pool: what the engine stands on."""

    async def run() -> None:
        clients = [
            openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0, http_client=_http(CALLS_PER_POOL))
            for _ in range(CONCURRENCY // CALLS_PER_POOL)
        ]
        number = 0

        async def call() -> None:
            nonlocal number
            number += 1
            client = clients[number % len(clients)]
            response = await client.post("/chat/completions", cast_to=httpx2.Response, body=_body())
            _check(response.content)

        await _side_by_side(call)
        for client in clients:
            await client.close()

    asyncio.run(run())


def openai_usual(url: str) -> None:
    """The openai client as its manual shows it: `chat.completions.create`, one client."""

    async def run() -> None:
        http = _http(CONCURRENCY)
        async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0, http_client=http) as client:

            async def call() -> None:
                sent: Any = _body()
                assert (await client.chat.completions.create(**sent)).choices

            await _side_by_side(call)

    asyncio.run(run())


def plain_httpx2(url: str) -> None:
    """httpx2 without the openai client, one pool."""

    async def run() -> None:
        async with _http(CONCURRENCY) as client:

            async def call() -> None:
                _check((await client.post(f"{url}/chat/completions", json=_body())).content)

            await _side_by_side(call)

    asyncio.run(run())


def raw_sockets(url: str) -> None:
    """Sockets and nothing else: what Python's event loop allows."""

    async def run() -> None:
        host, port = url.split("/")[2].split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(CONCURRENCY)]

        async def call() -> None:
            reader, writer = idle.pop()
            body = json.dumps(_body()).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answered = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", answered)
            assert length is not None
            _check(await reader.readexactly(int(length[1])))
            idle.append((reader, writer))

        await _side_by_side(call)
        for _, writer in idle:
            writer.close()

    asyncio.run(run())


ARMS: dict[str, Callable[[str], None]] = {
    "the engine": engine,
    "openai client, generic call, pools of eight": openai_generic,
    "openai client, `chat.completions.create`": openai_usual,
    "httpx2": plain_httpx2,
    "raw sockets": raw_sockets,
}

GROUPS = {
    "openai client": ("/openai/", "/pydantic", "/distro/"),
    "HTTP (httpx2, httpcore2, h11)": ("/httpx2/", "/httpcore2/", "/h11/"),
    "event loop and sockets (asyncio, anyio)": ("/anyio/", "/sniffio/", "/asyncio/", "/selectors.py", "/socket.py"),
    "the engine's own code": ("/pipeline/", "/benchmarks/", "/tests/"),
}


def _group(file: str) -> str:
    return next((g for g, parts in GROUPS.items() if any(part in file for part in parts)), "JSON, logging, the rest")


def shares(url: str) -> dict[str, float]:
    """Where the engine's CPU time goes, as shares; built-in functions count for whoever called them."""
    profile = cProfile.Profile(time.process_time)
    profile.runcall(engine, url)
    spent: Counter[str] = Counter()
    for (file, _, _), (_, _, own, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if file != "~":
            spent[_group(file)] += own
        else:
            for (caller, _, _), (_, _, part, _) in callers.items():
                spent[_group(caller)] += part
    return {group: seconds / spent.total() for group, seconds in spent.most_common()}


def main() -> None:
    os.environ["NO_PROXY"] = "127.0.0.1"
    load = os.getloadavg()[0]
    rates: dict[str, list[float]] = {name: [] for name in ARMS}
    costs: dict[str, list[float]] = {name: [] for name in ARMS}
    with FaultyServer(latency=LATENCY) as server:
        engine(server.url)  # whatever is loaded on first use
        for _ in range(ROUNDS):
            for name, arm in ARMS.items():
                clock, cpu = time.perf_counter(), time.process_time()
                arm(server.url)
                costs[name].append((time.process_time() - cpu) / CALLS)
                rates[name].append(CALLS / (time.perf_counter() - clock))
        profiled = shares(server.url)
    text = _report({n: max(r) for n, r in rates.items()}, {n: min(c) for n, c in costs.items()}, profiled, load)
    print(text)
    page = PAGE.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- throughput -->\n).*?(<!-- end -->)", re.DOTALL)
    PAGE.write_text(marked.sub(lambda m: f"{m[1]}{text}{m[2]}", page), encoding="utf-8")


def _report(rates: dict[str, float], costs: dict[str, float], profiled: dict[str, float], load: float) -> str:
    rows = [
        f"| {name} | {rates[name] / IDEAL:.0%} | {costs[name] / costs['raw sockets']:.1f} | {1 / costs[name]:,.0f} |"
        for name in ARMS
    ]
    where = [f"| {group} | {share:.0%} |" for group, share in profiled.items()]
    met = "meets" if rates["the engine"] >= DEMANDED else "misses"
    lines = [
        f"{CALLS:,} calls, {CONCURRENCY} in flight, {LATENCY * 1000:.0f} ms latency: ideal {IDEAL:,.0f} a second;",
        f"{os.cpu_count()} cores, load {load:.1f} at the start, server on the same cores; best of {ROUNDS} rounds;",
        f"Python {platform.python_version()}, openai {openai.__version__}. The engine {met} {DEMANDED} calls a second.",
        "",
        "| arm | of the ideal rate | CPU time a call, raw sockets = 1 | calls a second of CPU time |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        "| where the engine's CPU time goes (profiled) | share |",
        "| --- | --- |",
        *where,
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
