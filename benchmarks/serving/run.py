"""Fills docs/serving-speed.md: batches, single personas, conditions, HTTP, cold starts and files, with peers.

    make bench-serving
    python -m benchmarks.serving.run [cold] [files] [http] [singles] [conditioned] [batches]

Everything is measured in one run and, as the target of the Makefile sets the libraries, on one thread; the best of
several rounds, so that ratios hold on a machine that is shared, which times do not. Peers live in a virtual environment
of their own, made on the first run, in `PERSONAGEN_PEERS` or else `~/.cache/personagen/peers`.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.pages import fill, table
from benchmarks.serving.bound import multiplications, multiplications_per_second
from benchmarks.serving.load import load
from serving.incomes import INCOME
from serving.particulars import FIELDS
from serving.reference import ReferenceSampler
from serving.sampler import Sampler, SupportWarning
from serving.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "serving-speed.md"
PEERS = Path(os.environ.get("PERSONAGEN_PEERS", Path.home() / ".cache" / "personagen" / "peers"))
PACKAGES = ("faker", "mimesis", "pgmpy", "sdv")
PARTICULARS = (*FIELDS, INCOME)  # which the targets are older than
ROUNDS, BATCH, LEARNT_FROM = 5, 200_000, 5_000
EVIDENCE: tuple[Mapping[str, object], ...] = (
    {"religion": "jewish"},
    {"religion": "muslim"},
    {"age": "25_34", "occupation": "legal"},
    {"age": "18_24", "education": "doctorate"},
    {"age": "18_24", "education": "doctorate", "religion": "jewish"},
)
# Not from getrusage, which begins with what the parent process had.
PEAK = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
# What is to be reached: (wanted, unit).
WANTED_PEERS = {"`profile()`": 500, "12 fields": 250}
WANTED_OTHERS = {"Mimesis": 30, "SDV": 70, "pgmpy": 70}


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds, the least of several rounds."""
    least = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - start)
    return least


def each(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """Seconds that a call takes: the least, and the median."""
    took = []
    for place in range(count):
        start = time.perf_counter()
        work(place)
        took.append(time.perf_counter() - start)
    return min(took), statistics.median(took)


def machine() -> str:
    """One sentence that says what the figures hold for."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return (
        f"Measured on one core of {os.cpu_count()} of an {cpu}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, numba {version('numba')}; load average at the start {os.getloadavg()[0]:.1f}."
    )


def reached(figure: float, wanted: float, *, least: bool = True) -> str:
    return "yes" if (figure >= wanted if least else figure <= wanted) else "no"


def peers(snapshot: Snapshot, scratch: Path) -> dict[tuple[str, str], float]:
    """Records per second by peer and what was measured; the environment of the peers is made if it is not there."""
    python = PEERS / "bin" / "python"
    if not python.is_file():
        venv.create(PEERS, with_pip=True)
    for package in PACKAGES:
        there = subprocess.run([python, "-m", "pip", "show", "-q", package], check=False, capture_output=True)
        if there.returncode:
            print(f"installing {package} into {PEERS}", flush=True)
            subprocess.run([python, "-m", "pip", "install", "-q", package], check=False)
    people = Sampler(snapshot, "numpy").sample(LEARNT_FROM, fields=[d.id for d in snapshot.dimensions])
    file = scratch / "people.csv"
    people.to_polars().drop("seed", "index", "snapshot_id").write_csv(file)
    told = subprocess.run(
        [python, Path(__file__).with_name("peers.py"), file], check=True, capture_output=True, text=True
    ).stdout
    best_of: dict[tuple[str, str], float] = {}
    for line in told.splitlines():
        if line.startswith("{"):
            it = json.loads(line)
            name = (it["peer"], it["what"])
            best_of[name] = max(best_of.get(name, 0.0), it["rate"])
    return best_of


def batches(snapshot: Snapshot, scratch: Path) -> tuple[str, str]:
    """Tables of batches against peers, and of the distance from the arithmetic bound."""
    samplers = {name: Sampler(snapshot, name) for name in ("numpy", "numba")}
    reference = ReferenceSampler(snapshot)
    for sampler in samplers.values():
        sampler.sample(BATCH)
    found: dict[str, float] = dict.fromkeys(samplers, 0.0)

    def measure() -> None:
        for _ in range(ROUNDS):  # in turns, so that what else goes on befalls all of them
            for name, sampler in samplers.items():
                found[name] = max(found[name], BATCH / best(lambda s=sampler: s.sample(BATCH, seed=1), 1))  # type: ignore[misc]

    measure()
    found["plain Python"] = 200 / best(lambda: [reference.draw(index, 1) for index in range(200)])
    rows = []
    theirs = [(*name, rate) for name, rate in peers(snapshot, scratch).items()]
    measure()  # as the peers that are over soon are measured before and after the others
    for name, what, rate in [("own definition", "plain Python", found["plain Python"]), *theirs]:
        if not rate:
            rows.append((name, what, "–", "–", "–", "–", "–"))
            continue
        wanted = WANTED_PEERS.get(what, 100) if name.startswith(("Faker", "own")) else WANTED_OTHERS[name.split()[0]]
        numba, numpy = found["numba"] / rate, found["numpy"] / rate
        also = " (numpy: 150)" if "profile" in what else ""
        met = reached(numba, wanted) if not also else f"{reached(numba, wanted)} (numpy: {reached(numpy, 150)})"
        rows.append((name, what, f"{rate:,.0f}", f"{numpy:,.0f}x", f"{numba:,.0f}x", f"{wanted}x{also}", met))
    head = ("peer", "what", "records/s", "numpy is", "numba is", "numba should be", "reached")
    ours = f"Batches of {BATCH:,} personas, 77 dimensions each: numpy {found['numpy']:,.0f} personas/s, numba "
    ours += f"{found['numba']:,.0f}, plain Python {found['plain Python']:,.0f}.\n\n"
    defined, planned = multiplications(snapshot)
    speed = multiplications_per_second()
    bound = (
        f"A persona takes {defined:,} multiplications, {planned:,} of which are left to do when tables are merged; "
        f"one core does {speed / 1e9:.1f} thousand million a second, which is {speed / planned:,.0f} personas a "
        f"second. numba reaches {found['numba'] * planned / speed:.0%} of that."
    )
    return ours + table(head, rows), bound


def singles(snapshot: Snapshot) -> str:
    """One persona to JSON bytes, with names, and with every field."""
    rows = []
    for name, what, wanted, without in (
        ("numba", "with names, numba", 30.0, PARTICULARS),
        ("numpy", "with names, plain Python", 800.0, PARTICULARS),
        ("numba", "every field, numba", None, ()),
        ("numpy", "every field, plain Python", None, ()),
    ):
        lines = Sampler(snapshot, name).lines(exclude=without)  # type: ignore[arg-type]
        for index in range(3_000):
            lines.line(0, index)  # names are made ready when they are first drawn
        least, median = (1e6 * s for s in each(lambda index, ready=lines: ready.line(0, index), 3_000))  # type: ignore[misc]
        met = (f"{wanted:.0f}", reached(median, wanted, least=False)) if wanted else ("", "")
        rows.append((what, f"{least:.0f}", f"{median:.0f}", *met))
    return table(("a persona", "least, µs", "median, µs", "should be, µs", "median reached"), rows)


def conditioned(snapshot: Snapshot) -> str:
    """Evidence of several probabilities."""
    rows = []
    for evidence in EVIDENCE:
        said = ", ".join(f"{name} = {value}" for name, value in evidence.items())
        for name in ("numpy", "numba"):
            sampler = Sampler(snapshot, name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SupportWarning)
                start = time.perf_counter()
                sampler.sample(1, evidence=evidence)
                first = time.perf_counter() - start
                _, median = each(lambda seed, s=sampler, e=evidence: s.sample(1, seed, evidence=e), 41)  # type: ignore[misc]
                size = 2_000
                rate = size / best(lambda s=sampler, e=evidence, n=size: s.sample(n, 1, evidence=e), 2)  # type: ignore[misc]
                probability = sampler.sample(200, 1, evidence=evidence).support.probability
            shown = (f"{1e3 * first:.0f}", f"{1e3 * median:.1f}", f"{rate:,.0f}")
            rows.append((said, f"{probability:.1e}", name, *shown))
    head = ("evidence", "probability", "kernel", "first, ms", "one, p50 ms", "batch of 2,000, personas/s")
    return table(head, rows)


@contextmanager
def server() -> Iterator[int]:
    """A server process on loopback; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", f"from serving.cli import main; main(['serve', '--port', '{port}'])"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def http() -> str:
    """One worker, the client on the same cores."""
    one, stream = "/v1/personas?n=1", "/v1/personas?n=1000&format=jsonl"
    rows = []
    with server() as port:
        load(port, stream, 1, 8.0)  # names are made ready when they are first drawn
        for what, path, connections in (
            ("nothing (/healthz)", "/healthz?", 1),
            ("nothing (/healthz)", "/healthz?", 32),
            ("one persona", one, 1),
            ("one persona", one, 32),
            ("JSONL of 1,000", stream, 1),
        ):
            found = max((load(port, path, connections, 4.0) for _ in range(3)), key=lambda f: f.per_second)
            if path == stream:
                wanted, met = "40,000 personas/s", reached(1_000 * found.per_second, 40_000)
            elif path != one:
                wanted, met = "", ""
            elif connections == 1:
                wanted = "p50 0.5 ms, p99 3 ms"
                met = f"{reached(found.p50_ms, 0.5, least=False)}, {reached(found.p99_ms, 3, least=False)}"
            else:
                wanted = "4,000/s, p99 20 ms"
                met = f"{reached(found.per_second, 4_000)}, {reached(found.p99_ms, 20, least=False)}"
            speed = f"{found.per_second:,.0f}"
            rows.append((what, str(connections), speed, f"{found.p50_ms:.2f}", f"{found.p99_ms:.2f}", wanted, met))
    return table(("answer", "connections", "requests/s", "p50, ms", "p99, ms", "should be", "reached"), rows)


def in_process(code: str) -> tuple[float, float]:
    """Seconds that a fresh Python takes for this code, the least of several, and its peak memory in MB."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)

    run()  # code is compiled, files are in the cache
    took = best(run)
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\n{PEAK}"], check=True, cwd=ROOT, capture_output=True, text=True
    )
    return took, int(told.stdout.split()[-1]) / 1024


def cold() -> str:
    """Fresh processes, from the start of Python to its end."""
    imports = "from serving import Sampler, Snapshot\n"
    line = imports + "Sampler(Snapshot.load('us'), {!r}).lines(exclude={!r}).line(0, 0)"
    unnamed = line.format("numpy", ("first_name", "last_name", *PARTICULARS))
    cases: tuple[tuple[str, str, float | None, int | None], ...] = (
        ("Python itself", "pass", None, None),
        ("`from serving import Sampler, Snapshot`", "from serving import Sampler, Snapshot", 0.3, None),
        ("ready to draw", imports + "Sampler(Snapshot.load('us'), 'numpy')", 1.5, 200),
        ("first persona, numpy", unnamed, 0.5, 200),
        ("first persona with names, numpy", line.format("numpy", PARTICULARS), 0.5, 200),
        ("first persona with names, cached numba", line.format("numba", PARTICULARS), 2.0, None),
        ("first persona with every field, numpy", line.format("numpy", ()), None, None),
    )
    rows = []
    for what, code, seconds, memory in cases:
        took, peak = in_process(code)
        wanted = ", ".join([f"{seconds} s"] * bool(seconds) + [f"{memory} MB"] * bool(memory))
        met = [reached(took, seconds, least=False)] if seconds else []
        met += [reached(peak, memory, least=False)] if memory else []
        rows.append((what, f"{took:.2f}", f"{peak:.0f}", wanted, ", ".join(met)))
    return table(("fresh process", "s", "peak MB", "should be", "reached"), rows)


def files(scratch: Path) -> str:
    """A million personas to Parquet, by the command."""
    rows = []
    others = ",".join(PARTICULARS)
    for what, options, wanted in (
        ("77 dimensions", ["--exclude", f"first_name,last_name,{others}"], "6 s, 32 MB"),
        ("with names", ["--exclude", others], "6 s, 32 MB"),
        ("every field", [], ""),
    ):
        file = scratch / "million.parquet"
        command = ["generate", "-n", "1000000", "-o", str(file), *options]
        code = f"from serving.cli import main; main({command!r})"
        took = best(
            lambda c=code: subprocess.run([sys.executable, "-c", c], check=True, cwd=ROOT, capture_output=True),  # type: ignore[misc]
            3,
        )
        size = file.stat().st_size / 1e6
        met = f"{reached(took, 6, least=False)}, {reached(size, 32, least=False)}" if wanted else ""
        rows.append((what, f"{took:.1f}", f"{size:.1f}", wanted, met))
    return table(("a million personas", "s", "MB", "should be", "reached"), rows)


def main() -> None:
    snapshot = Snapshot.load("us")
    where, asked = machine(), sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        blocks = {"machine": f"{where} Snapshot {snapshot.id}."}
        for name, measure in (
            ("cold", cold),
            ("files", lambda: files(scratch)),
            ("http", http),
            ("singles", lambda: singles(snapshot)),
            ("conditioned", lambda: conditioned(snapshot)),
        ):
            if asked and name not in asked:
                continue
            print(f"{name} ...", flush=True)
            blocks[name] = measure()
            print(blocks[name], flush=True)
        if not asked or "batches" in asked:
            print("batches ...", flush=True)
            blocks["batches"], blocks["bound"] = batches(snapshot, scratch)
            print(blocks["batches"], blocks["bound"], sep="\n\n", flush=True)
    fill(PAGE, blocks)


if __name__ == "__main__":
    main()
