"""Trials as rows of the warehouse's tables. Reshaping only; what is tried and chosen is `pipeline.combination`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from pipeline.combination.bootstrap import Interval
from pipeline.combination.choice import Choice
from pipeline.combination.trial import Declined, Trial

_KEY: dict[str, Any] = {"population": pl.String, "edition": pl.String, "dimension": pl.String, "strategy": pl.String}
TRIAL_COLUMNS: dict[str, Any] = {
    **_KEY,
    "chosen": pl.Boolean,
    "tied": pl.Boolean,
    "runner_up": pl.Boolean,
    "reason": pl.String,
    "override": pl.String,
    "margin": pl.Float64,
    "marginal_tv": pl.Float64,
    "one_way_tv": pl.Float64,
    "two_way_tv": pl.Float64,
    **{f"held_out_{measure}{end}": pl.Float64 for measure in ("tv", "js") for end in ("", "_low", "_high")},
    "diversity": pl.Float64,
    "extreme": pl.Float64,
    "projection_tv": pl.Float64,
    "converged": pl.Boolean,
    "iterations": pl.Int32,
}
TRIAL_MAP_COLUMNS: dict[str, Any] = {
    **_KEY,
    "given": pl.List(pl.String),
    "role": pl.String,
    **{f"{measure}{end}": pl.Float64 for measure in ("tv", "js") for end in ("", "_low", "_high")},
    "chi_square": pl.Float64,
    "freedom": pl.Int32,
    "p_value": pl.Float64,
    "effect": pl.Float64,
}


def trial_rows(tried: Sequence[Trial], declined: Sequence[Declined], choice: Choice) -> Iterator[dict[str, Any]]:
    """A row per strategy, without the key columns; those that declined have a reason and no scores."""
    for trial in tried:
        chosen = trial is choice.winner
        diagnostics = trial.model.diagnostics
        yield {
            "strategy": trial.strategy,
            "chosen": chosen,
            "tied": trial.strategy in choice.tied,
            "runner_up": trial.strategy == choice.runner_up,
            "reason": choice.reason if chosen else "",
            "override": choice.override if chosen else None,
            "margin": choice.margin if chosen else None,
            "marginal_tv": trial.marginal_tv,
            "one_way_tv": trial.one_way_tv,
            "two_way_tv": trial.two_way_tv,
            **_bounds("held_out_tv", trial.held_out_tv),
            **_bounds("held_out_js", trial.held_out_js),
            "diversity": trial.diversity,
            "extreme": trial.extreme,
            "projection_tv": trial.projection_tv,
            "converged": diagnostics.converged if diagnostics else True,
            "iterations": diagnostics.iterations if diagnostics else 0,
        }
    for one in declined:
        yield dict.fromkeys(TRIAL_COLUMNS.keys() - _KEY.keys()) | {
            "strategy": one.strategy,
            "chosen": False,
            "tied": False,
            "runner_up": False,
            "reason": f"declined: {one.reason}",
        }


def trial_map_rows(tried: Sequence[Trial]) -> Iterator[dict[str, Any]]:
    """A row per strategy and map, without the key columns but the strategy."""
    for trial in tried:
        for one in trial.maps:
            yield {
                "strategy": trial.strategy,
                "given": list(one.given),
                "role": one.role,
                **_bounds("tv", one.tv),
                **_bounds("js", one.js),
                "chi_square": one.test.statistic,
                "freedom": one.test.freedom,
                "p_value": one.test.p_value,
                "effect": one.test.effect,
            }


def _bounds(name: str, found: Interval | None) -> dict[str, float | None]:
    if found is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
