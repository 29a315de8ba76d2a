"""The command `personagen`: `generate` and `snapshot` here, the commands of other packages as plugins.

Here belong argument parsing, output files and exit codes. Plugins are entry points of the group
`personagen.commands`; one is imported when it is invoked and not before, so that help stays fast and works
without the extras that a plugin needs. Exit codes: 0 done, 2 bad input (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from warehouse.errors import PersonaGenError, SamplingError

if TYPE_CHECKING:
    from serving.batch import Batch

PLUGINS = "personagen.commands"
# One line for each plugin of this distribution, since help must not import them.
PLUGIN_HELP = {
    "ask": "Ask models for what is missing, within a budget.",
    "build": "Run the pipeline: from recorded answers to a snapshot and a table of personas.",
    "catalogue": "List the dimensions, or draw their dependency graph.",
    "corpus": "Export requests and import answers of language models.",
    "edition": "Begin editions, compare them, and decide which one serves.",
    "names": "Export and import what language models are asked about names.",
    "panel": "List the panel's models, or check which of them can be asked.",
    "prompts": "Try prompt variants, and choose one for each panel member.",
    "report": "Tell about the last build, and where its pages lie.",
}
EXTRA_HINT = "pip install 'personagen[pipeline]'"
CHUNK = 20_000

FORMATS = ("prose", "json", "jsonl", "csv", "parquet")


class PluginGroup(click.Group):
    """A group that also lists the commands of installed plugins, importing one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of own commands and of plugins."""
        return sorted({*super().list_commands(ctx), *_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, a plugin's being imported only here."""
        own = super().get_command(ctx, cmd_name)
        plugin = _plugins().get(cmd_name)
        return own if own is not None or plugin is None else _load_plugin(plugin)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, without importing any plugin."""
        rows = []
        for name in self.list_commands(ctx):
            own = super().get_command(ctx, name)
            text = own.get_short_help_str(80) if own else PLUGIN_HELP.get(name, "A plugin command.")
            rows.append((name, text))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader who stops reading is no error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Raised again as something that click does not turn into exit code 1.
            raise _ReaderGoneError from None


class _ReaderGoneError(Exception):
    """Whoever read our output has stopped; no error of ours."""


def _plugins() -> dict[str, EntryPoint]:
    return {plugin.name: plugin for plugin in entry_points(group=PLUGINS)}


def _load_plugin(plugin: EntryPoint) -> click.Command:
    try:
        command = plugin.load()
    except ModuleNotFoundError as error:
        raise PersonaGenError(_missing_module(f"command {plugin.name!r}", error)) from None
    except AttributeError:
        command = None
    if not isinstance(command, click.Command):
        raise PersonaGenError(f"plugin {plugin.value!r} is no command: upgrade the package that provides it")
    return command


def _missing_module(what: str, error: ModuleNotFoundError) -> str:
    return f"{what} needs {error.name!r}, which is not installed: {EXTRA_HINT}"


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


def _assignments(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"{text!r} is not of the form dimension=category")
        if pairs.setdefault(name, value) != value:
            raise click.BadParameter(f"{name!r} is set twice")
    return pairs


def _names(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[str] | None:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()] or None


def _seed(_: click.Context, __: click.Parameter, text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _date(_: click.Context, __: click.Parameter, moment: datetime | None) -> date | None:
    return moment.date() if moment else None


@cli.command()
@click.option("-n", "--number", type=int, default=5, show_default=True, help="How many personas.")
@click.option("-s", "--seed", default="0", callback=_seed, show_default=True, help="Integer or text.")
@click.option("--start", type=int, default=0, show_default=True, help="Index of the first persona.")
@click.option("--population", default="us", show_default=True, help="Population of a packaged snapshot.")
@click.option("--snapshot", "path", type=click.Path(), help="Folder of another snapshot.")
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="Default: by the name of FILE, else prose.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="File to write; default: standard output.")
@click.option(
    "--do",
    multiple=True,
    callback=_assignments,
    metavar="DIMENSION=CATEGORY",
    help="Set a value; repeatable.",
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_date,
    metavar="YYYY-MM-DD",
    help="Date at which ages hold; default: the snapshot's, never today.",
)
@click.option("--fields", multiple=True, callback=_names, metavar="NAME,...", help="Only these fields, in this order.")
@click.option(
    "--exclude",
    multiple=True,
    callback=_names,
    metavar="NAME,...",
    help="Leave out; `sensitive` for all of those.",
)
@click.option(
    "--person",
    type=click.Choice(["second", "third"]),
    default="third",
    show_default=True,
    help="Prose as `You are ...` or `She is ...`.",
)
@click.option("--accents", is_flag=True, help="Write names as José and Nguyễn rather than Jose and Nguyen.")
def generate(  # noqa: PLR0917  # click passes options by name
    number: int,
    seed: int | str,
    start: int,
    population: str,
    path: str | None,
    form: str | None,
    output: str | None,
    do: dict[str, str],
    as_of: date | None,
    fields: list[str] | None,
    exclude: list[str] | None,
    person: Any,
    accents: bool,
) -> None:
    """Draw personas. The same seed and index always give the same person.

    \b
    Examples:
      personagen generate -n 3 --seed 42
      personagen generate -n 3 --person second --exclude sensitive
      personagen generate -n 100 --format jsonl | head
      personagen generate --do education=doctorate --do region=texas
      personagen generate -n 1000 --fields first_name,age_years,occupation -o people.csv
      personagen generate -n 1000 --start 1000 -o second_thousand.parquet
    """
    from serving.sampler import Sampler  # noqa: PLC0415  # numpy is not needed for help
    from serving.snapshot import Snapshot  # noqa: PLC0415

    chosen = form or _format_of(output)
    sampler = Sampler(Snapshot.load(path or population))

    def batches() -> Iterator[Batch]:
        # The first call checks the request, so even an empty one.
        for low in range(0, max(number, 1), CHUNK):
            count = min(CHUNK, number - low)
            yield sampler.sample(
                count, seed, start + low, do, fields=fields, exclude=exclude, as_of=as_of, accents=accents
            )

    if chosen == "parquet":
        if output is None:
            raise SamplingError("parquet is binary: name a file with --output")
        with _whole_file(Path(output)) as part:
            _write_parquet(_with_progress(batches(), number), part)
    elif output is None:
        _write_lines(_lines(batches(), chosen, person), sys.stdout)
    else:
        with _whole_file(Path(output)) as part, part.open("w", encoding="utf-8", newline="") as file:
            _write_lines(_lines(_with_progress(batches(), number), chosen, person), file)


def _format_of(output: str | None) -> str:
    suffix = Path(output).suffix.lstrip(".") if output else ""
    return suffix if suffix in FORMATS else "prose"


def _lines(batches: Iterator[Batch], form: str, person: Any) -> Iterator[str]:
    first = True
    for batch in batches:
        if form == "csv":
            yield from batch.to_csv(header=first)
        elif form == "prose":
            for text in batch.to_prompts(person):
                yield from ([text] if first else ["", text])
                first = False
        elif form == "json":
            for line in batch.to_jsonl():
                yield ("[\n  " if first else ",\n  ") + line
                first = False
        else:
            yield from batch.to_jsonl()
        first = first and len(batch) == 0
    if form == "json":
        yield "[]" if first else "\n]"


def _write_lines(lines: Iterable[str], stream: IO[str]) -> None:
    for line in lines:
        stream.write(line + "\n")


def _write_parquet(batches: Iterator[Batch], target: Path) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    first = next(batches).to_arrow()
    with pq.ParquetWriter(target, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for batch in batches:
            writer.write_table(batch.to_arrow())


def _with_progress(batches: Iterator[Batch], number: int) -> Iterator[Batch]:
    """Show a bar on stderr while a long file is written to a terminal's user."""
    if number < 5 * CHUNK or not sys.stderr.isatty():
        yield from batches
        return
    with click.progressbar(length=number, label="personas", file=sys.stderr) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


@contextmanager
def _whole_file(target: Path) -> Iterator[Path]:
    """A path beside the target to write to; it takes the target's place only if everything was written.

    What is no regular file, a device or a pipe, is written to as it is; a link stays and its target is replaced.
    """
    target = target.resolve()
    if not target.name or target.is_dir():
        raise PersonaGenError(f"cannot write {target}: it is a folder; name a file")
    if target.exists() and not target.is_file():
        yield target
        return
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        remedy = "free some space" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "choose another file"
        raise PersonaGenError(f"cannot write {target}: {error.strerror or error}; {remedy}") from None
    finally:
        part.unlink(missing_ok=True)


@cli.group()
def snapshot() -> None:
    """List and verify snapshots."""


@snapshot.command("list")
def list_snapshots() -> None:
    """List the packaged snapshots.

    \b
    Example:
      personagen snapshot list
    """
    from serving.snapshot import PACKAGED, packaged_populations, read_manifest  # noqa: PLC0415

    for population in packaged_populations():
        manifest = read_manifest(PACKAGED / population)
        click.echo(f"{population}  {manifest.snapshot_id}  {manifest.edition}  {manifest.population.label}")


@snapshot.command()
@click.argument("path", default="us")
def verify(path: str) -> None:
    """Check a snapshot, a folder or the population of a packaged one, against its hashes.

    \b
    Examples:
      personagen snapshot verify us
      personagen snapshot verify warehouse/build/snapshots/us
    """
    from serving.snapshot import Snapshot  # noqa: PLC0415

    loaded = Snapshot.load(path)
    click.echo(
        f"{loaded.folder}: good; snapshot {loaded.id}, population {loaded.manifest.population.id}, "
        f"edition {loaded.manifest.edition}, {len(loaded.dimensions)} dimensions, "
        f"{len(loaded.manifest.files)} files match their SHA-256"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors of the user become one line on stderr."""
    if sys.stdout is None or sys.stderr is None:  # closed by whoever started us
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    try:
        # What click returns is the exit code that a command asked for, if it did.
        code = cli.main(arguments, prog_name="personagen", standalone_mode=False)
        sys.stdout.flush()
    except (_ReaderGoneError, BrokenPipeError):
        _silence_stdout()
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        _show(error)
        return error.exit_code
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
        return _missing_module("this command", error)
    if isinstance(error, OSError):
        return ": ".join(part for part in (error.strerror, error.filename) if part) or str(error)
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
