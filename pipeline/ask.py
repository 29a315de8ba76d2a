"""Asking a part of an edition: which part, what of it is missing, what that will cost, and what came of it.

Belongs here: joining plan, record and prices. Does not belong here: asking (`elicitation`), running the stages
(`build`), the arithmetic of costs (`elicitation.costs`), or anything that prints (`cli`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.corpus import left
from pipeline.elicitation.costs import Cost, forecast
from pipeline.elicitation.panel import Member, load_panel
from pipeline.plan import Plan
from pipeline.prompts.render import Request
from pipeline.resources import Build
from warehouse.database import query
from warehouse.errors import CatalogueError, ElicitationError


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of an edition is meant: dimensions as partition keys, and members that can be asked."""

    dimensions: frozenset[str]
    members: tuple[Member, ...]

    @property
    def models(self) -> frozenset[str]:
        """The ids of the members."""
        return frozenset(m.id for m in self.members)


def part_of(
    plan: Plan,
    population: str | None = None,
    *,
    members: Sequence[str] = (),
    dimensions: Sequence[str] = (),
    tier: int | None = None,
) -> Part:
    """The part of the plan's edition that these name; what is not named, all of it.

    Raises `ElicitationError` for a member that is not in the edition or answers from its record only, and
    `CatalogueError` for an unknown population or dimension, or a dimension of another tier.
    """
    known = {d.id: d for p, c in plan.catalogues.items() if population in (None, p) for d in c.dimensions}
    if not known:
        raise CatalogueError(f"unknown population '{population}': choose one of {', '.join(plan.catalogues)}")
    for name in dimensions:
        if name not in known:
            raise CatalogueError(f"unknown dimension '{name}': `personagen catalogue` lists them")
        if tier is not None and known[name].tier != tier:
            raise CatalogueError(f"dimension '{name}' is of tier {known[name].tier}, not {tier}: leave one of them out")
    keys = frozenset(
        f"{p}/{d.id}"
        for p, catalogue in plan.catalogues.items()
        for d in catalogue.dimensions
        if plan.panels[p]
        and population in (None, p)
        and (not dimensions or d.id in dimensions)
        and tier in (None, d.tier)
    )
    return Part(keys, _members(plan, members, population))


def missing(plan: Plan, part: Part) -> list[Request]:
    """The requests of the part that are still to be put, re-asks among them."""
    requests = [
        request
        for (population, dimension, model), asked in plan.requests.items()
        if model in part.models and f"{population}/{dimension}" in part.dimensions
        for request in asked
    ]
    return left(plan, requests)


def expected(plan: Plan, part: Part) -> dict[str, Cost]:
    """What asking for all that is missing of the part will cost, by member id."""
    return forecast(missing(plan, part), part.members, plan.catalogues)


def expected_of_all(plan: Plan, population: str | None = None) -> dict[str, Cost]:
    """What asking for all that is missing of the edition, or of one population, will cost; nothing where its members
    are all recorded.
    """
    panel = plan.panel if population is None else plan.panels[population]
    askable = any(m.source != "recorded" for m in panel)
    return expected(plan, part_of(plan, population)) if askable else {}


def told(build: Build, part: Part) -> pl.DataFrame:
    """What the members gave so far in this edition, a row each, in the order of the panel.

    Columns: model, calls, answered, accepted (maps), rejected (answers), reasons (counts by reason, as text),
    tokens_in, tokens_out, usd (null where nothing was booked).
    """
    with build.connect() as connection:
        spend = query(
            connection,
            "select model, calls, answered, tokens_in, tokens_out, usd from spend where edition = ?",
            [build.edition],
        )
        accepted = query(
            connection,
            "select model, count(distinct (population, dimension, given)) as accepted from estimates "
            "where edition = ? group by model",
            [build.edition],
        )
        reasons = query(
            connection,
            "select model, sum(n)::bigint as rejected, string_agg(reason || ' ' || n, ', ' order by n desc, reason) "
            "as reasons from (select model, reason, count(*) as n from rejections where edition = ? group by all) "
            "group by model",
            [build.edition],
        )
    rows = pl.DataFrame({"model": [m.id for m in part.members]}, schema={"model": pl.String})
    for frame in (spend, accepted, reasons):
        rows = rows.join(frame, on="model", how="left", maintain_order="left")
    counts = ("calls", "answered", "accepted", "rejected", "tokens_in", "tokens_out")
    return rows.with_columns(pl.col(counts).fill_null(0), pl.col("reasons").fill_null("")).select(
        "model", "calls", "answered", "accepted", "rejected", "reasons", "tokens_in", "tokens_out", "usd"
    )


def _members(plan: Plan, names: Sequence[str], population: str | None) -> tuple[Member, ...]:
    panel = plan.panel if population is None else plan.panels[population]
    if not panel:
        raise ElicitationError(f"edition '{plan.edition}' asks nobody about '{population}': see its edition.toml")
    asked = {m.id: m for m in panel}
    known = {m.id: m for m in load_panel()} | asked
    for name in names:
        if name not in known:
            raise ElicitationError(f"unknown panel member '{name}': `personagen panel` lists them")
        if known[name].source == "recorded":
            raise ElicitationError(f"'{name}' answers from the record and cannot be asked: name a live or local member")
        if name not in asked:
            about = f" about '{population}'" if name in {m.id for m in plan.panel} else ""
            raise ElicitationError(
                f"'{name}' is not asked{about} for edition '{plan.edition}', whose members are settled: begin another "
                f"one with `personagen edition new NAME --member {name}`"
            )
    found = tuple(m for m in panel if m.source != "recorded" and (not names or m.id in names))
    if not found:
        raise ElicitationError(
            f"edition '{plan.edition}' has recorded members only, whom nobody can ask: begin another one with "
            "`personagen edition new NAME`"
        )
    return found
