"""Breaking off long draws: a check that whoever waits for them may set.

Here belongs the hook alone. Loops that can last call `checkpoint` once a round; what ends them, a deadline or a client
that is gone, is decided by who sets the check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


def checkpoint() -> None:
    """Raise whatever the check raises, if one is set and the work is to end."""
    check = _check.get()
    if check is not None:
        check()


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Within this block, in this thread or task, `checkpoint` calls `check`, which raises to end the work."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)
