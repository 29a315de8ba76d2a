"""Records per second of libraries that are used for the like; run by the Python of an environment of their own.

    python peers.py PERSONAS.csv

Prints a line of JSON for each: name, version, what was measured, records per second, or why there is none. Faker and
Mimesis make records of unrelated fields; SDV and pgmpy learn a model from the personas in the file, as they were made
to do, and are measured at the best of several batch sizes. Nothing of this project is imported.
"""

# ruff: noqa: PLC0415  # a peer that is not there stops nobody

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import pairwise
from typing import Any

warnings.filterwarnings("ignore")
SECONDS, ROUNDS = 2.0, 3
BATCHES = (1_000, 10_000, 50_000)
PARENTS = 3  # at most, in pgmpy's network
ROWS = 5_000  # that models are learnt from


def rate(make: Callable[[int], object], count: int) -> float:
    """Records per second, the best of several rounds."""
    best = 0.0
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        make(count)
        best = max(best, count / (time.perf_counter() - start))
        if time.perf_counter() - begin > 10 * SECONDS:
            break
    return best


def faker() -> Iterator[tuple[str, str, float]]:
    from faker import Faker

    fake = Faker("en_US")
    fake.seed_instance(1)
    yield "Faker", "`profile()`", rate(lambda n: [fake.profile() for _ in range(n)], 500)
    twelve = (
        fake.first_name, fake.last_name, fake.job, fake.company, fake.city, fake.state, fake.street_address,
        fake.phone_number, fake.email, fake.date_of_birth, fake.ssn, fake.user_name,
    )  # fmt: skip
    yield "Faker", "12 fields", rate(lambda n: [[field() for field in twelve] for _ in range(n)], 1_000)


def mimesis() -> Iterator[tuple[str, str, float]]:
    from mimesis import Generic
    from mimesis.locales import Locale

    g = Generic(Locale.EN, seed=1)
    twelve = (
        g.person.first_name, g.person.last_name, g.person.occupation, g.finance.company, g.address.city,
        g.address.state, g.address.address, g.person.phone_number, g.person.email, g.person.birthdate,
        g.person.university, g.person.username,
    )  # fmt: skip
    yield "Mimesis", "12 fields", rate(lambda n: [[field() for field in twelve] for _ in range(n)], 5_000)


def sdv(people: Any) -> Iterator[tuple[str, str, float]]:
    from sdv.metadata import Metadata
    from sdv.single_table import GaussianCopulaSynthesizer

    metadata = Metadata.detect_from_dataframes({"people": people})
    for column in people.columns:
        metadata.update_column(table_name="people", column_name=column, sdtype="categorical")
    if metadata.tables["people"].primary_key:
        metadata.remove_primary_key(table_name="people")
    model = GaussianCopulaSynthesizer(metadata)
    model.fit({"people": people})
    best, size = max((rate(model.sample, count), count) for count in BATCHES)
    yield "SDV", f"GaussianCopula of the 77 dimensions, batches of {size:,}", best


def pgmpy(people: Any) -> Iterator[tuple[str, str, float]]:
    from pgmpy.models import DiscreteBayesianNetwork
    from pgmpy.sampling import BayesianModelSampling

    names = list(people.columns)
    edges = list(pairwise(names))
    for place, child in enumerate(names):
        edges += [(parent, child) for parent in names[: min(place - 1, PARENTS - 1)] if place > 1]
    network = DiscreteBayesianNetwork(edges)
    network.fit(people)
    sampler = BayesianModelSampling(network)
    best, size = max(
        (rate(lambda n: sampler.forward_sample(n, show_progress=False, n_jobs=1), count), count) for count in BATCHES
    )
    yield "pgmpy", f"77 nodes with at most {PARENTS} parents, batches of {size:,}", best


def main() -> None:
    """Measure one peer after the other; one that fails says why and stops nobody."""
    import pandas as pd

    people = pd.read_csv(sys.argv[1], dtype=str, keep_default_na=False).head(ROWS)
    for package, measure in (
        ("faker", faker),
        ("mimesis", mimesis),
        ("sdv", lambda: sdv(people)),
        ("pgmpy", lambda: pgmpy(people)),
        ("faker", faker),  # once more, since minutes lie between: the better figure counts, as it does of ours
        ("mimesis", mimesis),
    ):
        try:
            for name, what, speed in measure():
                print(json.dumps({"peer": f"{name} {version(package)}", "what": what, "rate": speed}), flush=True)
        except Exception as error:  # whatever goes wrong in it, the others are measured
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            print(json.dumps({"peer": package, "what": f"none: {reason[:120]}", "rate": 0.0}), flush=True)


if __name__ == "__main__":
    main()
