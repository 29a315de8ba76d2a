"""Surnames as one sex bears them: which ending becomes which, who takes the form, one persona as in a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.heritage_shares import RELIGION
from pipeline.names.ways import named, surname_forms
from serving.counter import uniforms
from serving.name_forms import formed
from serving.names import FIRST_STREAM, LAST_STREAM, TOLD_STREAM, Names
from tests.support import name_facts
from tests.support.name_facts import ETHNICITIES, HERITAGES, NATIVITIES, SEXES
from warehouse.errors import SnapshotError
from warehouse.names.export import Told, name_files

RELIGIONS = load_catalogue("us").dimension(RELIGION).category_ids
CATEGORIES = {"sexes": SEXES, "ethnicities": ETHNICITIES, "nativities": NATIVITIES, "heritages": HERITAGES}
FORMS = (
    {
        "sex": "female",
        "heritages": ["vietnamese"],
        "nativities": ["foreign_born"],
        "religions": [],
        "endings": {"n": "na"},
    },
    {
        "sex": "female",
        "heritages": ["indian"],
        "nativities": NATIVITIES,
        "religions": ["hindu"],
        "endings": {"Patel": "Patela"},
    },
    {
        "sex": "female",
        "heritages": ["vietnamese"],
        "nativities": NATIVITIES,
        "religions": [],
        "endings": {"n": "no"},
    },
)
N = 4_000


def write(folder: Path, told: Told) -> Path:
    for name, content in name_files(told).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plain = name_facts.told()
    return write(tmp_path_factory.mktemp("forms"), replace(plain, faiths=name_facts.faiths(), forms=FORMS))


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Kowalski", "Kowalska"),
        ("Petrovsky", "Petrovskaya"),
        ("Singh", "Kaur"),
        ("Singhal", None),
        ("Ski", None),
        ("Nowak", None),
    ],
)
def test_the_longest_ending_counts_and_a_whole_name_is_that_name_only(name: str, form: str | None) -> None:
    endings = {"ski": "ska", "sky": "skaya", "y": "a", "Singh": "Kaur"}
    assert formed(name, endings) == form


def people(**fixed: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    codes = {"sex": SEXES, "heritage": HERITAGES, "ethnicity": ETHNICITIES, "nativity": NATIVITIES}
    found = {name: rng.integers(0, len(known), N) for name, known in (codes | {"religion": RELIGIONS}).items()}
    for name, category in fixed.items():
        found[name][:] = list((codes | {"religion": RELIGIONS})[name]).index(category)
    return found | {"birth_year": rng.integers(1940, 2005, N)}


def test_women_of_the_people_take_the_form_and_nobody_else_does(folder: Path) -> None:
    names = Names.load(folder, **CATEGORIES, religions=RELIGIONS)
    assert names is not None
    codes = people(heritage="vietnamese", ethnicity="asian")
    index = np.arange(N, dtype=np.uint64)
    _, last = names.draw(1, index, **codes)
    women, abroad = codes["sex"] == SEXES.index("female"), codes["nativity"] == NATIVITIES.index("foreign_born")
    forms = {"Nguyena", "Nguyeno", "Nguyen"}
    # The first rule that fits counts.
    assert set(last[women & abroad]) & forms == {"Nguyena"}
    assert set(last[women & ~abroad]) & forms == {"Nguyeno"}
    assert set(last[~women]) & (forms | {"Nguyan"}) == {"Nguyen"}
    # The same surname is drawn; names of other peoples keep their form.
    _, drawn = names.draw(1, index, **(codes | {"sex": np.full(N, SEXES.index("male"))}))
    changed = last != drawn
    assert changed.sum() > 100 and (changed <= women).all()
    assert {name[:-1] for name in last[changed]} == set(drawn[changed])
    assert (women & ~changed).any()


def test_a_form_may_be_of_one_faith_only(folder: Path, tmp_path: Path) -> None:
    names = Names.load(folder, **CATEGORIES, religions=RELIGIONS)
    assert names is not None
    codes = people(heritage="indian", ethnicity="asian", sex="female")
    _, last = names.draw(1, np.arange(N, dtype=np.uint64), **codes)
    hindu = codes["religion"] == RELIGIONS.index("hindu")
    assert "Patela" in last[hindu] and "Patel" not in last[hindu]
    assert "Patel" in last[~hindu] and "Patela" not in last[~hindu]
    # Where nobody's names differ by faith, nobody takes it.
    told = replace(name_facts.told(), forms=FORMS)
    plain = Names.load(write(tmp_path, told), **CATEGORIES)
    assert plain is not None
    del codes["religion"]
    _, last = plain.draw(1, np.arange(N, dtype=np.uint64), **codes)
    assert "Patela" not in last and "Patel" in last


@pytest.mark.parametrize("accents", [False, True])
def test_one_persona_is_as_in_a_batch(folder: Path, accents: bool) -> None:
    names = Names.load(folder, **CATEGORIES, religions=RELIGIONS)
    assert names is not None
    index = np.arange(N, dtype=np.uint64)
    written = set()
    for heritage in ("vietnamese", "indian"):
        codes = people(heritage=heritage, ethnicity="asian")
        rows = names.draw_rows(1, index, **codes, accents=accents)
        first, last = (names.spelt(kind, of).to_pylist() for kind, of in enumerate(rows))
        streams = [uniforms(1, stream, index) for stream in (TOLD_STREAM, FIRST_STREAM, LAST_STREAM)]
        for i in range(N):
            by = {name: int(values[i]) for name, values in codes.items()}
            assert names.draw_one(*(float(s[i]) for s in streams), **by, accents=accents) == (first[i], last[i])
        written |= set(last)
        assert set(names.spelt(1, names.listed(1, rows[1])).to_pylist()) <= set(names.last)
    assert ("Nguyễna" in written) == accents and "Patela" in written


def test_categories_that_the_snapshot_has_not_are_named(tmp_path: Path) -> None:
    told = replace(name_facts.told(), forms=({**FORMS[0], "nativities": ["martian"]},))
    with pytest.raises(SnapshotError, match="told of nativity 'martian'"):
        Names.load(write(tmp_path, told), **CATEGORIES)


def test_populations_name_categories_of_their_catalogues() -> None:
    for population in named():
        catalogue = load_catalogue(population)
        for one in surname_forms(population):
            for dimension, told in (
                ("heritage", one.heritages),
                ("nativity", one.nativities),
                (RELIGION, one.religions),
            ):
                assert set(told) <= set(catalogue.dimension(dimension).category_ids)
