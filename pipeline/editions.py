"""The editions of a folder: beginning one, and telling which there are.

Belongs here: whole editions side by side. Does not belong here: what `edition.toml` says (`elicitation.edition`),
building one (`build`), and which one serves (`promotion`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.elicitation.edition import (
    EDITION_FILE,
    checked_name,
    ids_by_population,
    members_of,
    populations_of,
    write_members,
)
from pipeline.elicitation.panel import Member, load_panel
from pipeline.pages.provenance import render_provenance
from pipeline.promotion import serving_edition
from pipeline.resources import CORPUS, Build
from warehouse.database import query
from warehouse.errors import ElicitationError, PersonaGenError


@dataclass(frozen=True, slots=True)
class EditionState:
    """One edition: its members, how far it was asked and built as stored, and what it serves.

    Requests and those of them that were answered, whether or not the answer was accepted; maps asked for, one of each
    member, and those of them that were accepted. `error` says why its folder does not tell the members, if so.
    """

    edition: str
    recorded: bool
    members: tuple[str, ...]
    error: str
    requests: int
    answered: int
    maps: int
    accepted: int
    snapshots: tuple[str, ...]
    serves: tuple[str, ...]


def new_edition(
    build: Build, members: Sequence[Member], populations: Sequence[str] = (), like: Path | None = None
) -> None:
    """Begin the edition of this build: its folder, who is asked, and what it says of itself.

    Without `populations` it is about all of the catalogue. Where the edition in the folder `like` has members of their
    own for a population, those of them who are among `members` are asked for it. Raises `ElicitationError` if there is
    such an edition already, packaged or in the folder, and if somebody of these cannot be asked.
    """
    checked_name(build.edition)
    if (CORPUS / build.edition).is_dir():
        raise ElicitationError(f"edition '{build.edition}' is a recorded one: choose another name")
    if not members:
        raise ElicitationError(
            f"edition '{build.edition}' would have nobody to ask: name members that can be asked with --member "
            "(`personagen panel` lists them)"
        )
    if recorded := [m.id for m in members if m.source == "recorded"]:
        raise ElicitationError(
            f"'{recorded[0]}' answers from the record and cannot be asked: name a live or local member"
        )
    ids = [m.id for m in members]
    theirs, own = ids_by_population(like) if like else ([], {})
    kept = {p: same for p, some in own.items() if (p in populations or not populations) and (same := _both(some, ids))}
    write_members(build.live_folder, _both(theirs, ids) or ids, populations, kept)
    text = render_provenance(build.edition, datetime.now(UTC).date(), members)
    (build.live_folder / "PROVENANCE.md").write_text(text, encoding="utf-8")


def _both(these: Sequence[str], those: Sequence[str]) -> list[str]:
    return [one for one in these if one in those]


def begin(build: Build) -> tuple[Member, ...]:
    """Begin this edition unless it was begun before, asking whom the serving one asked about its populations; returns
    its members.

    Recorded members cannot be asked: where the serving edition has no others, all members of the panel that can be
    are. Raises `ElicitationError` if this edition is the one that serves, or a recorded one.
    """
    now = serving_edition(build)
    if build.edition == now:
        raise ElicitationError(f"edition '{now}' serves: name a new edition to regenerate into")
    if not (build.live_folder / "edition.toml").is_file():
        before = build.of_edition(now).edition_folder if now else None
        same = askable(members_of(before)) if before else ()
        everybody = [m for m in load_panel() if m.source == "live"]
        new_edition(build, same or everybody, populations_of(before) if before else (), before)
    return members_of(build.live_folder)


def askable(members: Iterable[Member]) -> tuple[Member, ...]:
    """Those of them that a new edition can ask: all but recorded ones."""
    return tuple(m for m in members if m.source != "recorded")


def panel_members(ids: Sequence[str]) -> tuple[Member, ...]:
    """The members of these ids, in the order of the panel; `ElicitationError` for one that the panel does not have."""
    panel = load_panel()
    unknown = [i for i in ids if i not in {m.id for m in panel}]
    if unknown:
        known = ", ".join(m.id for m in panel)
        raise ElicitationError(f"unknown panel member '{unknown[0]}': choose of {known}")
    return tuple(m for m in panel if m.id in ids)


def editions(build: Build) -> list[EditionState]:
    """Every edition that is packaged, has a folder, or has rows in the warehouse; by name."""
    places = (CORPUS, build.folder / "editions")
    names = {file.parent.name for place in places for file in place.glob(f"*/{EDITION_FILE}")}
    counts: dict[str, tuple[int, ...]] = {}
    built: dict[str, list[str]] = {}
    serves: dict[str, list[str]] = {}
    if build.database.is_file():
        with build.connect() as connection:
            counts = {edition: tuple(figures) for edition, *figures in query(connection, _COUNTS).iter_rows()}
            for edition, population, snapshot in query(connection, _BUILT).iter_rows():
                built.setdefault(edition, []).append(f"{population} {snapshot}")
            for edition, population in query(connection, _SERVING).iter_rows():
                serves.setdefault(edition, []).append(population)
    found = []
    for name in sorted(names | set(counts) | set(built)):
        members: tuple[Member, ...] = ()
        error = ""
        try:
            members = members_of(build.of_edition(name).edition_folder)
        except PersonaGenError as reason:  # of one edition; the others are to be told all the same
            error = str(reason)
        requests, answered, maps, accepted = counts.get(name, (0, 0, 0, 0))
        found.append(
            EditionState(
                edition=name,
                recorded=(CORPUS / name).is_dir(),
                members=tuple(m.id for m in members),
                error=error,
                requests=requests,
                answered=answered,
                maps=maps,
                accepted=accepted,
                snapshots=tuple(built.get(name, ())),
                serves=tuple(serves.get(name, ())),
            )
        )
    return found


_COUNTS = """
with asked as (
    select r.edition, count(distinct (r.model, r.custom_id)) as requests,
        count(distinct (c.model, c.custom_id)) filter (c.custom_id is not null) as answered,
        count(distinct (r.population, r.dimension, r.model, r.given)) as maps
    from requests r left join completions c
        on c.edition = r.edition and c.model = r.model and c.custom_id = r.custom_id
    group by r.edition
), accepted as (
    select edition, count(distinct (population, dimension, model, given)) as accepted from estimates group by edition
)
select edition, requests, answered, maps, coalesce(accepted, 0) from asked left join accepted using (edition)
"""
_BUILT = "select edition, population, snapshot_id from snapshots order by all"
_SERVING = """
select edition, population from promotions
qualify row_number() over (partition by population order by "at" desc, rowid desc) = 1 order by all
"""
