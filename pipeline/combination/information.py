"""How much a parent tells about a dimension. Pure measures on maps; what follows from them is decided elsewhere."""

from __future__ import annotations

import numpy as np

from pipeline.combination.problem import Floats


def mutual_information(mass: Floats, p: Floats) -> float:
    """Mutual information between parent and dimension in nats (Shannon 1948), 0 if the rows are all alike.

    Args:
        mass: Marginal distribution of the parent, shape (n,).
        p: One-way map, shape (n, K), rows summing to 1.
    """
    mean = mass @ p
    ratio = np.where(p > 0, p / np.where(mean > 0, mean, 1.0), 1.0)
    return float(max(0.0, (mass[:, np.newaxis] * p * np.log(ratio)).sum()))
