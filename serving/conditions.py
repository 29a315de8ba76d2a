"""Conditioning: drawing from P(everything | evidence), exactly where that can be had, by resampling where not.

Here belong reading evidence, and finding for each index a draw that meets it. Drawing itself is `serving.engine`; what
may be asked of a sampler is `serving.sampler`.

How it works. Evidence is a likelihood per dimension, a number from 0 to 1 for each category: 0 or 1 for hard evidence,
anything between for soft. What the evidence depends on is drawn as ever, the dimensions of the evidence by
P(category | parents) times likelihood, and the draw has a weight w, the product of the sums of these products
(likelihood weighting, Fung & Chang 1990). A try is kept with probability w / bound, the first that is kept is the
persona: rejection sampling, which is exact if the bound is one, for any evidence and any number of dimensions. Where
that would take many tries, some dimensions are drawn with the evidence in view, by `serving.lookahead`, and w is a
part of the limit there. The bound is the largest that w can be, or, where nothing near it is ever seen, set from a
pilot; what exceeds it is counted then (`excess`). If none of `TRIES` tries is kept, one of them is taken in proportion
to its weight (sampling importance resampling, Rubin 1987), and the effective sample size is told. Dimensions that the
evidence does not depend on are then drawn with the persona's own uniforms, so that they are what they would be in the
same world without the evidence.

First of all everybody is drawn without the evidence; who meets it stays who they are, which is rejection sampling too.
For the others there are tries with indices of their own, far out in the counter's space. All of it is a function of
(seed, index) and the evidence alone, whatever the size of a batch.

Values set by `do` make evidence of their own, of likelihood 1 for every category: that the dimensions which they may
leave without any (`serving.contradictions`) have one. Who has none is not there, and others are drawn instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from serving.ages import Years, years_of
from serving.counter import Seed, offspring, uniforms
from serving.engine import Drawn, Engine, Floats, Indices
from serving.evidence import Evidence
from serving.lookahead import Core, Lookahead
from serving.reference import deciders, no_category_left
from serving.snapshot import Snapshot, SnapshotDimension
from warehouse.errors import SamplingError

TRIES: Final = 32_768
FIRST_TRIES, GROWTH = 4, 4  # of tries for a persona; of the pilot
FEW = 4_096  # tries in all that cost little more than one
HOPELESS = 2  # personas that are searched for at a time where perhaps there are none
ROWS = 65_536  # tries drawn at a time
BLIND = 8.0  # tries for each that is kept, up to which nothing need be drawn with the evidence in view
PILOT, LARGEST_PILOT, PILOT_SEED, PILOT_ROOM = 4_096, 262_144, "pilot", 1.5
PILOT_EFFECTIVE = 1_000.0  # effective draws that a pilot should have
CERTAINTY = 4.0  # how many times as many tries a bound that nothing can exceed is worth
CORE_STREAM, ACCEPT_STREAM, RESAMPLE_STREAM = "evidence:core", "evidence:accept", "evidence:resample"
THIN, OFF = 100.0, 0.02  # effective draws below which, and excess above which, a warning is due


@dataclass(frozen=True, slots=True)
class Support:
    """How well a batch's evidence is supported.

    Attributes:
        probability: estimate of P(evidence); of soft evidence, of its mean likelihood. 1 without evidence.
        tries: draws that were made for the batch.
        resampled: personas for which no try was kept, so that they were resampled.
        effective: the smallest effective sample size among those, (sum w)**2 / sum w**2; inf where none was.
        excess: estimate of the probability mass, relative to the evidence's, that exceeds the bound: about so much may
            the distribution be off, in total variation. 0 where the bound is one that nothing can exceed; else at
            least what the heaviest draw of the pilot has of its weight.
    """

    probability: float = 1.0
    tries: int = 0
    resampled: int = 0
    effective: float = math.inf
    excess: float = 0.0

    @property
    def warning(self) -> str:
        """One line where support is thin, empty else."""
        if self.excess > OFF and self.effective >= THIN:
            return (
                f"thin support: the personas' distribution may be off by about {self.excess:.0%} in total variation; "
                f"P(evidence) is about {self.probability:.1e}; drop or widen some evidence"
            )
        if self.effective < THIN:
            return (
                f"thin support: {self.resampled} personas are resampled from as few as {self.effective:.0f} effective "
                f"draws; P(evidence) is about {self.probability:.1e}; drop or widen some evidence"
            )
        return ""


@dataclass(frozen=True, slots=True)
class Condition:
    """Evidence made ready: likelihoods by position, what is drawn with it in view, and what bounds a draw's weight.

    Attributes:
        likelihoods, fixed: by position.
        years: what evidence on exact ages says besides, if anything.
        core: what is drawn with the evidence in view, if anything; weights are parts of its limits then.
        bound: of weights.
        certain: that no weight exceeds the bound.
        mean: of weights, as the pilot has it, and how large that was.
        excess: of the pilot, see `Support`.
    """

    likelihoods: Mapping[int, Floats]
    fixed: Mapping[int, int]
    years: Years | None
    core: Core | None
    bound: float
    certain: bool
    mean: float
    pilot: int
    excess: float

    @property
    def tries(self) -> float:
        """Expected for each that is kept; inf where the pilot has none."""
        return self.bound / self.mean if self.mean else math.inf

    @property
    def scale(self) -> float:
        """What makes the mean of weights the probability of the evidence."""
        return self.core.mass if self.core else 1.0


def condition(snapshot: Snapshot, engine: Engine, known: Evidence, fixed: Mapping[int, int]) -> Condition:
    """Find the bound for this evidence, together with values that are fixed anyway.

    Raises SamplingError naming the dimension if the evidence contradicts what it depends on, or `fixed` leaves nothing
    possible for it.
    """
    likelihoods, years = known.vectors, years_of(snapshot, known.years)
    ahead = Lookahead(snapshot, likelihoods, fixed)
    largest = {name: ahead.largest(snapshot.dimension(name)) for name in likelihoods}
    for name, value in largest.items():
        if value == 0 and _nothing_asked(likelihoods.values()):
            raise no_category_left(name, deciders(snapshot.dimension(name)))
        if value == 0 and likelihoods[name].all():
            raise SamplingError(
                f"the evidence has probability zero: it leaves no category of {name!r} together with the values set"
            )
        if value == 0:
            raise SamplingError(
                f"the evidence has probability zero: {name!r} cannot have it together with the rest",
                about=name,
                allowed=_possible(snapshot.dimension(name), snapshot, likelihoods, fixed),
            )
    by_position = {snapshot.dimension(name).position: values for name, values in likelihoods.items()}
    bound = math.prod(largest.values())
    blind = _bounded(engine, by_position, fixed, years, None, bound=bound, most=PILOT)
    if blind.certain and blind.tries <= BLIND:
        return blind
    core = ahead.core()
    return _bounded(engine, by_position, fixed, years, core, bound=1.0 if core else bound, most=LARGEST_PILOT)


def _bounded(
    engine: Engine,
    likelihoods: Mapping[int, Floats],
    fixed: Mapping[int, int],
    years: Years | None,
    core: Core | None,
    *,
    bound: float,
    most: int,
) -> Condition:
    """Make pilots until they tell enough of the weights; `bound` is one that nothing can exceed."""
    size = PILOT
    while True:
        trial = Condition(likelihoods, fixed, years, core, bound, certain=True, mean=0.0, pilot=size, excess=0.0)
        _, weights = _Trier(engine, trial, PILOT_SEED).weighed(np.arange(size, dtype=np.uint64))
        mean, largest, whole = float(weights.mean()), float(weights.max()), float(np.cumsum(weights)[-1])
        lower = largest * PILOT_ROOM
        if largest == 0 or lower * CERTAINTY >= bound:
            return replace(trial, mean=mean)
        effective = whole**2 / float(np.cumsum(weights**2)[-1])
        if effective >= PILOT_EFFECTIVE or size >= most:
            return replace(trial, bound=lower, certain=False, mean=mean, excess=largest / whole)
        size *= GROWTH


def draw(engine: Engine, ready: Condition, indices: Indices, seed: Seed) -> tuple[Drawn, Support]:
    """Codes of all that the evidence depends on, itself included, for each index; and how well it is supported.

    Raises SamplingError if not one of all tries meets the evidence.
    """
    trier = _Trier(engine, ready, seed)
    chosen, meets = trier.as_they_are(indices)
    unmet = np.flatnonzero(~meets)
    # Where the pilot has met nobody, nobody may: then few at a time, so that the first who are hopeless end it all.
    size = max(len(unmet), 1) if ready.mean else HOPELESS
    found = [_search(trier, indices, unmet[low : low + size], chosen) for low in range(0, len(unmet), size)]
    tries, mass = sum(one.tries for one in found), sum(one.mass for one in found)
    over, resampled = sum(one.over for one in found), sum(one.resampled for one in found)
    return chosen, Support(
        probability=ready.scale * (mass + ready.mean * ready.pilot) / (tries + ready.pilot),
        tries=tries + TRIES * resampled,
        resampled=resampled,
        effective=min((one.effective for one in found), default=math.inf),
        excess=max(over / mass if mass else 0.0, ready.excess),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search came to: tries made, the sums of their weights and of what exceeds the bound; who is resampled."""

    tries: int
    mass: float
    over: float
    resampled: int
    effective: float


def _search(trier: _Trier, indices: Indices, left: npt.NDArray[np.intp], chosen: Drawn) -> _Found:
    """Put codes that meet the evidence into these places of `chosen`; raises SamplingError if there are none."""
    ready = trier.ready
    drawn = chosen.keys() - ready.fixed.keys()  # a core has no part for what is set, which is the same in every try
    tries, mass, over = 0, 0.0, 0.0
    first = 1
    while len(left) and first <= TRIES:
        count = min(_count(first - 1, len(left), ready), TRIES + 1 - first)
        open_still = []
        for part in _parts(left, count):
            rows, weights = trier.tries(indices[part], first, count)
            tries += weights.size
            mass += float(weights.sum())
            if not ready.certain:
                over += float(np.maximum(weights - ready.bound, 0).sum())
            kept = trier.kept(indices[part], first, weights)
            found, place = kept.any(axis=1), kept.argmax(axis=1)
            at = np.flatnonzero(found) * count + place[found]
            for position in drawn:
                chosen[position][part[found]] = rows[position][at]
            open_still.append(part[~found])
        left = np.concatenate(open_still)
        first += count
    effective = math.inf
    for place in left:
        rows, weights = trier.tries(indices[place : place + 1], 1, TRIES)
        running = np.cumsum(weights[0])
        if running[-1] == 0:
            years = "; exact ages depend on education, as nobody has a degree as young as that" if ready.years else ""
            raise SamplingError(
                f"the evidence has probability zero, or less than 1 in {TRIES:,} draws shows: drop or widen some of it"
                + years
            )
        effective = min(effective, float(running[-1] ** 2 / np.cumsum(weights[0] ** 2)[-1]))
        threshold = uniforms(trier.seed, RESAMPLE_STREAM, indices[place : place + 1])[0] * running[-1]
        at = int(np.searchsorted(running, threshold, side="right"))
        for position in drawn:
            chosen[position][place] = rows[position][at]
    return _Found(tries, mass, over, len(left), effective)


def _nothing_asked(likelihoods: Iterable[Floats]) -> bool:
    """Whether it is only asked that something be possible, as values that are set make it."""
    return all((values == 1).all() for values in likelihoods)


def check_anybody(engine: Engine, ready: Condition, do: Mapping[str, str]) -> None:
    """Raise SamplingError if nobody can have the values that are set, of whom `ready` asks just that."""
    if ready.mean:
        return
    _, weights = _Trier(engine, ready, PILOT_SEED).weighed(np.arange(TRIES, dtype=np.uint64))
    if not weights.any():
        said = " and ".join(f"{name}={category}" for name, category in do.items())
        raise SamplingError(f"nobody among {TRIES:,} people can have {said}: change or drop one", argument="do")


def _count(done: int, left: int, ready: Condition) -> int:
    """How many tries to make next for each of those left; which of them is kept does not depend on it."""
    expected = math.ceil(ready.tries) if ready.mean else TRIES
    return max(FIRST_TRIES, done // 4, min(expected, FEW // left))


def _parts(left: npt.NDArray[np.intp], count: int) -> list[npt.NDArray[np.intp]]:
    size = max(1, ROWS // count)
    return [left[low : low + size] for low in range(0, len(left), size)]


@dataclass(frozen=True, slots=True)
class _Trier:
    """Makes tries under one condition and one seed."""

    engine: Engine
    ready: Condition
    seed: Seed

    def as_they_are(self, indices: Indices) -> tuple[Drawn, npt.NDArray[np.bool_]]:
        """Everybody without the evidence, and who meets it: of soft evidence, with its likelihood as the chance."""
        free = {position: np.ones(len(values)) for position, values in self.ready.likelihoods.items()}
        codes, possible = self.engine.weigh(indices, self.seed, free, self.ready.fixed)
        likelihood = np.ones(len(indices))
        for position, values in self.ready.likelihoods.items():
            likelihood *= values[codes[position]]
        if self.ready.years:
            likelihood *= self.ready.years.of(codes, self.ready.fixed)
        meets: npt.NDArray[np.bool_] = (possible > 0) & (uniforms(self.seed, ACCEPT_STREAM, indices) < likelihood)
        return codes, meets

    def tries(self, indices: Indices, first: int, count: int) -> tuple[Drawn, Floats]:
        """Tries `first` to `first + count - 1` of each index: codes as rows one after another, weights (n, count)."""
        rows, weights = self.weighed(offspring(indices, first, count))
        return rows, weights.reshape(len(indices), count)

    def weighed(self, indices: Indices) -> tuple[Drawn, Floats]:
        """Tries of these indices: codes by position of all that was drawn, and weights, all of shape (n,)."""
        codes, weights = self._weighed(indices)
        if self.ready.years:
            weights = weights * self.ready.years.of(codes, self.ready.fixed)
        return codes, weights

    def _weighed(self, indices: Indices) -> tuple[Drawn, Floats]:
        ready = self.ready
        if ready.core is None:
            return self.engine.weigh(indices, self.seed, ready.likelihoods, ready.fixed)
        drawn, limits = ready.core.draw(uniforms(self.seed, CORE_STREAM, indices))
        left = {position: values for position, values in ready.likelihoods.items() if position not in drawn}
        codes, weights = self.engine.weigh(indices, self.seed, left, {**ready.fixed, **drawn})
        for position in ready.likelihoods.keys() & drawn.keys():
            weights *= ready.likelihoods[position][drawn[position]]
        return {**codes, **drawn}, weights / limits

    def kept(self, indices: Indices, first: int, weights: Floats) -> npt.NDArray[np.bool_]:
        """Which of the tries are kept, bool (n, count)."""
        chance = uniforms(self.seed, ACCEPT_STREAM, offspring(indices, first, weights.shape[1]))
        kept: npt.NDArray[np.bool_] = chance.reshape(weights.shape) * self.ready.bound < weights
        return kept


def _possible(
    dimension: SnapshotDimension, snapshot: Snapshot, likelihoods: Mapping[str, Floats], fixed: Mapping[int, int]
) -> list[str]:
    """The categories that the rest of the evidence leaves possible."""
    alone = np.eye(len(dimension.categories))
    return [
        category
        for category, likelihood in zip(dimension.categories, alone, strict=True)
        if Lookahead(snapshot, {**likelihoods, dimension.id: likelihood}, fixed).largest(dimension) != 0
    ]
