"""SQL over the batch table: who rents and would move, counted by DuckDB.

`make run` leaves a table `personas` of 100,000 people in warehouse/build/personagen.duckdb; name that file to query it.
Without one a smaller table is made first, in a folder that goes away again.

    python docs/examples/batch_table.py warehouse/build/personagen.duckdb
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import duckdb

from serving import Sampler, Snapshot

# Dimensions are ENUM columns, which sort in the order of their categories. Beware of comparing one with a text, as in
# household_income >= '100k_150k': DuckDB then compares texts. `enum_code` gives the place of the category.
QUERY = """
    select age,
           count(*) as people,
           avg((housing_tenure like 'rented%')::int) as renting,
           median(enum_code(household_income)) filter (housing_tenure like 'rented%') as their_income_band,
           mode(occupation) filter (occupation <> 'none') as commonest_occupation
    from personas
    where employment in ('full_time', 'part_time')
    group by age
    having count(*) >= 100
    order by age
"""


def query(file: Path) -> duckdb.DuckDBPyRelation:
    """The result on the table `personas` of a DuckDB file."""
    return duckdb.connect(file, read_only=True).sql(QUERY)


def main(file: str = "") -> None:
    """Query a file, or a table of 20,000 made for the purpose."""
    if file:
        print(query(Path(file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "personas.duckdb"
        Sampler(Snapshot.load("us")).sample(20_000, "table", exclude=["first_name", "last_name"]).to_duckdb(made)
        print(query(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
