"""How many tokens a request is expected to take. Only the expectation belongs here; prices stand in `pricing`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """Tokens that a call is expected to take: those of the prompt, and those of the answer."""

    tokens_in: int
    tokens_out: int
