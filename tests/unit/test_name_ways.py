"""How populations come by their names: what the files say, and what is wrong with what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.catalogue.loader import load_catalogue, populations
from pipeline.names.ways import borrowing, counted, digest, lender, named
from warehouse.errors import CatalogueError


def test_the_united_states_are_counted_and_great_britain_borrows() -> None:
    assert named() == ("gb", "us") and counted() == ("us",)
    assert lender("us") == "us" and lender("gb") == "us"
    assert borrowing("us") is None and digest("us") != digest("gb")


def test_every_borrowed_heritage_is_one_of_either_catalogue() -> None:
    for population in set(named()) - set(counted()):
        assert population in populations()
        found = borrowing(population)
        assert found is not None and found.common in found.heritages
        there = load_catalogue(lender(population)).dimension("heritage").category_ids
        assert set(found.heritages) == set(load_catalogue(population).dimension("heritage").category_ids)
        assert {told for one in found.heritages.values() for told in one.told} <= set(there)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("way = ", "is not valid TOML"),
        ('way = "guessed"', "'way'"),
        ('way = "borrowed"\nfrom = "us"\ncommon = "x"\n', "which of their heritages is common"),
        ('way = "borrowed"\nfrom = "us"\ncommon = "x"\n[heritage.x]\n', r"'heritage.x.told'"),
        ('way = "borrowed"\nfrom = "us"\ncommon = "x"\n[heritage.x]\ntold = []\nkept = [2, 1, 1]', r"kept"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "xx.toml").write_text(text)
    with pytest.raises(CatalogueError, match=message) as caught:
        borrowing("xx", tmp_path)
    assert "xx.toml" in str(caught.value) and "\n" not in str(caught.value)
