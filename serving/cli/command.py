"""The command `personagen` as a whole: its commands, exit codes, and errors in one line.

Exit codes: 0 done, 2 bad input (one line on stderr), 130 interrupted, 143 ended by SIGTERM while writing a file.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

import click

from serving.cli.explain import explain
from serving.cli.generate import generate
from serving.cli.keys import keys
from serving.cli.plugins import PluginGroup, ReaderGoneError, missing_module
from serving.cli.serve import serve
from serving.cli.snapshots import snapshot
from warehouse.errors import PersonaGenError


@click.group(cls=PluginGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="personagen", prog_name="personagen")
def cli() -> None:
    """Deterministic, diverse, coherent personas; no language model at run time.

    \b
    Examples:
      personagen generate -n 5 --seed 42
      personagen generate -n 1000 --format parquet -o personas.parquet
      personagen snapshot verify path/to/snapshot
    """


for one in (explain, generate, keys, serve, snapshot):
    cli.add_command(one)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors of the user become one line on stderr."""
    if sys.stdout is None or sys.stderr is None:  # closed by whoever started us
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    try:
        # What click returns is the exit code that a command asked for, if it did.
        code = cli.main(arguments, prog_name="personagen", standalone_mode=False)
        sys.stdout.flush()
    except (ReaderGoneError, BrokenPipeError):
        _silence_stdout()
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        click.echo(
            f"personagen: {error.encoding} has no {text!a}: set PYTHONIOENCODING=utf-8, or name a file", err=True
        )
        return 2
    except (PersonaGenError, ModuleNotFoundError, OSError) as error:
        click.echo(f"personagen: {_explain(error)}", err=True)
        if isinstance(error, OSError):
            _silence_stdout()
        return 2
    else:
        return code if isinstance(code, int) else 0
    return 0


def _silence_stdout() -> None:
    """Point stdout nowhere: Python would flush into it on exit, fail once more, and end with a code of its own."""
    with contextlib.suppress(OSError, ValueError):  # no file of the operating system, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show(error: click.ClickException) -> None:
    """Tell a mistake in the command itself on one line; a command without arguments shows its help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    text = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.UsageError) and error.ctx:
        text += f"; see '{error.ctx.command_path} --help'"
    click.echo(f"personagen: {text}", err=True)


def _explain(error: Exception) -> str:
    """One line for the user; a module of our own that is missing is a defect and stays a traceback."""
    if isinstance(error, ModuleNotFoundError):
        if (error.name or "").partition(".")[0] in {"serving", "pipeline", "warehouse"}:
            raise error
        return missing_module("this command", error)
    if isinstance(error, OSError):
        return ": ".join(part for part in (error.strerror, error.filename) if part) or str(error)
    return str(error)
