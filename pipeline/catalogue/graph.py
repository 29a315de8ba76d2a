"""Drawing the dependency graph of a catalogue, tier by tier. Only the picture belongs here."""

from __future__ import annotations

from pathlib import Path

from pipeline.catalogue.models import Catalogue
from warehouse.errors import CatalogueError

_COLOURS = {1: "#4c72b0", 2: "#dd8452", 3: "#55a868"}
_TITLES = {1: "born with", 2: "circumstances", 3: "choices"}
_FORMATS = (".svg", ".png")
_COLUMNS = 3


def places(catalogue: Catalogue) -> dict[str, tuple[float, float]]:
    """Where each dimension stands: a block per tier from left to right, filled column by column by depth."""
    depth: dict[str, int] = {}
    for d in catalogue.dimensions:
        depth[d.id] = 1 + max((depth[p] for p in d.parents), default=0)
    found: dict[str, tuple[float, float]] = {}
    for block, tier in enumerate(sorted({d.tier for d in catalogue.dimensions})):
        members = sorted((d.id for d in catalogue.dimensions if d.tier == tier), key=lambda name: depth[name])
        height = -(-len(members) // _COLUMNS)
        for number, name in enumerate(members):
            column, row = divmod(number, height)
            # Staggered, so that an edge along a row does not run through the boxes between.
            found[name] = (block * (_COLUMNS + 0.6) + column, -(row + 0.33 * (column % 2) + 0.17 * column) / height)
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

    graph = nx.DiGraph()
    graph.add_nodes_from(catalogue.by_id)
    graph.add_edges_from((p, d.id) for d in catalogue.dimensions for p in d.parents)
    where = places(catalogue)
    with mpl.rc_context({"svg.hashsalt": "personagen"}):
        figure = Figure(figsize=(18, 11))
        axis = figure.subplots()
        tiers = {d.id: d.tier for d in catalogue.dimensions}
        for tier, colour in _COLOURS.items():
            edges = [(a, b) for a, b in graph.edges if tiers[b] == tier]
            nx.draw_networkx_edges(
                graph,
                where,
                edgelist=edges,
                ax=axis,
                edge_color=colour,
                alpha=0.25,
                width=0.7,
                arrowsize=5,
                connectionstyle="arc3,rad=0.12",
                node_size=1500,
            )
        for d in catalogue.dimensions:
            x, y = where[d.id]
            axis.text(
                x,
                y,
                d.id.replace("_", "\n", 1),
                fontsize=7,
                ha="center",
                va="center",
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
