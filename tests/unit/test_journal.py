"""The journal: what arrived is on disk, whole, whatever ends the run; two runs do not share it; no key gets in."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.elicitation.batch import Failure, read_lines
from pipeline.elicitation.journal import WITHHELD_FILE, held, journal, journal_file
from pipeline.elicitation.protocol import Call, Completion
from warehouse.errors import CorpusError

CALL = Call("answered", None, 1.0, 10, 10, 0.1, "reported")
KEY = 'sk-"test\\é-0123456789'


def answer(custom_id: str, text: str = "x", **fields: object) -> Completion:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Completion(custom_id, "m", text, "stop", {"id": "r", "model": "m", "choices": [choice], **fields})


def ids(folder: Path, member: str) -> list[str]:
    return [line.custom_id for line in read_lines(journal_file(folder, member))]


def test_every_call_is_readable_the_moment_it_is_written(tmp_path: Path) -> None:
    with journal(tmp_path / "deep" / "live") as book:
        assert book.write("maker/a", answer("1"), CALL)
        assert ids(book.folder, "maker/a") == ["1"]
        assert not book.write("maker/a", Failure("2", "", "cut off"), CALL)
        assert book.write("maker/b", answer("3"), CALL)
        assert (ids(book.folder, "maker/a"), ids(book.folder, "maker/b")) == (["1", "2"], ["3"])
    with journal(tmp_path / "deep" / "live") as book:
        book.write("maker/a", answer("4"), CALL)
    assert ids(book.folder, "maker/a") == ["1", "2", "4"]


@pytest.mark.parametrize("rest", [b"{", b"x" * 200_000, b""])
@pytest.mark.parametrize("before", [b"", b'{"custom_id":"0"}\n'])
def test_half_a_line_is_dropped_before_the_next(tmp_path: Path, before: bytes, rest: bytes) -> None:
    path = journal_file(tmp_path, "m")
    path.write_bytes(before + rest)
    with journal(tmp_path) as book:
        book.write("m", answer("1"), CALL)
    assert path.read_bytes().startswith(before + b'{"id":"1"') and len(path.read_bytes().splitlines()) == 1 + bool(
        before
    )


def test_kill_minus_nine_loses_no_answer_that_arrived(tmp_path: Path) -> None:
    script = """
        import itertools, sys
        from pathlib import Path
        from tests.unit.test_journal import CALL, answer
        from pipeline.elicitation.journal import journal
        with journal(Path(sys.argv[1])) as book:
            for number in itertools.count():
                book.write("m", answer(str(number), "x" * 5000), CALL)
                print(number, flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        told = [running.stdout.readline() for _ in range(200)]
        running.kill()
        told += running.stdout.readlines()
    arrived = [int(one) for one in told if one.endswith("\n")]
    lines = [line.custom_id for line in read_lines(journal_file(tmp_path, "m"), growing=True)]
    assert lines[: len(arrived)] == [str(n) for n in arrived] and len(lines) <= len(arrived) + 1
    with journal(tmp_path) as book:  # the lock went with the process
        book.write("m", answer("next"), CALL)
    assert ids(tmp_path, "m")[-1] == "next"


def test_a_second_run_is_kept_out(tmp_path: Path) -> None:
    with journal(tmp_path), pytest.raises(CorpusError, match="another run is asking into"), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_a_member_s_file_cannot_leave_the_folder(tmp_path: Path) -> None:
    assert journal_file(tmp_path, "maker/../../model").parent == tmp_path


def test_a_packed_file_is_not_added_to(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl.gz").write_bytes(b"")
    with journal(tmp_path) as book, pytest.raises(CorpusError, match="unpack it"):
        book.write("m", answer("1"), CALL)


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with journal(tmp_path) as book:
        book.write("m", answer("1"), CALL)
        monkeypatch.setattr(os, "write", lambda file, line: real(file, line[:10]))
        with pytest.raises(CorpusError, match=os.strerror(errno.ENOSPC)):
            book.write("m", answer("2"), CALL)
        monkeypatch.setattr(os, "write", real)
        book.write("m", answer("3"), CALL)
    assert ids(tmp_path, "m") == ["1", "3"]


@pytest.mark.parametrize(
    "told",
    [
        answer("1", f"my key is {KEY}"),
        answer("1", id=KEY),
        answer("1", **{KEY: 1}),
        answer("1", headers={"authorization": [f"Bearer {KEY}"]}),
        Failure("1", "", f"HTTP 500: {KEY}"),
    ],
)
def test_what_repeats_a_key_is_kept_as_a_failure_without_it(tmp_path: Path, told: Completion | Failure) -> None:
    with journal(tmp_path, [KEY]) as book:
        assert not book.write("m", told, CALL)
    (line,) = read_lines(journal_file(tmp_path, "m"))
    assert isinstance(line.content, Failure) and line.content.reason == "the response repeats the API key"
    assert b"0123456789" not in line.raw and b'"usd":0.1' in line.raw


def test_a_member_whose_file_cannot_be_written_is_told_before_it_is_asked(tmp_path: Path) -> None:
    journal_file(tmp_path, "m").mkdir()
    with journal(tmp_path) as book, pytest.raises(CorpusError, match=r"m.*\.jsonl: cannot be written"):
        book.ready("m")


def test_what_calls_in_flight_may_cost_outlives_a_killed_run(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from decimal import Decimal
        from pathlib import Path
        from pipeline.elicitation.budget import Budget
        from pipeline.elicitation.journal import journal
        import asyncio
        with journal(Path(sys.argv[1])) as book:
            purse = Budget(Decimal(1), withheld=book.withheld, note=book.withhold)
            for amount in ("0.25", "0.125"):
                assert asyncio.run(purse.reserve(Decimal(amount)))
            purse.settle(Decimal("0.125"), Decimal("0.1"))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    for before in ("0", "0.25"):
        with journal(tmp_path) as book:
            assert book.withheld == Decimal(before)
        subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=False)
    with journal(tmp_path) as book:
        assert book.withheld == Decimal("0.5")
        book.withhold(Decimal("0.0000001"))
        assert book.withheld == Decimal("0.0000001")
    (tmp_path / WITHHELD_FILE).write_text("much")
    with journal(tmp_path) as book, pytest.raises(CorpusError, match=r"withheld\.usd is damaged"):
        _ = book.withheld
