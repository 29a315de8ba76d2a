"""Personas from a snapshot: the public library interface.

Here belong the names that users import. Nothing of the build side is ever imported from here.

    from serving import Sampler, Snapshot

    people = Sampler(Snapshot.load("us")).sample(1000, seed=42)
    people.to_polars()
"""

from __future__ import annotations

from serving.batch import Batch, Persona
from serving.explaining import Explanation, explain
from serving.rendering import render
from serving.sampler import Sampler, SupportWarning
from serving.snapshot import Snapshot
from warehouse.errors import PersonaGenError, SamplingError, SnapshotError

__all__ = [
    "Batch",
    "Explanation",
    "Persona",
    "PersonaGenError",
    "Sampler",
    "SamplingError",
    "Snapshot",
    "SnapshotError",
    "SupportWarning",
    "explain",
    "render",
]
