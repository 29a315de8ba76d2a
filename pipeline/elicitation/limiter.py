"""How many calls one model may have in flight, and until when it must be left alone.

Belongs here: the arithmetic of rate limits, with the clock passed in. Does not belong here: waiting itself, retries of
failed calls, the bound over all models.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_PAUSE = 1.0
"""Seconds of the first pause after a 429 that does not say how long to wait; each further one doubles it."""

LONGEST_PAUSE = 60.0
"""Seconds of such a pause at most."""

LONGEST_DEMAND = 900.0
"""Seconds that an endpoint may demand: for longer than that the model is given up for this run."""

SHRINK = 0.7
"""What a rate limit leaves of the allowed concurrency ..."""

GROWTH = 4.0
"""... and by how much it grows again while as many calls as are allowed are answered."""

MOST_PAUSES = 20
"""Pauses in a row, nothing answered between, after which the model is given up for this run."""


@dataclass(slots=True)
class Limiter:
    """The limit of one model: more with every answer, less by a rate limit, silence while it pauses.

    Additive increase and multiplicative decrease, as in TCP.

    `most` is the panel's concurrency, with which it starts. Times are seconds of one monotonic clock.
    """

    most: int
    rng: random.Random = field(default_factory=random.Random)
    first_pause: float = FIRST_PAUSE
    in_flight: int = 0
    given_up: str | None = None
    _allowed: float = 0.0
    _until: float = 0.0
    _round: int = 0
    _pauses: int = 0

    def __post_init__(self) -> None:
        self._allowed = float(self.most)

    @property
    def allowed(self) -> int:
        """Calls that may be in flight at present."""
        return int(self._allowed)

    def wait(self, now: float) -> float:
        """Seconds until a call may be sent: 0 for at once, infinite if one in flight has to end first."""
        if self._until > now:
            return self._until - now
        return 0.0 if self.in_flight < self.allowed else float("inf")

    def sent(self) -> int:
        """Count a call as in flight; the number it returns goes into `ended` and `limited`."""
        self.in_flight += 1
        return self._round

    def ended(self, *, answered: bool) -> None:
        """A call ended, other than by a rate limit."""
        self.in_flight -= 1
        if answered:
            self._pauses = 0
            self._allowed = min(float(self.most), self._allowed + GROWTH / self._allowed)

    def limited(self, sent: int, now: float, retry_after: float | None) -> None:
        """A call ended with 429; `retry_after` is what the endpoint demands, in seconds.

        Calls that were in flight together count once: the first of them lowers what is allowed and pauses, later ones
        can only prolong the pause by what the endpoint demands.
        """
        self.in_flight -= 1
        if sent == self._round:
            self._round += 1
            self._pauses += 1
            self._allowed = max(1.0, self._allowed * SHRINK)
            if retry_after is None:
                longest = min(LONGEST_PAUSE, self.first_pause * 2 ** (self._pauses - 1))
                self._until = max(self._until, now + longest * self.rng.uniform(0.5, 1.0))
        if retry_after is not None:
            self._until = max(self._until, now + retry_after)
            if retry_after > LONGEST_DEMAND:
                self.given_up = f"its rate limit asks to wait {retry_after:.0f} s"
        if self._pauses > MOST_PAUSES:
            self.given_up = f"still rate-limited after {MOST_PAUSES} pauses"
