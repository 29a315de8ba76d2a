"""A population that is added by data alone: catalogue, answers and names to personas, in a copy of the code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from pipeline.catalogue.loader import DATA, load_catalogue
from tests.support.corpora import EDITION
from tests.support.populations import TOY, with_toy_population

ROOT = Path(__file__).parent.parent.parent
PEOPLE = 500
KEPT = ("age", "sex", "ethnicity", "nativity", "heritage", "birth_month", "height", "region", "education", "diet")
WRITE = f"""
from pathlib import Path
from tests.support.corpora import write_corpus
write_corpus(Path("corpus"), populations=("{TOY}",))
"""
BUILD = f"""
from tests.support.builds import build_all
from tests.support.corpora import EDITION
from pipeline.resources import Build
build = Build(
    home="home", corpus="corpus", edition=EDITION, personas={PEOPLE}, seed=3, reference_size=300, trial_size=200
)
assert build.plan.populations == ("{TOY}",)
build_all(build)
print(sum(build_all(build).values()), "units are left to do")
"""


def run(folder: Path, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PERSONAGEN_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's code with the toy population among its data, and its edition built."""
    folder = tmp_path_factory.mktemp("project")
    for package in ("pipeline", "serving", "warehouse", "tests"):
        leave = shutil.ignore_patterns("__pycache__", "snapshots", "build", "corpus")
        shutil.copytree(ROOT / package, folder / package, ignore=leave)
    shutil.copytree(ROOT / "warehouse" / "corpus" / "names", folder / "warehouse" / "corpus" / "names")
    with_toy_population(folder / DATA.relative_to(ROOT), keep=KEPT)
    names = folder / "pipeline" / "names" / "populations"
    ids = load_catalogue("us").dimension("heritage").category_ids
    heritages = [f'[heritage.{heritage}]\ntold = ["{heritage}"]\n' for heritage in ids]
    (names / f"{TOY}.toml").write_text(
        'way = "borrowed"\nfrom = "us"\ncommon = "english"\n' + "".join(heritages), encoding="utf-8"
    )
    (folder / "serving" / f"wording.{TOY}.toml").write_text(
        '[phrases.sex]\nfemale = "toy woman"\nmale = "toy man"\n', encoding="utf-8"
    )
    run(folder, WRITE)
    assert "0 units are left to do" in run(folder, BUILD)
    return folder


def test_its_people_are_drawn_named_and_told_of_in_their_own_words(copy: Path) -> None:
    snapshot = copy / "home" / "editions" / EDITION / "snapshots" / TOY
    code = "import sys; from serving.cli import main; sys.exit(main(sys.argv[1:]))"
    text = run(copy, code, "generate", "-n", "30", "--snapshot", str(snapshot))
    assert "toy woman" in text and "toy man" in text
    lines = run(copy, code, "generate", "-n", "30", "-f", "jsonl", "--snapshot", str(snapshot))
    people = pl.read_ndjson(lines.encode())
    assert people.height == 30 and people["first_name"].n_unique() > 15 and people["last_name"].n_unique() > 15
    assert people["region"].is_not_null().all()


def test_its_batch_has_a_table_of_its_own(copy: Path) -> None:
    code = (
        "import duckdb, sys; c = duckdb.connect('home/personagen.duckdb', read_only=True);"
        f"print(c.execute('select count(*) from \"personas_{TOY}_{EDITION}\"').fetchone()[0])"
    )
    assert run(copy, code).strip() == str(PEOPLE)
