"""The registry of combination strategies, simplest first.

Belongs here: names and nothing else. A new strategy is a module with one function and one line in this table.
"""

from __future__ import annotations

from pipeline.combination.linear_pool import linear_pool
from pipeline.combination.log_pool import log_pool
from pipeline.combination.max_entropy import max_entropy
from pipeline.combination.naive_bayes import naive_bayes
from pipeline.combination.problem import Strategy

STRATEGIES: dict[str, Strategy] = {
    "linear_pool": linear_pool,
    "log_pool": log_pool,
    "naive_bayes": naive_bayes,
    "max_entropy": max_entropy,
}
