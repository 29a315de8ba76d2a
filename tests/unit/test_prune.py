"""Pruning moves lines of requests that are gone, and only those, into a file that no reader sees."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pipeline.elicitation import prune as module
from pipeline.elicitation.prune import orphans, prune
from pipeline.elicitation.record import Record
from warehouse.errors import CorpusError


def line(custom_id: str) -> bytes:
    return json.dumps({"custom_id": custom_id, "response": None, "error": "x"}).encode() + b"\n"


@pytest.fixture
def edition(tmp_path: Path) -> Path:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line("a") + line("old") + line("b")))
    (tmp_path / "b.jsonl").write_bytes(line("old.r2-01234567") + line("a.r2-01234567"))
    (tmp_path / "c.jsonl").write_bytes(line("older"))
    (tmp_path / "d.jsonl").write_bytes(line("a"))
    return tmp_path


def test_counts_file_by_file(edition: Path) -> None:
    assert [(o.path.name, o.kept, o.gone) for o in orphans(edition, "ab")] == [
        ("a.jsonl.gz", 2, 1),
        ("b.jsonl", 1, 1),
        ("c.jsonl", 0, 1),
        ("d.jsonl", 1, 0),
    ]


def test_moves_the_lines_and_leaves_the_others_as_they_were(edition: Path) -> None:
    untouched = (edition / "d.jsonl").stat().st_mtime_ns
    target = prune(edition, "ab")
    assert target == edition / "pruned" / "pruned-001.jsonl.gz"
    assert gzip.decompress(target.read_bytes()) == line("old") + line("old.r2-01234567") + line("older")
    assert gzip.decompress((edition / "a.jsonl.gz").read_bytes()) == line("a") + line("b")
    assert (edition / "b.jsonl").read_bytes() == line("a.r2-01234567") and not (edition / "c.jsonl").exists()
    assert (edition / "d.jsonl").stat().st_mtime_ns == untouched
    assert len(list(Record(edition, known="ab").attempts("ab"))) == 4
    assert prune(edition, "ab") is None
    assert prune(edition, "a") == edition / "pruned" / "pruned-002.jsonl.gz"


def test_packed_files_hold_no_time(edition: Path) -> None:
    target = prune(edition, "ab")
    assert target is not None
    assert all(path.read_bytes()[4:8] == bytes(4) for path in (target, edition / "a.jsonl.gz"))


def test_an_interruption_leaves_every_line_somewhere(edition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def failing(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise CorpusError("no space")
        written.append(path)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr(module, "write_whole", failing)
    with pytest.raises(CorpusError, match="no space"):
        prune(edition, "ab")
    kept = b"".join(gzip.decompress(p.read_bytes()) for p in sorted(edition.rglob("*.gz"))) + b"".join(
        p.read_bytes() for p in edition.glob("*.jsonl")
    )
    assert all(line(i) in kept for i in ("a", "b", "old", "older", "old.r2-01234567", "a.r2-01234567"))
