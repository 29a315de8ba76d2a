"""The drift report as Markdown, for a page, the terminal and the Dagster UI. Measuring it is `pipeline.drift`."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.drift import Drift, Given
from pipeline.templates import templates_of

TOP = 20


def render_drift(drift: Drift, top: int = TOP) -> str:
    """The report; each table shows the `top` greatest moves."""
    templates = templates_of("pipeline.pages")  # Markdown of our own ids and prose; no answer's text is in it
    return templates.get_template("drift.md.j2").render(
        drift=drift,
        a=drift.before.manifest,
        b=drift.after.manifest,
        beyond=sum(m.beyond_noise for m in drift.maps),
        top=top,
        name=map_name,
        figure="{:.4f}".format,
        listed=lambda maps: _listed(maps, top),
    )


def map_name(dimension: str, given: Given) -> str:
    """A map as a person writes it, fit for a cell of a Markdown table."""
    return f"P({dimension} \\| {', '.join(given)})" if given else f"P({dimension})"


def _listed(maps: Sequence[tuple[str, Given]], top: int) -> str:
    names = [map_name(*one) for one in maps[:top]]
    return ", ".join(names) + (f" and {len(maps) - top} more" if len(maps) > top else "") if names else "none"
