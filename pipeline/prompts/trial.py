"""Prompt variants scored against each other, on answers of several members to the same maps.

Belongs here: what a member's first answers are worth, variant by variant, and which variant follows. Does not belong
here: choosing the maps, getting answers (`pipeline.prompt_trial`), or telling the outcome (`pipeline.pages`).

The score of a variant is its expected quality per map. The quality of one map is

    0                                           if any of its first answers was rejected
    max(-1, 1 - JS(answer, consensus) / JS(uniform, consensus))      otherwise,

JS being the Jensen-Shannon divergence summed over the map's rows and `uniform` equal shares over what is possible. It
is the skill over saying nothing: 1 is the consensus itself, 0 is no better than equal shares, and below 0 is fluent and
wrong, worse than no answer. So validity comes first, as a factor; hedging and ignoring the given cost as much as they
lose of what the consensus tells. Both are also reported by themselves.

The consensus of a map is the pool of the other members' accepted maps, each member (pooled over its variants first)
weighted by the share of its maps that were valid at first. Where these weights sum to less than one reliable member,
the member's own other variants join with its own weight. It never contains the variant that is judged.

Price enters by the choice: of the variants that are not significantly worse than the best (they are within `ROOM` of
its score, or the 95 % interval of the paired difference reaches 0) and are valid at first no less often, the one with
the fewest tokens per accepted cell. Intervals are percentiles of a bootstrap over maps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.combination.bootstrap import Interval, Resamples, interval
from pipeline.combination.information import mutual_information
from pipeline.combination.pooling import pool
from pipeline.combination.problem import Bools, Floats
from pipeline.combination.scores import jensen_shannon
from pipeline.prompts.validation import allowed_mask, validate_all
from pipeline.prompts.variants import KINDS, parse_variant

if TYPE_CHECKING:
    from pipeline.catalogue.models import Dimension, Given
    from pipeline.elicitation.protocol import Completion
    from pipeline.prompts.render import Request

RELIABLE = 1.0
"""What the weights of the other members must sum to for the consensus to be theirs alone."""

ROOM = 0.02
"""A variant whose score is this near to the best is as good for every purpose: few maps often agree on a trifle."""

WORST = -1.0
"""Quality of one map is not counted lower than this, so that one absurd map does not decide a trial."""

MapKey = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What became of one member's first answers to one map under one variant.

    `p` is the map, f64 (*sizes of the given, K), None if any first answer was rejected; `allowed` is False on
    structural zeros. `tokens` are those of all prompts and first answers; `estimated` says that the endpoint did not
    report them.
    """

    member: str
    variant: str
    dimension: str
    given: Given
    p: Floats | None = field(repr=False)
    allowed: Bools = field(repr=False)
    reasons: tuple[str, ...]
    tokens: int
    estimated: bool

    @property
    def key(self) -> MapKey:
        """Which map it is."""
        return self.dimension, self.given

    @property
    def cells(self) -> int:
        """Accepted probability cells: those of the map that are possible, or none."""
        return int(self.allowed.sum()) if self.p is not None else 0


@dataclass(frozen=True, slots=True)
class VariantScore:
    """One member's record with one variant; the module's docstring defines the terms.

    `valid` and `score` are means over `maps` maps. Over the valid ones, None if there are none: `hedging` is the mean
    entropy of the rows minus the consensus's in nats, `information` the mutual information between given and dimension
    over the consensus's (conditions weighing the same; None if no map has a given), `distance` the mean Jensen-Shannon
    divergence of the rows from the consensus in nats. `tokens_per_cell` is None if no cell was accepted. `rank` is the
    rank among the member's variants, 1 the best. `reasons` counts rejections.
    """

    member: str
    variant: str
    maps: int
    valid: Interval
    score: Interval
    rank: Interval
    hedging: float | None
    information: float | None
    distance: float | None
    tokens_per_cell: float | None
    estimated: bool
    reasons: Mapping[str, int]
    contender: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class PartScore:
    """Mean score of one member over all variants that have a part."""

    member: str
    kind: str
    part: str
    valid: float
    score: Interval


def first_answers(
    requests: Iterable[Request],
    completions: Iterable[Completion],
    dimension_of: Callable[[str], Dimension],
    count_tokens: Callable[[str], int],
) -> tuple[Answered, ...]:
    """Judge the first answer to every request, and put together what belongs to one map.

    Later answers to a request are passed over. A map some of whose requests have no answer at all is left out, because
    a failure of the endpoint says nothing about the prompt.
    """
    requests = tuple(requests)
    first: dict[str, Completion] = {}
    for completion in completions:
        first.setdefault(completion.custom_id, completion)
    maps: dict[tuple[str, str, str, Given], list[Request]] = {}
    for r in requests:
        maps.setdefault((r.model, r.variant, r.dimension, r.given), []).append(r)
    outcome = validate_all(requests, first.values(), dimension_of)
    estimates = {(e.model, e.variant, e.dimension, e.given): e.p for e in outcome.estimates}
    reasons = {r.custom_id: str(r.reason) for r in outcome.rejections}
    found = []
    for key, asked in maps.items():
        if any(r.custom_id not in first for r in asked):
            continue
        used = [_tokens(r, first[r.custom_id], count_tokens) for r in asked]
        member, variant, dimension, given = key
        found.append(
            Answered(
                member=member,
                variant=variant,
                dimension=dimension,
                given=given,
                p=estimates.get(key),
                allowed=allowed_mask(dimension_of(dimension), [dimension_of(g) for g in given]),
                reasons=tuple(reasons[r.custom_id] for r in asked if r.custom_id in reasons),
                tokens=sum(tokens for tokens, _ in used),
                estimated=any(estimated for _, estimated in used),
            )
        )
    return tuple(found)


def variant_scores(answers: Sequence[Answered]) -> tuple[VariantScore, ...]:
    """Score every variant of every member, best first within a member; members in the order of the answers."""
    scores: list[VariantScore] = []
    consensus = Consensus(answers)
    for member in dict.fromkeys(a.member for a in answers):
        scores += _member_scores(member, answers, consensus)
    return tuple(scores)


def part_scores(answers: Sequence[Answered]) -> tuple[PartScore, ...]:
    """Score every part of the variants for every member, best first within a kind."""
    scores: list[PartScore] = []
    consensus = Consensus(answers)
    for member in dict.fromkeys(a.member for a in answers):
        table = _table(member, answers, consensus)
        for kind in KINDS:
            parts = [getattr(parse_variant(v), kind) for v in table.variants]
            found = []
            for part in dict.fromkeys(parts):
                rows = np.array([p == part for p in parts])
                valid = float(np.nanmean(table.valid[rows]))
                found.append(PartScore(member, kind, part, valid, interval(_means(table.quality[rows]).mean(axis=0))))
            scores += sorted(found, key=lambda s: -s.score.value)
    return tuple(scores)


def chosen_variants(scores: Iterable[VariantScore]) -> dict[str, str]:
    """The chosen variant by member; a member that no variant got anything usable from has none."""
    return {s.member: s.variant for s in scores if s.chosen}


class Consensus:
    """What each answer is held against."""

    def __init__(self, answers: Sequence[Answered]) -> None:
        self._accepted: dict[tuple[str, MapKey], list[Answered]] = {}
        valid: dict[str, list[bool]] = {}
        for a in answers:
            valid.setdefault(a.member, []).append(a.p is not None)
            if a.p is not None:
                self._accepted.setdefault((a.member, a.key), []).append(a)
        self._weights = {member: float(np.mean(flags)) for member, flags in valid.items()}
        self._pooled = {place: _pooled(found) for place, found in self._accepted.items()}
        self._allowed = {a.key: a.allowed for a in answers}

    def of(self, member: str, variant: str, key: MapKey) -> Floats | None:
        """The consensus of one map for one variant, f64 (*sizes of the given, K); None if nobody else has the map."""
        maps = {m: p for (m, k), p in self._pooled.items() if k == key and m != member}
        own = [a for a in self._accepted.get((member, key), ()) if a.variant != variant]
        if own and sum(self._weights[m] for m in maps) < RELIABLE:
            maps[member] = _pooled(own)
        if not maps:
            return None
        return pool(key[1], list(maps.values()), [self._weights[m] for m in maps], self._allowed[key]).p


def _pooled(found: Sequence[Answered]) -> Floats:
    """One member's map over several variants."""
    return pool(found[0].given, [a.p for a in found if a.p is not None], allowed=found[0].allowed).p


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """One member's answers as arrays (variants, maps), NaN where nothing was asked or can be said."""

    variants: tuple[str, ...]
    valid: Floats
    quality: Floats
    distance: Floats
    hedging: Floats
    told: Floats  # mutual information of the answer
    to_tell: Floats  # the same of the consensus


def _table(member: str, answers: Sequence[Answered], consensus: Consensus) -> _Table:
    variants = tuple(dict.fromkeys(a.variant for a in answers if a.member == member))
    keys = list(dict.fromkeys(a.key for a in answers))
    arrays = {name: np.full((len(variants), len(keys)), np.nan) for name in _Table.__slots__ if name != "variants"}
    for a in answers:
        if a.member != member:
            continue
        place = variants.index(a.variant), keys.index(a.key)
        arrays["valid"][place] = a.p is not None
        if a.p is None:
            arrays["quality"][place] = 0.0
        elif (held := consensus.of(member, a.variant, a.key)) is not None:
            for name, value in _judged(a.p, held, a.allowed, a.given).items():
                arrays[name][place] = value
    return _Table(variants, **arrays)


def _judged(p: Floats, held: Floats, allowed: Bools, given: Given) -> dict[str, float]:
    """One valid map against its consensus."""
    rows, other, mask = (x.reshape(-1, x.shape[-1]) for x in (p, held, allowed))
    open_rows = mask.sum(axis=1) > 1  # where only one category is possible there is nothing to estimate
    open_rows |= ~open_rows.any()
    rows, other, mask = rows[open_rows], other[open_rows], mask[open_rows]
    uniform = mask / mask.sum(axis=1, keepdims=True)
    distance, nothing = jensen_shannon(rows, other), jensen_shannon(uniform, other)
    result = {
        "quality": max(WORST, 1 - float(distance.sum()) / max(float(nothing.sum()), 1e-12)),
        "distance": float(distance.mean()),
        "hedging": float((_entropies(rows) - _entropies(other)).mean()),
    }
    if given:
        equal = np.full(len(rows), 1 / len(rows))
        result |= {"told": mutual_information(equal, rows), "to_tell": mutual_information(equal, other)}
    return result


def _entropies(rows: Floats) -> Floats:
    return np.asarray(-(rows * np.log(np.where(rows > 0, rows, 1.0))).sum(axis=1))


def _means(values: Floats) -> Floats:
    """Mean over maps per bootstrap replicate, (variants, 1 + replicates); a variant's NaN maps are left out."""
    (counts,) = Resamples.of([np.ones(values.shape[1])]).counts
    present = ~np.isnan(values)
    total, weight = np.where(present, values, 0.0) @ counts.T, present @ counts.T
    means = total / np.maximum(weight, 1e-300)
    return np.asarray(np.where(weight > 0, means, means[:, :1]))  # none of its maps drawn: as in the sample


def _member_scores(member: str, answers: Sequence[Answered], consensus: Consensus) -> list[VariantScore]:
    table = _table(member, answers, consensus)
    quality, valid = _means(table.quality), _means(table.valid)
    ranks = 1.0 + (quality[np.newaxis] > quality[:, np.newaxis] + 1e-12).sum(axis=1)
    best = int(quality[:, 0].argmax())
    contender = [
        (quality[best, 0] - row[0] <= ROOM or interval(quality[best] - row).low <= 0) and share[0] >= valid[best, 0]
        for row, share in zip(quality, valid, strict=True)
    ]
    scores = []
    for i, variant in enumerate(table.variants):
        mine = [a for a in answers if (a.member, a.variant) == (member, variant)]
        cells = sum(a.cells for a in mine)
        to_tell = float(np.nansum(table.to_tell[i]))
        scores.append(
            VariantScore(
                member=member,
                variant=variant,
                maps=len(mine),
                valid=interval(valid[i]),
                score=interval(quality[i]),
                rank=interval(ranks[i]),
                hedging=_mean(table.hedging[i]),
                information=float(np.nansum(table.told[i])) / to_tell if to_tell > 0 else None,
                distance=_mean(table.distance[i]),
                tokens_per_cell=sum(a.tokens for a in mine) / cells if cells else None,
                estimated=any(a.estimated for a in mine),
                reasons=Counter(reason for a in mine for reason in a.reasons),
                contender=contender[i],
                chosen=False,
            )
        )
    return _with_choice(sorted(scores, key=lambda s: (-s.score.value, s.variant)))


def _with_choice(ranked: list[VariantScore]) -> list[VariantScore]:
    running = [s for s in ranked if s.contender and s.tokens_per_cell is not None]
    if not running or ranked[0].score.value <= 0:
        return ranked
    cheapest = min(running, key=lambda s: (s.tokens_per_cell or 0.0, s.variant))
    return [replace(s, chosen=s is cheapest) for s in ranked]


def _mean(values: Floats) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _tokens(request: Request, completion: Completion, count_tokens: Callable[[str], int]) -> tuple[int, bool]:
    """Tokens of prompt and answer as reported, else as counted by `count_tokens`, and whether they were counted."""
    usage = completion.received.get("usage")
    if isinstance(usage, Mapping):
        reported = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        if all(isinstance(tokens, int) for tokens in reported):
            return sum(tokens for tokens in reported if isinstance(tokens, int)), False
    texts = [*(message["content"] for message in request.messages), completion.text or ""]
    return sum(map(count_tokens, texts)), True
