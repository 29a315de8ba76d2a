"""From an answer about faiths to shares, name by name, or rejections with a named reason.

Belongs here: what makes the entry of one name usable. Does not belong here: which entry is of which name, and reading
the answer as a whole (`validation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.names.candidates import Kind
from pipeline.names.faiths import FAITHS
from pipeline.names.requests import NameRequest
from pipeline.names.validation import EntryError, NameReason, Reader, percent
from pipeline.prompts.parsing import canonical, quote
from warehouse.names import casing

SUM = (90.0, 110.0)
"""What the listed shares of a name may sum to; they are scaled to 100."""


@dataclass(frozen=True, slots=True)
class FaithEstimate:
    """What one answer tells of one name: the share of each of FAITHS among the families that bear it, summing to 1."""

    kind: Kind
    key: str
    name: str
    custom_id: str
    attempt: int
    faiths: tuple[float, ...]


@dataclass(frozen=True)
class FaithJudge(Reader[FaithEstimate]):
    """The verdict on answers about faiths."""

    def estimate(self, request: NameRequest, attempt: int, name: str, entry: Mapping[str, object]) -> FaithEstimate:
        """What an entry tells; raises `EntryError`."""
        found: dict[str, float] = {}
        for key, share in entry.items():
            faith = canonical(key)
            if faith not in FAITHS or faith in found:
                raise EntryError(NameReason.UNKNOWN_FAITH, f"{quote(key)}{' stands twice' if faith in found else ''}")
            found[faith] = percent(share, NameReason.BAD_SHARE, f"{faith}: ")
        total = sum(found.values())
        if not SUM[0] <= total <= SUM[1]:
            raise EntryError(NameReason.BAD_SUM, f"the listed shares sum to {total:g}")
        return FaithEstimate(
            request.kind,
            casing.key_of(name),
            name,
            request.custom_id,
            attempt,
            tuple(found.get(faith, 0.0) / total for faith in FAITHS),
        )
