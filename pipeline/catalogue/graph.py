"""Drawing the dependency graph of a catalogue, tier by tier. Only the picture belongs here."""

from __future__ import annotations

from pathlib import Path

from pipeline.catalogue.models import Catalogue
from warehouse.errors import CatalogueError

_COLOURS = {1: "#4c72b0", 2: "#dd8452", 3: "#55a868"}
_TITLES = {1: "born with", 2: "circumstances", 3: "choices"}
_FORMATS = (".svg", ".png")


def layers(catalogue: Catalogue) -> dict[str, int]:
    """Column of each dimension: one past its deepest parent, later tiers to the right of earlier ones."""
    found: dict[str, int] = {}
    start = 0
    for tier in sorted({d.tier for d in catalogue.dimensions}):
        members = [d for d in catalogue.dimensions if d.tier == tier]
        for d in members:
            found[d.id] = max([start] + [found[p] + 1 for p in d.parents])
        start = max(found.values()) + 1
    return found


def draw(catalogue: Catalogue, path: Path) -> None:
    """Write the graph as SVG or PNG, by the file's ending.

    Raises `CatalogueError` for another ending or a file that cannot be written.
    """
    if path.suffix.lower() not in _FORMATS:
        raise CatalogueError(f"cannot draw '{path.name}': name the file .svg or .png")
    import matplotlib as mpl  # noqa: PLC0415
    import networkx as nx  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    column = layers(catalogue)
    graph = nx.DiGraph()
    for d in catalogue.dimensions:
        graph.add_node(d.id, layer=column[d.id], tier=d.tier)
        graph.add_edges_from((p, d.id) for p in d.parents)
    places = nx.multipartite_layout(graph, subset_key="layer", scale=1.0)
    tall = max(sum(1 for c in column.values() if c == layer) for layer in set(column.values()))
    with mpl.rc_context({"svg.hashsalt": "personagen"}):
        figure = Figure(figsize=(1.9 * (max(column.values()) + 1), max(8.0, 0.62 * tall)))
        axis = figure.subplots()
        tiers = {d.id: d.tier for d in catalogue.dimensions}
        for tier, colour in _COLOURS.items():
            edges = [(a, b) for a, b in graph.edges if tiers[b] == tier]
            nx.draw_networkx_edges(
                graph, places, edgelist=edges, ax=axis, edge_color=colour, alpha=0.25, width=0.7, arrowsize=5,
                connectionstyle="arc3,rad=0.08", node_size=900,
            )
        for d in catalogue.dimensions:
            x, y = places[d.id]
            axis.text(
                x, y, d.id.replace("_", "\n", 1), fontsize=7, ha="center", va="center",
                bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": _COLOURS[d.tier]},
            )
        for tier, colour in _COLOURS.items():
            axis.plot([], [], color=colour, label=f"tier {tier}, {_TITLES[tier]}")
        axis.legend(loc="lower center", ncols=3, fontsize=9, frameon=False, bbox_to_anchor=(0.5, -0.04))
        axis.set_title(f"{len(catalogue.dimensions)} dimensions of {catalogue.population.label}", fontsize=11)
        axis.set_axis_off()
        figure.tight_layout()
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise CatalogueError(f"cannot write {path}: {error.strerror}: choose another place") from error
