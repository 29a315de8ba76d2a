"""Personas from a snapshot: the public library interface.

Here belong the names that users import, each loaded when it is first asked for: the pytest plugin, and the command's
help, import this package without needing numpy. Nothing of the build side is ever imported from here.

    from serving import Sampler, Snapshot

    people = Sampler(Snapshot.load("us")).sample(1000, seed=42)
    people.to_polars()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_MODULES = {
    "Batch": "serving.batch",
    "Explanation": "serving.explaining",
    "Persona": "serving.batch",
    "PersonaGenError": "warehouse.errors",
    "Sampler": "serving.sampler",
    "SamplingError": "warehouse.errors",
    "Snapshot": "serving.snapshot",
    "SnapshotError": "warehouse.errors",
    "SupportWarning": "serving.sampler",
    "explain": "serving.explaining",
    "render": "serving.rendering",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
