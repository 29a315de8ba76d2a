"""Load on a running API: raw HTTP/1.1 over asyncio streams, as light as a client on the same cores can be.

What is measured is the time from the request's first byte to the answer's last; no answer is checked beyond its status
and length.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

LENGTH = b"\r\ncontent-length: "


@dataclass(frozen=True)
class Load:
    """Requests per second, and milliseconds that half and 99 of 100 took at most."""

    per_second: float
    p50_ms: float
    p99_ms: float


def load(port: int, path: str, connections: int, seconds: float) -> Load:
    """Ask for `path` with a rising `start` over so many connections; RuntimeError for a status other than 200."""
    return asyncio.run(_load(port, path, connections, seconds))


async def _load(port: int, path: str, connections: int, seconds: float) -> Load:
    took: list[float] = []
    begin = time.perf_counter()
    clients = (_client(port, path, begin + seconds, 1_000_000 * one, took) for one in range(connections))
    await asyncio.gather(*clients)
    whole = time.perf_counter() - begin
    took.sort()
    return Load(len(took) / whole, 1e3 * took[len(took) // 2], 1e3 * took[len(took) * 99 // 100])


async def _client(port: int, path: str, until: float, start: int, took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    while time.perf_counter() < until:
        begin = time.perf_counter()
        writer.write(f"GET {path}&start={start} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        start += 1_000
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        place = head.find(LENGTH)
        if place >= 0:
            await reader.readexactly(int(head[place + len(LENGTH) : head.index(b"\r", place + 2)]))
        else:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        took.append(time.perf_counter() - begin)
    writer.close()
