"""Asking again: an answer that validation rejected is asked for once more, with the reason quoted.

Belongs here: the re-ask of a request, its id, how often, and what is to be asked next given the answers so far. Does
not belong here: sending (`elicitation`), the verdict itself (`validation`).

A re-ask is a request of its own whose id leads back to the one it repeats, so that its answer counts as a later
attempt at that one. It can be made from the record alone: an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.prompts.validation import Rejection, validate_all, validate_completion
from pipeline.prompts.variants import fill

if TYPE_CHECKING:
    from pipeline.catalogue.models import Dimension
    from pipeline.elicitation.protocol import Completion
    from pipeline.prompts.render import Request

REASKS = 2
"""How often a rejected answer is asked for again, beyond the first time."""

FollowUp = Callable[["Request", "Completion"], "Request | None"]
"""From a request as it was asked and its answer to the request that follows, or None where none does."""

_SUFFIX = re.compile(r"\.r([2-9]|[1-9]\d+)-[0-9a-f]{8}\Z")


def base_id(custom_id: str) -> str:
    """The custom id of the request that this one is, or asks again."""
    return _SUFFIX.sub("", custom_id)


def reask(request: Request, rejection: Rejection, n: int) -> Request:
    """The n-th asking (2, 3, ...) of a request, quoting why the answer before was rejected."""
    quoted = fill(
        "reask/quoted",
        reason=str(rejection.reason),
        detail=rejection.detail,
        advice=fill(f"reask/{rejection.reason}"),
    )
    *before, user = request.messages
    content = f"{user['content']}\n\n{quoted}"
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    return replace(
        request,
        custom_id=f"{base_id(request.custom_id)}.r{n}-{digest[:8]}",
        messages=(*before, {**user, "content": content}),
    )


def next_requests(
    requests: Iterable[Request], completions: Iterable[Completion], dimension_of: Callable[[str], Dimension]
) -> list[Request]:
    """What to ask next, given every answer so far, in order; requests are those of one catalogue.

    A request without an answer is asked as it is, one whose last answer was rejected is asked again as long as
    `REASKS` allows; for one that has an accepted answer, or used up its re-asks, there is nothing to ask.
    """
    wanted, answers = list(requests), list(completions)
    outcome = validate_all(wanted, answers, dimension_of)
    asked = Counter(answer.custom_id for answer in answers)
    rejected = {r.custom_id: r for r in outcome.rejections if r.attempt == asked[r.custom_id]}
    unanswered = set(outcome.unanswered)
    following = []
    for request in wanted:
        times = asked[request.custom_id]
        if request.custom_id not in unanswered:
            continue
        if not times:
            following.append(request)
        elif times <= REASKS and request.custom_id in rejected:
            following.append(reask(request, rejected[request.custom_id], times + 1))
    return following


def follow_up(requests: Mapping[str, Request], dimension_of: Callable[[str], Dimension]) -> FollowUp:
    """A function that judges an answer as it arrives and gives the re-ask that it calls for, if any.

    `requests` are the originals by custom id; the function takes a request as it was asked, original or re-ask.
    """

    def following(asked: Request, completion: Completion) -> Request | None:
        request = requests[base_id(asked.custom_id)]
        parents = [dimension_of(parent) for parent in request.given]
        verdict = validate_completion(completion, request, dimension_of(request.dimension), parents)
        times = int(found[1]) if (found := _SUFFIX.search(asked.custom_id)) else 1
        return reask(request, verdict, times + 1) if isinstance(verdict, Rejection) and times <= REASKS else None

    return following
