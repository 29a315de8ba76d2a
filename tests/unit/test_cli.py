"""The command: formats, exit codes, one-line errors, lazy plugins."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import serving.cli.plugins
import serving.cli.writing
from serving.cli import main
from serving.explaining import explain
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(folder)
    return str(folder)


def generate(toy: str, *arguments: str) -> int:
    return main(["generate", "--snapshot", toy, *arguments])


def run_process(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serving.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_jsonl_is_what_the_library_draws(toy: str, capsys: Capture) -> None:
    assert generate(toy, "-n", "4", "--seed", "42", "--start", "10", "-f", "jsonl") == 0
    expected = Sampler(Snapshot.load(toy)).sample(4, 42, 10)
    assert capsys.readouterr().out.splitlines() == list(expected.to_jsonl())


def test_a_dash_is_standard_output(toy: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert generate(toy, "-n", "3", "-f", "jsonl") == generate(toy, "-n", "3", "-f", "jsonl", "-o", "-") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == lines[3:] and not list(tmp_path.iterdir())
    assert generate(toy, "-n", "3", "-f", "parquet", "-o", "-") == 2
    assert "parquet is binary" in capsys.readouterr().err


def test_what_is_open_already_gets_it_behind_what_stands_there(toy: str, tmp_path: Path) -> None:
    for number, (name, form) in enumerate((("/dev/stdout", "csv"), ("/dev/fd/1", "jsonl"), ("/dev/stdout", "parquet"))):
        plain, target = tmp_path / f"plain{number}", tmp_path / f"target{number}"
        assert generate(toy, "-n", "3", "-f", form, "-o", str(plain)) == 0
        target.write_text("before\n")
        with target.open("ab") as file:
            command = [sys.executable, "-m", "serving.cli", "generate", "--snapshot", toy, "-n", "3", "-f", form]
            assert subprocess.run([*command, "-o", name], stdout=file, check=False).returncode == 0
            file.write(b"after\n")
        assert target.read_bytes() == b"before\n" + plain.read_bytes() + b"after\n"
    piped = run_process("generate", "--snapshot", toy, "-n", "3", "-f", "csv", "-o", "/dev/stdout")
    assert piped.stdout == (tmp_path / "plain0").read_text() and piped.stderr == ""


def test_the_summary_is_the_prose_of_everything(toy: str, capsys: Capture) -> None:
    assert generate(toy, "-n", "2") == generate(toy, "-n", "2", "--fields", "summary") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == lines[3:] and len(lines[0]) > 50


def test_json_is_one_array_even_when_empty(toy: str, capsys: Capture) -> None:
    assert generate(toy, "-n", "3", "-f", "json") == 0
    assert [persona["index"] for persona in json.loads(capsys.readouterr().out)] == [0, 1, 2]
    assert generate(toy, "-n", "0", "-f", "json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_prose_is_a_paragraph_each(toy: str, capsys: Capture) -> None:
    assert generate(toy, "-n", "2", "--person", "second") == 0
    first, blank, second = capsys.readouterr().out.splitlines()
    assert first.startswith("You are a")
    assert blank == ""
    assert second.startswith("You are a")


def test_prompts_are_prose_in_the_second_person_unless_told_otherwise(toy: str, capsys: Capture) -> None:
    batch = Sampler(Snapshot.load(toy)).sample(3, 1)
    assert generate(toy, "-n", "3", "--seed", "1", "-f", "prompt") == 0
    assert capsys.readouterr().out == "\n\n".join(batch.to_prompts("second")) + "\n"
    assert generate(toy, "-n", "3", "--seed", "1", "-f", "prompt", "--person", "third") == 0
    assert capsys.readouterr().out == "\n\n".join(batch.to_prompts("third")) + "\n"


def test_a_quota_goes_with_every_format(toy: str, tmp_path: Path, capsys: Capture) -> None:
    quota = {"party": {"none": 4, "democrat": 3}}
    batch = Sampler(Snapshot.load(toy)).sample(7, 2, quota=quota)
    asked = ["-n", "7", "--seed", "2", "--quota", "party=none:4,democrat:3"]
    printed = {
        "prose": "\n\n".join(batch.to_prompts("third")),
        "prompt": "\n\n".join(batch.to_prompts("second")),
        "jsonl": "\n".join(batch.to_jsonl()),
        "csv": "\n".join(batch.to_csv()),
    }
    for form, text in printed.items():
        assert generate(toy, *asked, "-f", form) == 0
        assert capsys.readouterr().out == f"{text}\n"
    assert generate(toy, *asked, "-f", "json") == 0
    assert json.loads(capsys.readouterr().out) == [json.loads(line) for line in batch.to_jsonl()]
    for form in ("parquet", "duckdb"):
        assert generate(toy, *asked, "-o", str(tmp_path / f"people.{form}")) == 0
    with duckdb.connect(tmp_path / "people.duckdb") as connection:
        stored = connection.sql("from personas order by index").pl()
    for frame in (pl.read_parquet(tmp_path / "people.parquet"), stored):
        assert frame.cast(pl.String).equals(batch.to_polars().cast(pl.String))


@pytest.mark.parametrize(
    ("n", "terminals", "to_file", "shown"),
    [
        (25, {"stdout", "stderr"}, True, True),
        (25, {"stderr"}, False, True),
        (25, {"stdout", "stderr"}, False, False),  # the personas themselves are what moves
        (10, {"stdout", "stderr"}, True, False),
        (25, set[str](), True, False),
    ],
)
def test_progress_is_shown_to_who_waits_at_a_terminal(  # noqa: PLR0917
    toy: str,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    n: int,
    terminals: set[str],
    to_file: bool,
    shown: bool,
) -> None:
    monkeypatch.setattr(serving.cli.writing, "CHUNK", 10)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(getattr(sys, name), "isatty", lambda name=name: name in terminals)
    assert generate(toy, "-n", str(n), "-f", "csv", *(["-o", str(tmp_path / "people.csv")] if to_file else [])) == 0
    out, err = capsys.readouterr()
    assert ("personas" in err) == shown
    assert len(((tmp_path / "people.csv").read_text() if to_file else out).splitlines()) == n + 1


def test_chunks_do_not_show(toy: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = []
    for chunk in (3, 1000):
        monkeypatch.setattr(serving.cli.writing, "CHUNK", chunk)
        for form in ("csv", "json", "jsonl", "prose"):
            assert generate(toy, "-n", "10", "-f", form) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json", "parquet"])
def test_the_name_of_the_file_gives_the_format(toy: str, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"people.{suffix}"
    assert generate(toy, "-n", "50", "-o", str(target)) == 0
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        "csv": pl.read_csv,
        "jsonl": pl.read_ndjson,
        "json": pl.read_json,
        "parquet": pl.read_parquet,
    }
    frame = readers[suffix](target)
    assert frame["index"].to_list() == list(range(50))
    assert frame.columns == Sampler(Snapshot.load(toy)).sample(1).to_polars().columns
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_parquet_in_chunks_is_one_table(toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.cli.writing, "CHUNK", 20)
    assert generate(toy, "-n", "50", "-o", str(tmp_path / "people.parquet")) == 0
    frame = pl.read_parquet(tmp_path / "people.parquet").cast({"education": pl.String})
    assert frame["education"].to_list() == Sampler(Snapshot.load(toy)).sample(50).values("education")


def test_duckdb_in_chunks_is_one_table(toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.cli.writing, "CHUNK", 20)
    assert generate(toy, "-n", "50", "-o", str(tmp_path / "people.duckdb"), "--table", "rows") == 0
    with duckdb.connect(tmp_path / "people.duckdb") as connection:
        frame = connection.sql('from "rows" order by index').pl().cast({"education": pl.String})
    assert frame["education"].to_list() == Sampler(Snapshot.load(toy)).sample(50).values("education")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "duckdb"])
def test_bad_input_leaves_no_file(toy: str, tmp_path: Path, suffix: str) -> None:
    assert generate(toy, "-o", str(tmp_path / f"people.{suffix}"), "--evidence", "sex=foo") == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet", "duckdb"])
@pytest.mark.parametrize(("signum", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_no_file(toy: str, tmp_path: Path, suffix: str, signum: int, expected: int) -> None:
    file = str(tmp_path / f"people.{suffix}")
    # A process that a shell started in the background ignores interrupts, and so would its own.
    heed = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from serving.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "generate", "--snapshot", toy, "-n", "100000000", "-o", file]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(tmp_path.iterdir()):
            time.sleep(0.01)
        time.sleep(0.5)  # until it is in the midst of writing
        process.send_signal(signum)
        assert process.communicate()[1].strip() == ""
    assert process.returncode == expected
    assert list(tmp_path.iterdir()) == []


def test_do_fields_exclude_and_as_of_reach_the_sampler(toy: str, capsys: Capture) -> None:
    arguments = ["--do", "education=doctorate", "--do", "sex=female", "--as-of", "2000-02-29"]
    selection = ["--fields", "education,sex,birth_date", "--fields", "ethnicity", "--exclude", "sensitive"]
    assert generate(toy, "-n", "1", *arguments, *selection, "-f", "jsonl") == 0
    persona = json.loads(capsys.readouterr().out)
    assert list(persona) == ["seed", "index", "snapshot_id", "education", "sex", "birth_date"]
    assert (persona["education"], persona["sex"]) == ("doctorate", "female")
    assert persona["birth_date"] < "1983"


def test_a_seed_may_be_text(toy: str, capsys: Capture) -> None:
    assert generate(toy, "-n", "1", "--seed", "pilot", "-f", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["seed"] == "pilot"
    assert generate(toy, "-n", "1", "--seed", "1_000", "-f", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["seed"] == "1_000"  # as the API and the page read it
    assert generate(toy, "-n", "1", "--seed", "-7", "-f", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["seed"] == -7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-n", "-1"], "n must be 0 or more, not -1"),
        (["--start", "-1"], "start must be 0 or more"),
        (["-n", "9" * 30], "start + n must stay below 2**63"),
        (["--start", str(2**63 - 3)], "start + n must stay below 2**63"),
        (["--do", "job=nurse"], "unknown dimension 'job'"),
        (["--evidence", "sex"], "'sex' is not of the form dimension=category"),
        (["--evidence", "sex=man"], "has no category 'man'"),
        (["--target", "sex=female"], "'female' is not of the form category:number"),
        (["--target", "sex=female:2"], "must be from 0 to 1"),
        (["--quota", "sex=female:1.5"], "must be a whole number, not 1.5"),
        (["--quota", "sex=female:9"], "sums to 9, but 5 personas are asked for"),
        (["--do", "education=Bachelor's"], "'education' has no category \"Bachelor's\": did you mean bachelor?"),
        (["--fields", ""], "no field is named: leave the option out, or name some"),
        (["--exclude", ","], "no field is named"),
        (["--do", "age=30"], "do takes bands of 'age', not years: use 18_24"),
        (["--fields", "eduction"], "unknown field 'eduction': did you mean education"),
        (["-f", "parquet"], "parquet is binary: name a file with --output"),
        (["--target", "sex=female:0.3,female:0.4"], "'female' of 'sex' is given twice"),
        (["--quota", "sex=female:1, female:2"], "'female' of 'sex' is given twice"),
        (["--likelihood", "sex=female:1,female:1"], "'female' of 'sex' is given twice"),
        (["--evidence", "age=" + "9" * 5000], "the evidence on 'age' has a number of more than 9 digits"),
        (["--evidence", "age=999999999"], "nobody is 999999999 years old"),
        (["-n", "9999999999999", "--quota", "sex=female:3"], "a batch with quotas has at most 1,000,000 personas"),
        (["-f", "duckdb", "-o", ":memory:"], ":memory: is no file, so that nothing would be kept: name a file"),
        (["-o", "/nowhere/at/all.csv"], "cannot write /nowhere/at/all.csv: No such file or directory"),
        (["--snapshot", "/nowhere"], "no snapshot '/nowhere'"),
        (["--snapshot", ""], "no snapshot ''"),
        (["--population", "us"], "--population and --snapshot exclude each other: give one of them"),
        (["-f", "csv", "-o", "/dev/full"], "cannot write /dev/full: No space left on device; free some space"),
        (["-f", "parquet", "-o", "/dev/full"], "cannot write /dev/full: No space left on device; free some space"),
        (["-o", "/nowhere/at/all.parquet"], "cannot write /nowhere/at/all.parquet: No such file or directory"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(toy: str, capsys: Capture, arguments: list[str], message: str) -> None:
    assert generate(toy, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("personagen: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--do", "education"], "'education' is not of the form dimension=category"),
        (["--do", "sex=male", "--do", "sex=female"], "'sex' is set twice"),
        (["--as-of", "today"], "does not match the format"),
        (["-n", "many"], "not a valid integer"),
        (["--format", "xml"], "'xml' is not one of"),
    ],
)
def test_bad_usage_is_explained_with_exit_code_2(toy: str, capsys: Capture, arguments: list[str], message: str) -> None:
    assert generate(toy, *arguments) == 2
    assert message in capsys.readouterr().err


def test_an_error_on_the_way_leaves_no_half_file(toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "people.csv"
    target.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(serving.cli.writing, "write_lines", fail)
    assert generate(toy, "-o", str(target)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]
    assert target.read_text() == "old"


def test_conditions_are_met(toy: str, capsys: Capture) -> None:
    arguments = ["-n", "40", "-f", "csv", "--fields", "sex,age_years,education,party"]
    conditions = ["--evidence", "age=30..44", "--evidence", "education=bachelor,doctorate", "--quota", "sex=female:30"]
    assert generate(toy, *arguments, *conditions, "--target", "party=none:0.5") == 0
    rows = [line.split(",")[3:] for line in capsys.readouterr().out.splitlines()[1:]]
    assert sum(row[0] == "female" for row in rows) == 30 and {row[2] for row in rows} == {"bachelor", "doctorate"}
    assert all(30 <= int(row[1]) <= 44 for row in rows) and 10 <= sum(row[3] == "none" for row in rows) <= 30


def test_spaces_around_names_do_not_matter(toy: str, capsys: Capture) -> None:
    tight = ["--evidence", "age=25..34", "--evidence", "education=bachelor,doctorate", "--do", "sex=male"]
    loose = ["--evidence", "age = 25..34", "--evidence", "education= bachelor, doctorate ", "--do", " sex = male"]
    assert generate(toy, "-f", "csv", *tight, "--likelihood", "party=none:1,democrat:2") == 0
    expected = capsys.readouterr().out
    assert generate(toy, "-f", "csv", *loose, "--likelihood", "party = none : 1, democrat :2") == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(("option", "argument"), [("--likelihood", "likelihood"), ("--target", "target_marginal")])
def test_explain_takes_the_conditions_it_was_drawn_with(toy: str, capsys: Capture, option: str, argument: str) -> None:
    sampler = Sampler(Snapshot.load(toy))
    shares = {"sex": {"female": 0.01, "male": 0.99}}
    (index,) = [i for i, sex in enumerate(sampler.sample(200, 3).values("sex")) if sex == "female"][:1]
    conditioned: dict[str, Any] = {argument: shares}
    persona = sampler.sample(1, 3, index, **conditioned)[0]
    assert persona["sex"] == "male"
    arguments = ["--seed", "3", "--index", str(index), option, "sex=female:0.01,male:0.99"]
    assert main(["explain", "sex", "height", "--snapshot", toy, *arguments]) == 0
    assert capsys.readouterr().out == f"{explain(persona, 'sex').to_text()}\n\n{explain(persona, 'height').to_text()}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout_is_one_line(toy: str, unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "serving.cli", "generate", "--snapshot", toy, "-n", "2"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (2, "personagen: No space left on device\n")


def test_an_output_that_cannot_hold_a_letter_says_so_in_one_line(toy: str) -> None:
    arguments = ["generate", "--snapshot", toy, "-n", "1", "-f", "csv", "--seed", "Jos\u00e9"]
    done = run_process(*arguments, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert done.stderr == "personagen: ascii has no '\\xe9': set PYTHONIOENCODING=utf-8, or name a file\n"


def test_a_reader_that_stops_is_no_error(toy: str) -> None:
    command = [sys.executable, "-m", "serving.cli", "generate", "--snapshot", toy, "-n", "30000", "-f", "jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_an_interrupt_ends_with_130_and_no_traceback(
    toy: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(serving.cli.writing, "write_lines", interrupt)
    assert generate(toy) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_snapshot_verify_accepts_the_whole_and_refuses_the_damaged(toy: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["snapshot", "verify", toy]) == 0
    assert f"good; snapshot {Snapshot.load(toy).id}" in capsys.readouterr().out
    build_snapshot(tmp_path / "s")
    with (tmp_path / "s" / "maps.parquet").open("ab") as file:
        file.write(b"x")
    assert main(["snapshot", "verify", str(tmp_path / "s")]) == 2
    assert "is damaged: maps.parquet" in capsys.readouterr().err


def test_snapshot_list_names_the_packaged_ones(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.snapshot.PACKAGED", tmp_path)
    manifest = build_snapshot(tmp_path / "us")
    assert main(["snapshot", "list"]) == 0
    assert capsys.readouterr().out.split()[:3] == ["us", manifest.snapshot_id, "2026.11"]


def plug_in(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    plugins = {name: EntryPoint(name, value, serving.cli.plugins.PLUGINS) for name, value in values.items()}
    monkeypatch.setattr(serving.cli.plugins, "plugins", lambda: plugins)


def test_a_plugin_is_imported_when_it_is_run_and_not_for_help(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugged_in.py").write_text("import click\n@click.command()\ndef hello():\n    click.echo('hi')\n")
    monkeypatch.syspath_prepend(tmp_path)
    plug_in(monkeypatch, hello="plugged_in:hello")
    assert main(["--help"]) == 0
    assert "hello" in capsys.readouterr().out
    assert "plugged_in" not in sys.modules
    assert main(["hello"]) == 0
    assert capsys.readouterr().out == "hi\n"


def test_a_plugin_whose_extra_is_missing_says_how_to_install_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, build="no_such_package.cli:build")
    assert main(["build"]) == 2
    assert capsys.readouterr().err == (
        "personagen: command 'build' needs 'no_such_package', which is not installed: "
        "pip install 'personagen[pipeline]'\n"
    )


def test_a_plugin_that_fails_for_want_of_a_module_says_the_same(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import click\n@click.command()\ndef late():\n    import no_such_package\n"
    (tmp_path / "late_plugin.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    plug_in(monkeypatch, late="late_plugin:late", broken="late_plugin:nothing")
    assert main(["late"]) == 2
    assert "needs 'no_such_package', which is not installed" in capsys.readouterr().err
    assert main(["broken"]) == 2
    assert "plugin 'late_plugin:nothing' is no command" in capsys.readouterr().err


def test_the_exit_code_of_a_plugin_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import click\n@click.command()\n@click.pass_context\ndef three(ctx):\n    ctx.exit(3)\n"
    (tmp_path / "exit_plugin.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    plug_in(monkeypatch, three="exit_plugin:three")
    assert main(["three"]) == 3


def test_help_has_examples_and_imports_neither_numpy_tables_nor_build_tools() -> None:
    code = (
        "import sys; from serving.cli import main; main(['--help']); main(['generate', '--help']);"
        "print('IMPORTED', [m for m in ('dagster', 'polars', 'pyarrow', 'pipeline.cli') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "personagen generate -n 5 --seed 42" in done.stdout
    assert "IMPORTED []" in done.stdout


def test_every_plugin_of_the_package_has_a_line_of_help() -> None:
    assert set(serving.cli.plugins.plugins()) <= set(serving.cli.plugins.PLUGIN_HELP)


def test_as_a_process_it_exits_with_the_code_of_main(toy: str) -> None:
    done = run_process("generate", "--snapshot", toy, "-n", "1", "-f", "jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["index"] == 0
    assert run_process("generate", "--snapshot", toy, "-n", "-1").returncode == 2
    assert run_process("nonsense").returncode == 2


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path, toy: str) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert main(["generate", "-n", "2", "--snapshot", toy, "-o", str(tmp_path / "link.csv")]) == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert len((tmp_path / "real.csv").read_text().splitlines()) == 3


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path, toy: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert main(["generate", "-n", "2", "--snapshot", toy, "-f", "csv", "-o", str(pipe)]) == 0
        assert len(os.read(reader, 100_000).decode().splitlines()) == 3 and pipe.is_fifo()
    finally:
        os.close(reader)


@pytest.mark.parametrize(("option", "value"), [("-o", ""), ("-s", "a\udcff")])
def test_values_that_cannot_be_are_one_line(option: str, value: str, toy: str, capsys: Capture) -> None:
    assert main(["generate", "-n", "1", "--snapshot", toy, option, value]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
