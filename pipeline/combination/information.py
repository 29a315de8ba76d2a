"""How much parents tell: about a dimension, and about each other. Pure measures; what follows is decided elsewhere."""

from __future__ import annotations

import numpy as np

from pipeline.combination.problem import Codes, ElicitedMap, Floats, Problem


def mutual_information(mass: Floats, p: Floats) -> float:
    """Mutual information between parent and dimension in nats (Shannon 1948), 0 if the rows are all alike.

    Args:
        mass: Marginal distribution of the parent, shape (n,).
        p: One-way map, shape (n, K), rows summing to 1.
    """
    mean = mass @ p
    ratio = np.where(p > 0, p / np.where(mean > 0, mean, 1.0), 1.0)
    return float(max(0.0, (mass[:, np.newaxis] * p * np.log(ratio)).sum()))


def map_information(problem: Problem, one: ElicitedMap) -> float:
    """Mutual information in nats between the given of a map and the dimension, over the reference population."""
    return mutual_information(condition_mass(problem, one), one.p.reshape(-1, one.p.shape[-1]))


def condition_mass(problem: Problem, one: ElicitedMap) -> Floats:
    """Share of the reference population under each condition of a map, flat (C,), summing to 1."""
    sizes = one.p.shape[:-1]
    index = np.ravel_multi_index(
        tuple(problem.reference[:, c].astype(np.intp) for c in problem.columns_of(one.given)), sizes
    )
    counts = np.bincount(index, minlength=int(np.prod(sizes)))
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def information_shares(problem: Problem) -> list[float]:
    """Weight of each map, in the problem's order, proportional to what it tells; equal if none tells anything."""
    nats = [map_information(problem, m) for m in problem.maps]
    total = sum(nats)
    return [n / total for n in nats] if total > 0 else [1 / len(nats) for _ in nats]


def overlap(codes: Codes, first: int, second: int) -> float:
    """How much of what two columns of parent codes (n, P) hold is the same, 0 to 1.

    Mutual information over the smaller of the two entropies: 1 if one column is a function of the other.
    """
    a, b = codes[:, first].astype(np.intp), codes[:, second].astype(np.intp)
    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(table, (a, b), 1.0)
    table /= table.sum()
    smaller = min(entropy(table.sum(0)), entropy(table.sum(1)))
    if smaller == 0:
        return 0.0
    return min(1.0, max(0.0, (entropy(table.sum(0)) + entropy(table.sum(1)) - entropy(table.ravel())) / smaller))


def entropy(p: Floats) -> float:
    """Shannon entropy of a distribution in nats."""
    live = p[p > 0]
    return float(-(live * np.log(live)).sum())


def entropies(p: Floats) -> Floats:
    """Shannon entropy of distributions along the last axis in nats."""
    live = p > 0
    return np.asarray(-(p * np.log(np.where(live, p, 1.0))).sum(axis=-1))
