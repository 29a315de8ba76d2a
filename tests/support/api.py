"""The API as a process of its own, on loopback, as `personagen serve` runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

import httpx2

STARTED = re.compile(r"running on http://127\.0\.0\.1:(\d+)")
PATIENCE = 60  # seconds that a line of the log may take


@dataclass
class Served:
    """A running server: its process, its port, and the lines that it logs."""

    process: subprocess.Popen[str]
    port: int = 0
    lines: Queue[str] = field(default_factory=Queue)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def line(self, pattern: str) -> re.Match[str]:
        """The next line of the log that matches."""
        while True:
            found = re.search(pattern, self.lines.get(timeout=PATIENCE))
            if found:
                return found

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        text = httpx2.get(f"{self.url}/metrics", timeout=PATIENCE).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line))


@contextmanager
def serving(*options: str) -> Iterator[Served]:
    """A server with these options of the command, stopped at the end."""
    # Dagster gives SIGTERM the handler of SIGINT, which shells turn off in the background: that would be inherited.
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.cli", "serve", "--port", "0", *options],
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if name != "PERSONAGEN_KEYS_FILE"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    signal.signal(signal.SIGTERM, before)
    served = Served(process)

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            served.lines.put(line)
        served.lines.put("ended")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        served.port = int(served.line(STARTED.pattern)[1])
        yield served
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            reader.join()
            assert process.stderr is not None
            process.stderr.close()
