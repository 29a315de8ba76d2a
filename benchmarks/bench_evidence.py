"""Fills a table of docs/sampling.md: personas of some evidence against those whom rejection keeps of ten million.

    make bench-evidence

Evidence is right if both follow one distribution: chi-square tests of homogeneity, of all 77 dimensions and of every
seventh pair of them. Were they all alike, their p values would be even from 0 to 1: a mean of 0.5, and one in a
hundred below 0.01. (Tests of one evidence share its people, so that their mean scatters more than independent ones.)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency

from benchmarks.pages import fill, table
from serving.batch import Batch
from serving.sampler import Sampler
from serving.snapshot import Snapshot

PAGE = Path(__file__).parents[1] / "docs" / "sampling.md"
PEOPLE, AT_ONCE = 10_000_000, 1_000_000
EVERY = 7  # of the pairs
LEAST, MOST, TIMES = 2_000, 200_000, 3  # personas drawn with evidence: times those that rejection keeps
EXPECTED = 5  # in a cell of a test; smaller ones are taken together
EVIDENCE: tuple[Mapping[str, str], ...] = (
    {"religion": "jewish"},
    {"religion": "muslim"},
    {"heritage": "haitian"},
    {"party": "strong_democrat", "religion": "muslim"},
    {"personal_income": "150k_plus", "sex": "female", "age": "25_34"},
    {"age": "25_34", "occupation": "legal"},
    {"urbanicity": "rural", "first_language": "tagalog"},
    {"age": "18_24", "education": "doctorate"},
)

Codes = npt.NDArray[np.uint8]  # (dimensions, people)


def main() -> None:
    """Draw, compare, fill the page."""
    snapshot = Snapshot.load("us")
    sampler = Sampler(snapshot)
    kept: list[list[Codes]] = [[] for _ in EVIDENCE]
    for start in range(0, PEOPLE, AT_ONCE):
        batch = sampler.sample(AT_ONCE, "rejection", start)
        for evidence, mine in zip(EVIDENCE, kept, strict=True):
            mine.append(_codes(batch, _meets(batch, evidence)))
    rows = []
    for evidence, mine in zip(EVIDENCE, kept, strict=True):
        rejected = np.concatenate(mine, axis=1)
        size = rejected.shape[1]
        batch = sampler.sample(min(MOST, max(LEAST, TIMES * size)), "evidence", evidence=evidence)
        values = np.array(_tests(snapshot, rejected, _codes(batch, np.ones(len(batch), dtype=np.bool_))))
        rows.append(
            (
                ", ".join(f"{name} = {value}" for name, value in evidence.items()),
                f"{size:,}",
                f"{size / PEOPLE:.2e}",
                f"{batch.support.probability:.2e}",
                f"{batch.support.tries / len(batch):.1f}",
                str(len(values)),
                f"{values.mean():.2f}",
                f"{values.min():.1e}",
                f"{(values < 0.01).mean():.1%}",
            )
        )
    head = ("evidence", "kept", "share", "told", "tries each", "tests", "mean p", "least p", "p < 0.01")
    fill(PAGE, {"evidence": f"Snapshot {snapshot.manifest.snapshot_id}.\n\n{table(head, rows)}"})


def _meets(batch: Batch, evidence: Mapping[str, str]) -> npt.NDArray[np.bool_]:
    meets = np.ones(len(batch), dtype=np.bool_)
    for name, value in evidence.items():
        meets &= batch.codes(name) == batch.snapshot.dimension(name).code(value)
    return meets


def _codes(batch: Batch, chosen: npt.NDArray[np.bool_]) -> Codes:
    return np.stack([batch.codes(dimension.id)[chosen] for dimension in batch.snapshot.dimensions])


def _tests(snapshot: Snapshot, one: Codes, other: Codes) -> list[float]:
    """p values of all dimensions and some pairs; what has one value only, such as the evidence, tells nothing."""
    sizes = [len(dimension.categories) for dimension in snapshot.dimensions]
    places = range(len(sizes))
    values = [_test(one[i].astype(np.intp), other[i].astype(np.intp)) for i in places]
    for i, j in itertools.islice(itertools.combinations(places, 2), 0, None, EVERY):
        values.append(_test(*(codes[i].astype(np.intp) * sizes[j] + codes[j] for codes in (one, other))))
    return [value for value in values if value is not None]


def _test(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp]) -> float | None:
    width = int(max(one.max(), other.max())) + 1
    counts = np.stack([np.bincount(one, minlength=width), np.bincount(other, minlength=width)])
    small = counts.sum(axis=0) * counts.sum(axis=1).min() < EXPECTED * counts.sum()
    counts = np.concatenate([counts[:, ~small], counts[:, small].sum(axis=1, keepdims=True)], axis=1)
    counts = counts[:, counts.sum(axis=0) > 0]
    return float(chi2_contingency(counts, correction=False).pvalue) if counts.shape[1] > 1 else None


if __name__ == "__main__":
    main()
