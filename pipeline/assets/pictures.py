"""Small tables and pictures for the metadata that Dagster shows. Nothing here is read by another stage."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from pipeline.catalogue.models import Catalogue, Dimension
from pipeline.combination.choice import Choice
from pipeline.combination.problem import ElicitedMap
from pipeline.combination.trial import Declined, Trial


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
    """One heat map of base and one-way maps side by side, darker is likelier, as a Markdown image.

    A single image on a single axis: an axis per map made this the slowest step of the whole build.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # slow to import, and only this function draws

    shown = [m for m in maps if len(m.given) <= 1]
    blank = np.full((len(dimension.categories), 1), np.nan)
    columns, labels = [], []
    place = 0
    for one in shown:
        table = one.p.reshape(-1, one.p.shape[-1]).T
        columns += [table, blank]
        labels.append((place + (table.shape[1] - 1) / 2, one.given[0] if one.given else "all"))
        place += table.shape[1] + 1
    image = np.concatenate(columns[:-1], axis=1)
    figure = Figure(figsize=(2.2 + 0.13 * image.shape[1], 1.6 + 0.16 * image.shape[0]), dpi=72)
    axis = figure.add_axes((0.14, 0.3, 0.85, 0.65))
    axis.imshow(image, aspect="auto", vmin=0, cmap="viridis_r", interpolation="nearest")
    axis.set_xticks([x for x, _ in labels], [name for _, name in labels], rotation=35, ha="right", fontsize=7)
    axis.set_yticks(range(len(dimension.categories)), dimension.category_ids, fontsize=6)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return f"![{dimension.id}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def trials_table(tried: Sequence[Trial], declined: Sequence[Declined], choice: Choice) -> str:
    """The scores of all strategies of one dimension as a Markdown table, best first."""
    lines = [
        "| strategy | held-out JS | held-out TV | marginal TV | one-way TV | two-way TV | |",
        "|" + " --- |" * 7,
    ]
    for trial in sorted(tried, key=lambda t: float(t.judged[0])):
        held = ("", "")
        if trial.held_out_js is not None and trial.held_out_tv is not None:
            js, tv = trial.held_out_js, trial.held_out_tv
            held = (f"{js.value:.4f} ({js.low:.4f} to {js.high:.4f})", f"{tv.value:.4f}")
        word = "chosen" if trial is choice.winner else "tied" if trial.strategy in choice.tied else ""
        figures = (f"{x:.4f}" for x in (trial.marginal_tv, trial.one_way_tv, trial.two_way_tv))
        lines.append("| " + " | ".join([trial.strategy, *held, *figures, word]) + " |")
    lines += [f"| {one.strategy} | declined | | | | | |" for one in declined]
    return "\n".join([*lines, "", choice.reason])
