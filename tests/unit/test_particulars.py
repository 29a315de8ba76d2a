"""Places, job titles and incomes of personas: from a whole toy snapshot with made-up weights and names."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from serving.cli import main
from serving.explaining import explain
from serving.incomes import STREAM, income_bands
from serving.rendering import render
from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.particulars import file
from tests.support.toy_snapshot import TOY, ToyDimension, build_snapshot
from warehouse.errors import SamplingError, SnapshotError
from warehouse.particulars import DETAIL_FILES, PLACES, TITLES

FIELDS = ["city", "job_title", "subject", "personal_income_figure"]
BANDS = ("under_10k", "10k_20k", "20k_35k", "150k_plus")
DIMENSIONS = (
    *TOY,
    ToyDimension("region", ("maine", "ohio", "utah")),
    ToyDimension("urbanicity", ("rural", "small_town", "suburb", "city"), ordinal=True),
    ToyDimension("occupation", ("sales", "none")),
    ToyDimension("personal_income", BANDS, ordinal=True, sensitive=True),
    ToyDimension("field_of_study", ("law", "trades", "not_applicable")),
)


PLACE_ROWS = [
    ("maine", "Bangor", 0.6, [1.0, 1.0, 1.0, 0.5]),
    ("maine", "Portland", 0.4, [0.25, 1.0, 1.0, 1.0]),
    ("ohio", "Ångby, \"The\"", 1.0, [1.0, 1.0, 1.0, 1.0]),
]  # fmt: skip
TITLE_ROWS = [
    ("sales", "clerk", 0.5, [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
    ("sales", "HR manager", 0.5, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0]),
]
SUBJECT_ROWS = [
    ("law", "Roman law", 0.8, [1.0, 1.0], [0.0, 1.0, 1.0]),
    ("law", "labor law", 0.2, [1.0, 0.5], [1.0, 0.0, 1.0]),
    ("trades", "welding", 1.0, [1.0, 1.0], [1.0, 1.0, 1.0]),
]  # fmt: skip
TITLES_OF_ROWS = ("clerk", "HR manager")


def files() -> dict[str, bytes]:
    return {
        DETAIL_FILES["subject"]: file(
            DIMENSIONS, "field_of_study", SUBJECT_ROWS, ("sex",), ("job_title",), titles=TITLES_OF_ROWS
        ),
        PLACES: file(DIMENSIONS, "region", PLACE_ROWS, ("urbanicity",)),
        TITLES: file(DIMENSIONS, "occupation", TITLE_ROWS, ("sex", "personal_income"), ("education",)),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshots") / "toy"
    build_snapshot(path, DIMENSIONS, extra_files=files())
    return path


@pytest.fixture(scope="module")
def sampler(folder: Path) -> Sampler:
    return Sampler(Snapshot.load(folder))


def test_five_people_are_the_head_of_ten_whatever_else_is_drawn(sampler: Sampler) -> None:
    ten = sampler.sample(10, seed=3, fields=FIELDS).to_dicts()
    assert sampler.sample(5, seed=3, fields=FIELDS).to_dicts() == ten[:5]
    assert sampler.sample(5, seed=3, start=5, fields=FIELDS).to_dicts() == ten[5:]
    everything = sampler.sample(10, seed=3).to_dicts()
    assert [[one[name] for name in FIELDS] for one in everything] == [[one[name] for name in FIELDS] for one in ten]


def test_single_lines_are_those_of_a_batch(sampler: Sampler) -> None:
    for fields in (
        None,
        FIELDS,
        ["job_title", "age_years"],
        ["city"],
        ["subject"],
        ["personal_income_figure", "height_cm"],
    ):
        lines = sampler.lines(fields=fields)
        assert [lines.line("x", index).decode() for index in range(60)] == list(
            sampler.sample(60, "x", fields=fields).to_jsonl()
        )


def test_places_are_of_the_region_and_follow_share_and_surroundings(sampler: Sampler) -> None:
    batch = sampler.sample(20_000, do={"region": "maine", "urbanicity": "rural"}, fields=["city"])
    counts = Counter(batch.values("city"))
    assert counts.keys() == {"Bangor", "Portland"}
    expected = 0.6 / (0.6 + 0.4 * 0.25)
    assert counts["Bangor"] / 20_000 == pytest.approx(expected, abs=0.015)
    assert set(sampler.sample(50, do={"region": "ohio"}).values("city")) == {"Ångby, \"The\""}  # fmt: skip


def test_who_has_no_category_with_names_has_none(sampler: Sampler) -> None:
    assert set(sampler.sample(50, do={"occupation": "none"}).values("job_title")) == {None}
    assert set(sampler.sample(50, do={"region": "utah"}).values("city")) == {None}
    assert None not in sampler.sample(50, do={"occupation": "sales"}).values("job_title")


def test_dimensions_of_one_given_act_together_and_givens_multiply(sampler: Sampler) -> None:
    do = {"occupation": "sales", "sex": "female", "personal_income": "150k_plus", "education": "bachelor"}
    assert set(sampler.sample(50, do=do).values("job_title")) == {"clerk"}
    both = sampler.sample(50, do=do | {"sex": "male"}).values("job_title")
    assert set(both) == {"clerk", "HR manager"}
    assert set(sampler.sample(50, do=do | {"sex": "male", "education": "high_school"}).values("job_title")) == {"clerk"}


def test_what_was_studied_goes_with_the_job_title_and_without_one_by_the_shares(sampler: Sampler) -> None:
    do = {"field_of_study": "law", "sex": "male"}
    batch = sampler.sample(4_000, do=do | {"occupation": "sales"}, fields=["subject", "job_title"])
    pairs = set(zip(batch.values("job_title"), batch.values("subject"), strict=True))
    assert pairs == {("clerk", "labor law"), ("HR manager", "Roman law")}
    # Without the title among the fields it is drawn all the same.
    assert sampler.sample(4_000, do=do | {"occupation": "sales"}, fields=["subject"]).values("subject") == batch.values(
        "subject"
    )
    counts = Counter(sampler.sample(4_000, do=do | {"occupation": "none"}, fields=["subject"]).values("subject"))
    assert counts["Roman law"] / 4_000 == pytest.approx(0.8 / 0.9, abs=0.02)
    with pytest.raises(SamplingError, match="derived from field_of_study, sex, occupation"):
        sampler.sample(1, evidence={"subject": "Roman law"})


def test_a_file_of_another_dimension_is_refused(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "other", DIMENSIONS, extra_files=files() | {DETAIL_FILES["subject"]: files()[PLACES]})
    with pytest.raises(SnapshotError, match=r"subject\.parquet: its names are within 'region', not 'field_of_study'"):
        Snapshot.load(tmp_path / "other")


def test_subjects_without_the_titles_that_they_go_by_are_refused(tmp_path: Path) -> None:
    without = {name: content for name, content in files().items() if name != TITLES}
    build_snapshot(tmp_path / "without", DIMENSIONS, extra_files=without)
    with pytest.raises(
        SnapshotError, match=r"subject\.parquet: it goes by job titles, and there is no titles\.parquet"
    ):
        Snapshot.load(tmp_path / "without")


def test_what_the_factors_rule_out_altogether_falls_back_on_the_shares(sampler: Sampler) -> None:
    do = {"occupation": "sales", "sex": "female", "personal_income": "20k_35k", "education": "bachelor"}
    counts = Counter(sampler.sample(2_000, do=do).values("job_title"))
    assert counts["clerk"] / 2_000 == pytest.approx(0.5, abs=0.05)


def test_incomes_lie_in_their_band(sampler: Sampler) -> None:
    batch = sampler.sample(5_000, seed=1, fields=["personal_income", "personal_income_figure"])
    ends = {"under_10k": (100, 9_900), "10k_20k": (10_000, 19_500), "20k_35k": (20_000, 34_500)}
    for band, figure in zip(batch.values("personal_income"), batch.values("personal_income_figure"), strict=True):
        assert isinstance(figure, int)
        low, high = ends.get(str(band), (150_000, 1_499_000))
        assert low <= figure <= high and figure % 100 == 0


def test_the_open_band_of_income_thins_out_as_a_pareto_distribution_does() -> None:
    bands, n = income_bands(BANDS), 40_000
    figures = bands.draw(1, STREAM, np.arange(n, dtype=np.uint64), np.full(n, 3, dtype=np.uint8))
    for times in (2, 3, 5):
        beyond = 1 / times**2
        assert (figures >= times * 150_000).mean() == pytest.approx((beyond - 0.01) / 0.99, abs=0.01)


def test_what_is_no_band_of_income_is_named() -> None:
    with pytest.raises(SnapshotError, match="'plenty' of 'personal_income' is no band"):
        income_bands(("under_10k", "plenty"))


def test_leaving_the_income_out_leaves_its_figure_out(sampler: Sampler) -> None:
    for left_out in ("personal_income", "sensitive"):
        persona = sampler.sample(1, exclude=[left_out], fields=[*FIELDS, "summary"])[0]
        assert "personal_income_figure" not in persona.values and "income" not in str(persona.summary)
        assert "job_title" in persona.values
    assert "personal_income_figure" not in sampler.sample(1, exclude=["personal_income_figure"])[0].values


@pytest.mark.parametrize(
    ("left_out", "gone"),
    [
        ("religion", {"denomination", "diet_plan"}),
        ("childhood_religion", {"childhood_denomination"}),
        ("chronic_condition", {"diagnosis", "diet_plan"}),
        ("diet", {"diet_plan"}),
        ("field_of_study", {"subject"}),
    ],
)
def test_whoever_leaves_a_dimension_out_is_not_told_it_by_a_detail(left_out: str, gone: set[str]) -> None:
    packaged = Sampler(Snapshot.load("us"))
    assert set(packaged.sample(1).fields) - set(packaged.sample(1, exclude=[left_out]).fields) == {left_out, *gone}


def test_a_snapshot_without_the_files_has_no_such_fields(tmp_path: Path) -> None:
    build_snapshot(tmp_path / "plain", DIMENSIONS)
    sampler = Sampler(Snapshot.load(tmp_path / "plain"))
    assert not set(FIELDS) & set(sampler.sample(1).fields)
    with pytest.raises(SamplingError, match="unknown field 'city'"):
        sampler.sample(1, fields=["city"])


def test_categories_that_the_file_does_not_know_are_an_error_at_load(tmp_path: Path) -> None:
    renamed = [ToyDimension("region", ("maine", "ohio", "guam")) if d.id == "region" else d for d in DIMENSIONS]
    build_snapshot(tmp_path / "other", renamed, extra_files=files())
    with pytest.raises(SnapshotError, match=r"places\.parquet: the categories of 'region' are not those"):
        Snapshot.load(tmp_path / "other")


def places(factors: list[float]) -> bytes:
    return file(DIMENSIONS, "region", [("maine", "Bangor", 1.0, factors)], ("urbanicity",))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"no parquet", "cannot be read"),
        (file(DIMENSIONS, "region", PLACE_ROWS[::-1], ("urbanicity",)), "not in order"),
        (
            file(DIMENSIONS, "region", [("maine", "Bangor", 1.0, [1.0, -1.0, 1.0, 1.0])], ("urbanicity",)),
            "no numbers from 0",
        ),
        (file(DIMENSIONS, "region", [("maine", "Bangor", 1.0, [1.0, 1.0])], ("urbanicity",)), "cannot be read"),
        (file(DIMENSIONS, "region", [("maine", "", 1.0, [1.0] * 4)], ("urbanicity",)), "rows without a name"),
    ],
)
def test_a_file_that_is_broken_is_an_error_at_load(tmp_path: Path, content: bytes, what: str) -> None:
    build_snapshot(tmp_path / "broken", DIMENSIONS, extra_files={PLACES: content})
    with pytest.raises(SnapshotError, match=what):
        Snapshot.load(tmp_path / "broken")


def test_formats_write_them(sampler: Sampler, tmp_path: Path) -> None:
    batch = sampler.sample(60, seed=2)
    columns = {name: batch.values(name) for name in FIELDS}
    assert None in columns["job_title"]
    assert {name: batch.to_arrow()[name].to_pylist() for name in FIELDS} == columns
    assert {name: batch.to_polars()[name].to_list() for name in FIELDS} == columns
    assert [json.loads(line)["job_title"] for line in batch.to_jsonl()] == columns["job_title"]
    (tmp_path / "people.csv").write_text("\n".join(batch.to_csv()), encoding="utf-8")
    read = pl.read_csv(tmp_path / "people.csv")
    assert {name: read[name].to_list() for name in FIELDS} == columns
    batch.to_parquet(tmp_path / "people.parquet")
    assert {name: pq.read_table(tmp_path / "people.parquet")[name].to_pylist() for name in FIELDS} == columns
    batch.to_duckdb(tmp_path / "people.duckdb")
    with duckdb.connect(str(tmp_path / "people.duckdb")) as connection:
        rows = connection.execute(f'select {", ".join(FIELDS)} from personas order by "index"').fetchall()
    assert rows == list(zip(*columns.values(), strict=True))


def test_a_place_knows_of_what_kind_it_is_and_prose_says_so(sampler: Sampler) -> None:
    places = sampler.snapshot.particulars(PLACES)
    assert places is not None and places.foremost("region") == {}
    kinds = places.foremost("urbanicity")
    assert kinds[0, "Bangor"] == 3 and kinds[0, "Portland"] == 3  # of the city half as much as of others, and as much
    batch = sampler.sample(60, do={"region": "maine", "urbanicity": "small_town"})
    for persona, prose in zip(batch, batch.to_prompts(), strict=True):
        assert f"living in a small town near {persona.city}, Maine" in prose
    values = {"region": "maine", "urbanicity": "city", "city": "Portland", "height_cm": 183}
    assert "living in Portland, Maine. You are 6 feet tall." in render(sampler.snapshot, values)
    assert "5 feet 5 tall" in render(sampler.snapshot, {"height_cm": 165})


def test_prose_says_place_title_and_figure(sampler: Sampler) -> None:
    do = {"region": "maine", "urbanicity": "rural", "occupation": "sales", "employment": "full_time"}
    batch = sampler.sample(200, do=do)
    for persona, prose in zip(batch, batch.to_prompts(), strict=True):
        assert f"living in the countryside near {persona.city}, Maine." in prose
        article = "a clerk" if persona.job_title == "clerk" else "an HR manager"
        assert f"full time as {article}" in prose
        assert f"an income of about ${persona.personal_income_figure:,} a year" in prose
    suburb = sampler.sample(1, do=do | {"urbanicity": "suburb"}, fields=["city", "region", "urbanicity", "summary"])[0]
    assert f"living in suburban {suburb.city}, Maine" in str(suburb.summary)
    jobless = sampler.sample(1, do={"employment": "retired", "occupation": "none"})[0]
    assert "None" not in jobless.to_prompt() and "retired" in jobless.to_prompt()


def test_evidence_on_them_is_an_error_that_names_the_dimensions(
    folder: Path, sampler: Sampler, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SamplingError, match="'city' is no dimension but derived from region, urbanicity: condition"):
        sampler.sample(1, evidence={"city": "Bangor"})
    assert main(["generate", "--snapshot", str(folder), "-n", "2", "-f", "jsonl", "--fields", "city,job_title"]) == 0
    for line in capsys.readouterr().out.splitlines():
        assert {"city", "job_title"} <= json.loads(line).keys()


def test_asked_to_explain_a_derived_field_says_what_it_is_derived_from(sampler: Sampler) -> None:
    with pytest.raises(SamplingError, match="'city' is no dimension but derived from region, urbanicity: explain"):
        explain(sampler.sample(1)[0], "city")
