"""Made-up people and answers about names, for tests of the name files and of the draws from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pipeline.catalogue.loader import load_catalogue
from pipeline.frames import dimension_frame
from pipeline.heritage_shares import CHAIN
from pipeline.names.faiths import FAITHS
from pipeline.names.ways import faith_map
from serving.names import Names
from warehouse.names.export import BORN, COHORTS, Faiths, Told, name_files
from warehouse.names.files import EVERYONE, FOREIGN
from warehouse.snapshot_format import MAPS, PopulationInfo, arrow_schema, write_snapshot

_CATALOGUE = load_catalogue("us")
ETHNICITIES, SEXES, NATIVITIES, HERITAGES = (
    _CATALOGUE.dimension(d).category_ids for d in ("ethnicity", "sex", "nativity", "heritage")
)
NATIVITY = {"native_parents": 0.6, "second_generation": 0.15, "foreign_born": 0.25}
NATIVE = 1 - NATIVITY[FOREIGN]
PEOPLE = {
    "white": (0.6, {"english": 0.3, "irish": 0.2, "italian": 0.2, "arab": 0.05, "mixed_other": 0.25}),
    "black": (0.12, {"african_american": 0.8, "haitian": 0.1, "west_african": 0.1}),
    "hispanic": (0.18, {"mexican": 0.7, "cuban": 0.2, "spanish": 0.1}),
    "asian": (0.06, {"chinese": 0.3, "vietnamese": 0.2, "indian": 0.3, "korean": 0.2}),
    "native_american": (0.01, {"native_american": 1.0}),
    "pacific_islander": (0.005, {"hawaiian_pacific": 1.0}),
    "two_or_more": (0.02, {"mixed_other": 0.8, "japanese": 0.2}),
    "other": (0.005, {"mixed_other": 1.0}),
}
FIRST = {
    "GIOVANNI": {"italian": 0.7, "mexican": 0.2},
    "SIOBHAN": {"irish": 0.9},
    "MUHAMMAD": {"arab": 0.4, "african_american": 0.3, "indian": 0.15},
    "MICHAEL": {"english": 0.2, "irish": 0.2, "italian": 0.15, "african_american": 0.15, "mexican": 0.1},
    "THUY": {"vietnamese": 0.96},
    "HUNG": {"vietnamese": 0.8, "chinese": 0.15},
    "RAJESH": {"indian": 0.95},
    "JOSE": {"mexican": 0.6, "cuban": 0.2, "spanish": 0.05},
}
LAST = {
    "NGUYEN": {"vietnamese": 0.96},
    "KIM": {"korean": 0.9, "vietnamese": 0.03},
    "PATEL": {"indian": 0.97},
    "WANG": {"chinese": 0.9, "korean": 0.04},
    "CHEN": {"chinese": 0.95},
    "LEE": {"english": 0.25, "african_american": 0.2, "chinese": 0.2, "korean": 0.2},
    "SMITH": {"english": 0.4, "african_american": 0.23, "irish": 0.08, "mixed_other": 0.15},
    "RUSSO": {"italian": 0.9},
    "MURPHY": {"irish": 0.7, "african_american": 0.12, "english": 0.05},
    "HADDAD": {"arab": 0.93},
    "OBRIEN": {"irish": 0.9},
    "GARCIA": {"mexican": 0.7, "cuban": 0.1, "spanish": 0.05},
}
FAITH = {
    "first": {"RAJESH": {"hindu": 0.9, "sikh": 0.1}, "MUHAMMAD": {"muslim": 1.0}, "GIOVANNI": {"christian": 1.0}},
    "last": {"PATEL": {"hindu": 0.95, "muslim": 0.05}, "HADDAD": {"christian": 0.9, "muslim": 0.1}},
}
AMONG: dict[str, dict[str, float]] = {
    "indian": {"hindu": 0.5, "muslim": 0.2, "other_religion": 0.1, "buddhist": 0.02, "catholic": 0.1},
    "arab": {"hindu": 0.0, "muslim": 0.6, "other_religion": 0.0, "buddhist": 0.0, "catholic": 0.3},
}
AMONG = {h: dict.fromkeys(faith_map("us").of, 0.0) | shares for h, shares in AMONG.items()}
"""Who has no religion is not among them."""

SPELLING = {("last", "NGUYEN"): "Nguyễn", ("first", "JOSE"): "José", ("last", "HADDAD"): "Haddād"}
BORN_IN = {"THUY": (0.05, 0.35, 0.45, 0.15), "HUNG": (0.3, 0.5, 0.15, 0.05)}


def told() -> Told:
    """Everything above as frames."""
    people = [
        (cohort, e, n, h, share * parts.get(h, 0.0) * NATIVITY[n] / (1 if cohort == EVERYONE else NATIVE))
        for cohort in (EVERYONE, *COHORTS)
        for e, (share, parts) in PEOPLE.items()
        for n in NATIVITIES
        if cohort == EVERYONE or n != FOREIGN
        for h in HERITAGES
    ]
    names = {"first": FIRST, "last": LAST}
    tags = [(kind, key, h, s) for kind, known in names.items() for key, tag in known.items() for h, s in tag.items()]
    facts = [
        (kind, key, *BORN_IN.get(key, (None,) * len(BORN)), SPELLING.get((kind, key)))
        for kind, known in names.items()
        for key in known
    ]
    return Told(
        pl.DataFrame(people, schema=["cohort", "ethnicity", "nativity", "heritage", "share"], orient="row"),
        pl.DataFrame(tags, schema=["kind", "key", "heritage", "share"], orient="row"),
        pl.DataFrame(
            facts,
            schema={"kind": pl.String, "key": pl.String, **dict.fromkeys(BORN, pl.Float64), "spelling": pl.String},
            orient="row",
        ),
        pl.DataFrame(schema={"key": pl.String, "factor": pl.Float64}),
    )


def faiths() -> Faiths:
    """What is told of the faiths of some of these names, in two heritages."""
    shares = [
        (kind, key, [of.get(faith, 0.0) for faith in FAITHS])
        for kind, names in FAITH.items()
        for key, of in names.items()
    ]
    frame = pl.DataFrame(
        shares, schema={"kind": pl.String, "key": pl.String, "faiths": pl.List(pl.Float64)}, orient="row"
    )
    return Faiths(frame, FAITHS, "childhood_religion", faith_map("us").of, AMONG)


def write_files(folder: Path) -> None:
    """Write name files made from the vendored tables and these answers."""
    for name, content in name_files(told()).items():
        (folder / name).write_bytes(content)


def load(folder: Path) -> Names:
    """The names of such a folder, with the catalogue's categories."""
    names = Names.load(folder, sexes=SEXES, ethnicities=ETHNICITIES, nativities=NATIVITIES, heritages=HERITAGES)
    assert names is not None
    return names


def people_weights(dimensions: Sequence[str] = CHAIN) -> pl.DataFrame:
    """Made-up weights: the base grows with the place of a category, a factor with that of the parent's as well."""
    rows = []
    for dimension in dimensions:
        size = len(_CATALOGUE.dimension(dimension).categories)
        rows.append((dimension, 0, [], [size], [float(place + 1) for place in range(size)]))
        for order, parent in enumerate(_CATALOGUE.dimension(dimension).parents, start=1):
            others = len(_CATALOGUE.dimension(parent).categories)
            factors = [1.0 + place * other for other in range(others) for place in range(size)]
            rows.append((dimension, order, [parent], [others, size], factors))
    schema = {
        "dimension": pl.String,
        "order": pl.Int32,
        "given": pl.List(pl.String),
        "shape": pl.List(pl.Int32),
        "factors": pl.List(pl.Float64),
    }
    return pl.DataFrame(rows, schema=schema, orient="row").sample(fraction=1, shuffle=True, seed=0)


def write_people(folder: Path, dimensions: Sequence[str], files: Mapping[str, bytes]) -> Path:
    """Write a snapshot of made-up people of population `us` with these dimensions and no maps, and these files."""
    write_snapshot(
        folder,
        population=PopulationInfo("us", "us", 2025, "USD"),
        edition="2026.11",
        catalogue_hash="0",
        dimensions=dimension_frame(_CATALOGUE).filter(pl.col("id").is_in(list(dimensions))),
        weights=people_weights(dimensions),
        maps=pl.DataFrame(arrow_schema(MAPS).empty_table()),
        extra_files=files,
    )
    return folder
