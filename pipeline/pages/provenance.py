"""What a new edition says of itself before anybody has answered. Only the text belongs here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import jinja2

from pipeline.elicitation.panel import Member


def render_provenance(edition: str, day: date, members: Sequence[Member]) -> str:
    """The `PROVENANCE.md` of an edition that begins on `day`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.pages", ""),
        autoescape=False,  # Markdown of our own panel
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("provenance.md.j2").render(
        edition=edition,
        day=day.isoformat(),
        asked=[m for m in members if m.source != "recorded"],
        recorded=[m for m in members if m.source == "recorded"],
    )
