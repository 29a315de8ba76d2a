"""Simulated panels: a truth over many maps, members that read it with noise, and members that are bad by name.

All of it is drawn from fixed seeds; nothing here resembles beliefs about anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.combination.agreement import PanelMap
from pipeline.combination.problem import Floats, Given

CATEGORIES = (2, 3, 4, 5, 5, 7, 8, 12)
"""Categories per simulated dimension; a few have twelve, as those of a catalogue do."""

PARENTS = (2, 5, 7)
"""Conditions per parent: every dimension has a base map, one map per parent and one per pair of parents."""

Maker = Callable[["World", np.random.Generator], "Answers"]
Answers = dict[tuple[str, Given], Floats]


@dataclass(frozen=True)
class World:
    """The truth: maps by (dimension, given), and the mass of every condition, flat, by given."""

    truth: Answers
    mass: dict[tuple[str, Given], Floats]


def world(seed: int) -> World:
    """Log-linear truths: skewed base rates, main effects of half a nat, interactions of an eighth."""
    rng = np.random.default_rng(seed)
    truth: Answers = {}
    mass: dict[tuple[str, Given], Floats] = {}
    for d, k in enumerate(CATEGORIES):
        name = f"d{d}"
        base = rng.dirichlet(np.full(k, 1.5))
        shares = {f"p{i}": rng.dirichlet(np.full(n, 4.0)) for i, n in enumerate(PARENTS)}
        effects = {p: rng.normal(0, 0.5, (len(m), k)) for p, m in shares.items()}
        truth[name, ()], mass[name, ()] = base, np.ones(1)
        for p, effect in effects.items():
            truth[name, (p,)], mass[name, (p,)] = _rows(np.log(base) + effect), shares[p]
        for i, a in enumerate(shares):
            for b in list(shares)[i + 1 :]:
                joint = effects[a][:, np.newaxis] + effects[b][np.newaxis]
                joint = joint + rng.normal(0, 0.125, joint.shape)
                truth[name, (a, b)] = _rows(np.log(base) + joint)
                mass[name, (a, b)] = np.outer(shares[a], shares[b]).ravel()
    return World(truth, mass)


def good(world: World, rng: np.random.Generator) -> Answers:
    """Noise of 0.15 to 0.3 nats on every cell, and a bias of 0.1 nats per category that is the member's own."""
    return reading(world.truth, rng, noise=rng.uniform(0.15, 0.3), bias=0.1)


def reading(truth: Answers, rng: np.random.Generator, noise: float, bias: float) -> Answers:
    """A truth read with noise on every cell and a bias per category of every dimension, in nats."""
    own = {d: rng.normal(0, bias, p.size) for (d, given), p in truth.items() if not given}
    return {(d, g): _rows(np.log(p) + own[d] + rng.normal(0, noise, p.shape)) for (d, g), p in truth.items()}


def uniform(world: World, rng: np.random.Generator) -> Answers:
    """The same for every category."""
    return {key: np.full(p.shape, 1 / p.shape[-1]) for key, p in world.truth.items()}


def swapped(world: World, rng: np.random.Generator) -> Answers:
    """Good numbers under the wrong categories, the same ones throughout a dimension."""
    return {key: np.roll(p, 1, axis=-1) for key, p in good(world, rng).items()}


def constant(world: World, rng: np.random.Generator) -> Answers:
    """Its own base rate under every condition, but for the third digit."""
    mine = good(world, rng)
    return {
        (d, g): _rows(np.log(np.broadcast_to(mine[d, ()], p.shape)) + rng.normal(0, 0.005, p.shape))
        for (d, g), p in mine.items()
    }


def noisy(world: World, rng: np.random.Generator) -> Answers:
    """Noise of one nat."""
    return reading(world.truth, rng, noise=1.0, bias=0.1)


def rounded(world: World, rng: np.random.Generator) -> Answers:
    """Good numbers in whole tens of percent."""
    result = {}
    for key, p in good(world, rng).items():
        tens = np.round(p, 1)
        tens[tens.sum(axis=-1) == 0] = 0.1
        result[key] = tens / tens.sum(axis=-1, keepdims=True)
    return result


def another_population(world: World, rng: np.random.Generator, shift: float = 0.7) -> Answers:
    """A good reading of other people, who differ by `shift` nats per category; the same ones for each such member."""
    elsewhere = np.random.default_rng(99)
    return reading(reading(world.truth, elsewhere, noise=shift / 4, bias=shift), rng, noise=0.2, bias=0.1)


def inverted(world: World, rng: np.random.Generator) -> Answers:
    """The rarest category is the likeliest."""
    return {key: _rows(-np.log(p)) for key, p in good(world, rng).items()}


BAD: dict[str, Maker] = {
    "uniform": uniform,
    "swapped": swapped,
    "constant": constant,
    "noisy": noisy,
    "rounded": rounded,
    "another population": another_population,
    "inverted": inverted,
}


def panel(
    world: World, honest: int, bad: Sequence[str], seed: int, kinds: Mapping[str, Maker] = BAD
) -> dict[str, Answers]:
    """Answers by member: `good-…`, then the bad ones by kind.

    Kinds are those of `kinds`, and copies: of the first good member, `copy of good`, and of the first bad one.
    """
    rng = np.random.default_rng(seed)
    members = {f"good-{i:02}": good(world, rng) for i in range(honest)}
    for i, kind in enumerate(bad):
        if kind == "copy of good":
            members[f"{kind} {i}"] = members["good-00"]
        elif kind == "copy of bad":
            members[f"{kind} {i}"] = members[f"{bad[0]} 0"]
        else:
            members[f"{kind} {i}"] = kinds[kind](world, rng)
    return members


def panel_maps(world: World, members: dict[str, Answers]) -> list[PanelMap]:
    """The maps of a panel as the scorecards read them."""
    return [
        PanelMap(d, g, {m: a[d, g] for m, a in members.items()}, world.mass[d, g], np.ones(p.shape, dtype=np.bool_))
        for (d, g), p in world.truth.items()
    ]


def _rows(logs: Floats) -> Floats:
    p = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))
