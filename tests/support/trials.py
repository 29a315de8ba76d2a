"""Made-up answers to a prompt trial, for tests of the machinery. Nothing here resembles beliefs about anybody."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.catalogue.models import Catalogue
from pipeline.prompts.render import Request
from pipeline.prompts.schema import LISTS
from pipeline.prompts.validation import allowed_mask
from tests.support.corpora import answer_line, written


def trial_answer(catalogue: Catalogue, request: Request, sigma: float = 0.05) -> str:
    """A valid answer: a made-up truth that belongs to the map, with noise that belongs to the request."""
    dimension, parents = catalogue.dimension(request.dimension), [catalogue.dimension(g) for g in request.given]
    mask = allowed_mask(dimension, parents)
    truth = np.random.default_rng(zlib.crc32(repr((request.dimension, request.given)).encode()))
    noise = np.random.default_rng(zlib.crc32(request.custom_id.encode()))
    p = np.where(mask, truth.gamma(1.0, size=mask.shape) + 0.01, 0.0)
    return written(catalogue, request, p * np.exp(sigma * noise.standard_normal(mask.shape)))


def write_trial(folder: Path, catalogue: Catalogue, requests: Iterable[Request], name: str = "answers") -> None:
    """Write an answer to each request into the trial's folder; answers as lists of numbers are refused."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for request in requests:
            refused = request.number_format in LISTS
            text = "I cannot help with that." if refused else trial_answer(catalogue, request)
            file.write(answer_line(request, text) + "\n")
