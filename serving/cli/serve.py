"""`personagen serve`: the API as a process. The API itself is `serving.api`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from serving.cli.options import KEYS_VARIABLE


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option(
    "--snapshot",
    "paths",
    multiple=True,
    help="Population or folder of a snapshot; repeatable, the first is the default [default: all packaged].",
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
