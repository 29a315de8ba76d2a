"""Who is let in: API keys, rate limits, room, and the time that a request may take. A middleware of single routes.

Here belongs turning requests away before and while they are worked on. Keys are `serving.api.keys`, the arithmetic of
limits is `serving.api.rates`.
"""

from __future__ import annotations

import ipaddress
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache, partial

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.connections import DROP
from serving.api.keys import Keyring
from serving.api.negotiation import best
from serving.api.problems import Problem
from serving.api.rates import Rates
from serving.api.settings import Settings
from warehouse.errors import PersonaGenError

NETWORK = 64  # bits of an IPv6 address that tell one client from another

log = logging.getLogger("personagen.api")


class Gate:
    """What all routes of an application share: the keys, the limits, and how many requests are inside."""

    def __init__(self, settings: Settings) -> None:
        """Read the key file, if there is one; raises KeyFileError."""
        self.keyring = Keyring(settings.keys) if settings.keys else None
        quotas = {"requests": settings.requests_per_minute, "personas": settings.personas_per_minute}
        self.rates = Rates({resource: quota for resource, quota in quotas.items() if quota is not None})
        self.timeout = settings.timeout
        self.room = settings.in_flight
        self.inside = 0

    def client(self, scope: Scope) -> str:
        """Who asks: the id of the key, or the address where no keys are asked for. Raises Problem 401."""
        if self.keyring is None:
            return _address(scope)
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else ""
        holder = self.keyring.holder(given) if given else None
        if holder is None:
            error = ' error="invalid_token"' if given else ""
            said = "this API key is not good" if given else "an API key is needed: send 'Authorization: Bearer KEY'"
            raise Problem(401, said, headers={"WWW-Authenticate": f'Bearer realm="personagen"{error and ","}{error}'})
        return holder

    def take(self, client: str, resource: str, amount: int) -> None:
        """Use so much of a client's share; raises Problem 429."""
        wait = self.rates.take(client, resource, amount)
        if wait:
            seconds = math.ceil(wait)
            raise Problem(
                429,
                f"too many {resource} in a short time: ask again in {seconds} s",
                headers={"Retry-After": str(seconds), **self.rates.headers(client)},
            )

    @contextmanager
    def charged(self, client: str, personas: int) -> Iterator[None]:
        """Take them first, as others may ask meanwhile, and give them back if the request turns out to be wrong."""
        self.take(client, "personas", personas)
        try:
            yield
        except (Problem, PersonaGenError):
            self.rates.give_back(client, "personas", personas)
            raise


def charged(request: Request, personas: int) -> AbstractContextManager[None]:
    """Count personas that are drawn within this block for whoever asks, unless the request is refused there.

    Raises Problem 429 if they are too many.
    """
    charge: Callable[[int], AbstractContextManager[None]] = request.state.charged
    return charge(personas)


class Admission:
    """Middleware of a route whose answers are of the media types `offers`, or of one that it chooses itself (None)."""

    def __init__(self, app: ASGIApp, gate: Gate, offers: Sequence[str] | None) -> None:
        self._app, self._gate, self._offers = app, gate, offers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or raise the Problem that keeps it out."""
        gate = self._gate
        if gate.inside >= gate.room:
            raise Problem(503, "too many requests are being worked on: ask again", headers={"Retry-After": "1"})
        client = gate.client(scope)
        gate.take(client, "requests", 1)
        if self._offers is not None and best(Headers(scope=scope).get("accept", ""), self._offers) is None:
            raise Problem(406, f"the answer is {self._offers[0]}, which 'Accept' excludes", "Accept", self._offers)
        scope.setdefault("state", {})["charged"] = partial(gate.charged, client)
        started, awaited, whole = False, False, False

        async def received() -> Message:
            nonlocal awaited, whole
            awaited = True
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        async def sent(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if gate.rates.any:
                    MutableHeaders(scope=message).update(gate.rates.headers(client))
            await send(message)

        gate.inside += 1
        try:
            with anyio.move_on_after(gate.timeout) as time:
                await self._app(scope, received, sent)
        finally:
            gate.inside -= 1
        if time.cancelled_caught:
            if not started and awaited and not whole:  # of the body
                raise Problem(
                    408,
                    f"the body of the request has not come within {gate.timeout:g} s: send it faster",
                    headers={"Connection": "close", **gate.rates.headers(client)},
                )
            if not started:
                raise Problem(
                    503,
                    f"the answer takes longer than {gate.timeout:g} s: ask for less, or under less rare conditions",
                    headers={"Retry-After": str(math.ceil(gate.timeout)), **gate.rates.headers(client)},
                )
            # Nothing more is sent, and what was not read is thrown away: the client can tell that it is no whole.
            log.warning("an answer to %s was cut after %g s", scope["path"], gate.timeout)
            drop: Callable[[], None] | None = scope.get("extensions", {}).get(DROP)
            if drop is not None:
                drop()


def _address(scope: Scope) -> str:
    """The client's address, of IPv6 the network; empty where there is none, as on a Unix socket."""
    return _network(scope["client"][0] if scope.get("client") else "")


@lru_cache(maxsize=10_000)
def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    return str(ipaddress.ip_network((address, NETWORK), strict=False)) if address.version == 6 else host
