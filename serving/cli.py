"""The command `personagen`: `generate` and `snapshot` here, the commands of other packages as plugins.

Here belong argument parsing, output files and exit codes. Plugins are entry points of the group
`personagen.commands`; one is imported when it is invoked and not before, so that help stays fast and works
without the extras that a plugin needs. Exit codes: 0 done, 2 bad input (one line on stderr), 130 interrupted, 143 ended
by SIGTERM while writing a file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import signal
import sys
import threading
import warnings
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
    "names": "Export requests and import answers about names, and tell what holds of them.",
    "panel": "List the panel's models, or check which of them can be asked.",
    "prompts": "Try prompt variants, and choose one for each panel member.",
    "report": "Tell about the last build, and where its pages lie.",
}
CHUNK = 50_000
KEYS_VARIABLE = "PERSONAGEN_KEYS_FILE"
TERMINATED = 143  # exit code, as shells have it: 128 + SIGTERM
LARGEST_QUOTA_BATCH = 1_000_000  # as it is held in memory as a whole
DIGITS = re.compile(r"\d{10}")  # more of them than any age has

FORMATS = ("prose", "prompt", "json", "jsonl", "csv", "parquet", "duckdb")


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
    extra = "serve" if error.name in {"anyio", "prometheus_client", "starlette", "uvicorn"} else "pipeline"
    return f"{what} needs {error.name!r}, which is not installed: pip install 'personagen[{extra}]'"


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
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise click.BadParameter(f"{text!r} is not of the form dimension=category")
        if pairs.setdefault(name, value) != value:
            raise click.BadParameter(f"{name!r} is set twice")
    return pairs


def _evidence(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, list[str] | str]:
    """One value stays a text, which may be a range; several are a list for any of them."""
    pairs = _assignments(context, option, texts)
    for name, value in pairs.items():
        if DIGITS.search(value):
            raise click.BadParameter(f"the evidence on {name!r} has a number of more than 9 digits: correct it")
    return {name: _parts(value) if "," in value else value for name, value in pairs.items()}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _numbers(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """`sex=female:0.6,male:0.4` as a number by category."""
    found: dict[str, dict[str, float]] = {}
    for name, value in _assignments(context, option, texts).items():
        numbers = found.setdefault(name, {})
        for text in _parts(value):
            category, _, number = (part.strip() for part in text.rpartition(":"))
            if category in numbers:
                raise click.BadParameter(f"{category!r} of {name!r} is given twice")
            try:
                numbers[category] = float(number)
            except ValueError:
                category = ""
            if not category:
                raise click.BadParameter(f"{text!r} is not of the form category:number")
    return found


def _counts(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, dict[str, int]]:
    found = _numbers(context, option, texts)
    for name, counts in found.items():
        for category, count in counts.items():
            if not count.is_integer():
                raise click.BadParameter(f"the quota of {name}={category} must be a whole number, not {count}")
    return {name: {category: int(count) for category, count in counts.items()} for name, counts in found.items()}


def _names(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[str] | None:
    names = [name for text in texts for name in _parts(text) if name]
    if texts and not names:
        raise click.BadParameter("no field is named: leave the option out, or name some")
    return names or None


def _seed(_: click.Context, __: click.Parameter, text: str) -> int | str:
    from serving.counter import read_seed  # noqa: PLC0415  # numpy is not needed for help

    return read_seed(text)


def _date(_: click.Context, __: click.Parameter, moment: datetime | None) -> date | None:
    return moment.date() if moment else None


@cli.command()
@click.option("-n", "--number", type=int, default=5, show_default=True, help="How many personas.")
@click.option("-s", "--seed", default="0", callback=_seed, show_default=True, help="Integer or text.")
@click.option("--start", type=int, default=0, show_default=True, help="Index of the first persona.")
@click.option("--population", help="Population of a packaged snapshot [default: us].")
@click.option("--snapshot", "path", type=click.Path(), help="Folder of another snapshot.")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Default: by the name of FILE, else prose; prompt: prose for system prompts.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="File to write; default: standard output.")
@click.option(
    "--do",
    multiple=True,
    callback=_assignments,
    metavar="DIMENSION=CATEGORY",
    help="Set a value; its consequences follow; repeatable.",
)
@click.option(
    "--evidence",
    multiple=True,
    callback=_evidence,
    metavar="DIMENSION=CATEGORY,...",
    help="Only people of whom this holds, any of several; a range as 25..34 or bachelor..; repeatable.",
)
@click.option(
    "--likelihood",
    multiple=True,
    callback=_numbers,
    metavar="DIMENSION=CATEGORY:NUMBER,...",
    help="Soft evidence: how likely what was observed is in each category; repeatable.",
)
@click.option(
    "--target",
    multiple=True,
    callback=_numbers,
    metavar="DIMENSION=CATEGORY:SHARE,...",
    help="Lean the population so that categories have these shares; repeatable.",
)
@click.option(
    "--quota",
    multiple=True,
    callback=_counts,
    metavar="DIMENSION=CATEGORY:COUNT,...",
    help="Exactly so many of the -n personas; repeatable.",
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
@click.option("--table", default="personas", show_default=True, help="Table of a DuckDB file; added to if it is there.")
@click.option(
    "--person",
    type=click.Choice(["second", "third"]),
    help="Write `You are ...` or `She is ...`. Default: third, for prompts second.",
)
@click.option("--accents", is_flag=True, help="Write names as José and Nguyễn rather than Jose and Nguyen.")
def generate(  # noqa: PLR0917  # click passes options by name
    number: int,
    seed: int | str,
    start: int,
    population: str | None,
    path: str | None,
    form: str | None,
    output: str | None,
    do: dict[str, str],
    evidence: dict[str, list[str] | str],
    likelihood: dict[str, dict[str, float]],
    target: dict[str, dict[str, float]],
    quota: dict[str, dict[str, int]],
    as_of: date | None,
    fields: list[str] | None,
    exclude: list[str] | None,
    table: str,
    person: Any,
    accents: bool,
) -> None:
    """Draw personas. The same seed and index always give the same person.

    \b
    Examples:
      personagen generate -n 3 --seed 42
      personagen generate -n 1 --format prompt --exclude sensitive
      personagen generate -n 100 --format jsonl | head
      personagen generate --do education=doctorate --do region=texas
      personagen generate --evidence age=25..34 --evidence occupation=healthcare_practitioner,healthcare_support
      personagen generate -n 200 --target sex=female:0.6 --target urbanicity=rural:0.3 -o panel.csv
      personagen generate -n 100 --quota sex=female:50,male:50 --evidence education=bachelor..
      personagen generate -n 1000 --fields first_name,age_years,occupation -o people.csv
      personagen generate -n 1000 --start 1000 -o second_thousand.parquet
      personagen generate -n 30000 -o people.duckdb --table panel
    """
    from serving.sampler import Sampler, SupportWarning, check_range  # noqa: PLC0415  # numpy is not needed for help
    from serving.snapshot import Snapshot  # noqa: PLC0415

    chosen = form or _format_of(output)
    check_range(number, start)  # before the first of many batches is drawn
    if quota and number > LARGEST_QUOTA_BATCH:
        raise SamplingError(
            f"a batch with quotas has at most {LARGEST_QUOTA_BATCH:,} personas, not {number:,}: ask for fewer"
        )
    sampler = Sampler(Snapshot.load(_source(population, path)))

    def batches() -> Iterator[Batch]:
        # The first call checks the request, so even an empty one.
        chunk = max(number, 1) if quota else CHUNK  # quotas hold for a batch as a whole
        told = False
        for low in range(0, max(number, 1), chunk):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SupportWarning)
                batch = sampler.sample(
                    min(chunk, number - low),
                    seed,
                    start + low,
                    evidence,
                    do,
                    likelihood=likelihood,
                    target_marginal=target,
                    quota=quota,
                    fields=fields,
                    exclude=exclude,
                    as_of=as_of,
                    accents=accents,
                )
            if batch.support.warning and not told:
                told = True
                click.echo(f"warning: {batch.support.warning}", err=True)
            yield batch

    if chosen in ("parquet", "duckdb") and output is None:
        raise SamplingError(f"{chosen} is binary: name a file with --output")
    drawn = _with_progress(batches(), number, to_terminal=output is None and sys.stdout.isatty())
    if chosen == "duckdb":
        with _ended_orderly():
            _write_duckdb(drawn, Path(str(output)), table)
    elif chosen == "parquet":
        with _ended_orderly(), _whole_file(Path(str(output))) as part:
            _write_parquet(drawn, part)
    elif output is None:
        _write_lines(_lines(drawn, chosen, person), sys.stdout)
    else:
        with (
            _ended_orderly(),
            _whole_file(Path(output)) as part,
            part.open("w", encoding="utf-8", newline="") as file,
        ):
            _write_lines(_lines(drawn, chosen, person), file)


@cli.command()
@click.argument("dimensions", nargs=-1, required=True)
@click.option("-s", "--seed", default="0", callback=_seed, show_default=True, help="Integer or text.")
@click.option("-i", "--index", type=click.IntRange(0), default=0, show_default=True, help="Index of the persona.")
@click.option("--population", help="Population of a packaged snapshot [default: us].")
@click.option("--snapshot", "path", type=click.Path(), help="Folder of another snapshot.")
@click.option("--do", multiple=True, callback=_assignments, metavar="DIMENSION=CATEGORY", help="As it was drawn with.")
@click.option(
    "--evidence", multiple=True, callback=_evidence, metavar="DIMENSION=CATEGORY,...", help="As it was drawn with."
)
@click.option(
    "--likelihood",
    multiple=True,
    callback=_numbers,
    metavar="DIMENSION=CATEGORY:NUMBER,...",
    help="As it was drawn with.",
)
@click.option(
    "--target", multiple=True, callback=_numbers, metavar="DIMENSION=CATEGORY:SHARE,...", help="As it was drawn with."
)
def explain(  # noqa: PLR0917  # click passes options by name
    dimensions: tuple[str, ...],
    seed: int | str,
    index: int,
    population: str | None,
    path: str | None,
    do: dict[str, str],
    evidence: dict[str, list[str] | str],
    likelihood: dict[str, dict[str, float]],
    target: dict[str, dict[str, float]],
) -> None:
    """Tell why a persona has its values: what each cause did to the odds, and which map says so.

    \b
    Examples:
      personagen explain occupation --seed 42 --index 3
      personagen explain party religion --seed 42 --evidence region=texas
    """
    from serving.explaining import explain as explained  # noqa: PLC0415
    from serving.sampler import Sampler  # noqa: PLC0415
    from serving.snapshot import Snapshot  # noqa: PLC0415

    sampler = Sampler(Snapshot.load(_source(population, path)))
    ids = [dimension.id for dimension in sampler.snapshot.dimensions]
    batch = sampler.sample(1, seed, index, evidence, do, likelihood=likelihood, target_marginal=target, fields=ids)
    click.echo("\n\n".join(explained(batch[0], name).to_text() for name in dimensions))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option(
    "--snapshot", "paths", multiple=True, help="Population or folder of a snapshot; repeatable [default: us]."
)
@click.option("--reload", is_flag=True, help="Look every second whether a snapshot has changed; SIGHUP always does.")
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar=KEYS_VARIABLE,
    help=f"Ask for the API keys of this file [also: {KEYS_VARIABLE}]; default: open to all.",
)
@click.option(
    "--limit-requests",
    type=click.IntRange(0),
    metavar="N",
    help="Requests a minute of a key, or of an address without keys; 0 for no limit [default: 600 with keys, else 0].",
)
@click.option(
    "--limit-personas",
    type=click.IntRange(0),
    metavar="N",
    help="Personas a minute, likewise [default: 1000000 with keys, else 0].",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that a request may take, sending included.",
)
@click.option("--threads", type=click.IntRange(1), help="How many draw at once [default: as many as there are cores].")
@click.option(
    "--in-flight", type=click.IntRange(1), default=64, show_default=True, help="Requests that are worked on at once."
)
@click.option(
    "--max-personas", type=click.IntRange(1), default=100_000, show_default=True, help="The largest n of a request."
)
@click.option(
    "--max-conditions", type=click.IntRange(0), default=100, show_default=True, help="Conditions of a request."
)
@click.option(
    "--max-body",
    type=click.IntRange(1),
    default=65_536,
    show_default=True,
    help="Bytes of a body; of a query string as well, up to 32,768.",
)
@click.option("--cors-origin", "origins", multiple=True, help="Origin whose pages may ask, `*` for all; repeatable.")
@click.option(
    "--grace",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Seconds that requests have to end when the server is stopped.",
)
def serve(host: str, port: int, **options: Any) -> None:
    """Serve personas over HTTP: GET /v1/personas, and what /v1/openapi.json lists.

    \b
    Examples:
      personagen serve
      personagen serve --host 0.0.0.0 --port 80 --keys keys.json --limit-personas 100000
      personagen serve --snapshot warehouse/build/snapshots/us --reload
      curl 'http://127.0.0.1:8000/v1/personas?n=2&seed=42&evidence.age=25..34&fields=first_name,occupation'
    """
    from serving.api.server import run  # noqa: PLC0415

    run(host, port, **options)


@cli.group()
def keys() -> None:
    """Make, list and revoke the API keys that `serve --keys` asks for.

    \b
    Examples:
      personagen keys create survey-team --file keys.json
      personagen serve --keys keys.json
    """


def _key_file(command: Any) -> Any:
    return click.option(
        "--file",
        "path",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar=KEYS_VARIABLE,
        default=lambda: Path(click.get_app_dir("personagen")) / "keys.json",
        show_default=f"${KEYS_VARIABLE}, else keys.json in the user's folder for settings",
        help="File of the keys.",
    )(command)


@keys.command("create")
@click.argument("name")
@_key_file
def create_key(name: str, path: Path) -> None:
    """Make a key for somebody, NAME, and show it, this once.

    \b
    Examples:
      personagen keys create survey-team
      personagen keys create survey-team --file keys.json
    """
    from serving.api.keys import create_key as create  # noqa: PLC0415

    key = create(path, name)
    click.echo(f"added to {path}; the key is not kept, note it now:", err=True)
    click.echo(key)


@keys.command("list")
@_key_file
def list_keys(path: Path) -> None:
    """List the keys: id, when it was made, name.

    \b
    Example:
      personagen keys list --file keys.json
    """
    from serving.api.keys import read_keys  # noqa: PLC0415

    for key in read_keys(path):
        click.echo(f"{key.id}  {key.created}  {key.name}")


@keys.command("revoke")
@click.argument("which", metavar="ID_OR_NAME")
@_key_file
def revoke_key(which: str, path: Path) -> None:
    """Take a key away; a running server refuses it from the next request on.

    \b
    Example:
      personagen keys revoke survey-team --file keys.json
    """
    from serving.api.keys import revoke_key as revoke  # noqa: PLC0415

    key = revoke(path, which)
    click.echo(f"revoked {key.id}  {key.name}")


def _source(population: str | None, path: str | None) -> str:
    if population is not None and path is not None:
        raise PersonaGenError("--population and --snapshot exclude each other: give one of them")
    return next((given for given in (path, population) if given is not None), "us")


def _format_of(output: str | None) -> str:
    suffix = Path(output).suffix.lstrip(".") if output else ""
    return suffix if suffix in FORMATS else "prose"


def _lines(batches: Iterator[Batch], form: str, person: Any) -> Iterator[str]:
    first = True
    for batch in batches:
        if form == "csv":
            yield from batch.to_csv(header=first)
        elif form in ("prose", "prompt"):
            for text in batch.to_prompts(person or ("second" if form == "prompt" else "third")):
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
    from serving.files import parquet_writer  # noqa: PLC0415

    with parquet_writer(target) as write:
        for batch in batches:
            write(batch)


def _write_duckdb(batches: Iterator[Batch], target: Path, table: str) -> None:
    from serving.files import duckdb_writer  # noqa: PLC0415

    with duckdb_writer(target, table) as write:
        for batch in batches:
            write(batch)


def _with_progress(batches: Iterator[Batch], number: int, *, to_terminal: bool) -> Iterator[Batch]:
    """Show a bar on stderr while much is drawn for a terminal's user, unless the personas appear there themselves."""
    if number <= CHUNK or to_terminal or not sys.stderr.isatty():
        yield from batches
        return
    with click.progressbar(length=number, label="personas", file=sys.stderr) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


@contextmanager
def _ended_orderly() -> Iterator[None]:
    """Within this block SIGTERM interrupts as Ctrl-C does, so that nothing half written stays, and gives exit code 143.

    Where somebody has said already what the signal is to do, that holds.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        if ended:
            raise click.exceptions.Exit(TERMINATED) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _whole_file(target: Path) -> Iterator[Path]:
    """A path beside the target to write to; it takes the target's place only if everything was written.

    What is no regular file, a device or a pipe, is written to as it is; a link stays and its target is replaced.
    """
    target = target.resolve()
    if not target.name or target.is_dir():
        raise PersonaGenError(f"cannot write {target}: it is a folder; name a file")
    whole = not target.exists() or target.is_file()
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part") if whole else target
    try:
        yield part
        if whole:
            part.replace(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        remedy = "free some space" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "choose another file"
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PersonaGenError(f"cannot write {target}: {reason}; {remedy}") from None
    finally:
        if whole:
            part.unlink(missing_ok=True)


@cli.group()
def snapshot() -> None:
    """List, verify and compare snapshots.

    \b
    Examples:
      personagen snapshot list
      personagen snapshot verify us
      personagen snapshot diff us path/to/snapshot
    """


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


@snapshot.command()
@click.argument("before")
@click.argument("after")
@click.option(
    "--people", type=click.IntRange(1, 1_000_000), default=20_000, show_default=True, help="How many to draw."
)
@click.option("-s", "--seed", default="0", callback=_seed, show_default=True, help="Whom to draw: integer or text.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows shown of each table.")
@click.option(
    "--json", "as_json", is_flag=True, help="Everything as JSON, with the index of each persona that changes."
)
def diff(  # noqa: PLR0917  # click passes options by name
    before: str, after: str, people: int, seed: int | str, top: int, as_json: bool
) -> None:
    """Tell what differs from snapshot BEFORE to snapshot AFTER, each a folder or the population of a packaged one.

    Distances of maps and of dimensions among the people are total variations. Those of dimensions that depend on little
    are exact; for the others the same people are drawn from both, and the standard error is told. How much of a change
    the disagreement of models explains, `personagen edition diff` tells.

    \b
    Examples:
      personagen snapshot diff us path/to/snapshot
      personagen snapshot diff us path/to/snapshot --people 5000 --seed pilot --top 5
      personagen snapshot diff us path/to/snapshot --json > difference.json
    """
    from serving.comparing import compare  # noqa: PLC0415
    from serving.snapshot import Snapshot  # noqa: PLC0415

    found = compare(Snapshot.load(before), Snapshot.load(after), people=people, seed=seed)
    click.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False) if as_json else found.to_text(top))


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
        return _missing_module("this command", error)
    if isinstance(error, OSError):
        return ": ".join(part for part in (error.strerror, error.filename) if part) or str(error)
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
