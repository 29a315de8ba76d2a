"""Derive the vendored list of locale names from the data of the package `faker`.

Facts only: which name stands in the lists of which locale, spelled as the Census spells names, and of these only the
names that the Census tables beside this module hold too. It serves to choose which names language models are asked
about (`pipeline.names.candidates`); nothing is drawn from it. And, from the same package, the names that are common in
a population: those are drawn from. Run it from the project's root, in an environment that
has the two packages, which nothing else here needs:

    pip install faker==40.63.0 anyascii==0.3.3
    python -m warehouse.names.build_locale_names
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from warehouse.names.build_names import write

LOCALES = {
    "irish": ("ga_IE", "en_IE"),
    "italian": ("it_IT",),
    "polish": ("pl_PL",),
    "german": ("de_DE", "de_AT", "de_CH"),
    "french": ("fr_FR", "fr_BE", "fr_CA", "fr_CH"),
    "dutch": ("nl_NL", "nl_BE"),
    "scandinavian": ("sv_SE", "no_NO", "da_DK", "fi_FI", "is_IS"),
    "russian": ("ru_RU",),
    "eastern_european": (
        *("uk_UA", "bg_BG", "cs_CZ", "sk_SK", "hu_HU", "ro_RO", "hr_HR", "sl_SI", "mk_MK"),
        *("lt_LT", "lv_LV", "et_EE"),
    ),
    "greek": ("el_GR",),
    "portuguese": ("pt_PT", "pt_BR"),
    "spanish": ("es_ES", "es_MX", "es_CO", "es_CL", "es_AR"),
    "arab": ("fr_DZ",),
    "turkish": ("tr_TR", "az_AZ"),
    "armenian_georgian_uzbek": ("hy_AM", "ka_GE", "uz_UZ"),
    "west_african": ("tw_GH", "yo_NG", "ig_NG", "ha_NG", "en_NG"),
    "east_african": ("sw", "en_KE"),
    "southern_african": ("zu_ZA",),
    "indian": ("en_IN", "hi_IN", "ta_IN", "mr_IN", "gu_IN", "or_IN", "ne_NP"),
    "pakistani": ("en_PK",),
    "bangladeshi": ("bn_BD",),
    "chinese": ("zh_CN", "zh_TW"),
    "japanese": ("ja_JP",),
    "korean": ("ko_KR",),
    "vietnamese": ("vi_VN",),
    "other_asian": ("id_ID", "en_TH", "th_TH", "si_LK"),
}
"""Locales by the people whose names they list. Those in Arabic and Hebrew script are left out: they do not write
the vowels, without which their names cannot be found in Latin letters."""

LISTED = {"gb": "en_GB"}
"""The locale of the names that are common in a population whose names nobody counted (`warehouse.names.borrowed`)."""

ROMANISED = frozenset({"zh_CN", "zh_TW", "ja_JP"})
"""Locales that hold their names in Latin letters beside the script, under names of their own."""


def lists_of(locale: str) -> Iterator[tuple[str, str]]:
    """Kind (`first`, `last`) and entry of every name list of one locale."""
    provider: Any = importlib.import_module(f"faker.providers.person.{locale}").Provider
    for attribute in sorted(dir(provider)):
        entries = getattr(provider, attribute)
        if not isinstance(entries, (tuple, list, dict)) or "names" not in attribute:
            continue
        if locale in ROMANISED and "romanized" not in attribute:
            continue
        for kind in ("first", "last"):
            if f"{kind}_" in attribute and "kana" not in attribute:
                yield from ((kind, entry) for entry in entries)


def key_of(entry: str) -> str:
    """Form in which the Census lists a name: upper-case Latin letters only."""
    latin: str = importlib.import_module("anyascii").anyascii(entry)
    return "".join(letter for letter in latin.upper() if letter.isalpha())


def locale_names(folder: Path) -> pl.DataFrame:
    """A row per (kind, people, key) that the Census table of the kind holds, sorted."""
    found = {
        (kind, people, key_of(entry))
        for people, locales in LOCALES.items()
        for locale in locales
        for kind, entry in lists_of(locale)
    }
    frame = pl.DataFrame(sorted(found), schema=["kind", "people", "key"], orient="row")
    census = {
        "first": pl.read_parquet(folder / "first_names.parquet", columns=["key"]),
        "last": pl.read_parquet(folder / "surnames.parquet", columns=["key"]),
    }
    return pl.concat(
        frame.filter(pl.col("kind") == kind).join(table.unique(), on="key", how="semi")
        for kind, table in census.items()
    ).sort("kind", "people", "key")


def listed_names() -> pl.DataFrame:
    """Population, name, weight: the surnames of the locales in LISTED."""
    rows = []
    for population, locale in LISTED.items():
        provider: Any = importlib.import_module(f"faker.providers.person.{locale}").Provider
        rows += [(population, name, weight) for name, weight in provider.last_names.items()]
    return pl.DataFrame(rows, schema=["population", "name", "weight"], orient="row")


if __name__ == "__main__":
    here = Path(__file__).parent
    write(locale_names(here), here / "locale_names.parquet")
    write(listed_names(), here / "listed_names.parquet")
