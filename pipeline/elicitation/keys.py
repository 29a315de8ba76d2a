"""Keys stay out of everything that is kept or shown. Only finding and cutting them out belongs here.

Keys live in the environment, under the names that the panel's endpoints give. What an endpoint sends may repeat one, in
any place and in any spelling that JSON has for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable

from pipeline.elicitation.panel import Member
from warehouse.errors import ElicitationError

SHORTEST = 8
"""Characters of the shortest key that counts as one: `EMPTY` or `ollama` is what servers without keys are told."""


def key_in(variable: str | None) -> str:
    """The key that an environment variable holds, empty if it is not set or none is wanted.

    Raises `ElicitationError` for what cannot be a key: an error about it further on would quote it in a spelling that
    nobody could cut out.
    """
    key = os.environ.get(variable, "").strip() if variable else ""
    if not all("!" <= c <= "~" for c in key):
        raise ElicitationError(
            f"environment variable {variable} holds a line end, a blank or a character beyond ASCII, so no key: "
            "put the key alone there"
        )
    return key


def require_keys(members: Iterable[Member]) -> None:
    """Raise `ElicitationError` naming every environment variable that these members need and that holds no key."""
    wanted = {m.endpoint.key_variable: m.id for m in members if m.endpoint and m.endpoint.key_variable}
    missing = [variable for variable in wanted if not key_in(variable)]
    if missing:
        raise ElicitationError(
            f"environment variable {' and '.join(missing)} is not set, which {wanted[missing[0]]} needs: "
            "put the API key there, or choose members with --member"
        )


def keys_of(members: Iterable[Member]) -> frozenset[str]:
    """The keys of these members' endpoints that the environment holds now."""
    names = {m.endpoint.key_variable for m in members if m.endpoint and m.endpoint.key_variable}
    return frozenset(k for name in names if len(k := key_in(name)) >= SHORTEST)


def repeats_key(written: str, keys: Collection[str]) -> bool:
    """Whether one of the keys stands anywhere in `written`, which is JSON as `json.dumps` writes it.

    What was received must be decoded and written anew for this, because JSON can spell the same characters otherwise.
    """
    return any(json.dumps(key)[1:-1] in written for key in keys)


def without_key(text: str, keys: Collection[str]) -> str:
    """The text with every key cut out; cut before shortening, so that no part of one stays."""
    for key in filter(None, keys):
        text = text.replace(key, "[key]")
    return text
