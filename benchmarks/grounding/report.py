"""The page of the benchmark: its tables, and in which the goals are met.

Does not belong here: any measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.pages import fill, table
from pipeline.combination.bootstrap import Interval
from pipeline.grounding.findings import AS_SAMPLED, OF_YEAR, SETTING, Finding
from pipeline.grounding.goals import MOST_ABOVE_FLOOR, MOST_V_APART
from pipeline.grounding.leanings import LeaningRow
from pipeline.grounding.two_sample import area
from pipeline.grounding.witnesses import Witness
from serving.snapshot import Snapshot

PAGE = Path(__file__).parent.parent.parent / "docs" / "grounding.md"
WORST_PAIRS = 10
"""Pairs shown of each data set; more if more miss the goal."""


def write_page(found: Sequence[Finding], witnesses: Sequence[Witness], snapshots: Sequence[Snapshot]) -> Path:
    """Put the tables into their places; returns the page."""
    fill(
        PAGE,
        {
            "snapshot": "\n".join(map(_snapshot, snapshots)),
            "goals": goals(found),
            "held-out": held_out(found),
            "sources": _sources(found),
            "areas": _areas(found),
            "settings": settings(found),
            "witnesses": witness_table(witnesses),
            "pair-counts": _pair_counts(found),
            "pairs": pair_table(found),
            "map-counts": _map_counts(found),
            "maps": map_table(found),
            "leanings": _leanings(found),
            "groups": _groups(found),
            "diversity": _diversity(found),
            "crosswalks": _crosswalks(found),
        },
    )
    return PAGE


def _snapshot(snapshot: Snapshot) -> str:
    people = snapshot.manifest.population
    return f"Snapshot {snapshot.id}, edition {snapshot.manifest.edition}: {people.label}, {people.year}."


def summary(finding: Finding) -> str:
    """One line for whoever waits."""
    arms = ", ".join(f"{arm} {values[0]:.3f}" for arm, values in finding.areas.items())
    return f"{finding.walk.id}: AUC {arms}; {len(finding.apart)} of {len(finding.pairs)} pairs off"


def goals(found: Sequence[Finding]) -> str:
    """Which goal each data set of all adults meets."""
    rows = []
    for one in found:
        if one.walk.adults:
            above = area(one.areas["personas"] - one.areas["floor"])
            met = "met" if above.value <= MOST_ABOVE_FLOOR else "**missed**"
            rows.append([one.walk.id, _signed(above), met, *_joint(one), "**missed**" if one.apart else "met"])
    head = ["data set", "AUC above the floor", f"at most {MOST_ABOVE_FLOOR:.2f}", *_JOINT, "none"]
    return table(head, rows)


def held_out(found: Sequence[Finding]) -> str:
    """The same measures of the data sets that nothing was chosen with in sight; no goal is set for them."""
    rows = [
        [one.walk.id, one.walk.source["years"], _signed(area(one.areas["personas"] - one.areas["floor"])), *_joint(one)]
        for one in found
        if one.walk.held_out
    ]
    return table(["data set", "years", "AUC above the floor", *_JOINT], rows)


_JOINT = ("with margins matched", f"pairs off by more than {MOST_V_APART:.2f} in V", "worst pair")


def _joint(finding: Finding) -> list[str]:
    """How columns go together, under the heads of `_JOINT`."""
    worst = finding.pairs[0]
    return [
        _signed(area(finding.areas["matched"] - finding.areas["floor"])),
        f"{len(finding.apart)} of {len(finding.pairs)}",
        f"{worst.first} x {worst.second} {worst.difference.value:+.2f}",
    ]


def _sources(found: Sequence[Finding]) -> str:
    rows = [
        [
            f"{w.source['package']}/{w.source['item']}",
            w.source["population"],
            w.source["label"],
            w.source["years"],
            w.source["frame"],
            w.source["weights"],
            "yes" if w.adults else "no",
            str(one.respondents),
        ]
        for one in found
        for w in [one.walk]
    ]
    return table(
        ["data set", "population", "survey", "years", "sampling frame", "weights", "all adults", "respondents"], rows
    )


def _areas(found: Sequence[Finding]) -> str:
    rows = []
    for one in found:
        areas = {arm: area(values) for arm, values in one.areas.items()}
        above = area(one.areas["personas"] - one.areas["floor"])
        shown = [_interval(areas[a]) for a in ("personas", "floor")]
        rest = [_interval(areas[a]) for a in ("matched", "naive_bayes", "linear_pool", "respondents")]
        rows.append([one.walk.id, str(len(one.columns)), str(one.people), *shown, _signed(above), *rest])
    head = ["data set", "columns", "respondents", "personas", "floor", "above the floor", "personas, margins matched"]
    return table([*head, "naive_bayes", "linear_pool", "other half"], rows)


def settings(found: Sequence[Finding]) -> str:
    """What is left above the floor once personas are of the survey's year, or sampled as it did, or both."""
    rows = []
    for one in found:
        if one.walk.year is not None and SETTING in one.areas:
            above = [
                _signed(area(one.areas[arm] - one.areas["floor"])) if arm in one.areas else ""
                for arm in ("personas", OF_YEAR, AS_SAMPLED, SETTING, "matched")
            ]
            met = area(one.areas[SETTING] - one.areas["floor"]).value <= MOST_ABOVE_FLOOR
            rows.append([one.walk.id, str(one.walk.year), *above[:4], "yes" if met else "no", above[4]])
    head = ["data set", "year", "as they are", "of its year", "sampled as it did", "both"]
    return table([*head, f"at most {MOST_ABOVE_FLOOR:.2f}", "margins matched"], rows)


def witness_table(witnesses: Sequence[Witness]) -> str:
    """Surveys told from each other, and from personas."""
    rows = [
        [
            f"{one.first} and {one.second} of {one.year}",
            ", ".join(one.columns),
            str(one.people),
            *(_interval(value) for value in (one.between, one.of_first, one.of_second)),
        ]
        for one in witnesses
    ]
    head = ["surveys", "columns that both have", "people", "from each other", "the first from personas"]
    return table([*head, "the second from personas"], rows)


def _pair_counts(found: Sequence[Finding]) -> str:
    rows = []
    for one in found:
        cells = [one.walk.id]
        for edge in (True, False):
            chosen = [row for row in one.pairs if row.edge == edge]
            off = [r for r in chosen if abs(r.difference.value) > MOST_V_APART]
            sure = [r for r in off if min(abs(r.difference.low), abs(r.difference.high)) > MOST_V_APART]
            sizes = [abs(row.difference.value) for row in chosen]
            signed = [row.difference.value for row in chosen]
            cells += [
                f"{len(off)} of {len(chosen)} ({len(sure)})",
                f"{np.mean(sizes):.3f} ({np.mean(signed):+.3f})" if chosen else "",
            ]
        rows.append(cells)
    head = ["data set", "with an edge: off", "mean size (signed)", "without: off", "mean size (signed)"]
    return table(head, rows)


def pair_table(found: Sequence[Finding]) -> str:
    """The worst pairs of each data set."""
    rows = [
        [
            one.walk.id,
            f"{row.first} x {row.second}",
            "" if row.edge else "independent",
            "" if row.exact else "rough",
            _interval(row.respondents),
            f"{row.personas.value:.2f}",
            _signed(row.difference),
        ]
        for one in found
        for row in one.pairs[: max(WORST_PAIRS, len(one.apart))]
    ]
    return table(["data set", "pair", "edge", "match", "V, respondents", "V, personas", "difference"], rows)


def _map_counts(found: Sequence[Finding]) -> str:
    rows = []
    for one in found:
        for name, order in (("base", 0), ("one-way", 1), ("two-way", 2)):
            chosen = [row for row in one.maps if len(row.given) == order]
            if chosen:
                beyond = sum(row.personas > row.chance_high for row in chosen)
                both = [(row.elicited, row.personas) for row in chosen if row.elicited is not None]
                rows.append(
                    [
                        one.walk.id,
                        name,
                        str(len(chosen)),
                        f"{np.mean([row.personas for row in chosen]):.3f}",
                        "{:.3f} / {:.3f} ({})".format(*np.mean(both, axis=0), len(both)) if both else "",
                        f"{np.mean([row.chance for row in chosen]):.3f}",
                        str(beyond),
                    ]
                )
    head = ["data set", "maps", "number", "personas: mean TV", "elicited / personas (maps that have both)", "by chance"]
    head.append("beyond chance")
    return table(head, rows)


def map_table(found: Sequence[Finding]) -> str:
    """All maps, those that exceed chance the most first in each data set."""
    rows = [
        [
            one.walk.id,
            " given ".join(filter(None, [row.dimension, " x ".join(row.given)])),
            "" if row.exact else "rough",
            str(row.people),
            f"{row.personas:.3f}",
            "" if row.elicited is None else f"{row.elicited:.3f}",
            f"{row.chance:.3f} ({row.chance_high:.3f})",
            "signal" if row.personas > row.chance_high else "",
        ]
        for one in found
        for row in sorted(one.maps, key=lambda r: r.chance - r.personas)
    ]
    head = ["data set", "map", "match", "respondents", "personas", "elicited map", "by chance (95 %)", ""]
    return table(head, rows)


def _leanings(found: Sequence[Finding]) -> str:
    rows = []
    for one in found:
        placed = {(row.theme, row.label): points(row) for row in one.set_leanings if not row.group}
        for row in one.leanings:
            if not row.group:
                told = placed.get((row.theme, row.label), "")
                years = one.walk.source["years"]
                rows.append([row.theme, row.label, one.walk.id, years, f"{row.respondents:.1f}", points(row), told])
    rows.sort(key=lambda r: r[0])
    head = ["theme", "share", "data set", "years", "respondents, %", "personas, points more"]
    return table([*head, "of its year, sampled as it did"], rows)


def _groups(found: Sequence[Finding]) -> str:
    rows = []
    for one in found:
        grouped: dict[tuple[str, str, str], list[LeaningRow]] = {}
        for row in one.leanings:
            if row.group:
                grouped.setdefault((row.theme, row.label, row.group), []).append(row)
        for (theme, label, group), members in grouped.items():
            text = ", ".join(f"{row.category} {points(row)}" for row in members)
            rows.append([theme, label, one.walk.id, group, text])
    rows.sort(key=lambda r: (r[0], r[1], r[2]))
    return table(["theme", "share", "data set", "by", "personas, points more than respondents"], rows)


def _diversity(found: Sequence[Finding]) -> str:
    rows = [
        [
            one.walk.id,
            f"{row.dimensions} ({row.subsets})",
            str(row.people),
            f"{row.respondents:,.0f}",
            f"{row.personas:,.0f}",
            _interval(row.ratio),
        ]
        for one in found
        for row in one.diversity
    ]
    return table(
        ["data set", "dimensions (subsets)", "people", "respondents", "personas", "personas to respondents"], rows
    )


def _crosswalks(found: Sequence[Finding]) -> str:
    rows = [
        [one.walk.id, c.id, str(len(c.categories)), c.source["match"], c.source.get("note", "")]
        for one in found
        for c in one.walk.columns
    ]
    return table(["data set", "dimension", "categories", "match", "note"], rows)


def _interval(one: Interval) -> str:
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def _signed(one: Interval) -> str:
    return f"{one.value:+.2f} ({one.low:+.2f} to {one.high:+.2f})"


def points(row: LeaningRow) -> str:
    """The difference in points and half its interval; in bold where the interval leaves out 0."""
    one = row.difference
    text = f"{one.value:+.1f} ±{(one.high - one.low) / 2:.1f}"
    return f"**{text}**" if one.low > 0 or one.high < 0 else text
