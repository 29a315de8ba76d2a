"""What each stored partition is made from, as a fingerprint: equal fingerprints need no rebuilding.

Belongs here: the chain of hashes over catalogue, prompts, panel, corpus and the code of each stage. Does not belong
here: running anything, or asking Dagster. A fingerprint depends on inputs only, never on a clock or on the outcome.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from pipeline.catalogue.loader import load_catalogue, populations
from pipeline.catalogue.models import Catalogue
from pipeline.elicitation.edition import asked_for, members_of
from pipeline.elicitation.panel import Member
from pipeline.elicitation.record import Digests, Record
from pipeline.heritage_shares import CHAIN, RELIGION
from pipeline.names import ways
from pipeline.names.candidates import KINDS
from pipeline.names.enrichment import FOLDER, Enrichment
from pipeline.particulars import enrichment as particulars
from pipeline.particulars.factors import DRAWN_BY
from pipeline.particulars.files import PEOPLE
from pipeline.particulars.requests import Kind, has_settings
from pipeline.prompts.render import Request, requests_for
from warehouse.errors import CorpusError, ElicitationError

_CODE = {
    "dimensions": ("pipeline.catalogue", "pipeline.frames", "pipeline.assets.catalogue"),
    "name_requests": ("pipeline.names", "pipeline.templates", "pipeline.assets.names"),
    "name_completions": ("pipeline.names", "pipeline.elicitation.batch", "pipeline.elicitation.record"),
    "name_estimates": ("pipeline.names", "pipeline.prompts.parsing", "warehouse.names"),
    "requests": ("pipeline.prompts", "pipeline.assets.requests"),
    "completions": (
        "pipeline.elicitation.batch",
        "pipeline.elicitation.protocol",
        "pipeline.elicitation.record",
        "pipeline.answer_frames",
        "pipeline.assets.completions",
    ),
    "estimates": ("pipeline.prompts", "pipeline.assets.estimates"),
    "scorecards": (
        "pipeline.combination.agreement",
        "pipeline.combination.influence",
        "pipeline.combination.pooling",
        "pipeline.combination.scorecards",
        "pipeline.frames",
        "pipeline.scorecard_frames",
        "pipeline.assets.scorecards",
    ),
    "maps": ("pipeline.combination.pooling", "pipeline.frames", "pipeline.assets.maps"),
    "weights": (
        "pipeline.combination",
        "pipeline.frames",
        "pipeline.problems",
        "pipeline.trial_frames",
        "pipeline.assets.weights",
        "serving.counter",
        "serving.sampler",
    ),
    "trial_report": ("pipeline.pages", "pipeline.templates", "pipeline.assets.trial_report"),
    "name_files": (
        "warehouse.parquet",
        "warehouse.names",
        "pipeline.heritage_shares",
        "pipeline.names.ways",
        "pipeline.names.faiths",
        "pipeline.names.faith_answers",
        "pipeline.particulars",
        "pipeline.assets.name_files",
    ),
    "particular_files": (
        "warehouse.parquet",
        "warehouse.particulars",
        "pipeline.particulars",
        "pipeline.templates",
        "pipeline.combination.raking",
        "pipeline.combination.reference",
        "pipeline.assets.particular_files",
        "serving.ages",
        "serving.derived",
        "serving.incomes",
    ),
    "snapshot": (
        "warehouse.snapshot_format",
        "warehouse.parquet",
        "pipeline.frames",
        "pipeline.assets.snapshot",
    ),
    "personas": ("serving", "warehouse.personas", "pipeline.assets.personas"),
    "map_distances": ("pipeline.combination.scores", "pipeline.assets.distances"),
    "report": ("pipeline.pages", "pipeline.templates", "pipeline.report", "pipeline.assets.report"),
}


_WRITTEN_WITH = {
    "name_rejections": "name_estimates",
    "rejections": "estimates",
    "influences": "scorecards",
    "trials": "weights",
    "trial_maps": "weights",
}  # tables that come out of another stage's step


_NAME_STAGES: dict[str, tuple[str, ...]] = {
    "name_requests": (),
    "name_completions": ("name_requests",),
    "name_estimates": ("name_completions",),
    "name_rejections": ("name_completions",),
}
"""The stages of names, with what each is made from."""

NAMED = tuple(population for population in ways.named() if population in populations())
"""Populations that have names."""

COUNTED = tuple(population for population in ways.counted() if population in NAMED)
"""Those whose names are asked about; others borrow what was told."""

PanelWeights = tuple[tuple[str, str, float], ...]
"""Pooling weights as the warehouse has them: (population, panel member, weight), in that order; () if it has none."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One dimension of one population, for one panel member where the stage has that axis; in the stages of names one
    kind of names, which stands where a dimension would.
    """

    population: str
    dimension: str
    model: str = ""


@dataclass(frozen=True)
class Plan:
    """The fingerprints of one edition under the catalogue, panel and code at hand.

    `batch` is the size and seed of the batch table, `sizes` those of the reference and trial populations; both matter
    to fingerprints only. `panel` are the members that are asked, for every population; by default those that the
    edition's folder names, for whom it names them.
    `live` is the folder of the answers that arrive; it may be the edition's own. `names` is that of the answers about
    names, `told` of those about places and job titles, which belong to no edition.
    """

    edition: str
    corpus: Path
    batch: tuple[int, str] = (0, "")
    sizes: tuple[int, int] = (0, 0)
    panel: tuple[Member, ...] = ()
    live: Path | None = None
    names: Path | None = None
    told: Path | None = None
    panels: Mapping[str, tuple[Member, ...]] = field(default_factory=dict, repr=False)
    """Who is asked for each population, in the order of the panel; nobody for those that the edition is not about."""

    def __post_init__(self) -> None:
        if self.panels:
            return
        asked: dict[str, frozenset[str] | None] = dict.fromkeys(populations())
        if not self.panel:
            asked = asked_for(self.corpus, asked)
            object.__setattr__(self, "panel", members_of(self.corpus))
        panels = {p: tuple(m for m in self.panel if ids is None or m.id in ids) for p, ids in asked.items()}
        object.__setattr__(self, "panels", panels)

    @cached_property
    def catalogues(self) -> dict[str, Catalogue]:
        """Every population's catalogue, by population id."""
        return {p: load_catalogue(p) for p in populations()}

    @cached_property
    def requests(self) -> dict[tuple[str, str, str], tuple[Request, ...]]:
        """All requests by (population, dimension, panel member)."""
        return {
            (population, dimension.id, member.id): tuple(
                request
                for given in dimension.asked
                for request in requests_for(catalogue, self.edition, dimension, given, member)
            )
            for population, catalogue in self.catalogues.items()
            for dimension in catalogue.dimensions
            for member in self.panels[population]
        }

    def requests_of(self, cell: Cell) -> tuple[Request, ...]:
        """The requests of one cell; `ElicitationError` if its member was not asked for its population."""
        asked = [m.id for m in self.panels[cell.population]]
        if cell.model not in asked:
            raise ElicitationError(
                f"'{cell.model}' is not asked for '{cell.population}' in edition '{self.edition}': choose one of "
                f"{', '.join(asked) or 'another edition'}, or name it in {self.corpus / 'edition.toml'}"
            )
        return self.requests[cell.population, cell.dimension, cell.model]

    @cached_property
    def member_of(self) -> dict[str, Member]:
        """The panel member of every request, by custom id."""
        members = {m.id: m for m in self.panel}
        return {r.custom_id: members[model] for (_, _, model), rs in self.requests.items() for r in rs}

    @cached_property
    def populations(self) -> tuple[str, ...]:
        """Those that can be built: the record has an answer about them, or somebody can be asked for one."""
        answered = {
            population
            for (population, _, _), requests in self.requests.items()
            if any(r.custom_id in self._digests for r in requests)
        }
        return tuple(
            population
            for population, panel in self.panels.items()
            if population in answered or any(m.source != "recorded" for m in panel)
        )

    def populations_of(self, population: str | None = None) -> tuple[str, ...]:
        """The populations to build: this one, or all that can be.

        Raises `CorpusError` if nobody answered, or can be asked, anything about it, or about any.
        """
        found = self.populations if population is None else tuple(p for p in self.populations if p == population)
        if not found:
            about = f" about '{population}'" if population else ""
            others = f", or choose of {', '.join(self.populations)}" if self.populations else ""
            raise CorpusError(
                f"edition '{self.edition}' has no answers{about}: export its requests with `personagen corpus export`, "
                f"have them answered and import the output{others}"
            )
        return found

    @property
    def record(self) -> Record:
        """The edition's answers and calls."""
        return Record(self.corpus, self.live, self.member_of.keys())

    @cached_property
    def enrichments(self) -> dict[str, Enrichment]:
        """The enrichment of names, by population."""
        folder = self.names or self.corpus.parent / FOLDER
        return {population: Enrichment(self.catalogues[population], folder) for population in COUNTED}

    @cached_property
    def particulars(self) -> dict[str, particulars.Enrichment]:
        """What is asked about places and job titles, by population that the edition is about."""
        folder = self.told or self.corpus.parent / particulars.FOLDER
        asked = [population for population, panel in self.panels.items() if panel and has_settings(population)]
        return {population: particulars.Enrichment(self.catalogues[population], folder) for population in asked}

    def at_present(self) -> Plan:
        """This plan if no file of the records has changed since it was first asked for fingerprints, else one anew."""
        if self._record_state == self._state_now():
            return self
        again = replace(self)
        # What does not hang on the record is taken over: rendering takes longer than reading.
        again.__dict__.update(
            {
                name: self.__dict__[name]
                for name in ("catalogues", "requests", "member_of", "enrichments", "particulars")
                if name in self.__dict__
            }
        )
        return again

    @cached_property
    def provenance(self) -> str:
        """What the edition says of itself, for the snapshot's manifest; raises `CorpusError` if it says nothing."""
        path = self.corpus / "PROVENANCE.md"
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise CorpusError(
                f"{path} cannot be read ({error.strerror}): an edition says where its answers come from; write it"
            ) from error

    def upstream(self, stage: str, cell: Cell) -> list[tuple[str, Cell]]:
        """The partitions that one partition of a stage is made from."""
        if stage in _NAME_STAGES:
            return [(above, cell) for above in _NAME_STAGES[stage]]
        whole, panel = self.catalogues[cell.population], self.panels[cell.population]
        parents = whole.dimension(cell.dimension).parents if cell.dimension else ()
        weights = [("weights", Cell(cell.population, p)) for p in parents]
        above = {
            "completions": [("requests", cell)],
            "calls": [("requests", cell)],
            "estimates": [("completions", cell)],
            "scorecards": [("estimates", Cell(cell.population, d.id, m.id)) for d in whole.dimensions for m in panel],
            "maps": [
                ("scorecards", Cell(cell.population, "")),
                *(("estimates", Cell(cell.population, cell.dimension, m.id)) for m in panel),
            ],
            "weights": [("maps", cell), *weights],
            "trial_report": [("weights", Cell(cell.population, d.id)) for d in whole.dimensions],
            "name_files": _names_from(whole),
            "snapshot": [
                *(("weights", Cell(cell.population, d.id)) for d in whole.dimensions),
                ("name_files", Cell(cell.population, "")),
                ("particular_files", Cell(cell.population, "")),
            ],
            "particular_files": [
                ("weights", Cell(cell.population, d)) for d in self._particulars_need(cell.population)
            ],
            "personas": [("snapshot", cell)],
            "map_distances": [("personas", cell)],
            "report": [("map_distances", cell)],
        }
        return above.get(_WRITTEN_WITH.get(stage, stage), [])

    def _particulars_need(self, population: str) -> tuple[str, ...]:
        return PEOPLE if population in self.particulars else ()

    @property
    def partitions(self) -> list[tuple[str, Cell]]:
        """Every partition that a whole edition has, with its stage, upstream before downstream.

        They include those of populations that nobody answered anything about.
        """
        return [(stage, Cell(*cell)) for name in _CODE for stage, *cell in self._known(()) if stage == name]

    def known(
        self, stage: str, population: str, dimension: str = "", model: str = "", weights: PanelWeights = ()
    ) -> str | None:
        """The fingerprint of a partition, or None if the catalogue and panel of today do not have it.

        `weights` are an outcome of one stage and an input of those from maps on: so it is they that go into the
        fingerprint of a map, not all the answers that they were made from.
        """
        return self._known(weights).get((_WRITTEN_WITH.get(stage, stage), population, dimension, model))

    def fingerprint(
        self, stage: str, population: str, dimension: str = "", model: str = "", weights: PanelWeights = ()
    ) -> str:
        """Sha256 (hex) over all that this partition is made from; `KeyError` for an unknown stage or cell."""
        return self._known(weights)[_WRITTEN_WITH.get(stage, stage), population, dimension, model]

    @cached_property
    def _record_state(self) -> tuple[object, ...]:
        return self._state_now()

    def _state_now(self) -> tuple[object, ...]:
        records = [
            *(one.record for one in self.enrichments.values()),
            *(one.record for one in self.particulars.values()),
        ]
        return (*self.record.state(), *(record.state() for record in records))

    @cached_property
    def _digests(self) -> dict[str, Digests]:
        """Digests of the lines for each request, so that one new answer touches one dimension only."""
        self._record_state  # noqa: B018  # taken before the lines are read, so that a change meanwhile is seen
        return self.record.digests()

    @cached_property
    def _asked(self) -> dict[tuple[str, str, str, str], str]:
        """Fingerprints up to the estimates, which no weight enters."""
        known: dict[tuple[str, str, str, str], str] = {}
        code = {stage: _code_hash(modules) for stage, modules in _CODE.items()}
        digests, none = self._digests, Digests((), ())
        for population, catalogue in self.catalogues.items():
            for dimension in catalogue.dimensions:
                for member in self.panels[population]:
                    cell = (population, dimension.id, member.id)
                    parents = [catalogue.dimension(p).model_dump_json() for p in dimension.parents]
                    asked = _digest([code["requests"], *(r.custom_id for r in self.requests[cell])])
                    lines = [digests.get(r.custom_id, none) for r in self.requests[cell]]
                    answered = _digest([code["completions"], asked, *(a for line in lines for a in line.answers)])
                    prices = f"{member.price_in} {member.price_out}"
                    known["calls", *cell] = _digest(
                        [code["completions"], asked, prices, *(one for line in lines for one in line.lines)]
                    )
                    known["requests", *cell] = asked
                    known["completions", *cell] = answered
                    known["estimates", *cell] = _digest(
                        [code["estimates"], answered, dimension.model_dump_json(), *parents]
                    )
        for population, enrichment in self.enrichments.items():
            digests = enrichment.record.digests()
            heritage = self.catalogues[population].dimension("heritage").model_dump_json()
            for kind, requests in enrichment.requests.items():
                names = (population, kind, "")
                asked = _digest([code["name_requests"], *(r.custom_id for r in requests)])
                lines = [digests.get(r.custom_id, none) for r in requests]
                answered = _digest([code["name_completions"], asked, *(a for line in lines for a in line.answers)])
                known["name_requests", *names] = asked
                known["name_completions", *names] = answered
                known["name_estimates", *names] = _digest([code["name_estimates"], answered, heritage])
        return known

    def _told(self, population: str, *kinds: Kind) -> list[str]:
        """What stands for the answers about particulars of these kinds: their requests and digests."""
        if population not in self.particulars:
            return []
        told = self.particulars[population]
        return _answered(told.record, [one for kind in kinds for one in told.ids(kind)])

    def _faiths_told(self, population: str) -> list[str]:
        """What stands for the answers about the faiths of names: their requests and digests."""
        told = self.enrichments[ways.lender(population)]
        return _answered(told.record, [r.custom_id for requests in told.faith_requests.values() for r in requests])

    def _known(self, weights: PanelWeights) -> dict[tuple[str, str, str, str], str]:
        if weights not in self._by_weights:
            self._by_weights[weights] = self._weighted(weights)
        return self._by_weights[weights]

    @cached_property
    def _by_weights(self) -> dict[PanelWeights, dict[tuple[str, str, str, str], str]]:
        return {}

    def _weighted(self, weights: PanelWeights) -> dict[tuple[str, str, str, str], str]:
        """All fingerprints under these pooling weights."""
        known = dict(self._asked)
        code = {stage: _code_hash(modules) for stage, modules in _CODE.items()}
        for population, catalogue in self.catalogues.items():
            panel = [f"{model} {weight}" for p, model, weight in weights if p == population]
            judged = []
            for dimension in catalogue.dimensions:
                estimates = [known["estimates", population, dimension.id, m.id] for m in self.panels[population]]
                judged += estimates
                whole = (population, dimension.id, "")
                known["maps", *whole] = _digest([code["maps"], *panel, *estimates])
                above = [known["weights", population, p, ""] for p in dimension.parents]
                known["weights", *whole] = _digest([code["weights"], str(self.sizes), known["maps", *whole], *above])
            everything = [known["weights", population, d.id, ""] for d in catalogue.dimensions]
            everyone = (population, "", "")
            known["dimensions", *everyone] = _digest([code["dimensions"], catalogue.hash])
            known["scorecards", *everyone] = _digest([code["scorecards"], *judged])
            known["trial_report", *everyone] = _digest(
                [code["trial_report"], self.edition, catalogue.hash, *everything]
            )
            named = [known[made, cell.population, cell.dimension, ""] for made, cell in _names_from(catalogue)]
            way = [ways.digest(population)] if population in NAMED else []
            given = self._told(population, "name") if population in NAMED else []
            faiths = self._faiths_told(population) if population in NAMED else []
            known["name_files", *everyone] = _digest([code["name_files"], *way, *named, *given, *faiths])
            everything.append(known["name_files", *everyone])
            needed = [known["weights", population, d, ""] for d in self._particulars_need(population)]
            told = self._told(population, *DRAWN_BY)
            known["particular_files", *everyone] = _digest(
                [
                    code["particular_files"],
                    catalogue.hash,
                    str(self.sizes[0]),
                    *told,
                    *needed,
                ]
            )
            everything.append(known["particular_files", *everyone])
            known["snapshot", *everyone] = _digest(
                [code["snapshot"], catalogue.hash, self.edition, self.provenance, *everything]
            )
            size, seed = self.batch
            known["personas", *everyone] = _digest([code["personas"], known["snapshot", *everyone], str(size), seed])
            known["map_distances", *everyone] = _digest([code["map_distances"], known["personas", *everyone]])
            known["report", *everyone] = _digest([code["report"], known["map_distances", *everyone]])
        return known


def _answered(record: Record, ids: Sequence[str]) -> list[str]:
    """What stands for these requests, by custom id, and their answers."""
    digests, none = record.digests(), Digests((), ())
    return [part for one in ids for part in (one, *digests.get(one, none).answers)]


def _names_from(catalogue: Catalogue) -> list[tuple[str, Cell]]:
    """What the name files of a population are made from, which is nothing if it has none."""
    population = catalogue.population.id
    if population not in NAMED:
        return []
    by_faith = RELIGION in catalogue.by_id and ways.faith_map(population).split
    people = [("weights", Cell(population, dimension)) for dimension in (*CHAIN, *([RELIGION] if by_faith else []))]
    return people + [("name_estimates", Cell(ways.lender(population), kind)) for kind in KINDS]


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _code_hash(modules: tuple[str, ...]) -> str:
    """Hash of the sources that a stage runs, so that changed code redoes what it made."""
    digests = []
    for module in modules:
        package, _, name = module.partition(".")
        place = Path(str(files(package))) / Path(*name.split(".")) if name else Path(str(files(package)))
        sources = [place.with_suffix(".py")] if place.with_suffix(".py").is_file() else sorted(place.rglob("*"))
        digests += [
            hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sources
            if p.suffix in {".py", ".txt", ".toml", ".parquet", ".j2"} and "snapshots" not in p.parts
        ]
    return _digest(digests)
