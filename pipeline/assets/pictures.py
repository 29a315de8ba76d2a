"""Small tables and pictures for the metadata that Dagster shows. Nothing here is read by another stage."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from pipeline.catalogue.models import Catalogue, Dimension
from pipeline.combination.problem import ElicitedMap


def map_table(catalogue: Catalogue, dimension: Dimension, one: ElicitedMap) -> str:
    """A map as a Markdown table, in percent, a row per condition."""
    parents = [catalogue.dimension(g) for g in one.given]
    head = [*(p.label for p in parents), *(c.label for c in dimension.categories)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for codes in np.ndindex(*one.p.shape[:-1]):
        names = [p.categories[code].label for p, code in zip(parents, codes, strict=True)]
        lines.append("| " + " | ".join([*names, *(f"{100 * x:.1f}" for x in one.p[codes])]) + " |")
    return "\n".join(lines)


def maps_picture(catalogue: Catalogue, dimension: Dimension, maps: Sequence[ElicitedMap]) -> str:
    """Heat maps of the base and one-way maps side by side, as a Markdown image."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # slow to import, and only this function draws

    shown = [m for m in maps if len(m.given) <= 1]
    figure = Figure(figsize=(1.6 + 1.6 * len(shown), 3.2), dpi=60)
    axes = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
    top = max(float(m.p.max()) for m in shown)
    for axis, one in zip(axes, shown, strict=True):
        table = one.p.reshape(-1, one.p.shape[-1]).T
        axis.imshow(table, aspect="auto", vmin=0, vmax=top, cmap="viridis")
        names = [c.id for c in catalogue.dimension(one.given[0]).categories] if one.given else ["all"]
        axis.set_title(one.given[0] if one.given else "base", fontsize=8)
        many = len(names) > 12
        axis.set_xticks([] if many else range(len(names)), [] if many else names, rotation=90, fontsize=6)
        axis.set_yticks(range(len(dimension.categories)), dimension.category_ids, fontsize=6)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return f"![{dimension.id}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
