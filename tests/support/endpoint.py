"""A small OpenAI-compatible server on loopback that answers as told and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]]


@dataclass
class Served:
    """Where it listens, how it replies to a body, and the headers and bodies of the calls so far."""

    reply: Callable[[dict[str, Any]], Reply]
    base_url: str = ""
    calls: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)


def chat(text: str, model: str = "m", **usage: Any) -> Reply:
    """A chat completion as status and body."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return 200, {"object": "chat.completion", "model": model, "choices": [choice], "usage": usage}


@contextmanager
def serving(answer: Callable[[dict[str, Any]], Reply], models: list[dict[str, Any]] | None = None) -> Iterator[Served]:
    """Serve `answer`, a function of the request's body; `models` is the list, 404 without one."""
    served = Served(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(*((404, {"error": "no list"}) if models is None else (200, {"data": models})))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.calls.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self._send(*served.reply(body))

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        served.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
