"""How many tokens a text has, and how many a request and its answer will take. No prices and no counts of real calls.

Tokens are those of o200k, the vocabulary of OpenAI's models, which splintr carries with it. Other makers' vocabularies
cut the same text otherwise: over all recorded prompts 14 others, SmolLM2's among them, counted 1.00 to 1.19 times the
tokens, and over all answers 1.00 to 1.24 times; single answers, those full of figures, up to 1.95 times. `make
bench-tokens` measures that again, and what the constants below state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from pipeline.prompts.schema import DEFINITIONS, answer_schema

if TYPE_CHECKING:
    from splintr import AnyTokenizer

    from pipeline.catalogue.models import Dimension
    from pipeline.prompts.render import Request

VOCABULARY = "o200k_base"

PER_MESSAGE, PER_CHAT = 4, 3
"""Tokens that chat templates add around each message, and once."""

FIGURES: dict[str, float] = {"per_1000_rows": 125}
FIGURE = 12.5
"""What stands for every number of an answer yet to come, by number format. So written, the median recorded answer has
as many tokens as expected. All together have 0.97 (percent_keyed) and 1.04 (per_1000_rows) times the expected tokens,
95 % of the single ones 0.79 to 1.00 and 0.71 to 1.56 times."""

IN_RANGE = (1.0, 1.2)
"""Factors on the tokens of all prompts, by the vocabularies above."""

OUT_RANGE = (0.9, 1.5)
"""Factors on the tokens of all answers: shorter figures than expected, or a vocabulary that spells digits one by one
(1.24) and JSON that is indented (1.19 keyed by category). Indented lists (1.49) in such a vocabulary go beyond."""

EFFORTS = {"none": 0.0, "minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 1.0}
"""OpenRouter's shares of a thinking budget by effort."""

THINKING = 5_120
"""The whole budget assumed, so that effort `low` has 1,024 tokens, the least that Claude takes. An assumption: nothing
recorded tells how long models think about these prompts, so the low estimate has none of it and the high one triple."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Tokens that a call is expected to take: those of the prompt, and those of the answer with its reasoning."""

    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Range:
    """What one answer to a request takes at least, probably, and at most, by the errors that this module states."""

    low: Expected
    likely: Expected
    high: Expected


@lru_cache(maxsize=16_384)
def count_tokens(text: str) -> int:
    """Tokens of a text. The cache spares counting a prompt again for every member that is asked it."""
    return _count(text)


def expect(request: Request, dimension_of: Callable[[str], Dimension], *, structured: bool = True) -> Expected:
    """The likely tokens of one answer to this request; see `expected_range`."""
    return expected_range(request, dimension_of, structured=structured).likely


def expected_range(request: Request, dimension_of: Callable[[str], Dimension], *, structured: bool = True) -> Range:
    """Tokens that the prompt has and its answer will have.

    `structured` tells that the answer's schema is sent along. It counts as part of the prompt, as OpenAI and Google
    have it; elsewhere it constrains the sampler only and is not charged, so the low estimate is without it.
    """
    prompt = sum(count_tokens(m["content"]) + PER_MESSAGE for m in request.messages) + PER_CHAT
    given = [dimension_of(g) for g in request.given] if request.condition is None else []
    schema, answer = _shape_tokens(dimension_of(request.dimension), given, request.number_format)
    prompted = prompt + (schema if structured else 0)
    thinking = _thinking(request.settings.get("reasoning") or {})
    return Range(
        low=Expected(round(prompt * IN_RANGE[0]), round(answer * OUT_RANGE[0])),
        likely=Expected(prompted, answer + thinking),
        high=Expected(round(prompted * IN_RANGE[1]), round(answer * OUT_RANGE[1]) + 3 * thinking),
    )


def _thinking(reasoning: dict[str, Any]) -> int:
    """Tokens of reasoning that are assumed, by what is asked of the model about it."""
    if isinstance(reasoning.get("max_tokens"), int):
        return int(reasoning["max_tokens"])
    if "effort" in reasoning:
        return round(EFFORTS.get(str(reasoning["effort"]), 1.0) * THINKING)
    return round(EFFORTS["medium"] * THINKING) if reasoning.get("enabled") else 0


def _shape_tokens(dimension: Dimension, given: Sequence[Dimension], number_format: str) -> tuple[int, int]:
    """Tokens of the answer's schema, and of an answer of that shape."""
    key = (dimension.category_ids, tuple(g.category_ids for g in given), number_format)
    if key not in _SHAPES:
        schema = answer_schema(dimension, given, number_format)
        answer = _example(schema, FIGURES.get(number_format, FIGURE), schema.get("$defs", {}))
        _SHAPES[key] = _count(json.dumps(schema, separators=(",", ":"))), _count(json.dumps(answer))
    return _SHAPES[key]


_SHAPES: dict[tuple[object, ...], tuple[int, int]] = {}


def _example(schema: dict[str, Any], figure: float, common: dict[str, Any]) -> object:
    """An answer that the schema admits, with the same figure everywhere; `common` is what its references name."""
    if "$ref" in schema:
        return _example(common[schema["$ref"].removeprefix(DEFINITIONS)], figure, common)
    if schema["type"] == "object":
        return {name: _example(part, figure, common) for name, part in schema["properties"].items()}
    if schema["type"] == "array":
        return [_example(schema["items"], figure, common)] * schema["minItems"]
    return figure


def _count(text: str) -> int:
    return len(_tokenizer().encode_ordinary(text))


@cache
def _tokenizer() -> AnyTokenizer:
    from splintr import Tokenizer  # noqa: PLC0415  # loads its vocabularies

    return Tokenizer.from_pretrained(VOCABULARY)
