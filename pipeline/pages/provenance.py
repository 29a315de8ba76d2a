"""What a new edition says of itself before anybody has answered. Only the text belongs here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pipeline.elicitation.panel import Member
from pipeline.templates import templates_of


def render_provenance(edition: str, day: date, members: Sequence[Member]) -> str:
    """The `PROVENANCE.md` of an edition that begins on `day`."""
    templates = templates_of("pipeline.pages")  # Markdown of our own panel
    return templates.get_template("provenance.md.j2").render(
        edition=edition,
        day=day.isoformat(),
        asked=[m for m in members if m.source != "recorded"],
        recorded=[m for m in members if m.source == "recorded"],
    )
