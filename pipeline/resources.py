"""What every stage needs around it: where things lie and which edition is built. No stage logic belongs here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl
from pydantic import PrivateAttr

from pipeline.catalogue.models import Catalogue
from pipeline.combination.reference import REFERENCE_SIZE
from pipeline.elicitation.edition import EDITION_FILE, checked_name
from pipeline.elicitation.panel import Member
from pipeline.names.enrichment import FOLDER
from pipeline.particulars.enrichment import FOLDER as TOLD
from pipeline.partitions import cell_of
from pipeline.plan import Cell, PanelWeights, Plan
from warehouse.database import FILE_NAME, connect, home, query
from warehouse.errors import CorpusError, WarehouseError
from warehouse.io_manager import record_fingerprints

EDITION = "2026.11"
CORPUS = Path(__file__).parent.parent / "warehouse" / "corpus"
PERSONAS = 100_000
SEED = 0
TRIAL_SIZE = 20_000  # others, on whom strategies are scored


class Build(dg.ConfigurableResource[None]):
    """One edition being built: its folders, its plan, and short connections to its warehouse.

    `budget`, such as `25usd`, bounds what may be spent on the edition, earlier runs included; members that charge are
    not asked without it. Without `asking` nobody is asked: the answers that there are have to do.
    """

    home: str = ""
    edition: str = EDITION
    corpus: str = ""
    personas: int = PERSONAS
    seed: int = SEED
    reference_size: int = REFERENCE_SIZE
    trial_size: int = TRIAL_SIZE
    budget: str = ""
    asking: bool = True

    _plan: Plan | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path:
        """Folder of everything that the build makes."""
        return Path(self.home).absolute() if self.home else home()

    @property
    def database(self) -> Path:
        """The warehouse file."""
        return self.folder / FILE_NAME

    @property
    def edition_folder(self) -> Path:
        """Folder of the edition: the packaged one, or the one that its live answers are kept in."""
        recorded = (Path(self.corpus) if self.corpus else CORPUS) / checked_name(self.edition)
        return recorded if recorded.is_dir() or self.corpus else self.live_folder

    @property
    def live_folder(self) -> Path:
        """Folder of what is made for this edition: live answers, snapshots, pages."""
        return self.folder / "editions" / checked_name(self.edition)

    @property
    def names_folder(self) -> Path:
        """Folder of the answers about names, which are no edition's: the packaged one, unless the corpus has one."""
        own = Path(self.corpus) / FOLDER if self.corpus else CORPUS / FOLDER
        return own if own.is_dir() else CORPUS / FOLDER

    @property
    def told_folder(self) -> Path:
        """Folder of the answers about places and job titles, which are no edition's."""
        return (Path(self.corpus) if self.corpus else CORPUS) / TOLD

    @property
    def dagster_folder(self) -> Path:
        """Where Dagster keeps its record of runs."""
        return self.folder / "dagster"

    def of_edition(self, edition: str) -> Build:
        """The same build of another edition."""
        return Build(**{**self.model_dump(), "edition": checked_name(edition)})

    def require_edition(self) -> None:
        """Raise `CorpusError` if there is no such edition: no recorded one, and none that was begun in this home."""
        folder = self.edition_folder
        if self.corpus:
            there, remedy = folder.is_dir(), f"name one that is, or make the folder {folder.name} there"
        else:
            there = folder != self.live_folder or (folder / EDITION_FILE).is_file()
            new = f"personagen edition new {self.edition}"
            remedy = f"begin it with `{new}`, or name one that `personagen edition list` shows"
        if not there:
            raise CorpusError(f"there is no edition '{self.edition}' in {folder.parent}: {remedy}")

    def require_built(self, population: str) -> None:
        """Raise `CorpusError` if there is no such edition, `WarehouseError` if no snapshot of it was exported."""
        if not self.snapshot_folder(population).is_dir():
            self.require_edition()
            raise WarehouseError(
                f"edition '{self.edition}' is not built: run `personagen build --edition {self.edition}`"
            )

    @property
    def plan(self) -> Plan:
        """Catalogues, requests and fingerprints of this edition, as its record is now; the rest is read once.

        Raises `CorpusError` if there is no such edition.
        """
        if self._plan is None:
            self.require_edition()
            batch, sizes = (self.personas, str(self.seed)), (self.reference_size, self.trial_size)
            self._plan = Plan(
                self.edition,
                self.edition_folder,
                batch,
                sizes,
                live=self.live_folder,
                names=self.names_folder,
                told=self.told_folder,
            )
        self._plan = self._plan.at_present()
        return self._plan

    def catalogue(self, population: str) -> Catalogue:
        """The catalogue of one population."""
        return self.plan.catalogues[population]

    def member(self, model: str) -> Member:
        """The panel member of that id."""
        return next(m for m in self.plan.panel if m.id == model)

    def snapshot_folder(self, population: str) -> Path:
        """Where this edition's snapshot of a population is exported to."""
        return self.live_folder / "snapshots" / population

    def name_folder(self, population: str) -> Path:
        """Where the name files of this edition's snapshot of a population are made."""
        return self.live_folder / "names" / population

    def particulars_folder(self, population: str) -> Path:
        """Where the files of places and job titles of this edition's snapshot of a population are made."""
        return self.live_folder / "particulars" / population

    def serving_folder(self, population: str) -> Path:
        """Where the snapshot that serves lies: a promoted copy, of whichever edition."""
        return self.folder / "snapshots" / population

    def trial_page(self, population: str) -> Path:
        """Where the page about the population's trials is written."""
        return self.live_folder / f"trials-{population}.html"

    def drift_page(self, population: str) -> Path:
        """Where the page about what this edition would change is written."""
        return self.live_folder / f"drift-{population}.md"

    def grounding_file(self, population: str) -> Path:
        """Where is kept what was measured of the population's snapshot against microdata."""
        return self.live_folder / f"grounding-{population}.json"

    def connect(self, *, read_only: bool = False) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Open the warehouse for a short while."""
        return connect(self.database, read_only=read_only)

    def earned_fingerprints(self, stage: str, keys: Sequence[str]) -> list[str]:
        """Fingerprints that partitions written now have earned.

        A partition that was made from something out of date gets none, so that the next build makes it again.
        """
        plan, fresh, cells = self.plan, self.fresh(), [cell_of(key) for key in keys]
        now = {(stage, cell) for cell in cells}  # ancestors that were written in the same run
        weights = self.panel_weights()
        return [
            plan.fingerprint(stage, cell.population, cell.dimension, cell.model, weights)
            if all(part in fresh or part in now for part in plan.upstream(stage, cell))
            else ""
            for cell in cells
        ]

    def fresh(self) -> set[tuple[str, Cell]]:
        """Every stored partition, with its stage, whose fingerprint is today's."""
        plan = self.plan
        with self.connect() as connection:
            stored = query(
                connection,
                "select stage, population, dimension, model, fingerprint from fingerprints where edition = ?",
                [self.edition],
            )
        weights = self.panel_weights()
        return {
            (stage, Cell(population, dimension, model))
            for stage, population, dimension, model, fingerprint in stored.iter_rows()
            if plan.known(stage, population, dimension, model, weights) == fingerprint
        }

    def panel_weights(self) -> PanelWeights:
        """The pooling weights that this edition's scorecards hold."""
        with self.connect() as connection:
            stored = query(
                connection,
                "select population, model, weight from scorecards where edition = ? order by all",
                [self.edition],
            )
        return tuple(stored.iter_rows())

    def stale(self) -> list[tuple[str, Cell]]:
        """Every partition, with its stage, that is not as it would be made today; in the order of the stages."""
        fresh = self.fresh()
        return [part for part in self.plan.partitions if part not in fresh]

    def mark_stale(self, cell: Cell, running: Collection[str]) -> int:
        """Make everything that depends on a dimension's weights count as out of date; returns how many dimensions.

        `running` are the partition keys of the run at hand, which are made anew anyway.
        """
        catalogue = self.catalogue(cell.population)
        below = [
            d.id
            for d in catalogue.dimensions
            if cell.dimension in catalogue.ancestors(d.id) and f"{cell.population}/{d.id}" not in running
        ]
        with self.connect() as connection:
            connection.execute(
                "delete from fingerprints where population = ? and edition = ? and (list_contains(?, dimension) "
                "and stage in ('weights', 'trials', 'trial_maps') "
                "or stage in ('trial_report', 'name_files', 'particular_files', 'snapshot', 'personas', "
                "'map_distances', 'report'))",
                [cell.population, self.edition, below],
            )
        return len(below)

    def mark(self, stage: str, population: str) -> None:
        """Note that a stage whose output is no table of partitions was made for a population."""
        cells = pl.DataFrame({"population": [population]})
        fingerprints = self.earned_fingerprints(stage, [population])
        with self.connect() as connection:
            record_fingerprints(connection, stage, self.edition, cells, fingerprints)
