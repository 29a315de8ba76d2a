"""The registry of combination strategies, simplest first: the order decides between strategies that are tied.

Belongs here: names and nothing else. A new strategy is one function and one line in this table.
"""

from __future__ import annotations

from pipeline.combination.controls import base_only, raw_product, strongest_parent
from pipeline.combination.latent_shift import latent_shift
from pipeline.combination.linear_pools import backoff, beta_linear_pool, linear_pool, linear_pool_information
from pipeline.combination.log_pools import log_pool, log_pool_information
from pipeline.combination.max_entropy import max_entropy, max_entropy_shrunk
from pipeline.combination.problem import Strategy
from pipeline.combination.products import naive_bayes, tau_redundancy, tempered_product

STRATEGIES: dict[str, Strategy] = {
    "base_only": base_only,
    "raw_product": raw_product,
    "strongest_parent": strongest_parent,
    "linear_pool": linear_pool,
    "log_pool": log_pool,
    "linear_pool_information": linear_pool_information,
    "log_pool_information": log_pool_information,
    "naive_bayes": naive_bayes,
    "tempered_product": tempered_product,
    "tau_redundancy": tau_redundancy,
    "backoff": backoff,
    "beta_linear_pool": beta_linear_pool,
    "latent_shift": latent_shift,
    "max_entropy": max_entropy,
    "max_entropy_shrunk": max_entropy_shrunk,
}

CONTROLS = ("base_only", "raw_product")
"""Tried beside the others to be compared with; never chosen for a dimension that has parents."""
