"""Which names are asked about: a choice made from data, kept, and spread over requests."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.names.candidates import (
    FORMS,
    KINDS,
    PER_REQUEST,
    TOTAL,
    UNBORN,
    Kind,
    asked,
    chosen,
    in_requests,
    nominated,
)
from warehouse.names import casing
from warehouse.names.build_locale_names import LOCALES


@pytest.mark.parametrize("kind", KINDS)
def test_the_kept_choice_is_the_one_that_the_tables_give(kind: Kind) -> None:
    # It is kept because rules of spelling and dropping may change after the answers: a few names may then differ.
    anew, kept = in_requests(chosen(kind)), asked(kind).head(TOTAL)
    assert anew.schema == kept.schema
    assert anew.join(kept, on="key", how="semi").height >= 0.98 * kept.height


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_stands_once_in_a_full_request(kind: Kind) -> None:
    names = asked(kind)
    assert names.height == names["key"].n_unique() == names["name"].n_unique()
    assert set(names.head(TOTAL).group_by("request").len()["len"]) == {PER_REQUEST}
    assert names["request"].n_unique() == names["request"].max()
    assert names["request"].to_list() == sorted(names["request"])
    assert [casing.key_of(name) for name in names["name"]] == names["key"].to_list()


def test_names_without_birth_data_stand_apart() -> None:
    names = asked("first")
    assert names.head(TOTAL).filter(~pl.col("births")).height == UNBORN
    assert names.group_by("request").agg(pl.col("births").n_unique())["births"].max() == 1
    assert {"SIOBHAN", "JAMES"} <= set(names.filter("births")["key"])
    assert {"XIAOMING", "FATEMEH"} <= set(names.filter(~pl.col("births"))["key"])


def test_a_request_mixes_frequent_and_rare_names() -> None:
    order = {key: place for place, key in enumerate(chosen("last")["key"])}
    middle = [
        sorted(order[key] for key in rows["key"])[PER_REQUEST // 2]
        for _, rows in asked("last").head(TOTAL).group_by("request")
    ]
    assert min(middle) > TOTAL / 4 and max(middle) < 3 * TOTAL / 4


def test_the_most_frequent_and_every_people_are_among_them() -> None:
    last, first = set(asked("last")["key"]), set(asked("first")["key"])
    assert {"SMITH", "GARCIA", "NGUYEN", "OBRIEN"} <= last
    assert {"PAPADOPOULOS", "YILMAZ", "HOSSEINI", "PETROSYAN", "KEALOHA", "BEGAY", "TESFAYE", "OKAFOR"} <= last
    assert {"GIOVANNI", "LAKSHMI", "MAHMOUD", "DASHAWN", "GUADALUPE", "OLUWASEUN"} <= first
    for people, form in FORMS.items():
        assert sum(pl.Series(list(last)).str.contains(form)) > 20, people


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_nominated_follows_the_choice_by_figures(kind: Kind) -> None:
    names, named = asked(kind), nominated(kind)
    more = names.tail(-TOTAL)
    assert more.height >= 400
    assert more["request"].min() == names.head(TOTAL)["request"].max() + 1
    assert more.join(named, on="key", how="semi").height >= 0.98 * more.height
    assert named.join(names, on="key", how="semi").height >= 0.98 * named.height
    assert {"first": "FARHAD", "last": "TEHRANI"}[kind] in set(names["key"])


def test_placeholders_are_not_asked_about() -> None:
    for kind in KINDS:
        assert not set(casing.read_list(f"non_names_{kind}.txt")) & set(asked(kind)["key"])


def test_the_locale_lists_hold_names_of_the_census_only() -> None:
    lists = pl.read_parquet(casing.LISTS / "locale_names.parquet")
    assert lists.unique().height == lists.height and set(lists["people"]) == set(LOCALES)
    for kind, file in (("first", "first_names"), ("last", "surnames")):
        keys = pl.read_parquet(casing.LISTS / f"{file}.parquet", columns=["key"])
        assert not lists.filter(kind=kind).join(keys, on="key", how="anti").height
