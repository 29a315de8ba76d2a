"""Which media type a client would rather have (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence


def best(accept: str, offers: Sequence[str]) -> str | None:
    """The offer with the largest weight in an Accept header, the first of equals; None if none is accepted.

    An empty header accepts all; a part of it that cannot be read is passed over.
    """
    if not accept.strip():
        return offers[0]
    weights = _weights(accept)
    chosen = max(offers, key=lambda offer: _weight(offer, weights))
    return chosen if _weight(chosen, weights) > 0 else None


def _weights(accept: str) -> dict[str, float]:
    """Weight by media range; parameters other than `q` play no role."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        media, *parameters = (one.strip() for one in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        if media:
            weights[media] = weight
    return weights


def _weight(offer: str, weights: dict[str, float]) -> float:
    """By the most specific range that the offer lies in."""
    for media in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        if media in weights:
            return weights[media]
    return 0.0
