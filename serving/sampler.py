"""The sampler: a request for personas, checked, and the batch that answers it.

Here belong the arguments of `Sampler.sample` and what they come down to. Drawing is `serving.engine`, conditions are
`serving.conditions`, and what a batch can be turned into is `serving.batch`.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache, partial
from typing import Any

import numpy as np

from serving import conditions
from serving.batch import Batch, Selection, refuse_derived, select_fields
from serving.conditions import Condition, Support
from serving.contradictions import at_risk
from serving.counter import LARGEST_INDEX, Seed, check_seed
from serving.engine import Codes, Drawn, Engine, Indices, KernelName
from serving.evidence import Evidence, evidence_of, read_evidence, tells_years
from serving.lines import Lines
from serving.quotas import check_quota, filled, shares_of
from serving.snapshot import Snapshot
from serving.targets import Argument, Targets, check_targets, raked
from warehouse.errors import SamplingError

EARLIEST = date(1000, 1, 1)  # of as_of: whoever is alive then was born in a year that a date can have
CONDITIONS = 32  # that are kept ready, each of up to 2.4 MB


class SupportWarning(UserWarning):
    """Evidence for which too few draws speak to trust the personas' distribution."""


class Sampler:
    """Draws personas from a snapshot; holds no state but lookup tables, so one can be shared by threads."""

    def __init__(self, snapshot: Snapshot, kernel: KernelName = "auto") -> None:
        """Make ready to draw.

        `kernel` is `numpy`, `numba` (the extra `fast`), or `auto`: numba where it is installed and a request is large
        enough to pay for loading it. All of them give the same people.
        """
        self.snapshot = snapshot
        self._engine = Engine(snapshot, kernel)
        self._condition = lru_cache(maxsize=CONDITIONS)(self._find_condition)
        self._possible = lru_cache(maxsize=CONDITIONS)(self._find_possible)
        self._raked = lru_cache(maxsize=CONDITIONS)(self._find_raked)
        self._selected = lru_cache(maxsize=CONDITIONS)(partial(select_fields, snapshot))
        self._ready_lines = lru_cache(maxsize=CONDITIONS)(self._make_lines)

    def sample(
        self,
        n: int,
        seed: Seed = 0,
        start: int = 0,
        evidence: Mapping[str, Any] | None = None,
        do: Mapping[str, str] | None = None,
        *,
        likelihood: Mapping[str, Mapping[str, float]] | None = None,
        target_marginal: Mapping[str, Mapping[str, float]] | None = None,
        quota: Mapping[str, Mapping[str, int]] | None = None,
        fields: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        as_of: date | None = None,
        accents: bool = False,
        warn: bool = True,
    ) -> Batch:
        """Draw the personas of the indices `start` to `start + n - 1`.

        Args:
            n: how many, 0 or more.
            seed: any integer (0 is as good as another) or string.
            start: first index; sample(10) is sample(5) followed by sample(5, start=5).
            evidence: dimension id -> what is known of it: causes, consequences and everything else follow. A category
                id; several, in a list, for any of them; a range such as "25..34" of years (age) or
                "bachelor..doctorate" of categories (ordinal dimensions), both ends included, either left out if open.
            do: dimension id -> category id, set whatever its causes say; its consequences follow, and all
                dimensions that do not depend on it keep the value they had without it. Who can have no category of
                some dimension then, as a soldier who is made a student has no occupation, is not there: others are
                drawn instead.
            likelihood: soft evidence: dimension id -> category id -> a number from 0, how likely what was observed is
                in that category, up to a factor; categories not named have 0.
            target_marginal: soft evidence of the other kind: dimension id -> category id -> the share that it is to
                have among the personas. Categories not named share what is left in their own proportion. Of all
                distributions with these marginals, the personas follow the one nearest to the population's.
            quota: dimension id -> category id -> how many of the n personas exactly. Such a batch is one whole: its
                indices begin at `start` but are not consecutive, and a shorter one is no prefix of it.
            fields: names of dimensions and derived fields to carry, in this order; None for all.
            exclude: names to leave out; `sensitive` stands for all sensitive dimensions.
            as_of: date at which exact ages hold; None for the snapshot's own date, never today.
            accents: whether names are written as José and Nguyễn rather than Jose and Nguyen.
            warn: whether thin support is warned of; filters of warnings are no matter of one thread.

        Raises SamplingError for an unknown name or category, a negative count, values set by `do` that nobody can
        have, or evidence of probability zero. Warns with `SupportWarning` where
        support is thin; `Batch.support` has the figures.
        """
        seed = check_seed(seed)
        n, start = check_range(n, start)
        asked = self._check_conditions(
            evidence=evidence, do=do, likelihood=likelihood, target_marginal=target_marginal, quota=quota
        )
        fixed = self._fixed(asked["do"])
        known = read_evidence(self.snapshot, asked["evidence"], asked["likelihood"])
        if fixed:
            known = known.joined(self._possible(_key(fixed)))
        if asked["target_marginal"]:
            targets = check_targets(self.snapshot, asked["target_marginal"])
            known = known.joined(self._raked(targets, known, _key(fixed), "target_marginal"))
        selection = self._selection(fields, exclude)
        wanted = {self.snapshot.dimension(name).position for name in selection.needed_dimensions}
        indices, met, support = np.arange(start, start + n, dtype=np.uint64), dict[int, Codes](), Support()
        places = check_quota(self.snapshot, asked["quota"], n)
        if places and n:
            lean = self._raked(shares_of(places, n), known, _key(fixed), "quota")
            meeting = partial(self._met, fixed=fixed, seed=seed)
            indices, met, support = filled(self.snapshot, places, known.joined(lean), meeting, n=n, start=start)
        elif known.likelihoods:  # of nobody as well: what cannot be is refused before anybody is drawn
            met, support = self._met(known, indices, fixed=fixed, seed=seed)
        if support.warning and warn:
            warnings.warn(support.warning, SupportWarning, stacklevel=2)
        drawn = self._engine.draw(indices, seed, wanted, {**fixed, **met})
        return Batch(
            snapshot=self.snapshot,
            seed=seed,
            indices=indices,
            as_of=self.snapshot.as_of if as_of is None else _check_date(as_of),
            accents=accents,
            selection=selection,
            codes={self.snapshot.dimensions[position].id: values for position, values in drawn.items()},
            support=support,
            years=known.years,
        )

    def lines(
        self,
        do: Mapping[str, str] | None = None,
        *,
        fields: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        as_of: date | None = None,
        accents: bool = False,
    ) -> Lines:
        """A request made ready for single personas: `.line(seed, index)` is what `sample(1, ...).to_jsonl()` gives.

        The arguments are those of `sample`; conditions other than `do`, and the prose `summary`, are for that alone.
        Raises SamplingError for an unknown name or category, or for prose.
        """
        asked = tuple(sorted(self._check_conditions(do=do)["do"].items())) if do else ()
        try:
            return self._ready_lines(asked, _hashable(fields), _hashable(exclude), as_of, accents)
        except TypeError:  # of other types, or holding what cannot be a name, which is said here
            return self._make_lines(asked, fields, exclude, as_of, accents)

    def _make_lines(
        self,
        do: tuple[tuple[str, str], ...],
        fields: Iterable[str] | None,
        exclude: Iterable[str] | None,
        as_of: date | None,
        accents: bool,
    ) -> Lines:
        selection = self._selection(fields, exclude)
        if selection.prose:
            raise SamplingError("lines have no summary: use sample instead", argument="fields")
        fixed = self._fixed(dict(do))
        stranded = self._possible(_key(fixed)).vectors

        def otherwise(seed: Seed, index: int) -> bytes:
            one = self.sample(
                *(1, seed, index),
                do=dict(do),
                fields=fields,
                exclude=exclude,
                as_of=as_of,
                accents=accents,
                warn=False,
            )
            return next(iter(one.to_jsonl())).encode()

        as_of = self.snapshot.as_of if as_of is None else _check_date(as_of)
        return Lines(
            *(self.snapshot, self._engine, selection),
            fixed=fixed,
            as_of=as_of,
            accents=accents,
            at_risk=stranded,
            otherwise=otherwise,
        )

    def _selection(self, fields: Iterable[str] | None, exclude: Iterable[str] | None) -> Selection:
        try:
            return self._selected(_hashable(fields), _hashable(exclude))
        except TypeError:  # of other types, or holding what cannot be a name, which is said here
            return select_fields(self.snapshot, fields, exclude)

    def _check_conditions(self, **named: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
        """Conditions by argument; refused is what is no mapping from dimensions, and one that two of them speak of."""
        seen: dict[str, str] = {}
        for argument, values in named.items():
            if not isinstance(values, Mapping | None) or not all(isinstance(name, str) for name in values or ()):
                raise SamplingError(
                    f"{argument} must be a mapping such as {{'sex': ...}}, not {values!r}", argument=argument
                )
            for name, value in (values or {}).items():
                refuse_derived(self.snapshot, name, "condition on one of these")
                listed = list(value) if isinstance(value, Mapping) else value
                if argument != "evidence" and tells_years(name, listed):
                    bands = self.snapshot.dimension(name).categories
                    raise SamplingError(
                        f"{argument} takes bands of 'age', not years: use {', '.join(bands)}, or evidence for years",
                        argument=argument,
                        about=name,
                        allowed=bands,
                    )
                if argument == "do" and not isinstance(value, str):
                    raise SamplingError(
                        f"do sets {name!r} to one category, not to {value!r}", argument=argument, about=name
                    )
                if name in seen:
                    raise SamplingError(
                        f"dimension {name!r} is in {seen[name]} and in {argument}: leave one of them out",
                        argument=argument,
                        about=name,
                    )
                seen[name] = argument
        return {argument: values or {} for argument, values in named.items()}

    def _fixed(self, do: Mapping[str, str]) -> dict[int, int]:
        dimensions = [(self.snapshot.dimension(name), category) for name, category in do.items()]
        return {dimension.position: dimension.code(category) for dimension, category in dimensions}

    def _find_possible(self, fixed: tuple[tuple[int, int], ...]) -> Evidence:
        """That what these values may leave without a category has one; SamplingError if that cannot be."""
        found = at_risk(self.snapshot, dict(fixed))
        known = evidence_of({name: np.ones(len(self.snapshot.dimension(name).categories)) for name in found})
        if found:
            dimensions = self.snapshot.dimensions
            do = {dimensions[place].id: dimensions[place].categories[code] for place, code in fixed}
            conditions.check_anybody(self._engine, self._condition(known, fixed), do)
        return known

    def _met(self, known: Evidence, indices: Indices, *, fixed: Mapping[int, int], seed: Seed) -> tuple[Drawn, Support]:
        """Codes of what the evidence depends on, itself included, for each index."""
        return conditions.draw(self._engine, self._condition(known, _key(fixed)), indices, seed)

    def _find_condition(self, known: Evidence, fixed: tuple[tuple[int, int], ...]) -> Condition:
        return conditions.condition(self.snapshot, self._engine, known, dict(fixed))

    def _find_raked(
        self, targets: Targets, known: Evidence, fixed: tuple[tuple[int, int], ...], argument: Argument
    ) -> Evidence:
        return raked(self.snapshot, self._engine, targets, known, dict(fixed), argument=argument)


def _key(fixed: Mapping[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(fixed.items()))


def _hashable(names: Iterable[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, list | tuple):
        return tuple(names)
    raise TypeError


def _check_date(as_of: object) -> date:
    if isinstance(as_of, datetime):
        as_of = as_of.date()
    if not isinstance(as_of, date):
        raise SamplingError(
            f"as_of must be a date, not {as_of!r}: give datetime.date(2026, 11, 1) or the like", argument="as_of"
        )
    if as_of < EARLIEST:
        raise SamplingError(f"as_of must be {EARLIEST} or later, not {as_of}", argument="as_of")
    return as_of


def check_range(n: object, start: object) -> tuple[int, int]:
    """Read n and start; SamplingError if one is no integer or negative, or the last index too large."""
    numbers = []
    for name, value in (("n", n), ("start", start)):
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise SamplingError(f"{name} must be an integer, not {value!r}") from None
        if number < 0:
            raise SamplingError(f"{name} must be 0 or more, not {number}")
        numbers.append(number)
    if sum(numbers) > LARGEST_INDEX:
        raise SamplingError(f"start + n must stay below 2**63, not {sum(numbers)}: lower one of them")
    return numbers[0], numbers[1]
