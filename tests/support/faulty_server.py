"""A scriptable OpenAI-compatible server on loopback, in a process of its own, that answers, fails and charges.

    with FaultyServer(rates={"reset": 0.1}, seed=1) as server:
        ...  # ask server.url
        server.stats()

It speaks just enough HTTP/1.1 over raw sockets, because several faults are breaches of HTTP. Every request meets one
of `KINDS`: the next of the list that `steps` has for its prompt, its model or `*` (the last stays), else one drawn by
`rates` from (seed, model, prompt, number of the try), where after `most_faults` tries nothing is drawn any more.
It charges like a provider: for whatever it began to generate, also if it never reached the client whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

ANSWERS = ("ok", "empty", "length", "refusal")
"""Kinds that are whole answers, whatever they are worth."""

CHARGED = (
    *ANSWERS,
    *("slow_first_byte", "slow_drip", "half_body", "reset", "invalid_json", "html", "wrong_model", "duplicate_id"),
    *("huge", "no_choices", "repeats_key"),
)
"""Kinds that cost money."""

STATUSES = {
    "rate_limited": 429,
    "rate_limited_after": 429,
    "rate_limited_ms": 429,
    "rate_limited_date": 429,
    "no_quota": 429,
    "server_error": 500,
    "overloaded": 503,
    "burst": 503,
    "unauthorized": 401,
    "no_credit": 402,
    "forbidden": 403,
    "moderated": 403,
    "not_found": 404,
    "bad_request": 400,
}

KINDS = (*CHARGED, *STATUSES, "error_in_200")


@dataclass
class Script:
    """What the server does; times in seconds, prices in US dollars per million tokens."""

    steps: dict[str, list[str]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    most_faults: int = 3
    latency: float = 0.0
    slow: float = 1.0
    retry_after: float = 0.2
    burst: int = 5
    price_in: float = 1.0
    price_out: float = 4.0
    report_cost: bool = False
    log: bool = False


class State:
    """What has happened so far."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.tries: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.tokens = [0, 0]
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.burst: Counter[str] = Counter()
        self.log: list[tuple[float, str, str, dict[str, str], dict[str, Any]]] = []
        self.last_id: dict[str, str] = {}
        self.ids = 0

    def kind(self, model: str, prompt: str) -> str:
        number = self.tries[model, prompt] = self.tries[model, prompt] + 1
        for name in (prompt, model, "*"):
            if steps := self.script.steps.get(name):
                return steps[min(number, len(steps)) - 1]
        if self.burst[model]:
            self.burst[model] -= 1
            return "overloaded"
        if number <= self.script.most_faults:
            drawn = self._uniform(model, prompt, number)
            for name, rate in self.script.rates.items():
                drawn -= rate
                if drawn < 0:
                    if name == "burst":
                        self.burst[model] = self.script.burst - 1
                    return name
        return "ok"

    def _uniform(self, *parts: object) -> float:
        digest = hashlib.blake2b(repr((self.script.seed, *parts)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def tokens_of(self, prompt: str, model: str, number: int, most: int) -> tuple[int, int]:
        return 20 + len(prompt) // 4, min(most, 40 + int(120 * self._uniform("tokens", prompt, model, number)))

    def report(self) -> dict[str, Any]:
        price = self.script.price_in, self.script.price_out
        return {
            "calls": sum(self.kinds.values()),
            "kinds": self.kinds,
            "answered": self.answered,
            "tokens_in": self.tokens[0],
            "tokens_out": self.tokens[1],
            "usd": (self.tokens[0] * price[0] + self.tokens[1] * price[1]) / 1e6,
            "most_in_flight": self.most_in_flight,
            "most_in_flight_overall": self.most_in_flight["*"],
            "log": self.log,
        }


class Connection(asyncio.Protocol):
    """One client connection; requests on it come one after the other."""

    def __init__(self, state: State) -> None:
        self.state, self.script, self.buffer = state, state.script, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        self.request(*lines[0].split(" ")[:2], headers, rest[:length])

    def request(self, method: str, path: str, headers: dict[str, str], content: bytes) -> None:
        if method == "GET":
            models = {"object": "list", "data": [{"id": "maker/model", "object": "model"}]}
            self.send(200, self.state.report() if path == "/stats" else models)
            return
        body = json.loads(content)
        model, prompt = body["model"], body["messages"][-1]["content"]
        kind = self.state.kind(model, prompt)
        if self.script.log:
            self.state.log.append((time.time(), model, kind, headers, body))
        self.state.kinds[kind] += 1
        for name in (model, "*"):
            self.state.in_flight[name] += 1
            self.state.most_in_flight[name] = max(self.state.most_in_flight[name], self.state.in_flight[name])
        most = body.get("max_tokens") or body.get("max_completion_tokens") or 10**9
        usage = self.state.tokens_of(prompt, model, self.state.tries[model, prompt], most)
        if kind in CHARGED:
            self.state.tokens[0] += usage[0]
            self.state.tokens[1] += usage[1]
        wait = self.script.latency + (self.script.slow if kind == "slow_first_byte" else 0.0)
        self.loop.call_later(wait, self.respond, kind, model, prompt, usage, headers)

    def respond(self, kind: str, model: str, prompt: str, usage: tuple[int, int], headers: dict[str, str]) -> None:
        for name in (model, "*"):
            self.state.in_flight[name] -= 1
        if self.transport.is_closing():
            return
        answer = self.answer(kind, model, prompt, usage)
        if kind in ANSWERS:
            self.state.answered[f"{model} {prompt}"] += 1
        if kind in STATUSES:
            self.refuse(kind, headers)
        elif kind == "reset":
            linger = struct.pack("ii", 1, 0)  # closing then sends RST instead of FIN
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif kind == "half_body":
            text = json.dumps(answer).encode()
            self.raw(200, text[: len(text) // 2], announced=len(text))
            self.transport.close()
        elif kind == "slow_drip":
            text = json.dumps(answer).encode()
            self.raw(200, b"", announced=len(text))
            self.drip(text, self.script.slow / 20)
        elif kind == "invalid_json":
            self.raw(200, json.dumps(answer).encode()[:-2])
        elif kind == "html":
            self.raw(200, b"<html>\n<h1>Bad gateway</h1></html>", content_type="text/html")
        elif kind == "error_in_200":
            self.send(200, {"error": {"code": 502, "message": "provider failed"}})
        elif kind == "repeats_key":
            escaped = "".join(f"\\u{ord(c):04x}" for c in headers["authorization"])
            self.raw(200, json.dumps(answer).replace("ANSWER", escaped).encode())
        else:
            self.send(200, answer)

    def answer(self, kind: str, model: str, prompt: str, usage: tuple[int, int]) -> dict[str, Any]:
        self.state.ids += 1
        identity = f"gen-{self.state.ids}"
        if kind == "duplicate_id":
            identity = self.state.last_id.get(model, identity)
        elif kind == "ok":
            self.state.last_id[model] = identity
        message: dict[str, Any] = {"role": "assistant", "content": f"ANSWER to {prompt}"}
        if kind == "empty":
            message["content"] = ""
        elif kind == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that"}
        elif kind == "huge":
            message["content"] = "x" * 10_000_000
        choice = {"index": 0, "message": message, "finish_reason": "length" if kind == "length" else "stop"}
        tokens: dict[str, Any] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
        if self.script.report_cost:
            tokens["cost"] = (usage[0] * self.script.price_in + usage[1] * self.script.price_out) / 1e6
        return {
            "id": identity,
            "object": "chat.completion",
            "created": 1,
            "model": "maker/other" if kind == "wrong_model" else model,
            "choices": [] if kind == "no_choices" else [choice],
            "usage": tokens,
        }

    def refuse(self, kind: str, headers: dict[str, str]) -> None:
        wait = self.script.retry_after
        extra = {
            "rate_limited_after": f"Retry-After: {wait:g}\r\n",
            "rate_limited_ms": f"Retry-After-Ms: {wait * 1000:g}\r\n",
            "rate_limited_date": f"Retry-After: {formatdate(time.time() + wait, usegmt=True)}\r\n",
        }.get(kind, "")
        # Some providers quote the key that they were sent.
        error: dict[str, Any] = {"message": f"{kind} for {headers.get('authorization')}"}
        if kind == "moderated":
            error["metadata"] = {"reasons": ["flagged"]}
        elif kind == "no_quota":
            error["code"] = "insufficient_quota"
        self.raw(STATUSES[kind], json.dumps({"error": error}).encode(), extra=extra)

    def drip(self, text: bytes, every: float) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(text[:1])
        if len(text) > 1:
            self.loop.call_later(every, self.drip, text[1:], every)

    def send(self, status: int, body: object) -> None:
        self.raw(status, json.dumps(body).encode())

    def raw(
        self, status: int, content: bytes, *, announced: int | None = None, extra: str = "", content_type: str = ""
    ) -> None:
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: {content_type or 'application/json'}\r\n"
            f"Content-Length: {len(content) if announced is None else announced}\r\n{extra}\r\n"
        )
        self.transport.write(head.encode() + content)


class FaultyServer:
    """The server as a context manager that starts and ends its process; takes the fields of `Script`."""

    def __init__(self, **script: Any) -> None:
        self.script = Script(**script)

    def __enter__(self) -> FaultyServer:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), json.dumps(asdict(self.script))], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def stats(self) -> dict[str, Any]:
        """What the server has answered and charged so far."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}/stats", timeout=10) as response:
            report: dict[str, Any] = json.load(response)
            return report


async def _serve(script: Script) -> None:
    state = State(script)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Script(**json.loads(sys.argv[1]))))
