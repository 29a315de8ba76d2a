"""`personagen keys`: API keys, made, listed and revoked. What they are is `serving.api.keys`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from serving.cli.options import KEYS_VARIABLE


@click.group()
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
