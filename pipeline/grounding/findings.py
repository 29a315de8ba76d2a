"""Everything measured on one data set, and the same as plain values for a file.

Does not belong here: recoding (`crosswalk`), the measures (`maps`, `association`, `two_sample`, `leanings`), pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pipeline.catalogue.models import Catalogue
from pipeline.combination.problem import Floats
from pipeline.grounding.association import PairRow, pair_rows
from pipeline.grounding.crosswalk import Crosswalk, People, personas, respondents
from pipeline.grounding.engine import floor, snapshot_maps
from pipeline.grounding.goals import MOST_V_APART
from pipeline.grounding.leanings import Diversity, LeaningRow, diversity, leaning_rows
from pipeline.grounding.maps import MapRow, map_rows
from pipeline.grounding.settings import as_sampled, fields_of, of_year
from pipeline.grounding.two_sample import area, auc_replicates, chosen, held_out_scores, matched
from pipeline.grounding.years import BaseRates
from serving import Batch
from serving.sampler import Sampler
from serving.snapshot import Snapshot

POOL = 200_000
"""Personas drawn for a data set: so many that what varies by chance is the respondents."""

MOST_PEOPLE = 20_000
"""Respondents told from personas, both halves together."""

OF_YEAR, AS_SAMPLED, SETTING = "of_year", "as_sampled", "setting"
"""The arms of personas weighted as the survey had people before it (`settings`), the last one by both."""

SIZES = (6, 10)
"""Numbers of dimensions over which profiles are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Everything measured on one data set.

    `areas` are areas under the ROC curve by arm, with those of resampled people (`two_sample.auc_replicates`);
    `people` respondents have all `columns` that are compared at once, of `respondents` in the frame. `set_leanings` are
    the leanings of personas of the survey's year, sampled as it did; empty where neither is known.
    """

    walk: Crosswalk
    respondents: int
    people: int
    columns: tuple[str, ...]
    maps: list[MapRow]
    pairs: list[PairRow]
    areas: dict[str, Floats]
    leanings: list[LeaningRow]
    diversity: list[Diversity]
    set_leanings: list[LeaningRow] = field(default_factory=list)

    @property
    def apart(self) -> list[PairRow]:
        """The pairs that miss the goal."""
        return [row for row in self.pairs if abs(row.difference.value) > MOST_V_APART]


def ground(
    walk: Crosswalk,
    snapshot: Snapshot,
    catalogue: Catalogue,
    controls: Mapping[str, Snapshot],
    told: BaseRates | None = None,
) -> Finding:
    """Hold the personas of a snapshot against one data set; it takes a minute or so.

    `controls` are other snapshots whose personas are told from the respondents as well, by the name of their arm. With
    the base rates `told` of the survey's year there are the arms `of_year`, `as_sampled` and `setting`, which is both,
    and leanings of that setting.
    Raises `GroundingError` if the microdata are not there or the catalogue is not the snapshot's.
    """
    asked = respondents(walk)
    batch = Sampler(snapshot).sample(POOL, walk.id, evidence=walk.evidence, fields=fields_of(walk))
    made = personas(walk, batch)
    everybody = Sampler(snapshot).sample(POOL, walk.id, fields=[c.id for c in walk.columns])
    joint = [place for place, column in enumerate(walk.columns) if column.joint]
    whole, pool = asked.of(joint), made.of(joint)
    settings = {
        arm: People(made.codes, weights)
        for arm, weights in ({} if told is None else _settings(walk, batch, told)).items()
    }
    return Finding(
        walk=walk,
        respondents=len(asked),
        people=len(whole),
        columns=tuple(walk.columns[place].id for place in joint),
        maps=map_rows(
            walk,
            asked,
            made,
            catalogue,
            maps=snapshot_maps(snapshot, catalogue),
            everybody={c.id: everybody.codes(c.id) for c in walk.columns},
        ),
        pairs=pair_rows(walk, asked, made),
        areas=_areas(
            walk,
            joint,
            whole,
            pool,
            settings={arm: people.of(joint) for arm, people in settings.items()},
            controls=controls,
        ),
        leanings=leaning_rows(walk, asked, made),
        diversity=[one for size in SIZES if (one := diversity(whole, pool, size, seed=size))],
        set_leanings=leaning_rows(walk, asked, settings[SETTING]) if SETTING in settings else [],
    )


def plain(finding: Finding) -> dict[str, Any]:
    """A finding as values that JSON can hold; areas and what they are above the floor as intervals."""
    areas = finding.areas
    return {
        "data": finding.walk.id,
        "source": {
            name: finding.walk.source[name]
            for name in ("package", "item", "label", "frame", "weights", "years", "adults")
        },
        "rough": {c.id: c.source["note"] for c in finding.walk.columns if not c.exact},
        "columns": list(finding.columns),
        "respondents": finding.respondents,
        "people": finding.people,
        "areas": {arm: asdict(area(values)) for arm, values in areas.items()},
        "above_floor": {
            arm: asdict(area(areas[arm] - areas["floor"])) for arm in ("personas", "matched", "respondents")
        },
        "maps": [asdict(row) for row in finding.maps],
        "pairs": [asdict(row) for row in finding.pairs],
        "leanings": [asdict(row) for row in finding.leanings],
        "diversity": [asdict(row) for row in finding.diversity],
    }


def _drawn(walk: Crosswalk, snapshot: Snapshot, n: int) -> People:
    fields = [column.id for column in walk.columns]
    return personas(walk, Sampler(snapshot).sample(n, walk.id, evidence=walk.evidence, fields=fields))


def _settings(walk: Crosswalk, batch: Batch, told: BaseRates) -> dict[str, Floats]:
    """Weights of personas, (n,), by arm; no arm for what is not known of the survey."""
    found = {}
    if walk.year is not None:
        found[OF_YEAR] = of_year(walk, batch, told)
    if walk.one_of_household or walk.panel is not None:
        found[AS_SAMPLED] = as_sampled(walk, batch, told)
    if walk.panel is not None:  # what was told of it is of its year
        return found | {SETTING: found[AS_SAMPLED]}
    if found:
        found[SETTING] = np.prod(list(found.values()), axis=0)
    return found


def _areas(
    walk: Crosswalk,
    joint: list[int],
    asked: People,
    pool: People,
    *,
    settings: Mapping[str, People],
    controls: Mapping[str, Snapshot],
) -> dict[str, Floats]:
    """Each half of the respondents told from as many made people, those of the floor and the margins being made of the
    other half; the mean over the halves, by arm."""
    order = np.random.default_rng(0).permutation(len(asked))[:MOST_PEOPLE]
    halves = np.array_split(order, 2)
    nominal = [not walk.columns[place].dimension.ordinal for place in joint]
    sizes = [len(walk.columns[place].categories) for place in joint]
    others = {arm: _drawn(walk, snapshot, 2 * MOST_PEOPLE).of(joint) for arm, snapshot in controls.items()}
    found: dict[str, list[Floats]] = {}
    for turn in range(2):
        test, train = asked.rows(halves[turn]), asked.rows(halves[1 - turn])
        n = len(test)
        place = slice(turn * n, (turn + 1) * n)
        arms = {
            "personas": pool.rows(np.arange(len(pool))[place]),
            "matched": matched(pool, train, sizes, n, seed=turn),
            "floor": floor(walk, joint, train, n, seed=turn),
            "respondents": train,
            **{arm: chosen(people, n, seed=turn) for arm, people in settings.items()},
            **{arm: people.rows(np.arange(len(people))[place]) for arm, people in others.items()},
        }
        for arm, made in arms.items():
            theirs, ours = held_out_scores(test, made, nominal, seed=turn)
            found.setdefault(arm, []).append(auc_replicates(theirs, ours, test.weights, seed=turn))
    return {arm: np.mean(replicates, axis=0) for arm, replicates in found.items()}
