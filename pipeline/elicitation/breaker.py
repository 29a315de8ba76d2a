"""When to stop calling a model that keeps failing. Only the decision belongs here, with the clock passed in.

What counts as a failure is for the caller to say; a rate limit is none, it has the limiter.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

PROBE = float("inf")
"""What `wait` gives while a probe is in flight: until it has ended."""


@dataclass(slots=True)
class Breaker:
    """A circuit breaker for one model.

    Closed, it lets calls through; `in_a_row` failures in a row, or more than `share` of the last `window` calls failed,
    open it. Both counts are longer by the calls still in flight, since failures often end sooner than answers: what has
    ended so far is then worse than what was sent. After `cooldown` seconds, doubled with each opening up to `longest`,
    one probe may pass: if it is answered the breaker closes, else it opens again. After `openings` openings, with no
    `window` answers between, it gives up.
    """

    in_a_row: int = 10
    window: int = 50
    share: float = 0.8
    cooldown: float = 5.0
    longest: float = 120.0
    openings: int = 5
    given_up: str | None = None
    _failed: deque[bool] = field(default_factory=deque)
    _row: int = 0
    _flying: int = 0
    _answers: int = 0
    _opened: int = 0
    _until: float | None = None
    _probing: bool = False
    _round: int = 0

    def wait(self, now: float) -> float:
        """Seconds until a call may be sent: 0 for at once, infinite while a probe is in flight."""
        if self._until is None:
            return 0.0
        if self._probing:
            return PROBE
        return max(0.0, self._until - now)

    def sent(self) -> int:
        """A call is being sent; the number it returns goes into whichever of the three below tells its end."""
        if self._until is not None:
            self._probing = True
            self._round += 1
            self._flying = 0
        self._flying += 1
        return self._round

    def answered(self, sent: int) -> None:
        """The call was answered."""
        if sent != self._round:
            return  # sent before the breaker opened: its end tells nothing new
        self._flying -= 1
        if self._until is not None:
            self._until, self._probing = None, False
            self._failed.clear()
        self._row = 0
        self._answers += 1
        if self._answers >= self.window:
            self._opened = 0
        self._note(failed=False)

    def failed(self, sent: int, now: float, reason: str) -> None:
        """The call failed; `reason` is quoted if that was once too often."""
        if sent != self._round:
            return
        self._flying -= 1
        self._row += 1
        self._note(failed=True)
        often = len(self._failed) >= self.window + self._flying and sum(self._failed) > self.share * len(self._failed)
        if self._probing or self._row >= self.in_a_row + self._flying or often:
            self._open(now, reason)

    def let_go(self, sent: int) -> None:
        """The call ended without telling whether the model works, by a rate limit for one: a probe may be sent anew."""
        if sent == self._round:
            self._flying -= 1
            self._probing = False

    def _note(self, *, failed: bool) -> None:
        self._failed.append(failed)
        while len(self._failed) > self.window + self._flying:
            self._failed.popleft()

    def _open(self, now: float, reason: str) -> None:
        self._until = now + min(self.longest, self.cooldown * 2**self._opened)
        self._opened += 1
        self._round += 1
        self._probing = False
        self._row = self._answers = self._flying = 0
        self._failed.clear()
        if self._opened >= self.openings:
            self.given_up = f"kept failing, also when tried again after pauses (last: {reason})"
