"""What the help prints as examples works as printed: every line of every command that needs the package only."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from serving.cli import cli
from serving.snapshot import PACKAGED
from tests.support.toy_snapshot import build_snapshot

ROOT = Path(__file__).parents[2]
COMMANDS = ("", "generate", "explain", "snapshot", "snapshot list", "snapshot verify", "snapshot diff")


def command(name: str) -> click.Command:
    found: click.Command = cli
    for part in name.split():
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), part)
        assert inner is not None
        found = inner
    return found


def examples(name: str) -> list[str]:
    return re.findall(r"^\s*(personagen .*)$", command(name).help or "", re.MULTILINE)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the paths of the examples lead somewhere and `personagen` is the command under test."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "warehouse" / "build" / "snapshots").mkdir(parents=True)
    (folder / "warehouse" / "build" / "snapshots" / "us").symlink_to(PACKAGED / "us")
    build_snapshot(folder / "path" / "to" / "snapshot")
    (folder / "bin").mkdir()
    script = folder / "bin" / "personagen"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m serving.cli "$@"\n')
    script.chmod(0o755)
    return folder


@pytest.mark.parametrize("line", dict.fromkeys(line for name in COMMANDS for line in examples(name)))
def test_an_example_works_as_printed(workplace: Path, line: str) -> None:
    path = f"{workplace / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=workplace,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    written = re.findall(r"(?:-o|>) (\S+)", line)
    assert done.stdout if not written else all((workplace / name).stat().st_size for name in written)


def every_command(found: click.Command = cli, name: str = "") -> Iterator[str]:
    yield name
    if isinstance(found, click.Group):
        for part in found.list_commands(click.Context(found)):
            inner = found.get_command(click.Context(found), part)
            assert inner is not None
            yield from every_command(inner, f"{name} {part}".strip())


def parsed(found: click.Command, arguments: list[str], parent: click.Context | None = None) -> None:
    """Read the arguments as click would, and run nothing."""
    context = found.make_context(found.name, arguments, parent=parent)
    rest = [*context._protected_args, *context.args]
    if isinstance(found, click.Group) and rest:
        _, inner, left = found.resolve_command(context, rest)
        assert inner is not None
        parsed(inner, left, context)


def test_every_command_has_examples_whose_options_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "batch").mkdir()
    for name in ("output.jsonl", "errors.jsonl"):
        (tmp_path / "batch" / name).touch()
    monkeypatch.chdir(tmp_path)
    without = []
    for name in every_command():
        lines = examples(name)
        without += [] if lines else [name]
        for line in lines:
            parsed(cli, shlex.split(line.split(" | ")[0].split(" > ")[0])[1:])
    assert not without
