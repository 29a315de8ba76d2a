"""From the catalogue, pooled maps and a reference population to the problem that strategies solve.

Belongs here: putting together a `Problem`. Does not belong here: reading maps (`frames`), solving it (`combination`).
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.catalogue.models import Catalogue, Dimension
from pipeline.combination.problem import Bools, Codes, ElicitedMap, Given, Problem
from pipeline.prompts.validation import allowed_mask


def dimension_problem(
    catalogue: Catalogue, dimension: Dimension, pooled: Mapping[Given, ElicitedMap], reference: Codes
) -> Problem:
    """The problem of one dimension; `reference` holds the codes of its parents, uint8 (n, P)."""
    return Problem(
        dimension=dimension.id,
        ordinal=dimension.ordinal,
        categories=dimension.category_ids,
        parents=dimension.parents,
        sizes=tuple(len(catalogue.dimension(p).categories) for p in dimension.parents),
        base=pooled[()],
        maps=tuple(pooled[given] for given in dimension.givens if given),
        reference=reference,
        allowed=tuple(_allowed(catalogue, dimension)),
    )


def _allowed(catalogue: Catalogue, dimension: Dimension) -> list[tuple[Given, Bools]]:
    """The structural zeros as masks, one per set of parents that some zero conditions on."""
    conditions = dict.fromkeys(tuple(p for p in dimension.parents if p in zero.given) for zero in dimension.zeros)
    return [(g, allowed_mask(dimension, [catalogue.dimension(p) for p in g])) for g in conditions]
