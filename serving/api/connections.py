"""Connections that are dropped when a client does not read, so that none holds memory and a socket for good.

Here belongs what only the server can do to a connection. How long a request may take is `serving.api.admission`, which
drops the connection of an answer that is cut by what stands under `DROP` in its scope.

A server closes a connection once all that it has written is read, for which it waits for ever. So what lies unread for
too long is thrown away together with the connection, whether its answer was cut, is on its way or is complete.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

DROP = "personagen.drop"  # among the extensions of a scope


def impatient(timeout: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, but for dropping what a client has left unread for so many seconds."""

    class Impatient(AutoHTTPProtocol):  # type: ignore[valid-type, misc]  # which of two it is depends on what is there
        app: ASGIApp
        _unread: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            app = self.app

            async def droppable(scope: Scope, receive: Receive, send: Send) -> None:
                scope.setdefault("extensions", {})[DROP] = partial(_drop, transport)
                await app(scope, receive, send)

            self.app = droppable

        def connection_lost(self, exc: Exception | None) -> None:
            if self._unread is not None:
                self._unread.cancel()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.transport.get_write_buffer_size():
                self._watch()

        def _watch(self) -> None:
            if self._unread is not None:
                self._unread.cancel()
            self._unread = self.loop.call_later(timeout, self._drop_unread)

        def _drop_unread(self) -> None:
            # Of an answer that goes on, and is read, there is always something on its way.
            stalled = self.flow.write_paused or self.cycle.response_complete
            if stalled and self.transport.get_write_buffer_size():
                _drop(self.transport)

    return Impatient


def _drop(transport: asyncio.Transport) -> None:
    """Reset the connection, so that the system does not keep on offering either what it has taken over to send."""
    with suppress(OSError, ValueError):  # it is closed already
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
