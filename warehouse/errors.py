"""Errors a user can mend. Only exception types belong here; nothing that raises them does.

Every message is one line that names the thing at fault and the remedy: the command line prints it as it is
and exits with code 2.
"""

from __future__ import annotations

from collections.abc import Sequence


class PersonaGenError(Exception):
    """Base of all errors caused by input, data or environment rather than by a defect in the code."""


class CatalogueError(PersonaGenError):
    """A catalogue file breaks a rule; the message names file, dimension and rule."""


class CorpusError(PersonaGenError):
    """A recorded edition is missing, damaged or lacks answers."""


class WarehouseError(PersonaGenError):
    """The DuckDB warehouse cannot be opened, read or written."""


class CheckError(WarehouseError):
    """A check refused what a stage made, so that nothing is built on it."""


class SnapshotError(PersonaGenError):
    """A snapshot is missing, damaged, of an unknown format, or cannot be written."""


class SamplingError(PersonaGenError):
    """A sampling request names an unknown dimension or category, or asks for the impossible.

    Attributes, each empty where it is not known:
        argument: which argument of the request is at fault, such as `evidence`.
        about: of which dimension.
        allowed: what could stand there instead, if it can be listed.
    """

    def __init__(self, message: str, *, argument: str = "", about: str = "", allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.argument, self.about, self.allowed = argument, about, tuple(allowed)


class KeyFileError(PersonaGenError):
    """A file of API keys is missing, damaged or cannot be written, or a key cannot be made or found."""


class ElicitationError(PersonaGenError):
    """A language model endpoint cannot be used as configured."""


class BudgetSpent(ElicitationError):  # noqa: N818 (an outcome more than an error)
    """The next call does not fit into the budget: asking stopped, what arrived is kept."""


class PromotionError(PersonaGenError):
    """An edition may not serve; the message says what is missing."""


class GroundingError(PersonaGenError):
    """Microdata are not there, or a crosswalk to them does not fit the catalogue."""
