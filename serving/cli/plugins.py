"""Commands that other packages bring: a group that lists them without importing them.

Plugins are entry points of the group `personagen.commands`; one is imported when it is invoked and not before, so that
help stays fast and works without the extras that a plugin needs.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from warehouse.errors import PersonaGenError

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
    "particulars": "Export requests and import answers about places, job titles and details.",
    "prompts": "Try prompt variants, and choose one for each panel member.",
    "report": "Tell about the last build, and where its pages lie.",
}


class PluginGroup(click.Group):
    """A group that also lists the commands of installed plugins, importing one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of own commands and of plugins."""
        return sorted({*super().list_commands(ctx), *plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, a plugin's being imported only here."""
        own = super().get_command(ctx, cmd_name)
        plugin = plugins().get(cmd_name)
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
            raise ReaderGoneError from None


class ReaderGoneError(Exception):
    """Whoever read our output has stopped; no error of ours."""


def plugins() -> dict[str, EntryPoint]:
    """Installed ones by the name of their command."""
    return {plugin.name: plugin for plugin in entry_points(group=PLUGINS)}


def _load_plugin(plugin: EntryPoint) -> click.Command:
    try:
        command = plugin.load()
    except ModuleNotFoundError as error:
        raise PersonaGenError(missing_module(f"command {plugin.name!r}", error)) from None
    except AttributeError:
        command = None
    if not isinstance(command, click.Command):
        raise PersonaGenError(f"plugin {plugin.value!r} is no command: upgrade the package that provides it")
    return command


def missing_module(what: str, error: ModuleNotFoundError) -> str:
    """One line that tells which extra has the module."""
    extra = "serve" if error.name in {"anyio", "prometheus_client", "starlette", "uvicorn"} else "pipeline"
    return f"{what} needs {error.name!r}, which is not installed: pip install 'personagen[{extra}]'"
