"""How the members of a panel lie to one another: distances over all maps, from which each member is judged.

Belongs here: the geometry of many members' answers, as pure functions of arrays. Does not belong here: what a distance
is worth (`scorecards`), pooling itself (`pooling`), and where answers come from.

Members answer whole maps but not all of them. So everything is kept map by map: the inner products of the members'
centred log probabilities, from which the distance of any member from any pool follows without going back to the cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pipeline.combination.information import entropies
from pipeline.combination.pooling import floored_logs, weighted_median
from pipeline.combination.problem import Bools, Floats, Given
from pipeline.combination.scores import total_variation


@dataclass(frozen=True, slots=True, eq=False)
class PanelMap:
    """One map as the members answered it.

    Attributes:
        dimension: Id of the dimension.
        given: Parents conditioned on.
        answers: Probabilities (*sizes of given, K) by member; members without an accepted answer are left out.
        mass: Share of people under each condition, flat (C,), summing to 1.
        allowed: Structural zeros (*sizes of given, K), False = never.
    """

    dimension: str
    given: Given
    answers: Mapping[str, Floats]
    mass: Floats
    allowed: Bools


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A map's answers as log probabilities (m, C, K) with the places of their members, and what weighs its cells."""

    members: tuple[int, ...]
    logs: Floats
    mask: Bools
    mass: Floats
    one_way: bool

    def pooled(self, weights: Floats) -> Floats:
        """Logarithmic pools (n, C, K) under weights (n, m), none of which are all 0."""
        shares = weights / weights.sum(axis=1, keepdims=True)
        logs = np.tensordot(shares, self.logs, axes=1)
        p = np.where(self.mask, np.exp(logs), 0.0)
        return np.asarray(p / p.sum(axis=-1, keepdims=True))

    @property
    def p(self) -> Floats:
        """The members' own probabilities (m, C, K), floors applied."""
        return np.where(self.mask, np.exp(self.logs), 0.0)

    @property
    def most(self) -> float:
        """Mean entropy of rows that say nothing, in nats."""
        return float(self.mass @ np.log(self.mask.sum(axis=-1)))


@dataclass(frozen=True, eq=False)
class Agreement:
    """The answers of a panel, read once.

    Attributes:
        members: Ids, in the order of every array here; M of them.
        present: Which member answered which map, bool (T, M).
        products: Inner products of centred log probabilities, (T, M, M), 0 for absent members: weighted by the mass of
            rows and, within rows, by the cellwise median of the members. In nats squared.
    """

    members: tuple[str, ...]
    present: Bools
    products: Floats
    _maps: tuple[_Read, ...] = field(repr=False)

    @staticmethod
    def of(maps: Sequence[PanelMap], members: Sequence[str]) -> Agreement:
        """Read the answers of `members`; maps that none of them answered are left out."""
        place = {m: i for i, m in enumerate(members)}
        read: list[_Read] = []
        present, products = (
            np.zeros((len(maps), len(members)), dtype=np.bool_),
            np.zeros((len(maps), *[len(members)] * 2)),
        )
        for one in maps:
            known = tuple(m for m in members if m in one.answers)
            if not known:
                continue
            k = one.allowed.shape[-1]
            mask = one.allowed.reshape(-1, k)
            stack = np.stack([one.answers[m].reshape(-1, k) for m in known])
            logs = floored_logs(one.given, stack, np.ones(stack.shape[:2], dtype=np.bool_), mask)
            places = tuple(place[m] for m in known)
            present[len(read), places] = True
            products[len(read)][np.ix_(places, places)] = _products(logs, mask, one.mass)
            read.append(_Read(places, logs, mask, one.mass, len(one.given) == 1))
        return Agreement(tuple(members), present[: len(read)], products[: len(read)], tuple(read))

    @cached_property
    def between(self) -> Floats:
        """Mean squared distance of every two members over the maps that both answered, (M, M); NaN where none."""
        own = np.einsum("tii->ti", self.products)
        squared = own[:, :, np.newaxis] + own[:, np.newaxis, :] - 2 * self.products
        both = self.present[:, :, np.newaxis] & self.present[:, np.newaxis, :]
        return _mean(np.maximum(squared, 0.0), both)

    def from_others(self, weights: Floats) -> Floats:
        """Rms distance of every member from the logarithmic pool of all others, in nats, (M,); NaN where unknown."""
        squared, known = self._squared(weights, apart=True)
        return np.sqrt(_mean(squared, known))

    def similarity(self, weights: Floats, least: float) -> Floats:
        """How much of what sets two members apart from the pool sets them apart together, (M, M).

        1 - |x - y|^2 / (|x - c|^2 + |y - c|^2) about the pool c: the correlation of their residuals where these are
        equally long. 1 for a copy, 0 for independent errors. Residuals count as at least `least` nats long, so that
        members near the pool are alike only if they are near-identical. With all weights 0 there is no pool and all
        count as `least` long.
        """
        squared, known = self._squared(weights, apart=False)
        length = np.maximum(np.nan_to_num(_mean(squared, known)), least**2)
        alike = 1 - self.between / (length[:, np.newaxis] + length[np.newaxis, :])
        return np.where(np.isnan(alike), 0.0, alike)

    def total_variation(self, weights: Floats) -> Floats:
        """Mean total variation of every member's maps from the logarithmic pool of all others, (M,)."""
        tv = np.zeros(self.present.shape)
        known = np.zeros(self.present.shape, dtype=np.bool_)
        for t, one in enumerate(self._maps):
            others = np.tile(weights[list(one.members)], (len(one.members), 1))
            np.fill_diagonal(others, 0.0)
            judged = others.sum(axis=1) > 0
            if judged.any():
                places = np.asarray(one.members)[judged]
                tv[t, places] = total_variation(one.p[judged], one.pooled(others[judged])) @ one.mass
                known[t, places] = True
        return _mean(tv, known)

    def entropy(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean entropy in nats of each member's maps, of the pool's and of uniform rows there, each (M,)."""
        own, pool, most = np.zeros((3, *self.present.shape))
        known = np.zeros(self.present.shape, dtype=np.bool_)
        for t, one in enumerate(self._maps):
            if (consensus := self._consensus(one, weights)) is not None:
                places = list(one.members)
                own[t, places] = entropies(one.p) @ one.mass
                pool[t, places], most[t, places] = entropies(consensus) @ one.mass, one.most
                known[t, places] = True
        return _mean(own, known), _mean(pool, known), _mean(most, known)

    def information(self, weights: Floats) -> tuple[Floats, Floats]:
        """Mean mutual information in nats of each member's one-way maps, and of the pool's over the same maps, (M,)."""
        own, pool = np.zeros((2, *self.present.shape))
        known = np.zeros(self.present.shape, dtype=np.bool_)
        for t, one in enumerate(self._maps):
            if one.one_way and (consensus := self._consensus(one, weights)) is not None:
                places = list(one.members)
                own[t, places] = _information(one.p, one.mass)
                pool[t, places] = _information(consensus[np.newaxis], one.mass)[0]
                known[t, places] = True
        return _mean(own, known), _mean(pool, known)

    def _consensus(self, one: _Read, weights: Floats) -> Floats | None:
        heard = weights[list(one.members)]
        return one.pooled(heard[np.newaxis])[0] if heard.sum() > 0 else None

    def _squared(self, weights: Floats, *, apart: bool) -> tuple[Floats, Bools]:
        """Squared distance from the pool of each map, (T, M), and where there is one; `apart`: from that of others."""
        shares = np.repeat((self.present * weights)[:, np.newaxis, :], len(self.members), axis=1)
        if apart:
            shares *= 1 - np.eye(len(self.members))
        total = shares.sum(axis=2)
        shares /= np.where(total > 0, total, 1.0)[..., np.newaxis]
        towards = np.einsum("tij,tij->ti", shares, self.products)
        pool = np.einsum("tij,tij->ti", np.matmul(shares, self.products), shares)
        squared = np.einsum("tii->ti", self.products) - 2 * towards + pool
        return np.maximum(squared, 0.0), self.present & (total > 0)


def _products(logs: Floats, mask: Bools, mass: Floats) -> Floats:
    middle = weighted_median(logs, np.ones(logs.shape))
    importance = np.where(mask, np.exp(middle), 0.0)
    importance /= importance.sum(axis=-1, keepdims=True)
    centred = np.where(mask, logs - (importance * logs).sum(axis=-1, keepdims=True), 0.0)
    scaled = (centred * np.sqrt(importance * mass[:, np.newaxis])).reshape(len(logs), -1)
    return np.asarray(scaled @ scaled.T)


def _information(p: Floats, mass: Floats) -> Floats:
    """Mutual information of one-way maps (n, C, K) in nats, (n,)."""
    return np.asarray(np.maximum(entropies(np.tensordot(p, mass, axes=(1, 0))) - entropies(p) @ mass, 0.0))


def _mean(values: Floats, known: Bools) -> Floats:
    """Mean over the first axis of what is known; NaN where nothing is."""
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
