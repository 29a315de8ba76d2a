"""Telling whoever watches how far a stage is. Only the hook belongs here; drawing bars is the command line's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def advance(steps: int = 1) -> None:
    """Report that `steps` more units of the running stage are done; nothing happens if nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(steps)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the reports of stages run inside this block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
