"""The name files of a snapshot: what their writer (`export`) and their reader (`serving.names`) must agree on.

`names_first.parquet`, a row per (name, sex), sorted: name; accented, as its bearers write it, empty where that is
`name`; sex (`female`, `male`); births_YYYY, the births of the cohort that begins in YYYY; foreign, a weight among the
foreign-born; born, for some names the shares of BANDS among its foreign-born bearers in units of 1/HERITAGE_UNIT,
else empty; share_E, P(ethnicity E | name) in units of 1/SHARE_UNIT, where white is the rest; heritage and
heritage_share, codes and shares in units of 1/HERITAGE_UNIT of what language models told of the name, empty for names
that they were not asked about; and, where it was told of which faith the families are, faith_share: their shares in
units of 1/HERITAGE_UNIT, in the order of the faiths, empty for other names.

`names_last.parquet`, a row per surname: name; accented; bearers; share_E; heritage; heritage_share; faith_share.

`names_people.parquet`, who the people are: cohort, the first year of five of births in the population's own country, or
EVERYONE; ethnicity, nativity, heritage; share, of the people of the cohort; a row for each combination.

The first two have metadata under `personagen`, JSON: `heritages`, whose places are the codes. That of first names has
`native_tilt` as well, sex -> ethnicity -> list over cohorts: P(E | name) of those born here is share_E times this
factor, divided by the sum of all such products. It makes the names of a cohort those of its births and its ethnicities
those of its people. And `as_born_here`, ethnicity -> the share of the foreign-born whose names are those of US births.
Both have `faiths` if they have the column faith_share: `names`, the faiths in their order; `dimension`, whose
categories tell a person's faith; `of`, category -> faiths that it stands for, at least one, for those that stand for
any; `among`, heritage -> category -> its share of the people of that heritage, for the heritages whose names differ by
faith and these categories.

That of surnames may have `forms`, surnames as the people of one sex bear them, a list of who takes them, in order, the
first that fits: `sex`, `heritages`, `nativities` and, unless empty, `religions`, categories of the dimension of
`faiths`; and `endings`, ending -> the form's ending, one with a capital being a whole name. They are formed of the
surnames that were told to be of one of these heritages.
"""

from __future__ import annotations

FIRST, LAST, PEOPLE = "names_first.parquet", "names_last.parquet", "names_people.parquet"
FILES = (FIRST, LAST, PEOPLE)
EVERYONE = 0
METADATA = b"personagen"
SHARE_UNIT = 10_000
HERITAGE_UNIT = 200
REST = "white"
KINDS = ("first", "last")
ETHNICITIES = (REST, "black", "hispanic", "asian", "native_american", "pacific_islander", "two_or_more")
EVERYBODY = "other"
"""An ethnicity that no source of counted names tells apart: where it has no column it draws from everybody's names."""

BANDS = (0, 1950, 1970, 1990)
"""First birth years of the bands in which cohorts of the foreign-born are told."""

FOREIGN = "foreign_born"
MARKED = {"native_parents": 1.0, "second_generation": 2.0, FOREIGN: 3.0}
"""How much more often a person of this nativity has a name of the own heritage than one with native parents, until
all of them have. An assumption: what there are of such names in all is known, who has them is not."""
