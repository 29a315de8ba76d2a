"""How much a client may use: token buckets, and the headers that tell how full they are.

Here belongs the arithmetic. Who a client is and what a refusal looks like is `serving.api.admission`.

A bucket holds a minute's worth and fills at that pace. The usual libraries keep an entry for each unit, which is too
slow for answers that weigh a hundred thousand, and for ever refuse what is larger than the limit.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

WINDOW = 60  # seconds
MOST_CLIENTS = 10_000  # that are remembered; of more, the one that was seen last longest ago is forgotten


class Rates:
    """Buckets by client, one for each resource that is limited, such as `requests`. For one thread."""

    def __init__(self, per_minute: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = dict(per_minute)
        self._clock = clock
        self._clients: OrderedDict[str, dict[str, tuple[float, float]]] = OrderedDict()

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return bool(self._per_minute)

    def take(self, client: str, resource: str, amount: int) -> float:
        """Take so much of a resource; returns 0, or the seconds after which to ask again, if nothing was taken.

        What is larger than the bucket waits until that is full, and leaves it in debt: so it is possible, and the pace
        is kept all the same. What has no limit is always there.
        """
        size = self._per_minute.get(resource)
        if size is None:
            return 0.0
        level = self._level(client, resource)
        needed = min(amount, size)
        if level < needed:
            return (needed - level) * WINDOW / size
        self._clients.setdefault(client, {})[resource] = (level - amount, self._clock())
        self._clients.move_to_end(client)
        if len(self._clients) > MOST_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0

    def give_back(self, client: str, resource: str, amount: int) -> None:
        """Put back what was taken and not used."""
        if resource in self._clients.get(client, {}):  # else it is full
            level = min(float(self._per_minute[resource]), self._level(client, resource) + amount)
            self._clients[client][resource] = (level, self._clock())

    def headers(self, client: str) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers), none without limits."""
        if not self._per_minute:
            return {}
        policies, states = [], []
        for resource, size in self._per_minute.items():
            level = self._level(client, resource)
            policies.append(f'"{resource}";q={size};w={WINDOW}')
            states.append(f'"{resource}";r={max(0, int(level))};t={math.ceil((size - level) * WINDOW / size)}')
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}

    def _level(self, client: str, resource: str) -> float:
        size = self._per_minute[resource]
        level, then = self._clients.get(client, {}).get(resource, (float(size), 0.0))
        return min(float(size), level + (self._clock() - then) * size / WINDOW)
